"""Freesound Audio Tagging 2019: which of 80 sounds a recording has, by its spectrogram."""

from pathlib import Path

from runner.contract import LWLRAP, NO_FLIP, UNLIKE_PHOTOGRAPHS, Competition, Multilabel


def prepare(folder: Path) -> None:
    """Draw the spectrogram of each recording."""
    from runner.data.spectrograms import draw_spectrograms

    for name in ("train_curated", "test"):
        draw_spectrograms(folder / name, folder / f"{name}_spectrograms")


# train_curated.csv has fname,labels with commas between the labels; 0006ae4e.wav; a column a label in the submission.
COMPETITION = Competition(
    slug="freesound-audio-tagging-2019",
    title="Freesound Audio Tagging 2019",
    prepare=prepare,
    raw_files=("train_curated.csv", "train_curated/", "test/"),
    labels=Multilabel(csv="train_curated.csv", id="fname", label="labels", sep=","),
    train_images="train_curated_spectrograms/{id}.png",
    test_images="test_spectrograms/{id}.png",
    sample_submission="sample_submission.csv",
    preset=NO_FLIP,
    metric=LWLRAP,
    recipe=UNLIKE_PHOTOGRAPHS,
    notebooks_only=True,
)
