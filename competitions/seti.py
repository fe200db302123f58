"""SETI Breakthrough Listen: whether a radio telescope has recorded an alien-like signal."""

from runner.contract import RADAR, ROC_AUC, UNLIKE_PHOTOGRAPHS, Binary, Competition, with_sizes

# train_labels.csv has id,target; train/0/0123....npy of 6 x 273 x 256 in float16; old_leaky_data is not used.
COMPETITION = Competition(
    slug="seti-breakthrough-listen",
    title="SETI Breakthrough Listen - E.T. Signal Search",
    labels=Binary(csv="train_labels.csv", id="id", label="target"),
    train_images="train/{id[0]}/{id}.npy",
    test_images="test/{id[0]}/{id}.npy",
    sample_submission="sample_submission.csv",
    preset=RADAR,
    metric=ROC_AUC,
    recipe=with_sizes(UNLIKE_PHOTOGRAPHS, [256]),
)
