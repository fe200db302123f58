"""Every source of images in the whole line: files as they come, a download from them, training, a submission."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from runner.images.cached import open_cached_images
from runner.images.readers import open_images
from runner.options import Compute, PredictOptions
from runner.session import Session
from runner.steps.download import download
from runner.workflow import RunOptions, run_until_submission
from runner.workspace import Workspace
from tests.sources import NEEDS, SOURCES, TEST, TRAIN

QUICK = {"a stack of five files", "a column a pixel", "npy files"}
NAMES = [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in SOURCES]


def open_session(name: str, folder: Path) -> tuple[Session, Path]:
    """A workspace for the competition of a source, and the files to download from."""
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package)
    write, _ = SOURCES[name]
    source = folder / "source"
    source.mkdir()
    session = Session(write(source), Workspace(folder / "workspace"), compute=Compute(device="cpu", workers=0))
    return session, source


@pytest.mark.parametrize("name", NAMES)
def test_a_network_learns_from_the_images(name: str, tmp_path: Path) -> None:
    session, source = open_session(name, tmp_path)
    options = RunOptions(predict=PredictOptions(tta="none"), source=source)
    submission = run_until_submission(session, session.competition.recipe, options).path
    with submission.open() as file:
        rows = [list(map(float, row[1:])) for row in list(csv.reader(file))[1:]]
    assert np.mean(np.argmax(rows, axis=1) == np.arange(TEST) % 3) > 0.5


@pytest.mark.parametrize("name", SOURCES)
def test_images_have_the_bands_and_depth_of_their_files(name: str, tmp_path: Path) -> None:
    session, source = open_session(name, tmp_path)
    download(session, source)
    index = session.index
    assert (len(index.train), len(index.test)) == (TRAIN, TEST)
    reader = open_images(index.data_dir, index.train["path"].tolist())
    assert str(reader.layout) == SOURCES[name][1]
    image = reader[1]
    assert image.shape[2] == reader.channels and image.dtype == reader.layout.dtype
    first = index.train["label"].drop_duplicates().index
    shades = [np.mean(reader[row]) for row in first]
    assert shades == sorted(shades) and shades[0] < shades[2]
    reduced = open_cached_images(index.data_dir, index.train["path"].tolist(), session.competition.preset, 8)
    assert reduced.layout == reader.layout and reduced[0].dtype == image.dtype
