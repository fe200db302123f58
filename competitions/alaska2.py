"""ALASKA2 Image Steganalysis: whether a photograph hides a message."""

from pathlib import Path

from runner.contract import RADAR, UNLIKE_PHOTOGRAPHS, Binary, Competition, weighted_auc, with_sizes

HIDING = ("JMiPOD", "JUNIWARD", "UERD")


def prepare(folder: Path) -> None:
    """Put the four folders of training images into one."""
    (folder / "train").mkdir()
    for name in ("Cover", *HIDING):
        (folder / name).rename(folder / "train" / name)


# Cover, JMiPOD, JUNIWARD and UERD hold the same 75,000 names, of which Cover hides nothing; Test; Id,Label.
COMPETITION = Competition(
    slug="alaska2-image-steganalysis",
    title="ALASKA2 Image Steganalysis",
    prepare=prepare,
    raw_files=("Cover/", "JMiPOD/", "JUNIWARD/", "UERD/", "Test/"),
    labels=Binary(id="Id", positive=HIDING, group="*/{name}"),
    train_images="train/{label}/{id}",
    test_images="Test/{id}",
    sample_submission="sample_submission.csv",
    preset=RADAR,  # the message is in the pixels' values
    metric=weighted_auc((0, 0.4, 2), (0.4, 1, 1)),
    recipe=with_sizes(UNLIKE_PHOTOGRAPHS, [512]),
)
