"""CSIRO Image2Biomass: grams of five parts of a pasture."""

from runner.contract import TOP_DOWN, Competition, Regression, weighted_r2

TARGETS = ("Dry_Green_g", "Dry_Dead_g", "Dry_Clover_g", "GDM_g", "Dry_Total_g")

# train.csv has a row an image and target: sample_id ID1011485656__Dry_Clover_g, image_path train/ID1011485656.jpg.
COMPETITION = Competition(
    slug="csiro-biomass",
    title="CSIRO - Image2Biomass Prediction",
    labels=Regression(csv="train.csv", id="sample_id", label="target", rows="{id}__{column}", columns=TARGETS, low=0),
    train_images="train/{id}.jpg",
    test_images="test/{id}.jpg",
    sample_submission="sample_submission.csv",
    submission_rows="{id}__{column}",
    preset=TOP_DOWN,
    metric=weighted_r2(0.1, 0.1, 0.1, 0.2, 0.5),
    notebooks_only=True,
)
