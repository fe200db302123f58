"""HMS - Harmful Brain Activity: how experts voted on ten minutes of an EEG, by its spectrogram."""

from pathlib import Path

from runner.contract import KL_DIVERGENCE, NO_FLIP, Competition, Multiclass

VOTES = tuple(f"{name}_vote" for name in ("seizure", "lpd", "gpd", "lrda", "grda", "other"))


def prepare(folder: Path) -> None:
    """Draw the spectrogram that belongs to the first votes on each EEG."""
    from runner.data.spectrograms import draw_eeg_spectrograms

    for subset in ("train", "test"):
        draw_eeg_spectrograms(folder, subset)


COMPETITION = Competition(  # train.csv has eeg_id,spectrogram_id,...,patient_id and votes; spectrograms are parquet
    slug="hms-harmful-brain-activity-classification",
    title="HMS - Harmful Brain Activity Classification",
    prepare=prepare,
    raw_files=("train.csv", "test.csv", "train_spectrograms/", "test_spectrograms/"),
    labels=Multiclass(csv="train_rows.csv", id="eeg_id", columns=VOTES, soft=True, group="patient_id"),
    train_images="train_images/{id}.png",
    test_images="test_images/{id}.png",
    sample_submission="sample_submission.csv",
    preset=NO_FLIP,
    metric=KL_DIVERGENCE,
    notebooks_only=True,
)
