"""Dogs vs. Cats Redux: the probability that a photograph shows a dog."""

from runner.contract import ACCURACY, BINARY_LOG_LOSS, SIDE_ON, Binary, Competition

# 25,000 images train/cat.0.jpg, train/dog.0.jpg; test/1.jpg to 12500.jpg; the submission has id,label.
COMPETITION = Competition(
    slug="dogs-vs-cats-redux-kernels-edition",
    title="Dogs vs. Cats Redux: Kernels Edition",
    labels=Binary(positive=("dog",)),
    train_images="train/{label}.{id}.jpg",
    test_images="test/{id}.jpg",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=BINARY_LOG_LOSS,
    extra_metrics=(ACCURACY,),
    awards_medals=False,
)
