"""RANZCR CLiP: the position of catheters and lines in chest X-rays."""

from runner.contract import MEAN_COLUMNWISE_AUC, SIDE_ON, UNLIKE_PHOTOGRAPHS, Competition, Multilabel

# train.csv has StudyInstanceUID, eleven columns of 0 and 1, PatientID; the ids have no .jpg; the sample is all 0.
COMPETITION = Competition(
    slug="ranzcr-clip-catheter-line-classification",
    title="RANZCR CLiP - Catheter and Line Position Challenge",
    labels=Multilabel(
        csv="train.csv",
        id="StudyInstanceUID",
        columns=("ETT - *", "NGT - *", "CVC - *", "Swan Ganz Catheter Present"),
        group="PatientID",
    ),
    train_images="train/{id}.jpg",
    test_images="test/{id}.jpg",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=MEAN_COLUMNWISE_AUC,
    recipe=UNLIKE_PHOTOGRAPHS,
    notebooks_only=True,
)
