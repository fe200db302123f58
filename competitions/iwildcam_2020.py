"""iWildCam 2020: which animal a camera trap has seen, at places that training never saw."""

from runner.contract import ACCURACY, SIDE_ON, Coco, Competition, Multiclass

# iwildcam2020_train_annotations.json is COCO with the location of each image; train/ID.jpg; Id,Category.
COMPETITION = Competition(
    slug="iwildcam-2020-fgvc7",
    title="iWildCam 2020 - FGVC7",
    labels=Multiclass(csv=Coco("iwildcam2020_train_annotations.json"), id="id", label="category_id", group="location"),
    train_images="train/{id}.jpg",
    test_images="test/{id}.jpg",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=ACCURACY,
)
