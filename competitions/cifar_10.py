"""CIFAR-10: ten kinds of things in 32 x 32 pixels."""

from dataclasses import replace

from runner.contract import ACCURACY, SIDE_ON, UNLIKE_PHOTOGRAPHS, Competition, Multiclass, Stage, TrainMode

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
    # Few epochs at four times the side, with a smaller lr: better than ten at twice the side, in the same time.
    recipe=replace(UNLIKE_PHOTOGRAPHS, lr=2e-4, stages=(Stage(128, TrainMode.UNFROZEN, cycle_len=3),)),
    awards_medals=False,
)
