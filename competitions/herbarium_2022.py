"""Herbarium 2022: 15,501 species of pressed plants of North America."""

from runner.contract import MACRO_F1, SIDE_ON, Coco, Competition, Multiclass

# train_metadata.json is COCO whose images have image_id, test_metadata.json a list of them; Id,Predicted.
COMPETITION = Competition(
    slug="herbarium-2022-fgvc9",
    title="Herbarium 2022 - FGVC9",
    labels=Multiclass(csv=Coco("train_metadata.json"), id="image_id", label="category_id"),
    train_images="train_images/{file_name}",
    test_images="test_images/{file_name}",
    test_csv="test_metadata.json",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=MACRO_F1,
)
