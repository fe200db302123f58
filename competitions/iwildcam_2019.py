"""iWildCam 2019: which animal a camera trap has seen, at places that training never saw."""

from runner.contract import MACRO_F1, SIDE_ON, Competition, Multiclass

# train.csv has category_id,date_captured,file_name,...,id,location,...; the zips are flat; Id,Predicted.
COMPETITION = Competition(
    slug="iwildcam-2019-fgvc6",
    title="iWildCam 2019 - FGVC6",
    labels=Multiclass(csv="train.csv", id="id", label="category_id", group="location"),
    train_images="train_images/{id}.jpg",
    test_images="test_images/{id}.jpg",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=MACRO_F1,
)
