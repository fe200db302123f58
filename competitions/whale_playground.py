"""Whale Categorization Playground: which humpback whale shows its fluke."""

from runner.contract import NO_FLIP, Competition, Multiclass, map_at

# train.csv has Image,Id with 4,251 whales, new_whale for the unknown; ids end in .jpg; five guesses a row.
COMPETITION = Competition(
    slug="whale-categorization-playground",
    title="Humpback Whale Identification Challenge (Playground)",
    labels=Multiclass(csv="train.csv", id="Image", label="Id"),
    train_images="train/{id}",
    test_images="test/{id}",
    sample_submission="sample_submission.csv",
    preset=NO_FLIP,
    metric=map_at(5),
    awards_medals=False,
)
