"""Bengali.AI Handwritten Grapheme Classification: root, vowel and consonant of a written sign."""

from runner.contract import (
    NO_FLIP,
    UNLIKE_PHOTOGRAPHS,
    Competition,
    Multiclass,
    Pixels,
    SeveralTargets,
    weighted_recall,
)

SIZES = {"grapheme_root": 168, "vowel_diacritic": 11, "consonant_diacritic": 7}
CLASSES = {name: tuple(map(str, range(size))) for name, size in SIZES.items()}

# Parquet files of image_id and 137 x 236 pixels; train.csv has three columns of classes; row_id Test_0_grapheme_root.
COMPETITION = Competition(
    slug="bengaliai-cv19",
    title="Bengali.AI Handwritten Grapheme Classification",
    labels=SeveralTargets(*(Multiclass("train.csv", "image_id", name, classes=CLASSES[name]) for name in SIZES)),
    train_images=Pixels("train_image_data_*.parquet", "*", (137, 236), id="image_id"),
    test_images=Pixels("test_image_data_*.parquet", "*", (137, 236), id="image_id"),
    sample_submission="sample_submission.csv",
    submission_rows="{id}_{column}",
    preset=NO_FLIP,
    metric=weighted_recall(2, 1, 1, sizes=(168, 11, 7)),
    recipe=UNLIKE_PHOTOGRAPHS,
    notebooks_only=True,
)
