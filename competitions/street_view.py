"""First Steps With Julia: letters and digits from street signs."""

from runner.contract import ACCURACY, NO_FLIP, UNLIKE_PHOTOGRAPHS, Competition, Multiclass, with_sizes

# trainLabels.csv has ID,Class with 62 letters and digits; train.zip and test.zip hold train/1.Bmp.
COMPETITION = Competition(
    slug="street-view-getting-started-with-julia",
    title="First Steps With Julia",
    labels=Multiclass(csv="trainLabels.csv", id="ID", label="Class"),
    train_images="train/{id}.Bmp",
    test_images="test/{id}.Bmp",
    sample_submission="sampleSubmission.csv",
    preset=NO_FLIP,
    metric=ACCURACY,
    recipe=with_sizes(UNLIKE_PHOTOGRAPHS, [64]),
    awards_medals=False,
)
