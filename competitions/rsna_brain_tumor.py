"""RSNA-MICCAI Brain Tumor: whether MGMT promoter methylation is present, by MRI scans."""

from runner.contract import ROC_AUC, SIDE_ON, UNLIKE_PHOTOGRAPHS, Binary, Competition

# train_labels.csv has BraTS21ID,MGMT_value; train/00000/T2w/Image-1.dcm beside FLAIR, T1w and T1wCE.
COMPETITION = Competition(
    slug="rsna-miccai-brain-tumor-radiogenomic-classification",
    title="RSNA-MICCAI Brain Tumor Radiogenomic Classification",
    labels=Binary(csv="train_labels.csv", id="BraTS21ID", label="MGMT_value"),
    train_images="train/{id}/T2w/Image-*.dcm",
    test_images="test/{id}/T2w/Image-*.dcm",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=ROC_AUC,
    recipe=UNLIKE_PHOTOGRAPHS,
    notebooks_only=True,
)
