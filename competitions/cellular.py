"""Recursion Cellular Image Classification: which of 1,108 treatments cells got."""

from runner.contract import ACCURACY, TOP_DOWN, UNLIKE_PHOTOGRAPHS, Competition, Multiclass, Stack, with_sizes

WELL = "{experiment}/Plate{plate}/{well}_s*"

# train.csv has id_code,experiment,plate,well,sirna; train/HEPG2-01/Plate1/B03_s1_w1.png: two sites of six channels.
COMPETITION = Competition(
    slug="recursion-cellular-image-classification",
    title="Recursion Cellular Image Classification",
    labels=Multiclass(csv="train.csv", id="id_code", label="sirna", group="experiment"),
    train_images=Stack(*(f"train/{WELL}_w{channel}.png" for channel in range(1, 7))),
    test_images=Stack(*(f"test/{WELL}_w{channel}.png" for channel in range(1, 7))),
    test_csv="test.csv",
    sample_submission="sample_submission.csv",
    preset=TOP_DOWN,
    metric=ACCURACY,
    recipe=with_sizes(UNLIKE_PHOTOGRAPHS, [256]),
)
