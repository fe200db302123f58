"""RSNA Intracranial Hemorrhage Detection: five kinds of bleeding, or any, in a slice of the head."""

from runner.contract import SIDE_ON, UNLIKE_PHOTOGRAPHS, Competition, Multilabel, weighted_log_loss

KINDS = ("any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")

# stage_2_train.csv has ID,Label with ID_12cadc6af_epidural; stage_2_train/ID_12cadc6af.dcm; `any` counts twice.
COMPETITION = Competition(
    slug="rsna-intracranial-hemorrhage-detection",
    title="RSNA Intracranial Hemorrhage Detection",
    labels=Multilabel(csv="stage_2_train.csv", id="ID", label="Label", rows="{id}_{column}", columns=KINDS),
    train_images="stage_2_train/{id}.dcm",
    test_images="stage_2_test/{id}.dcm",
    sample_submission="stage_2_sample_submission.csv",
    submission_rows="{id}_{column}",
    preset=SIDE_ON,
    metric=weighted_log_loss(2, 1, 1, 1, 1, 1),
    recipe=UNLIKE_PHOTOGRAPHS,
)
