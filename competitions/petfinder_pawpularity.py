"""PetFinder.my Pawpularity Contest: how popular the photograph of a pet is, 1 to 100."""

from runner.contract import RMSE, SIDE_ON, Competition, Regression

# train.csv has Id, twelve columns of 0 and 1, Pawpularity; test.csv the same without it; ids have no .jpg.
COMPETITION = Competition(
    slug="petfinder-pawpularity-score",
    title="PetFinder.my - Pawpularity Contest",
    labels=Regression(csv="train.csv", id="Id", label="Pawpularity", low=1, high=100),
    train_images="train/{id}.jpg",
    test_images="test/{id}.jpg",
    test_csv="test.csv",
    tabular=(
        *("Subject Focus", "Eyes", "Face", "Near", "Action", "Accessory"),
        *("Group", "Collage", "Human", "Occlusion", "Info", "Blur"),
    ),
    sample_submission="sample_submission.csv",
    preset=SIDE_ON,
    metric=RMSE,
    notebooks_only=True,
)
