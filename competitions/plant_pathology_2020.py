"""Plant Pathology 2020: apple leaves that are healthy, have rust, scab or several diseases."""

from runner.contract import MEAN_COLUMNWISE_AUC, TOP_DOWN, Competition, Multiclass

# train.csv has image_id and a column of 0 and 1 a class; all images are images/Train_0.jpg, images/Test_0.jpg.
COMPETITION = Competition(
    slug="plant-pathology-2020-fgvc7",
    title="Plant Pathology 2020 - FGVC7",
    labels=Multiclass(csv="train.csv", id="image_id", columns=("healthy", "multiple_diseases", "rust", "scab")),
    train_images="images/{id}.jpg",
    test_images="images/{id}.jpg",
    sample_submission="sample_submission.csv",
    preset=TOP_DOWN,
    metric=MEAN_COLUMNWISE_AUC,
    awards_medals=False,
)
