"""The practice host: what it offers, how it takes submissions, and how it grades them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from competitions import load
from runner.contract import BINARY_LOG_LOSS, LOG_LOSS, MEAN_F2, Competition
from runner.errors import HostError, SubmissionFormatError
from runner.hosts.grading import Answer, Grader, Scores, Usage, read_answers, split_public_private, write_answers
from runner.hosts.practice import PracticeHost, PracticeTeam, create_practice_competition, read_origin
from runner.hosts.protocol import Host, RemoteFile, Status

DOGS = load("dog-breed")
PLANET = load("planet")
ICEBERG = load("iceberg")

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DOG_ANSWERS = (
    Answer("a1", "basset", Usage.PUBLIC),
    Answer("a2", "collie", Usage.PRIVATE),
    Answer("a3", "collie", Usage.PRIVATE),
)
DOG_SAMPLE = "id,basset,collie\na1,0.5,0.5\na2,0.5,0.5\na3,0.5,0.5\n"
GOOD = "id,basset,collie\na1,0.8,0.2\na2,0.4,0.6\na3,0.1,0.9\n"
BOARD = (
    PracticeTeam("late", Scores(0.5, 0.5), NOON),
    PracticeTeam("worse", Scores(0.9, 0.1), NOON - timedelta(days=2)),
    PracticeTeam("early", Scores(0.5, 0.5), NOON - timedelta(days=1)),
)


@pytest.fixture
def text_file(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a text under a name."""

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


TextFile = Callable[[str, str], Path]


@pytest.fixture
def host(tmp_path: Path, text_file: TextFile) -> PracticeHost:
    """Three dogs, one public and two private, and a limit of two a day."""
    create_practice_competition(
        DOGS,
        tmp_path / "practice" / "dog-breed",
        files={
            "labels.csv": text_file("labels.csv", "id,breed\nb1,basset\n"),
            "deep/train.zip": text_file("t", "x" * 9),
        },
        sample=text_file("sample.csv", DOG_SAMPLE),
        classes=("basset", "collie"),
        answers=DOG_ANSWERS,
        board=BOARD,
        daily_limit=2,
        origin={"made": "by hand"},
    )
    return PracticeHost(DOGS, tmp_path / "practice" / "dog-breed", clock=lambda: NOON)


def grade(
    competition: Competition, classes: tuple[str, ...], answers: list[Answer], sample: Path, path: Path
) -> Scores:
    return Grader(competition, classes, sample, tuple(answers)).grade(path)


# --- the files ----------------------------------------------------------------------------------


def test_it_is_a_host(host: PracticeHost) -> None:
    as_host: Host = host
    assert as_host.name == "practice"


def test_every_file_is_listed_by_its_name_within_the_folder(host: PracticeHost) -> None:
    assert host.list_files(DOGS.slug) == (RemoteFile("deep/train.zip", 9), RemoteFile("labels.csv", 19))


def test_a_file_is_downloaded_whole_and_its_bytes_are_counted(host: PracticeHost, tmp_path: Path) -> None:
    counted: list[float] = []
    host.download_file(DOGS.slug, RemoteFile("deep/train.zip", 9), tmp_path / "new" / "t.zip", counted.append)
    assert (tmp_path / "new" / "t.zip").read_bytes() == b"x" * 9
    assert sum(counted) == 9


@pytest.mark.parametrize("name", ["../answers.csv", "answers.csv", "/etc/hostname", "nothing.zip"])
def test_nothing_but_the_offered_files_can_be_downloaded(host: PracticeHost, tmp_path: Path, name: str) -> None:
    with pytest.raises(HostError, match="offers no file"):
        host.download_file(DOGS.slug, RemoteFile(name, 1), tmp_path / "stolen", lambda _: None)
    assert not (tmp_path / "stolen").exists()


def test_answers_are_not_among_the_files(host: PracticeHost) -> None:
    for offered in host.list_files(DOGS.slug):
        assert "a2,collie" not in (host.folder / "files" / offered.name).read_text()


def test_another_competitions_slug_is_refused(host: PracticeHost) -> None:
    with pytest.raises(HostError, match="holds dog-breed-identification, not 'titanic'"):
        host.list_files("titanic")


def test_without_practice_data_the_cure_is_the_demo(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        PracticeHost(DOGS, tmp_path).list_files(DOGS.slug)
    assert caught.value.fix == "runner demo dog-breed"


def test_practice_data_scored_by_another_metric_is_refused(host: PracticeHost) -> None:
    other = PracticeHost(replace(DOGS, metric=replace(LOG_LOSS, key="other")), host.folder)
    with pytest.raises(HostError, match="scored by log_loss"):
        other.list_files(DOGS.slug)


# --- submissions --------------------------------------------------------------------------------


def test_a_good_submission_gets_both_scores(host: PracticeHost, text_file: TextFile) -> None:
    ref = host.submit_file(DOGS.slug, text_file("good.csv", GOOD), "first try")
    (told,) = host.fetch_submissions(DOGS.slug)
    assert (told.ref, told.file_name, told.message, told.submitted) == (ref, "good.csv", "first try", NOON)
    assert told.status is Status.COMPLETE
    assert told.public == pytest.approx(-np.log(0.8))
    assert told.private == pytest.approx(-(np.log(0.6) + np.log(0.9)) / 2)
    assert told.error is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD.replace("a2", "zz"), "zz"),
        ("", "empty"),
        (GOOD.replace("0.8", "nan"), "nan"),
        ("no csv at all", ""),
    ],
)
def test_a_malformed_submission_is_accepted_first_and_refused_when_asked(
    host: PracticeHost, text_file: TextFile, text: str, reason: str
) -> None:
    ref = host.submit_file(DOGS.slug, text_file("bad.csv", text), "")
    record = json.loads((host.folder / "submissions" / f"{ref}.json").read_text())
    assert record["status"] == "pending"
    (told,) = host.fetch_submissions(DOGS.slug)
    assert told.status is Status.ERROR
    assert told.error is not None
    assert reason in told.error.lower()
    assert (told.public, told.private) == (None, None)


def test_submissions_are_told_newest_first_and_kept_as_they_came(host: PracticeHost, text_file: TextFile) -> None:
    first = host.submit_file(DOGS.slug, text_file("1.csv", GOOD), "one")
    second = host.submit_file(DOGS.slug, text_file("2.csv", "junk"), "two")
    again = PracticeHost(DOGS, host.folder)
    assert [told.ref for told in again.fetch_submissions(DOGS.slug)] == [second, first]
    assert (host.folder / "submissions" / f"{second}.csv").read_text() == "junk"


def test_a_score_does_not_change_when_asked_again(host: PracticeHost, text_file: TextFile) -> None:
    host.submit_file(DOGS.slug, text_file("good.csv", GOOD), "")
    assert host.fetch_submissions(DOGS.slug) == host.fetch_submissions(DOGS.slug)


def test_a_file_that_is_not_there_is_not_submitted(host: PracticeHost, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no such file"):
        host.submit_file(DOGS.slug, tmp_path / "nowhere.csv", "")
    assert host.fetch_submissions(DOGS.slug) == ()


def test_the_daily_limit_says_when_it_reopens(host: PracticeHost, text_file: TextFile) -> None:
    for number in (1, 2):
        assert host.fetch_limits(DOGS.slug).left_today == 3 - number
        host.submit_file(DOGS.slug, text_file(f"{number}.csv", GOOD), "")
    with pytest.raises(HostError, match=r"2 submissions are used up.*2026-03-02 00:00 UTC, in 12 h 1 min"):
        host.submit_file(DOGS.slug, text_file("3.csv", GOOD), "")
    limits = host.fetch_limits(DOGS.slug)
    assert (limits.per_day, limits.left_today) == (2, 0)
    assert limits.resets_at == datetime(2026, 3, 2, tzinfo=UTC)


def test_a_new_day_in_utc_brings_a_new_allowance(host: PracticeHost, text_file: TextFile) -> None:
    for number in (1, 2):
        host.submit_file(DOGS.slug, text_file(f"{number}.csv", GOOD), "")
    tomorrow = PracticeHost(DOGS, host.folder, clock=lambda: NOON + timedelta(hours=12))
    assert tomorrow.fetch_limits(DOGS.slug).left_today == 2
    assert tomorrow.submit_file(DOGS.slug, text_file("3.csv", GOOD), "") == "3"


SUBMIT = """
import sys
from pathlib import Path
from competitions import load
from runner.hosts.practice import PracticeHost
dogs = load("dog-breed")
host = PracticeHost(dogs, Path(sys.argv[1]))
print(*(host.submit_file(dogs.slug, Path(sys.argv[2]), sys.argv[3]) for _ in range(8)))
"""


def test_two_processes_that_submit_at_once_lose_none(tmp_path: Path, text_file: TextFile) -> None:
    folder = tmp_path / "crowd"
    create_practice_competition(
        DOGS,
        folder,
        files={},
        sample=text_file("sample.csv", DOG_SAMPLE),
        classes=("basset", "collie"),
        answers=DOG_ANSWERS,
        daily_limit=1000,
    )
    good = text_file("good.csv", GOOD)
    crowd = [
        subprocess.Popen([sys.executable, "-c", SUBMIT, folder, good, name], stdout=subprocess.PIPE, text=True)
        for name in ("left", "right")
    ]
    refs = " ".join(process.communicate()[0] for process in crowd).split()
    told = PracticeHost(DOGS, folder).fetch_submissions(DOGS.slug)
    assert sorted(refs, key=int) == [str(number) for number in range(1, 17)]
    assert sorted(one.message for one in told) == ["left"] * 8 + ["right"] * 8


# --- the board ----------------------------------------------------------------------------------


def test_the_board_is_best_first_and_earlier_first_where_scores_tie(host: PracticeHost) -> None:
    public, private = host.fetch_leaderboard(DOGS.slug), host.fetch_leaderboard(DOGS.slug, private=True)
    assert [row.team for row in public.rows] == ["early", "late", "worse"]
    assert [row.team for row in private.rows] == ["worse", "early", "late"]
    assert (public.private, private.private) == (False, True)


def test_a_board_of_a_metric_that_rises_begins_with_the_highest(tmp_path: Path, text_file: TextFile) -> None:
    create_practice_competition(
        PLANET,
        tmp_path / "p",
        files={},
        sample=text_file("sample.csv", "image_name,tags\nx,clear\n"),
        classes=("clear",),
        answers=[Answer("x", "clear", Usage.PUBLIC)],
        board=BOARD,
    )
    board = PracticeHost(PLANET, tmp_path / "p").fetch_leaderboard(PLANET.slug)
    assert [row.score for row in board.rows] == [0.9, 0.5, 0.5]


def test_board_scores_keep_every_digit(tmp_path: Path, text_file: TextFile) -> None:
    score = 0.1 + 0.2
    create_practice_competition(
        DOGS,
        tmp_path / "p",
        files={},
        sample=text_file("sample.csv", DOG_SAMPLE),
        classes=("basset", "collie"),
        answers=DOG_ANSWERS,
        board=[PracticeTeam("exact, with a comma", Scores(score, score), NOON)],
    )
    (row,) = PracticeHost(DOGS, tmp_path / "p").fetch_leaderboard(DOGS.slug).rows
    assert (row.score, row.team, row.submitted) == (score, "exact, with a comma", NOON)


# --- grading ------------------------------------------------------------------------------------


def test_each_score_is_the_metric_over_the_rows_of_its_usage(text_file: TextFile) -> None:
    random = np.random.default_rng(3)
    ids, labels = [f"i{n}" for n in range(40)], [str(n % 2) for n in range(40)]
    answers = split_public_private(ids, labels, seed=1, public_share=0.3, ignored={"i3", "i5"})
    said = random.random(40)
    sample = text_file("sample.csv", "id,is_iceberg\n" + "".join(f"{id},0.5\n" for id in ids))
    path = text_file(
        "mine.csv", "id,is_iceberg\n" + "".join(f"{i},{p!r}\n" for i, p in zip(ids, said.tolist(), strict=True))
    )
    scores = grade(ICEBERG, ("is_iceberg",), list(answers), sample, path)
    for usage, score in ((Usage.PUBLIC, scores.public), (Usage.PRIVATE, scores.private)):
        rows = [row for row, answer in enumerate(answers) if answer.usage is usage]
        truth = np.array([[float(labels[row])] for row in rows])
        assert score == BINARY_LOG_LOSS.score(truth, said[rows][:, None])


def test_ignored_rows_move_no_score(text_file: TextFile) -> None:
    answers = [Answer("a", "1", Usage.PUBLIC), Answer("b", "0", Usage.PRIVATE), Answer("c", "1", Usage.IGNORED)]
    sample = text_file("sample.csv", "id,is_iceberg\na,0.5\nb,0.5\nc,0.5\n")
    right = text_file("right.csv", "id,is_iceberg\na,0.9\nb,0.2\nc,1\n")
    wrong = text_file("wrong.csv", "id,is_iceberg\na,0.9\nb,0.2\nc,0\n")
    assert grade(ICEBERG, ("is_iceberg",), answers, sample, right) == grade(
        ICEBERG, ("is_iceberg",), answers, sample, wrong
    )


def test_tags_are_graded_as_sets(text_file: TextFile) -> None:
    answers = [Answer("x", "clear primary", Usage.PUBLIC), Answer("y", "cloudy", Usage.PRIVATE)]
    sample = text_file("sample.csv", "image_name,tags\nx,clear\ny,clear\n")
    mine = text_file("mine.csv", "image_name,tags\nx,primary clear\ny,clear\n")
    assert grade(PLANET, ("clear", "cloudy", "primary"), answers, sample, mine) == Scores(1.0, 0.0)
    assert MEAN_F2.higher_is_better


def test_class_columns_are_matched_by_name(text_file: TextFile) -> None:
    sample = text_file("sample.csv", "id,collie,basset\na1,0.5,0.5\na2,0.5,0.5\na3,0.5,0.5\n")
    mine = text_file("mine.csv", "id,collie,basset\na1,0,1\na2,1,0\na3,1,0\n")
    scores = grade(DOGS, ("basset", "collie"), list(DOG_ANSWERS), sample, mine)
    assert scores.public == pytest.approx(0, abs=1e-12)


def test_a_wrong_form_is_no_score(text_file: TextFile) -> None:
    sample, mine = text_file("sample.csv", DOG_SAMPLE), text_file("mine.csv", GOOD.replace("0.8", "1.8"))
    with pytest.raises(SubmissionFormatError):
        grade(DOGS, ("basset", "collie"), list(DOG_ANSWERS), sample, mine)


def test_answers_are_hidden_once_each_in_the_share_that_is_asked_for() -> None:
    ids = [str(number) for number in range(50)]
    answers = split_public_private(ids, ids, seed=4, public_share=0.3, ignored=ids[:10])
    usages = [answer.usage for answer in answers]
    assert [answer.id for answer in answers] == ids
    assert [usages.count(usage) for usage in Usage] == [12, 28, 10]
    assert usages[:10] == [Usage.IGNORED] * 10
    assert answers == split_public_private(ids, ids, seed=4, public_share=0.3, ignored=ids[:10])
    assert answers != split_public_private(ids, ids, seed=5, public_share=0.3, ignored=ids[:10])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_both_scores_have_a_row_whatever_the_share(share: float) -> None:
    usages = [answer.usage for answer in split_public_private(["a", "b"], ["x", "y"], seed=0, public_share=share)]
    assert sorted(usage.value for usage in usages) == ["Private", "Public"]


def test_answers_are_read_as_written(tmp_path: Path) -> None:
    write_answers(tmp_path / "answers.csv", DOG_ANSWERS)
    assert read_answers(tmp_path / "answers.csv") == DOG_ANSWERS


# --- making it ----------------------------------------------------------------------------------


def test_the_marker_is_written_last(host: PracticeHost) -> None:
    assert read_origin(host.folder) == {"made": "by hand"}
    (host.folder / "competition.json").unlink()
    assert read_origin(host.folder) is None


def test_making_it_anew_leaves_nothing_of_the_old_one(host: PracticeHost, text_file: TextFile) -> None:
    host.submit_file(DOGS.slug, text_file("good.csv", GOOD), "")
    create_practice_competition(
        DOGS,
        host.folder,
        files={"only.zip": text_file("only", "z")},
        sample=text_file("sample.csv", DOG_SAMPLE),
        classes=("basset", "collie"),
        answers=DOG_ANSWERS,
    )
    assert [file.name for file in host.list_files(DOGS.slug)] == ["only.zip"]
    assert host.fetch_submissions(DOGS.slug) == ()
    assert host.fetch_leaderboard(DOGS.slug).rows == ()
    assert host.fetch_limits(DOGS.slug).per_day == 20


def test_a_making_that_fails_leaves_no_host(host: PracticeHost, tmp_path: Path, text_file: TextFile) -> None:
    with pytest.raises(FileNotFoundError):
        create_practice_competition(
            DOGS,
            host.folder,
            files={"gone.zip": tmp_path / "gone.zip"},
            sample=text_file("sample.csv", DOG_SAMPLE),
            classes=("basset", "collie"),
            answers=DOG_ANSWERS,
        )
    with pytest.raises(HostError, match="no practice data"):
        host.list_files(DOGS.slug)
