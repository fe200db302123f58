"""SIIM-ISIC Melanoma Classification: whether a skin lesion is malignant."""

from runner.contract import ROC_AUC, TOP_DOWN, Binary, Competition

# train.csv has image_name,patient_id,sex,age_approx,...,target; jpeg/train/ID.jpg beside DICOM and TFRecords.
COMPETITION = Competition(
    slug="siim-isic-melanoma-classification",
    title="SIIM-ISIC Melanoma Classification",
    labels=Binary(csv="train.csv", id="image_name", label="target", group="patient_id"),
    train_images="jpeg/train/{id}.jpg",
    test_images="jpeg/test/{id}.jpg",
    test_csv="test.csv",
    tabular=("age_approx",),
    tabular_units=("years",),
    sample_submission="sample_submission.csv",
    preset=TOP_DOWN,
    metric=ROC_AUC,
)
