"""Right Whale Recognition: which of 447 whales an aerial photograph shows."""

from runner.contract import LOG_LOSS, TOP_DOWN, Competition, Multiclass

# train.csv has Image,whaleID; imgs.zip holds imgs/w_0.jpg, train and test together; a column a whale.
COMPETITION = Competition(
    slug="noaa-right-whale-recognition",
    title="Right Whale Recognition",
    labels=Multiclass(csv="train.csv", id="Image", label="whaleID"),
    train_images="imgs/{id}",
    test_images="imgs/{id}",
    sample_submission="sample_submission.csv",
    preset=TOP_DOWN,
    metric=LOG_LOSS,
)
