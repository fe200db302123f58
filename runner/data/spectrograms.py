"""Spectrograms of recordings, as grey images: time from left to right, low frequencies at the bottom."""

from __future__ import annotations

import wave
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from runner.errors import DataError

_WINDOW, _STEP = 1024, 512
_BANDS = 128
_OFFSET = "spectrogram_label_offset_seconds"
_SECONDS_A_ROW, _ROWS_OF_TEN_MINUTES = 2, 300
_POWERS = (0.02, 3000.0)  # of an EEG: what is less or more is of no use
_DECIBELS = 80  # below the loudest: what is quieter is black

Array = NDArray[Any]


def draw_spectrograms(recordings: Path, target: Path) -> None:
    """Write `NAME.wav.png` in `target` for each recording of a folder."""
    target.mkdir()
    for path in sorted(recordings.glob("*.wav")):
        Image.fromarray(_draw(*_read(path))).save(target / f"{path.name}.png")


def _read(path: Path) -> tuple[Array, int]:
    """The samples of the first channel, and how many a second has; DataError if they are not 16-bit PCM."""
    try:
        with wave.open(str(path)) as file:
            if file.getsampwidth() != 2:
                raise wave.Error(f"{8 * file.getsampwidth()} bits a sample, not 16")
            samples = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
            return samples[:: file.getnchannels()].astype(np.float32), file.getframerate()
    except (wave.Error, EOFError) as error:
        raise DataError(f"the recording cannot be read: {error}", where=path) from error


def _draw(samples: Array, rate: int) -> NDArray[np.uint8]:
    """Powers in decibels below the loudest, in bands of equal width on the mel scale."""
    padded = np.pad(samples, (0, max(0, _WINDOW - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::_STEP]
    powers = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW))) ** 2
    bands = powers @ _mel_bands(rate)
    decibels = 10 * np.log10(np.maximum(bands, 1e-10) / max(float(bands.max()), 1e-10))
    levels = (1 + decibels / _DECIBELS).clip(0, 1) * 255
    return np.ascontiguousarray(levels.T[::-1].round().astype(np.uint8))


def _mel_bands(rate: int) -> Array:
    """Triangles, shaped (frequencies, bands): how much of each frequency is in each band."""
    frequencies = np.fft.rfftfreq(_WINDOW, 1 / rate)
    mels = np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), _BANDS + 2)
    low, middle, high = (700 * (10 ** (edges / 2595) - 1) for edges in (mels[:-2], mels[1:-1], mels[2:]))
    rising = (frequencies[:, None] - low) / (middle - low)
    falling = (high - frequencies[:, None]) / (high - middle)
    return np.asarray(np.minimum(rising, falling).clip(0), dtype=np.float32)


def draw_eeg_spectrograms(folder: Path, subset: str) -> None:
    """Write `EEG.png` in `SUBSET_images` for the first row of each EEG in SUBSET.csv; these rows are SUBSET_rows.csv.

    A file of `SUBSET_spectrograms` has a row every two seconds: the time, then powers in four chains of electrodes.
    """
    rows = pd.read_csv(folder / f"{subset}.csv", dtype=str).drop_duplicates("eeg_id")
    rows.to_csv(folder / f"{subset}_rows.csv", index=False)
    if _OFFSET not in rows:
        rows = rows.assign(**{_OFFSET: "0"})
    (folder / f"{subset}_images").mkdir()
    for spectrogram, of_file in rows.groupby("spectrogram_id"):
        file = folder / f"{subset}_spectrograms" / f"{spectrogram}.parquet"
        powers = pd.read_parquet(file).iloc[:, 1:].to_numpy(np.float32)
        for eeg, offset in zip(of_file["eeg_id"], of_file[_OFFSET], strict=True):
            begin = int(float(offset)) // _SECONDS_A_ROW
            image = _levels(np.nan_to_num(powers[begin : begin + _ROWS_OF_TEN_MINUTES]).T)
            Image.fromarray(image).save(folder / f"{subset}_images" / f"{eeg}.png")


def _levels(powers: Array) -> NDArray[np.uint8]:
    """The logarithms of powers as bytes."""
    low, high = np.log(_POWERS)
    levels = (np.log(powers.clip(*_POWERS)) - low) / (high - low) * 255
    return np.ascontiguousarray(levels.round().astype(np.uint8))
