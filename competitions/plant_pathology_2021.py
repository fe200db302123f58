"""Plant Pathology 2021: diseases of apple leaves, several on a leaf."""

from runner.contract import MEAN_F1, MICRO_F1, TOP_DOWN, Competition, Multilabel

# train.csv has image,labels with tags between blanks; healthy stands alone; the evaluation page says mean F1.
COMPETITION = Competition(
    slug="plant-pathology-2021-fgvc8",
    title="Plant Pathology 2021 - FGVC8",
    labels=Multilabel(csv="train.csv", id="image", label="labels"),
    train_images="train_images/{id}",
    test_images="test_images/{id}",
    sample_submission="sample_submission.csv",
    preset=TOP_DOWN,
    metric=MEAN_F1,
    extra_metrics=(MICRO_F1,),
    notebooks_only=True,
)
