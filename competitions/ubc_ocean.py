"""UBC Ovarian Cancer Subtype Classification: five subtypes in slides and tissue microarrays."""

from runner.contract import BALANCED_ACCURACY, TOP_DOWN, UNLIKE_PHOTOGRAPHS, Competition, Multiclass

# train.csv has image_id,label,...,is_tma; slides have a thumbnail, a microarray is small itself.
COMPETITION = Competition(
    slug="UBC-OCEAN",
    title="UBC Ovarian Cancer Subtype Classification and Outlier Detection (UBC-OCEAN)",
    labels=Multiclass(csv="train.csv", id="image_id", label="label"),
    train_images=("train_thumbnails/{id}_thumbnail.png", "train_images/{id}.png"),
    test_images=("test_thumbnails/{id}_thumbnail.png", "test_images/{id}.png"),
    sample_submission="sample_submission.csv",
    preset=TOP_DOWN,
    metric=BALANCED_ACCURACY,
    recipe=UNLIKE_PHOTOGRAPHS,
    notebooks_only=True,
)
