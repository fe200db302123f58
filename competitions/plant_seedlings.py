"""Plant Seedlings Classification: twelve species, photographed from above."""

from runner.contract import ACCURACY, TOP_DOWN, Competition, Multiclass

# train has a folder a species; the ids of file,species end in .png; micro F1 of one class an image is its accuracy.
COMPETITION = Competition(
    slug="plant-seedlings-classification",
    title="Plant Seedlings Classification",
    labels=Multiclass(id="file", label="species"),
    train_images="train/{label}/{id}",
    test_images="test/{id}",
    sample_submission="sample_submission.csv",
    preset=TOP_DOWN,
    metric=ACCURACY,
    awards_medals=False,
)
