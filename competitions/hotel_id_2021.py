"""Hotel-ID 2021: in which hotel a room was photographed."""

from runner.contract import SIDE_ON, Competition, Multiclass, map_at

# train.csv has image,chain,hotel_id,timestamp; train_images/CHAIN/ID.jpg, test_images/ID.jpg; one image is listed twice
COMPETITION = Competition(
    slug="hotel-id-2021-fgvc8",
    title="Hotel-ID to Combat Human Trafficking 2021 - FGVC8",
    labels=Multiclass(csv="train.csv", id="image", label="hotel_id"),
    train_images="train_images/{chain}/{id}",
    test_images="test_images/{id}",
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=map_at(5),
    notebooks_only=True,
)
