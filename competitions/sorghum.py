"""Sorghum-100 Cultivar Identification: which of 100 cultivars grows in a field."""

from runner.contract import ACCURACY, TOP_DOWN, Competition, Multiclass

# train_cultivar_mapping.csv has image,cultivar with one blank row; the ids end in a suffix; filename,cultivar.
COMPETITION = Competition(
    slug="sorghum-id-fgvc-9",
    title="Sorghum -100 Cultivar Identification - FGVC 9",
    labels=Multiclass(csv="train_cultivar_mapping.csv", id="image", label="cultivar"),
    train_images="train_images/{id}",
    test_images="test/{id}",
    sample_submission="sample_submission.csv",
    preset=TOP_DOWN,
    metric=ACCURACY,
)
