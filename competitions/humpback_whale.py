"""Humpback Whale Identification: which whale shows its fluke, or a new one."""

from runner.contract import NO_FLIP, Competition, Multiclass, map_at

# train.csv has Image,Id with 5,005 whales, new_whale among them; ids end in .jpg; five guesses a row.
COMPETITION = Competition(
    slug="humpback-whale-identification",
    title="Humpback Whale Identification",
    labels=Multiclass(csv="train.csv", id="Image", label="Id"),
    train_images="train/{id}",
    test_images="test/{id}",
    sample_submission="sample_submission.csv",
    preset=NO_FLIP,
    metric=map_at(5),
)
