"""PlantTraits2024: six traits of a plant, such as the height, by its photograph."""

from runner.contract import R2, SIDE_ON, Competition, Regression

TRAITS = ("X4", "X11", "X18", "X26", "X50", "X3112")

# train.csv has id, 163 columns of climate and soil, X4_mean and so on; the submission calls them X4 and so on; .jpeg.
COMPETITION = Competition(
    slug="planttraits2024",
    title="PlantTraits2024 - FGVC11",
    labels=Regression(csv="train.csv", id="id", columns=tuple(f"{trait}_mean" for trait in TRAITS), names=TRAITS),
    train_images="train_images/{id}.jpeg",
    test_images="test_images/{id}.jpeg",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=R2,
)
