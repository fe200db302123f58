"""RSNA Screening Mammography: whether a breast has cancer, by its images from several sides."""

from runner.contract import PF1, SIDE_ON, UNLIKE_PHOTOGRAPHS, Binary, Competition, with_sizes

# train.csv has patient_id,image_id,laterality,...,cancer; train_images/PATIENT/IMAGE.dcm; prediction_id 10008_L.
COMPETITION = Competition(
    slug="rsna-breast-cancer-detection",
    title="RSNA Screening Mammography Breast Cancer Detection",
    labels=Binary(csv="train.csv", id="{patient_id}_{laterality}", label="cancer", group="patient_id"),
    train_images="train_images/{patient_id}/{image_id}.dcm",
    test_images="test_images/{patient_id}/{image_id}.dcm",
    test_csv="test.csv",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=PF1,
    recipe=with_sizes(UNLIKE_PHOTOGRAPHS, [512]),
    notebooks_only=True,
)
