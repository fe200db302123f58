"""Facial Keypoints Detection: where eyes, nose and mouth are in 96 x 96 pixels."""

from runner.contract import (
    RMSE,
    UNLIKE_PHOTOGRAPHS,
    Competition,
    Lookup,
    Pixels,
    Preset,
    Regression,
    Symmetry,
    with_sizes,
)

# training.csv has 30 columns with gaps, and Image; IdLookupTable.csv says which RowId asks for which FeatureName.
COMPETITION = Competition(
    slug="facial-keypoints-detection",
    title="Facial Keypoints Detection",
    labels=Regression(csv="training.csv", columns=("left_*", "right_*", "nose_*", "mouth_*"), low=0, high=96),
    train_images=Pixels("training.csv", "Image", (96, 96)),
    test_images=Pixels("test.csv", "Image", (96, 96), id="ImageId"),
    sample_submission="SampleSubmission.csv",
    submission_rows=Lookup("IdLookupTable.csv", row="RowId", id="ImageId", column="FeatureName"),
    preset=Preset("STILL", Symmetry.NONE),  # a moved image has its eyes elsewhere
    metric=RMSE,
    recipe=with_sizes(UNLIKE_PHOTOGRAPHS, [96]),
    awards_medals=False,
)
