"""iMet Collection 2020: attributes of works of art."""

from runner.contract import MICRO_F1, SIDE_ON, Competition, Multilabel

# train.csv has id,attribute_ids with numbers between blanks; train/ID.png; the page says micro averaged F1.
COMPETITION = Competition(
    slug="imet-2020-fgvc7",
    title="iMet Collection 2020 - FGVC7",
    labels=Multilabel(csv="train.csv", id="id", label="attribute_ids"),
    train_images="train/{id}.png",
    test_images="test/{id}.png",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=MICRO_F1,
    notebooks_only=True,
)
