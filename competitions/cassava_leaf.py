"""Cassava Leaf Disease Classification: four diseases of cassava leaves, or none."""

from runner.contract import ACCURACY, TOP_DOWN, Competition, Multiclass

# train.csv has image_id,label with the class 0 to 4 and ids that end in .jpg; code competition.
COMPETITION = Competition(
    slug="cassava-leaf-disease-classification",
    title="Cassava Leaf Disease Classification",
    labels=Multiclass(csv="train.csv", id="image_id", label="label"),
    train_images="train_images/{id}",
    test_images="test_images/{id}",
    sample_submission="sample_submission.csv",
    preset=TOP_DOWN,
    metric=ACCURACY,
    notebooks_only=True,
)
