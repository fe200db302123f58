"""The Nature Conservancy Fisheries Monitoring: which fish a camera on a boat has seen."""

from runner.contract import LOG_LOSS, SIDE_ON, Competition, Multiclass

# train has a folder a fish; the ids of stage 2 are img_00005.jpg and test_stg2/image_00001.jpg.
COMPETITION = Competition(
    slug="the-nature-conservancy-fisheries-monitoring",
    title="The Nature Conservancy Fisheries Monitoring",
    labels=Multiclass(id="image"),
    train_images="train/{label}/{id}",
    test_images=("test_stg1/{id}", "test_stg2/{id}"),
    sample_submission=("sample_submission_stg2.csv", "sample_submission_stg1.csv"),
    preset=SIDE_ON,
    metric=LOG_LOSS,
)
