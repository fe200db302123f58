"""CIFAR-10: ten kinds of things in 32 x 32 pixels."""

from runner.contract import ACCURACY, SIDE_ON, UNLIKE_PHOTOGRAPHS, Competition, Multiclass, with_sizes

# trainLabels.csv has id,label; train.7z and test.7z hold train/1.png, test/1.png; most test images are not scored.
COMPETITION = Competition(
    slug="cifar-10",
    title="CIFAR-10 - Object Recognition in Images",
    labels=Multiclass(csv="trainLabels.csv", id="id", label="label"),
    train_images="train/{id}.png",
    test_images="test/{id}.png",
    sample_submission="sampleSubmission.csv",
    preset=SIDE_ON,
    metric=ACCURACY,
    recipe=with_sizes(UNLIKE_PHOTOGRAPHS, [64]),
    awards_medals=False,
)
