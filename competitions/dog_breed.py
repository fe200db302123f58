"""Dog Breed Identification: 120 breeds, photographs of every size and shape."""

from runner.contract import ACCURACY, LOG_LOSS, SIDE_ON, Competition, Multiclass, Recipe, Stage, TrainMode

COMPETITION = Competition(
    slug="dog-breed-identification",
    title="Dog Breed Identification",
    labels=Multiclass(csv="labels.csv", id="id", label="breed"),
    train_images="train/{id}.jpg",
    test_images="test/{id}.jpg",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,  # dogs stand upright: flipped left to right, never upside down
    metric=LOG_LOSS,
    extra_metrics=(ACCURACY,),
    awards_medals=False,  # a playground competition
    caution="the test labels are public, and the images are ImageNet's: leaderboard and pretrained weights know them",
    recipe=Recipe(
        backbone="resnext50_32x4d",
        stages=(
            Stage(224, TrainMode.FEATURES),
            Stage(224, TrainMode.UNFROZEN, cycle_len=2, lr_scale=0.1),
            Stage(299, TrainMode.FEATURES),
        ),
        freeze_bn=True,  # the pretrained statistics fit photographs like ImageNet's; updating them lowers the score
        lr=1e-3,
        dropout=0.5,
        weight_decay=0.05,
        layer_decay=0.1,  # photographs like ImageNet's: the pretrained backbone needs little change
    ),
)
