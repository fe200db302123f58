"""Aerial Cactus Identification: whether a columnar cactus stands in an aerial photograph of 32 x 32."""

from runner.contract import ROC_AUC, TOP_DOWN, UNLIKE_PHOTOGRAPHS, Binary, Competition, with_sizes

# train.csv has id,has_cactus with ids that end in .jpg; train.zip and test.zip; 17,500 training images.
COMPETITION = Competition(
    slug="aerial-cactus-identification",
    title="Aerial Cactus Identification",
    labels=Binary(csv="train.csv", id="id", label="has_cactus"),
    train_images="train/{id}",
    test_images="test/{id}",
    sample_submission="sample_submission.csv",
    preset=TOP_DOWN,
    metric=ROC_AUC,
    recipe=with_sizes(UNLIKE_PHOTOGRAPHS, [64]),
    awards_medals=False,
    notebooks_only=True,
    caution="the leaderboard is saturated: a tenth of the teams scored 1.0",
)
