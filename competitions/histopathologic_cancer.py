"""Histopathologic Cancer Detection: whether the centre of a tissue patch has tumour cells."""

from runner.contract import ROC_AUC, TOP_DOWN, UNLIKE_PHOTOGRAPHS, Binary, Competition, with_sizes

# train_labels.csv has id,label; 220,025 images train/ID.tif of 96 x 96, of which the middle 32 x 32 decide.
COMPETITION = Competition(
    slug="histopathologic-cancer-detection",
    title="Histopathologic Cancer Detection",
    labels=Binary(csv="train_labels.csv", id="id", label="label"),
    train_images="train/{id}.tif",
    test_images="test/{id}.tif",
    sample_submission="sample_submission.csv",
    preset=TOP_DOWN,
    metric=ROC_AUC,
    recipe=with_sizes(UNLIKE_PHOTOGRAPHS, [96]),
    awards_medals=False,
)
