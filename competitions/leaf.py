"""Leaf Classification: 99 species by their black silhouettes."""

from runner.contract import ACCURACY, LOG_LOSS, TOP_DOWN, UNLIKE_PHOTOGRAPHS, Competition, Multiclass

FEATURES = tuple(f"{kind}{number}" for kind in ("margin", "shape", "texture") for number in range(1, 65))

# train.csv has id,species and 192 measured features; images/1.jpg holds train and test; scores reach 0.0.
COMPETITION = Competition(
    slug="leaf-classification",
    title="Leaf Classification",
    labels=Multiclass(csv="train.csv", id="id", label="species"),
    train_images="images/{id}.jpg",
    test_images="images/{id}.jpg",
    test_csv="test.csv",
    tabular=FEATURES,
    sample_submission="sample_submission.csv",
    preset=TOP_DOWN,
    metric=LOG_LOSS,
    extra_metrics=(ACCURACY,),
    recipe=UNLIKE_PHOTOGRAPHS,
    awards_medals=False,
    caution="the leaderboard is saturated: the best scores are 0.0",
)
