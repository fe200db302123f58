"""National Data Science Bowl: 121 kinds of plankton."""

from runner.contract import LOG_LOSS, TOP_DOWN, UNLIKE_PHOTOGRAPHS, Competition, Multiclass, with_sizes

# train has a folder a kind; test/1.jpg; sampleSubmission.csv.zip has image and a column a kind.
COMPETITION = Competition(
    slug="datasciencebowl",
    title="National Data Science Bowl",
    labels=Multiclass(id="image"),
    train_images="train/{label}/{id}",
    test_images="test/{id}",
    sample_submission="sampleSubmission.csv",
    preset=TOP_DOWN,
    metric=LOG_LOSS,
    recipe=with_sizes(UNLIKE_PHOTOGRAPHS, [96]),
)
