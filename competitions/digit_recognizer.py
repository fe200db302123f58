"""Digit Recognizer: MNIST's handwritten digits."""

from runner.contract import ACCURACY, NO_FLIP, UNLIKE_PHOTOGRAPHS, Competition, Multiclass, Pixels, with_sizes

# train.csv has label,pixel0,...,pixel783, and no id; test.csv the pixels alone; ImageId counts from 1.
COMPETITION = Competition(
    slug="digit-recognizer",
    title="Digit Recognizer",
    labels=Multiclass(csv="train.csv", label="label"),
    train_images=Pixels("train.csv", "pixel*", (28, 28)),
    test_images=Pixels("test.csv", "pixel*", (28, 28)),
    sample_submission="sample_submission.csv",
    preset=NO_FLIP,
    metric=ACCURACY,
    recipe=with_sizes(UNLIKE_PHOTOGRAPHS, [64]),
    awards_medals=False,
    caution="the leaderboard is contaminated: MNIST's test labels are public",
)
