"""Google Landmark Recognition 2021: which of 81,313 landmarks a photograph shows."""

from runner.contract import GAP, SIDE_ON, Competition, Multiclass

# train.csv has id,landmark_id; train/0/1/2/0123....jpg; id,landmarks with a class and its confidence.
COMPETITION = Competition(
    slug="landmark-recognition-2021",
    title="Google Landmark Recognition 2021",
    labels=Multiclass(csv="train.csv", id="id", label="landmark_id"),
    train_images="train/{id[0]}/{id[1]}/{id[2]}/{id}.jpg",
    test_images="test/{id[0]}/{id[1]}/{id[2]}/{id}.jpg",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=GAP,
    notebooks_only=True,
)
