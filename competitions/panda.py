"""PANDA: the grade of prostate cancer in a microscope slide."""

from runner.contract import QWK, TOP_DOWN, UNLIKE_PHOTOGRAPHS, Competition, Level, Ordinal, with_sizes

# train.csv has image_id,data_provider,isup_grade,gleason_score; TIFFs of three levels, each four times smaller.
COMPETITION = Competition(
    slug="prostate-cancer-grade-assessment",
    title="Prostate cANcer graDe Assessment (PANDA) Challenge",
    labels=Ordinal(csv="train.csv", id="image_id", label="isup_grade", grades=6),
    train_images=Level("train_images/{id}.tiff", 2),
    test_images=Level("test_images/{id}.tiff", 2),
    sample_submission="sample_submission.csv",
    preset=TOP_DOWN,
    metric=QWK,
    recipe=with_sizes(UNLIKE_PHOTOGRAPHS, [512]),
    notebooks_only=True,
)
