"""Kannada MNIST: handwritten digits of the Kannada script."""

from runner.contract import ACCURACY, NO_FLIP, UNLIKE_PHOTOGRAPHS, Competition, Multiclass, Pixels, with_sizes

# train.csv has label,pixel0,...,pixel783, and no id; test.csv has id,pixel0,...; Dig-MNIST.csv is unused.
COMPETITION = Competition(
    slug="Kannada-MNIST",
    title="Kannada MNIST",
    labels=Multiclass(csv="train.csv", label="label"),
    train_images=Pixels("train.csv", "pixel*", (28, 28)),
    test_images=Pixels("test.csv", "pixel*", (28, 28), id="id"),
    sample_submission="sample_submission.csv",
    preset=NO_FLIP,
    metric=ACCURACY,
    recipe=with_sizes(UNLIKE_PHOTOGRAPHS, [64]),
    awards_medals=False,
    notebooks_only=True,
)
