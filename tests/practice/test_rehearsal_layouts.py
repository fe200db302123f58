"""A rehearsal of every source of images and of every shipped competition: its data folder has the real layout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from competitions import load
from runner.contract import BINARY_LOG_LOSS, RMSE, ROC_AUC, Binary, Competition, Lookup, Multilabel, Regression
from runner.data.download import download
from runner.hosts.grading import Grader
from runner.images.readers import open_images
from runner.options import RehearsalOptions
from runner.practice.rehearsal import HiddenRows, build_rehearsal, rehearsal_workspace
from runner.session import Session
from runner.submission_format.submission_format import read_submission_format
from runner.workspace import Workspace
from tests.builders import random_image, write_csv, write_image
from tests.competitions import competition_of
from tests.layouts import LAYOUTS, write_layout
from tests.sources import NEEDS, SOURCES

OPTIONS = RehearsalOptions(0.3)
# One of each form of tables; the others are slow tests.
QUICK = {"csiro-biomass", "herbarium-2022", "hotel-id-2021", "planet", "ranzcr-clip", "state-farm"}


def rehearse(competition: Competition, source: Path, folder: Path) -> tuple[Session, Session, HiddenRows]:
    """The session of a competition, that of its rehearsal, and the hidden rows."""
    session = Session(competition, Workspace(folder / "workspace"))
    download(competition, session.workspace, source)
    rehearsal = Session(competition, rehearsal_workspace(session, OPTIONS), "practice")
    return session, rehearsal, build_rehearsal(session, rehearsal, OPTIONS)


def check_rehearsal(session: Session, rehearsal: Session, rows: HiddenRows) -> None:
    """Every image is in one of the two subsets, the test rows show the hidden images, and the host can grade."""
    real, index = session.index, rehearsal.index
    assert len(index.train) + len(index.test) == len(real.train)
    assert sorted(dict.fromkeys(index.test["id"])) == sorted(rows.ids) == sorted(set(rows.ids))
    assert index.classes == real.classes
    shown = digests(rehearsal, "test")
    originals = digests(session, "train")
    assert sorted([*digests(rehearsal, "train"), *shown]) == sorted(originals)
    label_of = dict(zip(rows.ids, rows.labels, strict=True))
    labels = dict(zip(originals, real.train["label"], strict=True))
    assert [labels[digest] for digest in shown] == [label_of[id] for id in index.test["id"]]


def digests(session: Session, subset: str) -> list[bytes]:
    """What identifies each image of a subset: its pixels."""
    table = getattr(session.index, subset)
    images = open_images(session.index.data_dir, table["path"].tolist())
    return [images[row].tobytes() for row in range(len(images))]


@pytest.mark.parametrize("name", SOURCES)
def test_a_rehearsal_of_every_source(name: str, tmp_path: Path) -> None:
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package)
    (tmp_path / "source").mkdir()
    check_rehearsal(*rehearse(SOURCES[name][0](tmp_path / "source"), tmp_path / "source", tmp_path))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in sorted(LAYOUTS)]
)
def test_a_rehearsal_of_every_competition(name: str, tmp_path: Path) -> None:
    write_layout(name, tmp_path / "source")
    session, rehearsal, rows = rehearse(load(name), tmp_path / "source", tmp_path)
    check_rehearsal(session, rehearsal, rows)
    assert not any(problem.is_error for problem in rehearsal.index.problems)


# Tables of other forms


def write_images(folder: Path, names: list[str]) -> None:
    for seed, name in enumerate(names):
        write_image(folder / name, random_image(seed, 12, 12))


def bags(folder: Path) -> Competition:
    """As rsna-breast-cancer-detection: several images a breast, and a table of the test images."""
    rows = [(f"p{n // 4}", f"i{n}", "LR"[n // 2 % 2], int(n // 2 % 3 == 0)) for n in range(120)]
    write_csv(folder / "train.csv", ("patient_id", "image_id", "side", "cancer"), rows)
    write_csv(folder / "test.csv", ("patient_id", "image_id", "side", "prediction_id"), [("p99", "i999", "L", "p99_L")])
    write_csv(folder / "sample_submission.csv", ("prediction_id", "cancer"), [("p99_L", 0)])
    write_images(
        folder, [*(f"train_images/{patient}/{id}.png" for patient, id, *_ in rows), "test_images/p99/i999.png"]
    )
    return competition_of(
        Binary(csv="train.csv", id="{patient_id}_{side}", label="cancer", group="patient_id"),
        ROC_AUC,
        train_images="train_images/{patient_id}/{image_id}.png",
        test_images="test_images/{patient_id}/{image_id}.png",
        test_csv="test.csv",
        name="breasts",
    )


def long_rows(folder: Path) -> Competition:
    """As rsna-intracranial-hemorrhage-detection: a row per id and column in both tables."""
    columns = ("any", "sub_dural")
    rows = [(f"ID_{n}_{column}", int((n + place) % 3 == 0)) for n in range(60) for place, column in enumerate(columns)]
    write_csv(folder / "train.csv", ("ID", "Label"), rows)
    write_csv(folder / "sample_submission.csv", ("ID", "Label"), [(f"ID_t_{column}", 0.5) for column in columns])
    write_images(folder, [*(f"train/ID_{n}.png" for n in range(60)), "test/ID_t.png"])
    labels = Multilabel(csv="train.csv", id="ID", label="Label", rows="{id}_{column}", columns=columns)
    return competition_of(
        labels,
        BINARY_LOG_LOSS,
        train_images="train/{id}.png",
        test_images="test/{id}.png",
        submission_rows="{id}_{column}",
        name="long",
    )


def looked_up(folder: Path) -> Competition:
    """As facial-keypoints-detection: a table says which id and column a row asks for."""
    write_csv(folder / "training.csv", ("name", "x", "y"), [(f"a{n}", n, "" if n % 5 else n / 2) for n in range(40)])
    lookup = [(1, "t", "x", ""), (2, "t", "y", "")]
    write_csv(folder / "IdLookupTable.csv", ("RowId", "ImageId", "FeatureName", "Location"), lookup)
    write_csv(folder / "sample_submission.csv", ("RowId", "Location"), [(1, 0), (2, 0)])
    write_images(folder, [*(f"train/a{n}.png" for n in range(40)), "test/t.png"])
    return competition_of(
        Regression(csv="training.csv", id="name", columns=("x", "y")),
        RMSE,
        train_images="train/{id}.png",
        test_images="test/{id}.png",
        submission_rows=Lookup("IdLookupTable.csv", row="RowId", id="ImageId", column="FeatureName"),
        name="looked-up",
    )


FORMS: dict[str, Callable[[Path], Competition]] = {"bags": bags, "long rows": long_rows, "a look-up table": looked_up}


@pytest.mark.parametrize("form", FORMS)
def test_a_rehearsal_of_every_form_of_rows(form: str, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    session, rehearsal, rows = rehearse(FORMS[form](tmp_path / "source"), tmp_path / "source", tmp_path)
    check_rehearsal(session, rehearsal, rows)
    sample = read_submission_format(rehearsal.competition, rehearsal.sample_file)
    assert sorted(sample.image_ids) == sorted(rows.ids)
    host: Any = rehearsal.host
    grader: Grader = host._grader(host._read_marker(rehearsal.competition.slug))
    assert np.isfinite(grader.grade(rehearsal.sample_file).private)


def test_a_rehearsal_keeps_the_images_of_an_id_together(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    _, rehearsal, _ = rehearse(bags(tmp_path / "source"), tmp_path / "source", tmp_path)
    assert set(rehearsal.index.test["id"].value_counts()) == {2}
    assert set(rehearsal.index.train["id"].value_counts()) == {2}


def test_labels_are_in_no_table_of_a_rehearsals_test_rows(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    competition = bags(tmp_path / "source")
    table = (tmp_path / "source" / "test.csv").read_text().replace("prediction_id", "cancer,prediction_id")
    (tmp_path / "source" / "test.csv").write_text(table.replace("L,p99", "L,,p99"))
    _, rehearsal, _ = rehearse(replace(competition), tmp_path / "source", tmp_path)
    lines = (rehearsal.index.data_dir / "test.csv").read_text().splitlines()
    assert lines[0] == "patient_id,image_id,side,cancer,prediction_id"
    assert {line.split(",")[3] for line in lines[1:]} == {""}
