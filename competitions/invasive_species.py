"""Invasive Species Monitoring: whether a photograph of a forest shows hydrangea."""

from runner.contract import ROC_AUC, SIDE_ON, Binary, Competition

# train_labels.csv.zip has name,invasive; train.7z and test.7z hold train/1.jpg, test/1.jpg.
COMPETITION = Competition(
    slug="invasive-species-monitoring",
    title="Invasive Species Monitoring",
    labels=Binary(csv="train_labels.csv", id="name", label="invasive"),
    train_images="train/{id}.jpg",
    test_images="test/{id}.jpg",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=ROC_AUC,
    awards_medals=False,
)
