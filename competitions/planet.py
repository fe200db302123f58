"""Planet: Understanding the Amazon from Space: 17 tags, satellite tiles of 256 x 256."""

from runner.contract import MEAN_F2, TOP_DOWN, Competition, HeadRecipe, Multilabel, Recipe, Stage, TrainMode

COMPETITION = Competition(
    slug="planet-understanding-the-amazon-from-space",
    title="Planet: Understanding the Amazon from Space",
    # The second name of each CSV is the one in the mirror below.
    labels=Multilabel(
        csv=("train_v2.csv", "train_classes.csv"),
        id="image_name",
        label="tags",
        mutually_exclusive=("clear", "cloudy", "haze", "partly_cloudy"),
        standalone=("cloudy",),  # clouds hide the ground, so no other tag applies
    ),
    train_images="train-jpg/{id}.jpg",
    test_images=("test-jpg/{id}.jpg", "test-jpg-additional/{id}.jpg"),
    sample_submission=("sample_submission_v2.csv", "sample_submission.csv"),
    mirror="nikitarom/planets-dataset",  # for when the competition no longer offers the images
    caution="Kaggle's list of files lacks the images: `runner planet download --mirror` has them",
    preset=TOP_DOWN,
    metric=MEAN_F2,
    recipe=Recipe(
        backbone="resnet34",
        stages=(
            Stage(64, TrainMode.UNFROZEN, cycles=2, cycle_mult=2),
            Stage(128, TrainMode.UNFROZEN, cycles=2, cycle_mult=2),
            Stage(256, TrainMode.UNFROZEN, cycles=3, cycle_mult=2),
        ),
        lr=1e-3,
        layer_decay=1 / 3,  # satellite images are unlike ImageNet: early layers need a larger lr
        # In place of stages that train the head alone: it begins at zero, and all layers slowly.
        warmup=0.1,
        head=HeadRecipe(zero_init=True),
    ),
)
