"""Statoil/C-CORE Iceberg Classifier: ship or iceberg, two radar bands of 75 x 75 in decibels."""

from pathlib import Path

from runner.contract import (
    ACCURACY,
    BINARY_LOG_LOSS,
    RADAR,
    Binary,
    Competition,
    HeadRecipe,
    ImageArray,
    Recipe,
    Stage,
    TrainMode,
)


def prepare(folder: Path) -> None:
    """Extract an array of images and a table from each JSON file."""
    from runner.data.json_arrays import extract_json_arrays

    for subset in ("train", "test"):
        extract_json_arrays(folder / f"{subset}.json", ("band_1", "band_2"), (75, 75), missing=("na",))


COMPETITION = Competition(
    slug="statoil-iceberg-classifier-challenge",
    title="Statoil/C-CORE Iceberg Classifier Challenge",
    prepare=prepare,
    raw_files=("train.json", "test.json"),
    # Rows with exactly the same angle come from one scene, so they stay in the same fold.
    labels=Binary(csv="train.csv", id="id", label="is_iceberg", group="inc_angle"),
    train_images=ImageArray("train.npy", table="train.csv", unit="dB"),
    test_images=ImageArray("test.npy", table="test.csv", unit="dB"),
    test_csv="test.csv",
    tabular=("inc_angle",),
    tabular_units=("degrees",),
    sample_submission="sample_submission.csv",
    preset=RADAR,
    metric=BINARY_LOG_LOSS,
    extra_metrics=(ACCURACY,),
    recipe=Recipe(
        backbone="resnet18",
        stages=(Stage(75, TrainMode.UNFROZEN, cycles=3, cycle_len=3, cycle_mult=2),),
        lr=1e-3,
        layer_decay=1 / 3,
        warmup=0.1,
        head=HeadRecipe(zero_init=True),
    ),
)
