"""Diabetic Retinopathy Detection: the grade of the disease in a photograph of an eye."""

from runner.contract import QWK, TOP_DOWN, UNLIKE_PHOTOGRAPHS, Competition, Ordinal

# trainLabels.csv.zip has image,level with ids 10_left, 10_right; train.zip.001 to .005 hold train/10_left.jpeg.
COMPETITION = Competition(
    slug="diabetic-retinopathy-detection",
    title="Diabetic Retinopathy Detection",
    labels=Ordinal(csv="trainLabels.csv", id="image", label="level", grades=5, group="{patient}_*"),
    train_images="train/{id}.jpeg",
    test_images="test/{id}.jpeg",
    sample_submission="sampleSubmission.csv",
    preset=TOP_DOWN,
    metric=QWK,
    recipe=UNLIKE_PHOTOGRAPHS,
)
