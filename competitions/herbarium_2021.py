"""The Herbarium 2021 Half-Earth Challenge: 64,500 species of pressed plants."""

from runner.contract import MACRO_F1, SIDE_ON, Coco, Competition, Multiclass

# train/metadata.json is COCO, with file_name images/604/92/1814367.jpg; 2,257,759 images; Id,Predicted.
COMPETITION = Competition(
    slug="herbarium-2021-fgvc8",
    title="Herbarium 2021 - Half-Earth Challenge - FGVC8",
    labels=Multiclass(csv=Coco("train/metadata.json"), id="id", label="category_id"),
    train_images="train/{file_name}",
    test_images="test/{file_name}",
    test_csv=Coco("test/metadata.json"),
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=MACRO_F1,
)
