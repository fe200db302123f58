"""iMet Collection 2019: attributes of works of art."""

from runner.contract import MEAN_F2, SIDE_ON, Competition, Multilabel

# train.csv has id,attribute_ids with numbers between blanks; train/ID.png; the page says mean F2.
COMPETITION = Competition(
    slug="imet-2019-fgvc6",
    title="iMet Collection 2019 - FGVC6",
    labels=Multilabel(csv="train.csv", id="id", label="attribute_ids"),
    train_images="train/{id}.png",
    test_images="test/{id}.png",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=MEAN_F2,
    notebooks_only=True,
)
