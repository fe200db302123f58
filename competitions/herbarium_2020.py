"""Herbarium 2020: 32,093 species of pressed plants."""

from runner.contract import MACRO_F1, SIDE_ON, Coco, Competition, Multiclass

# nybg2020/train/metadata.json is COCO in latin-1, with file_name images/000/00/437000.jpg; Id,Predicted.
COMPETITION = Competition(
    slug="herbarium-2020-fgvc7",
    title="Herbarium 2020 - FGVC7",
    labels=Multiclass(csv=Coco("nybg2020/train/metadata.json"), id="id", label="category_id"),
    train_images="nybg2020/train/{file_name}",
    test_images="nybg2020/test/{file_name}",
    test_csv=Coco("nybg2020/test/metadata.json"),
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=MACRO_F1,
)
