"""RSNA 2022 Cervical Spine Fracture Detection: which of seven vertebrae are broken, or any."""

from runner.contract import SIDE_ON, UNLIKE_PHOTOGRAPHS, Competition, Multilabel, weighted_log_loss

# train.csv has StudyInstanceUID,patient_overall,C1,...,C7; train_images/STUDY/1.dcm and on; a fracture counts twice.
COMPETITION = Competition(
    slug="rsna-2022-cervical-spine-fracture-detection",
    title="RSNA 2022 Cervical Spine Fracture Detection",
    labels=Multilabel(
        csv="train.csv", id="StudyInstanceUID", columns=("patient_overall", *(f"C{n}" for n in range(1, 8)))
    ),
    train_images="train_images/{id}/*.dcm",
    test_images="test_images/{id}/*.dcm",
    sample_submission="sample_submission.csv",
    submission_rows="{id}_{column}",
    preset=SIDE_ON,
    metric=weighted_log_loss(7, 1, 1, 1, 1, 1, 1, 1, positive=2),
    recipe=UNLIKE_PHOTOGRAPHS,
    notebooks_only=True,
)
