"""Dogs vs. Cats, the first one: whether a photograph shows a dog."""

from runner.contract import ACCURACY, SIDE_ON, Binary, Competition

# train.zip holds train/cat.0.jpg, train/dog.0.jpg; test1.zip holds test1/1.jpg; sampleSubmission.csv has id,label.
COMPETITION = Competition(
    slug="dogs-vs-cats",
    title="Dogs vs. Cats",
    labels=Binary(positive=("dog",)),
    train_images="train/{label}.{id}.jpg",
    test_images="test1/{id}.jpg",
    sample_submission="sampleSubmission.csv",
    preset=SIDE_ON,
    metric=ACCURACY,
    awards_medals=False,
)
