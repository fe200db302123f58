"""iNaturalist 2019: 1,010 species of plants, insects, birds and reptiles."""

from runner.contract import SIDE_ON, Coco, Competition, Multiclass, top_error

# train2019.json is COCO with file_name train_val2019/Plants/400/ID.jpg; images in tar.gz; id,predicted.
COMPETITION = Competition(
    slug="inaturalist-2019-fgvc6",
    title="iNaturalist 2019 at FGVC6",
    labels=Multiclass(csv=Coco("train2019.json"), id="id", label="category_id"),
    train_images="train_val2019/{file_name}",
    test_images="test2019/{file_name}",
    test_csv=Coco("test2019.json"),
    sample_submission="kaggle_sample_submission.csv",
    preset=SIDE_ON,
    metric=top_error(1),
)
