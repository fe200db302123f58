"""Paddy Doctor: ten diseases and a healthy leaf of rice."""

from runner.contract import ACCURACY, SIDE_ON, Competition, Multiclass

# train_images has a folder a class, train.csv the same labels with variety and age; the sample is blank.
COMPETITION = Competition(
    slug="paddy-disease-classification",
    title="Paddy Doctor: Paddy Disease Classification",
    labels=Multiclass(),
    train_images="train_images/{label}/{id}",
    test_images="test_images/{id}",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=ACCURACY,
    awards_medals=False,
)
