"""iNaturalist 2018: 8,142 species of plants, insects, birds and others."""

from runner.contract import SIDE_ON, Coco, Competition, Multiclass, top_error

# train2018.json is COCO with file_name train_val2018/Aves/2820/ID.jpg; three guesses a row, any of which may be right.
COMPETITION = Competition(
    slug="inaturalist-2018",
    title="iNaturalist Challenge at FGVC5",
    labels=Multiclass(csv=Coco("train2018.json"), id="id", label="category_id"),
    train_images="train_val2018/{file_name}",
    test_images="test2018/{file_name}",
    test_csv=Coco("test2018.json"),
    sample_submission="kaggle_sample_submission.csv",
    preset=SIDE_ON,
    metric=top_error(3),
)
