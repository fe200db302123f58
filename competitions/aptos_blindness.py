"""APTOS 2019 Blindness Detection: the grade of diabetic retinopathy in a photograph of the retina."""

from runner.contract import QWK, TOP_DOWN, UNLIKE_PHOTOGRAPHS, Competition, Ordinal

# train.csv has id_code,diagnosis with the grades 0 to 4, and ids without .png; code competition.
COMPETITION = Competition(
    slug="aptos2019-blindness-detection",
    title="APTOS 2019 Blindness Detection",
    labels=Ordinal(csv="train.csv", id="id_code", label="diagnosis", grades=5),
    train_images="train_images/{id}.png",
    test_images="test_images/{id}.png",
    sample_submission="sample_submission.csv",
    preset=TOP_DOWN,
    metric=QWK,
    recipe=UNLIKE_PHOTOGRAPHS,
    notebooks_only=True,
)
