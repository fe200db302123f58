"""Rehearsals: what is hidden, what the rehearsal's data folder has, and the result."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from competitions import load
from runner.data.download import download
from runner.errors import DamagedFileError, HostError, UsageError
from runner.full_disk import DiskFullError
from runner.hosts.leaderboards import save_leaderboard
from runner.hosts.standings import find_standing
from runner.options import RehearsalOptions
from runner.practice.rehearsal import build_rehearsal, choose_hidden_rows, rehearsal_workspace
from runner.practice.rehearsal_data import _copy_rows, anonymous_id
from runner.practice.rehearsal_result import RehearsalResult, find_leaderboard
from runner.prediction.score import Score
from runner.session import Session
from runner.workspace import Workspace
from tests.builders import SUBMITTED, make_leaderboard
from tests.competitions import SHAPES
from tests.full_disks import files_of_at_most
from tests.practice.conftest import host_of

QUARTER = RehearsalOptions(0.25)


def rehearsal_of(session: Session, options: RehearsalOptions = QUARTER) -> Session:
    return Session(session.competition, rehearsal_workspace(session, options), "practice")


def data_dir(session: Session) -> Path:
    return session.workspace.data_dir(session.name)


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def shapes_session(tmp_path: Path, shapes_folder: Path) -> Session:
    """A session on the shapes competition, with its data."""
    session = Session(SHAPES, Workspace.at(tmp_path))
    download(SHAPES, session.workspace, shapes_folder)
    return session


@pytest.fixture(scope="module")
def iceberg(practice_sessions: dict[str, Session]) -> Session:
    """A session on iceberg, whose images are arrays, with its data."""
    session = practice_sessions["iceberg"]
    download(session.competition, session.workspace, host_of(session))
    return session


# --- hidden rows --------------------------------------------------------------------------------


def test_a_group_is_hidden_completely_or_not_at_all(iceberg: Session) -> None:
    hidden = choose_hidden_rows(iceberg.index, QUARTER)
    groups = iceberg.index.train["group"]
    assert not set(groups[hidden]) & set(groups[~hidden])


def test_another_seed_hides_other_rows(shapes_session: Session) -> None:
    first, again, another = (
        choose_hidden_rows(shapes_session.index, RehearsalOptions(0.25, seed)) for seed in (1, 1, 2)
    )
    assert (first == again).all()
    assert (first != another).any()


@pytest.mark.parametrize("fraction", [0.02, 0.98])
def test_too_few_hidden_or_remaining_rows_are_refused(shapes_session: Session, fraction: float) -> None:
    with pytest.raises(UsageError) as caught:
        choose_hidden_rows(shapes_session.index, RehearsalOptions(fraction))
    assert "--hidden 0.2" in str(caught.value.fix)


def test_an_anonymous_id_depends_on_id_and_seed_only() -> None:
    assert anonymous_id("train003", 42) == anonymous_id("train003", 42) == "7ae8f61bab1c25f2"
    assert anonymous_id("train003", 43) != anonymous_id("train003", 42) != anonymous_id("train004", 42)


# --- data of a rehearsal ------------------------------------------------------------------------


def test_images_are_hard_links_to_the_original_ones(shapes_session: Session) -> None:
    rehearsal = rehearsal_of(shapes_session)
    rows = build_rehearsal(shapes_session, rehearsal, QUARTER)
    originals = {path.stat().st_ino for path in (data_dir(shapes_session) / "train").iterdir()}
    linked = [*data_dir(rehearsal).glob("train/*"), *data_dir(rehearsal).glob("test/*")]
    assert {path.stat().st_ino for path in linked} == originals
    assert {path.stem for path in data_dir(rehearsal).glob("test/*")} == set(rows.ids)


def test_images_are_copied_if_the_disk_has_no_hard_links(
    shapes_session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no hard links")

    monkeypatch.setattr("os.link", refuse)
    rehearsal = rehearsal_of(shapes_session)
    build_rehearsal(shapes_session, rehearsal, QUARTER)
    copies = [*data_dir(rehearsal).glob("train/*"), *data_dir(rehearsal).glob("test/*")]
    assert len(copies) == len(shapes_session.index.train)


def test_hidden_labels_are_in_no_table_of_an_array_competition(iceberg: Session) -> None:
    hidden = choose_hidden_rows(iceberg.index, QUARTER)
    rehearsal = Session(iceberg.competition, Workspace(iceberg.workspace.root / "rehearsed"), "practice")
    rows = build_rehearsal(iceberg, rehearsal, QUARTER)
    test, train = (read_rows(data_dir(rehearsal) / f"{subset}.csv") for subset in ("test", "train"))
    assert "is_iceberg" not in test[0]
    assert [row["id"] for row in test] == sorted(rows.ids)
    assert len(train) == (~hidden).sum()
    assert np.load(data_dir(rehearsal) / "test.npy", mmap_mode="r").shape[0] == hidden.sum()


def test_arrays_keep_image_and_row_together(iceberg: Session) -> None:
    rehearsal = Session(iceberg.competition, Workspace(iceberg.workspace.root / "paired"), "practice")
    build_rehearsal(iceberg, rehearsal, QUARTER)
    original = {
        row["id"]: (image.tobytes(), row["inc_angle"])
        for row, image in zip(
            read_rows(data_dir(iceberg) / "train.csv"), np.load(data_dir(iceberg) / "train.npy"), strict=True
        )
    }
    by_anonymous_id = {anonymous_id(id, QUARTER.seed): pair for id, pair in original.items()}
    for subset, expected in (("train", original), ("test", by_anonymous_id)):
        images = np.load(data_dir(rehearsal) / f"{subset}.npy")
        for row, image in zip(read_rows(data_dir(rehearsal) / f"{subset}.csv"), images, strict=True):
            assert (image.tobytes(), row["inc_angle"]) == expected[row["id"]]


def test_blanks_around_the_ids_of_an_array_table_do_no_harm(iceberg: Session, tmp_path: Path) -> None:
    session = Session(iceberg.competition, Workspace.at(tmp_path))
    data_dir(session).mkdir(parents=True)
    for path in data_dir(iceberg).iterdir():
        content = path.read_bytes()
        if path.name == "train.csv":
            header, *lines = content.decode().splitlines()
            content = "\n".join([header, *(f" {line.replace(',', ' ,', 1)}" for line in lines), ""]).encode()
        (data_dir(session) / path.name).write_bytes(content)
    rehearsal = rehearsal_of(session)
    build_rehearsal(session, rehearsal, QUARTER)
    expected = choose_hidden_rows(iceberg.index, QUARTER)
    ids = {row["id"] for row in read_rows(data_dir(rehearsal) / "train.csv")}
    assert ids == set(iceberg.index.train["id"][~expected])


def test_changed_labels_build_the_rehearsal_again(shapes_session: Session) -> None:
    def build() -> str:
        # The index of a session is read once.
        session = replace(shapes_session)
        build_rehearsal(session, rehearsal_of(session), QUARTER)
        return (data_dir(rehearsal_of(session)) / "labels.csv").read_text()

    first = build()
    old_file = rehearsal_of(shapes_session).workspace.root / "old"
    old_file.write_text("a run on the old labels")
    assert build() == first
    assert old_file.exists()
    labels = data_dir(shapes_session) / "labels.csv"
    labels.write_text(labels.read_text().replace("train000,akita", "train000,collie"))
    build()
    assert not old_file.exists()


def test_a_damaged_host_is_told_and_costs_no_run(shapes_session: Session) -> None:
    rehearsal = rehearsal_of(shapes_session)
    build_rehearsal(shapes_session, rehearsal, QUARTER)
    run_file = rehearsal.workspace.run_dir("shapes", "a") / "score.json"
    run_file.parent.mkdir(parents=True)
    run_file.write_text("days of work")
    marker = rehearsal.workspace.practice_host_dir("shapes") / "competition.json"
    for damage in (lambda: marker.write_text(marker.read_text().replace('"title"', '"titel"')), marker.unlink):
        damage()
        with pytest.raises(DamagedFileError) as caught:
            build_rehearsal(shapes_session, rehearsal, QUARTER)
        assert str(caught.value.where).startswith(str(marker.parent))
        assert caught.value.fix == "`... --force` makes the rehearsal again, without its runs"
        assert run_file.exists()
    build_rehearsal(shapes_session, rehearsal, QUARTER, force=True)
    assert marker.exists() and not run_file.exists()


def test_damage_in_a_rehearsal_is_mended_by_the_rehearsal(shapes_session: Session) -> None:
    build_rehearsal(shapes_session, rehearsal_of(shapes_session), QUARTER)
    rehearsal = rehearsal_of(shapes_session)
    fix = "runner shapes rehearse --hidden 0.25 --seed 42 --force"
    assert rehearsal.redownload_command == fix
    (rehearsal.workspace.practice_host_dir("shapes") / "solution.csv").write_text("id,label\n")
    with pytest.raises(HostError) as caught:
        rehearsal.host.submit_file("shapes", rehearsal.sample_file, "")
        rehearsal.host.fetch_submissions("shapes")
    assert caught.value.fix == f"`{fix}`"


# --- result -------------------------------------------------------------------------------------


def test_the_gap_is_also_in_standard_errors_of_both_scores() -> None:
    cv, hidden = Score("log_loss", 0.5, 0.03, 400), Score("log_loss", 0.6, 0.04, 100)
    result = RehearsalResult(cv, hidden, 0.1, None)
    assert result.gap_in_standard_errors == pytest.approx(2)
    assert result.to_dict()["gap_in_standard_errors"] == result.gap_in_standard_errors
    assert str(replace(result, gap=-0.1)).endswith("gap       0.10000 better: 2.0 standard errors")


def test_a_result_prints_both_scores_the_gap_and_the_standing() -> None:
    cv, hidden = Score("log_loss", 0.5, 0.03, 400), Score("log_loss", 0.6, 0.04, 100)
    standing = find_standing(SHAPES, make_leaderboard(0.1, 0.9), 0.6, late=True)
    lines = str(RehearsalResult(cv, hidden, 0.1, standing)).splitlines()
    assert lines == [
        f"CV        {cv} (400 rows)",
        f"hidden    {hidden} (100 rows)",
        "gap       0.10000 worse: 2.0 standard errors",
        f"standing  {standing}",
    ]


@pytest.mark.parametrize(("name", "best"), [("dog-breed", "team 2"), ("planet", "team 1")])
def test_the_saved_leaderboard_is_sorted_best_first(tmp_path: Path, name: str, best: str) -> None:
    session = Session(load(name), Workspace.at(tmp_path))
    assert find_leaderboard(session) is None
    save_leaderboard(session.leaderboards_dir, make_leaderboard(0.9, 0.1), SUBMITTED)
    leaderboard = find_leaderboard(session)
    assert leaderboard is not None
    assert leaderboard.rows[0].team == best


def test_a_leaderboard_file_goes_before_the_saved_one(tmp_path: Path) -> None:
    session = Session(SHAPES, Workspace.at(tmp_path))
    save_leaderboard(session.leaderboards_dir, make_leaderboard(0.9), SUBMITTED)
    file = tmp_path / "leaderboard.csv"
    file.write_text("TeamId,TeamName,SubmissionDate,Score\n1,a,2018-01-01,0.5\n")
    leaderboard = find_leaderboard(session, file)
    assert leaderboard is not None
    assert [row.score for row in leaderboard.rows] == [0.5]


def test_an_array_is_copied_without_a_memory_map_so_that_a_full_disk_is_an_error(tmp_path):
    np.save(tmp_path / "train.npy", np.arange(60_000, dtype=np.float32).reshape(100, 1, 20, 30))
    rows = [5, 3, 99]
    _copy_rows(tmp_path / "train.npy", rows, tmp_path / "copy.npy")
    assert (np.load(tmp_path / "copy.npy") == np.load(tmp_path / "train.npy")[rows]).all()
    with pytest.raises(DiskFullError, match=r"full\.npy"), files_of_at_most(65_536):
        _copy_rows(tmp_path / "train.npy", range(100), tmp_path / "full.npy")
    assert not (tmp_path / "full.npy").exists()
