"""ISIC 2024: whether a lesion on a photograph of the whole body is skin cancer."""

from runner.contract import TOP_DOWN, UNLIKE_PHOTOGRAPHS, Binary, Competition, Hdf5, partial_auc, with_sizes

# train-metadata.csv has isic_id,target,patient_id,...; JPEGs in train-image.hdf5; 393 of 401,059 are malignant.
COMPETITION = Competition(
    slug="isic-2024-challenge",
    title="ISIC 2024 - Skin Cancer Detection with 3D-TBP",
    labels=Binary(csv="train-metadata.csv", id="isic_id", label="target", group="patient_id"),
    train_images=Hdf5("train-image.hdf5"),
    test_images=Hdf5("test-image.hdf5"),
    sample_submission="sample_submission.csv",
    preset=TOP_DOWN,
    metric=partial_auc(0.8),
    recipe=with_sizes(UNLIKE_PHOTOGRAPHS, [128]),
    notebooks_only=True,
)
