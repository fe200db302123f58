"""State Farm Distracted Driver Detection: what a driver is doing, of ten things."""

from runner.contract import LOG_LOSS, NO_FLIP, Competition, Multiclass

# driver_imgs_list.csv has subject,classname,img; imgs.zip holds train/c0/img_1.jpg; a driver is on many images.
COMPETITION = Competition(
    slug="state-farm-distracted-driver-detection",
    title="State Farm Distracted Driver Detection",
    labels=Multiclass(csv="driver_imgs_list.csv", id="img", label="classname", group="subject"),
    train_images="train/{classname}/{id}",
    test_images="test/{id}",
    sample_submission="sample_submission.csv",
    preset=NO_FLIP,
    metric=LOG_LOSS,
)
