"""Happywhale: which whale or dolphin shows its fin."""

from runner.contract import NO_FLIP, Competition, Multiclass, map_at

# train.csv has image,species,individual_id; the submission has image,predictions with five ids between blanks.
COMPETITION = Competition(
    slug="happy-whale-and-dolphin",
    title="Happywhale - Whale and Dolphin Identification",
    labels=Multiclass(csv="train.csv", id="image", label="individual_id"),
    train_images="train_images/{id}",
    test_images="test_images/{id}",
    sample_submission="sample_submission.csv",
    preset=NO_FLIP,
    metric=map_at(5),
)
