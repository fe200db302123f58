"""Spectrograms show a tone at its height; a recording that cannot be read is told with its name."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runner.data.spectrograms import draw_spectrograms
from runner.errors import DataError


def write_tone(path: Path, frequency: float, *, width: int = 2, seconds: float = 1.0, rate: int = 16_000) -> None:
    path.parent.mkdir(exist_ok=True)
    samples = np.sin(2 * np.pi * frequency * np.arange(int(rate * seconds)) / rate)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, width, rate, 0, "NONE", ""))
        file.writeframes((3000 * samples).astype("<i2").tobytes() if width == 2 else bytes(len(samples)))


def brightest_row(path: Path) -> int:
    return int(np.asarray(Image.open(path)).mean(axis=1).argmax())


def test_a_higher_tone_is_further_up(tmp_path: Path) -> None:
    for name, frequency in (("low.wav", 300), ("high.wav", 4000)):
        write_tone(tmp_path / "recordings" / name, frequency)
    draw_spectrograms(tmp_path / "recordings", tmp_path / "images")
    assert brightest_row(tmp_path / "images" / "high.wav.png") < brightest_row(tmp_path / "images" / "low.wav.png") - 30


def test_the_shortest_and_the_silent_recording_are_images_too(tmp_path: Path) -> None:
    write_tone(tmp_path / "recordings" / "short.wav", 300, seconds=0.01)
    write_tone(tmp_path / "recordings" / "silent.wav", 0)
    draw_spectrograms(tmp_path / "recordings", tmp_path / "images")
    shapes = {path.name: np.asarray(Image.open(path)).shape for path in (tmp_path / "images").iterdir()}
    assert shapes == {"short.wav.png": (128, 1), "silent.wav.png": (128, 30)}


def test_a_recording_of_8_bits_or_of_none_is_told(tmp_path: Path) -> None:
    write_tone(tmp_path / "recordings" / "a.wav", 300, width=1)
    with pytest.raises(DataError, match="8 bits a sample, not 16"):
        draw_spectrograms(tmp_path / "recordings", tmp_path / "images")
    (tmp_path / "recordings" / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(DataError, match="cannot be read") as caught:
        draw_spectrograms(tmp_path / "recordings", tmp_path / "more")
    assert str(caught.value.where).endswith("a.wav")
