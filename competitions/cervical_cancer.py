"""Intel & MobileODT Cervical Cancer Screening: the type of a cervix."""

from runner.contract import LOG_LOSS, TOP_DOWN, Competition, Multiclass

# train.7z holds train/Type_1/0.jpg; test.7z and test_stg2.7z the images of the two stages; a column a type.
COMPETITION = Competition(
    slug="intel-mobileodt-cervical-cancer-screening",
    title="Intel & MobileODT Cervical Cancer Screening",
    labels=Multiclass(id="image_name"),
    train_images="train/{label}/{id}",
    test_images=("test_stg2/{id}", "test/{id}"),
    sample_submission=("sample_submission_stg2.csv", "sample_submission.csv"),
    preset=TOP_DOWN,
    metric=LOG_LOSS,
)
