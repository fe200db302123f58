"""Galaxy Zoo: what shares of the visitors gave each of 37 answers about a galaxy."""

from runner.contract import RMSE, TOP_DOWN, UNLIKE_PHOTOGRAPHS, Competition, Regression

# training_solutions_rev1.csv has GalaxyID,Class1.1,...,Class11.6; the samples are benchmarks in one zip.
COMPETITION = Competition(
    slug="galaxy-zoo-the-galaxy-challenge",
    title="Galaxy Zoo - The Galaxy Challenge",
    labels=Regression(csv="training_solutions_rev1.csv", id="GalaxyID", columns=("Class*",), low=0, high=1),
    train_images="images_training_rev1/{id}.jpg",
    test_images="images_test_rev1/{id}.jpg",
    sample_submission=("all_zeros_benchmark.csv", "all_ones_benchmark.csv", "central_pixel_benchmark.csv"),
    preset=TOP_DOWN,
    metric=RMSE,
    recipe=UNLIKE_PHOTOGRAPHS,
)
