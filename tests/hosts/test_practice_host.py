"""The practice host: its files, its submissions, its grading."""

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
from runner.errors import HostError, RunnerError, SubmissionFormatError
from runner.hosts.grading import Grader, Scores, SolutionRow, Usage, read_solution, split_public_private, write_solution
from runner.hosts.practice import PracticeData, PracticeHost, PracticeTeam, create_practice_competition, read_origin
from runner.hosts.protocol import Host, RemoteFile, Status

DOGS = load("dog-breed")
PLANET = load("planet")
ICEBERG = load("iceberg")

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DOG_SOLUTION = (
    SolutionRow("a1", "basset", Usage.PUBLIC),
    SolutionRow("a2", "collie", Usage.PRIVATE),
    SolutionRow("a3", "collie", Usage.PRIVATE),
)
SAMPLE = "id,basset,collie\na1,0.5,0.5\na2,0.5,0.5\na3,0.5,0.5\n"
GOOD = "id,basset,collie\na1,0.8,0.2\na2,0.4,0.6\na3,0.1,0.9\n"
TEAMS = (
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
        PracticeData(
            files={
                "labels.csv": text_file("labels.csv", "id,breed\nb1,basset\n"),
                "deep/train.zip": text_file("t", "x" * 9),
            },
            sample=text_file("sample.csv", SAMPLE),
            classes=("basset", "collie"),
            solution=DOG_SOLUTION,
            leaderboard=TEAMS,
            daily_limit=2,
            origin={"made": "by hand"},
        ),
    )
    return PracticeHost(DOGS, tmp_path / "practice" / "dog-breed", clock=lambda: NOON)


def grade(
    competition: Competition, classes: tuple[str, ...], solution: list[SolutionRow], sample: Path, path: Path
) -> Scores:
    return Grader(competition, classes, sample, tuple(solution)).grade(path)


# --- the files ----------------------------------------------------------------------------------


def test_the_practice_host_satisfies_the_host_protocol(host: PracticeHost) -> None:
    as_host: Host = host
    assert as_host.name == "practice"


def test_files_are_listed_by_their_path_in_the_folder(host: PracticeHost) -> None:
    assert host.list_files(DOGS.slug) == (RemoteFile("deep/train.zip", 9), RemoteFile("labels.csv", 19))


def test_a_downloaded_file_is_complete_and_its_bytes_are_counted(host: PracticeHost, tmp_path: Path) -> None:
    counted: list[float] = []
    host.download_file(DOGS.slug, RemoteFile("deep/train.zip", 9), tmp_path / "new" / "t.zip", counted.append)
    assert (tmp_path / "new" / "t.zip").read_bytes() == b"x" * 9
    assert sum(counted) == 9


@pytest.mark.parametrize("name", ["../solution.csv", "solution.csv", "/etc/hostname", "nothing.zip"])
def test_nothing_but_the_offered_files_can_be_downloaded(host: PracticeHost, tmp_path: Path, name: str) -> None:
    with pytest.raises(HostError, match="offers no file"):
        host.download_file(DOGS.slug, RemoteFile(name, 1), tmp_path / "stolen", lambda _: None)
    assert not (tmp_path / "stolen").exists()


def test_the_solution_is_in_none_of_the_files(host: PracticeHost) -> None:
    for file in host.list_files(DOGS.slug):
        assert "a2,collie" not in (host.folder / "files" / file.name).read_text()


def test_another_competitions_slug_is_refused(host: PracticeHost) -> None:
    with pytest.raises(HostError, match="has dog-breed-identification, not 'titanic'"):
        host.list_files("titanic")


def test_without_practice_data_the_fix_is_the_demo(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        PracticeHost(DOGS, tmp_path).list_files(DOGS.slug)
    assert caught.value.fix == "runner demo dog-breed"


def test_practice_data_scored_by_another_metric_is_refused(host: PracticeHost) -> None:
    changed = PracticeHost(replace(DOGS, metric=replace(LOG_LOSS, key="other")), host.folder)
    with pytest.raises(HostError, match="scored by log_loss"):
        changed.list_files(DOGS.slug)


# --- submissions --------------------------------------------------------------------------------


def test_a_good_submission_gets_both_scores(host: PracticeHost, text_file: TextFile) -> None:
    ref = host.submit_file(DOGS.slug, text_file("good.csv", GOOD), "first try")
    (graded,) = host.fetch_submissions(DOGS.slug)
    assert (graded.ref, graded.file_name, graded.message, graded.submitted) == (ref, "good.csv", "first try", NOON)
    assert graded.status is Status.COMPLETE
    assert graded.public == pytest.approx(-np.log(0.8))
    assert graded.private == pytest.approx(-(np.log(0.6) + np.log(0.9)) / 2)
    assert graded.error is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GOOD.replace("a2", "zz"), "zz"),
        ("", "empty"),
        (GOOD.replace("0.8", "nan"), "nan"),
        ("no csv at all", ""),
    ],
)
def test_a_malformed_submission_is_taken_and_rejected_when_graded(
    host: PracticeHost, text_file: TextFile, text: str, reason: str
) -> None:
    ref = host.submit_file(DOGS.slug, text_file("bad.csv", text), "")
    record = json.loads((host.folder / "submissions" / f"{ref}.json").read_text())
    assert record["status"] == "pending"
    (graded,) = host.fetch_submissions(DOGS.slug)
    assert graded.status is Status.ERROR
    assert graded.error is not None
    assert reason in graded.error.lower()
    assert (graded.public, graded.private) == (None, None)


def test_submissions_are_listed_newest_first_and_stored_unchanged(host: PracticeHost, text_file: TextFile) -> None:
    first = host.submit_file(DOGS.slug, text_file("1.csv", GOOD), "one")
    second = host.submit_file(DOGS.slug, text_file("2.csv", "junk"), "two")
    reopened = PracticeHost(DOGS, host.folder)
    assert [submission.ref for submission in reopened.fetch_submissions(DOGS.slug)] == [second, first]
    assert (host.folder / "submissions" / f"{second}.csv").read_text() == "junk"


def test_a_score_does_not_change_when_fetched_again(host: PracticeHost, text_file: TextFile) -> None:
    host.submit_file(DOGS.slug, text_file("good.csv", GOOD), "")
    assert host.fetch_submissions(DOGS.slug) == host.fetch_submissions(DOGS.slug)


def test_a_missing_file_is_not_submitted(host: PracticeHost, tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no such file"):
        host.submit_file(DOGS.slug, tmp_path / "nowhere.csv", "")
    assert host.fetch_submissions(DOGS.slug) == ()


def test_the_daily_limit_names_the_time_of_its_reset(host: PracticeHost, text_file: TextFile) -> None:
    for number in (1, 2):
        assert host.fetch_limits(DOGS.slug).left_today == 3 - number
        host.submit_file(DOGS.slug, text_file(f"{number}.csv", GOOD), "")
    with pytest.raises(
        HostError, match=r"2 submissions are used up; the limit resets at 2026-03-02 00:00 UTC, in 12 h 1 min"
    ):
        host.submit_file(DOGS.slug, text_file("3.csv", GOOD), "")
    limits = host.fetch_limits(DOGS.slug)
    assert (limits.per_day, limits.left_today) == (2, 0)
    assert limits.resets_at == datetime(2026, 3, 2, tzinfo=UTC)


def test_the_limit_resets_at_midnight_utc(host: PracticeHost, text_file: TextFile) -> None:
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
    folder = tmp_path / "shared"
    create_practice_competition(
        DOGS,
        folder,
        PracticeData(
            files={},
            sample=text_file("sample.csv", SAMPLE),
            classes=("basset", "collie"),
            solution=DOG_SOLUTION,
            daily_limit=1000,
        ),
    )
    good = text_file("good.csv", GOOD)
    writers = [
        subprocess.Popen([sys.executable, "-c", SUBMIT, folder, good, name], stdout=subprocess.PIPE, text=True)
        for name in ("left", "right")
    ]
    refs = " ".join(process.communicate()[0] for process in writers).split()
    submissions = PracticeHost(DOGS, folder).fetch_submissions(DOGS.slug)
    assert sorted(refs, key=int) == [str(number) for number in range(1, 17)]
    assert sorted(submission.message for submission in submissions) == ["left"] * 8 + ["right"] * 8


# --- the leaderboard ----------------------------------------------------------------------------


def test_the_leaderboard_is_sorted_by_score_then_time(host: PracticeHost) -> None:
    public, private = host.fetch_leaderboard(DOGS.slug), host.fetch_leaderboard(DOGS.slug, private=True)
    assert [row.team for row in public.rows] == ["early", "late", "worse"]
    assert [row.team for row in private.rows] == ["worse", "early", "late"]
    assert (public.private, private.private) == (False, True)


def test_the_leaderboard_begins_with_the_highest_if_higher_is_better(tmp_path: Path, text_file: TextFile) -> None:
    create_practice_competition(
        PLANET,
        tmp_path / "p",
        PracticeData(
            files={},
            sample=text_file("sample.csv", "image_name,tags\nx,clear\n"),
            classes=("clear",),
            solution=[SolutionRow("x", "clear", Usage.PUBLIC)],
            leaderboard=TEAMS,
        ),
    )
    leaderboard = PracticeHost(PLANET, tmp_path / "p").fetch_leaderboard(PLANET.slug)
    assert [row.score for row in leaderboard.rows] == [0.9, 0.5, 0.5]


def test_leaderboard_scores_keep_every_digit(tmp_path: Path, text_file: TextFile) -> None:
    score = 0.1 + 0.2
    create_practice_competition(
        DOGS,
        tmp_path / "p",
        PracticeData(
            files={},
            sample=text_file("sample.csv", SAMPLE),
            classes=("basset", "collie"),
            solution=DOG_SOLUTION,
            leaderboard=[PracticeTeam("exact, with a comma", Scores(score, score), NOON)],
        ),
    )
    (row,) = PracticeHost(DOGS, tmp_path / "p").fetch_leaderboard(DOGS.slug).rows
    assert (row.score, row.team, row.submitted) == (score, "exact, with a comma", NOON)


# --- grading ------------------------------------------------------------------------------------


def test_each_score_is_the_metric_on_the_rows_of_its_usage(text_file: TextFile) -> None:
    random = np.random.default_rng(3)
    ids, labels = [f"i{n}" for n in range(40)], [str(n % 2) for n in range(40)]
    solution = split_public_private(ids, labels, seed=1, public_share=0.3, ignored={"i3", "i5"})
    predicted = random.random(40)
    sample = text_file("sample.csv", "id,is_iceberg\n" + "".join(f"{id},0.5\n" for id in ids))
    path = text_file(
        "mine.csv", "id,is_iceberg\n" + "".join(f"{i},{p!r}\n" for i, p in zip(ids, predicted.tolist(), strict=True))
    )
    scores = grade(ICEBERG, ("is_iceberg",), list(solution), sample, path)
    for usage, score in ((Usage.PUBLIC, scores.public), (Usage.PRIVATE, scores.private)):
        rows = [index for index, row in enumerate(solution) if row.usage is usage]
        targets = np.array([[float(labels[row])] for row in rows])
        assert score == BINARY_LOG_LOSS.score(targets, predicted[rows][:, None])


def test_ignored_rows_change_no_score(text_file: TextFile) -> None:
    solution = [
        SolutionRow("a", "1", Usage.PUBLIC),
        SolutionRow("b", "0", Usage.PRIVATE),
        SolutionRow("c", "1", Usage.IGNORED),
    ]
    sample = text_file("sample.csv", "id,is_iceberg\na,0.5\nb,0.5\nc,0.5\n")
    right = text_file("right.csv", "id,is_iceberg\na,0.9\nb,0.2\nc,1\n")
    wrong = text_file("wrong.csv", "id,is_iceberg\na,0.9\nb,0.2\nc,0\n")
    scores = [grade(ICEBERG, ("is_iceberg",), solution, sample, path) for path in (right, wrong)]
    assert scores[0] == scores[1]


def test_tags_are_graded_as_sets(text_file: TextFile) -> None:
    solution = [SolutionRow("x", "clear primary", Usage.PUBLIC), SolutionRow("y", "cloudy", Usage.PRIVATE)]
    sample = text_file("sample.csv", "image_name,tags\nx,clear\ny,clear\n")
    mine = text_file("mine.csv", "image_name,tags\nx,primary clear\ny,clear\n")
    assert grade(PLANET, ("clear", "cloudy", "primary"), solution, sample, mine) == Scores(1.0, 0.0)
    assert MEAN_F2.higher_is_better


def test_class_columns_are_matched_by_name(text_file: TextFile) -> None:
    sample = text_file("sample.csv", "id,collie,basset\na1,0.5,0.5\na2,0.5,0.5\na3,0.5,0.5\n")
    mine = text_file("mine.csv", "id,collie,basset\na1,0,1\na2,1,0\na3,1,0\n")
    scores = grade(DOGS, ("basset", "collie"), list(DOG_SOLUTION), sample, mine)
    assert scores.public == pytest.approx(0, abs=1e-12)


def test_a_wrong_format_has_no_score(text_file: TextFile) -> None:
    sample, mine = text_file("sample.csv", SAMPLE), text_file("mine.csv", GOOD.replace("0.8", "1.8"))
    with pytest.raises(SubmissionFormatError):
        grade(DOGS, ("basset", "collie"), list(DOG_SOLUTION), sample, mine)


def test_rows_are_split_into_the_requested_share() -> None:
    ids = [str(number) for number in range(50)]
    solution = split_public_private(ids, ids, seed=4, public_share=0.3, ignored=ids[:10])
    usages = [row.usage for row in solution]
    assert [row.id for row in solution] == ids
    assert [usages.count(usage) for usage in Usage] == [12, 28, 10]
    assert usages[:10] == [Usage.IGNORED] * 10
    assert solution == split_public_private(ids, ids, seed=4, public_share=0.3, ignored=ids[:10])
    assert solution != split_public_private(ids, ids, seed=5, public_share=0.3, ignored=ids[:10])


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_both_scores_have_a_row_for_any_share(share: float) -> None:
    usages = [row.usage for row in split_public_private(["a", "b"], ["x", "y"], seed=0, public_share=share)]
    assert sorted(usage.value for usage in usages) == ["Private", "Public"]


def test_a_solution_is_read_as_written(tmp_path: Path) -> None:
    write_solution(tmp_path / "solution.csv", DOG_SOLUTION)
    assert read_solution(tmp_path / "solution.csv") == DOG_SOLUTION


# --- damaged files -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["competition.json", "solution.csv", "leaderboard.csv", "sample_submission.csv"])
def test_no_changed_byte_changes_a_practice_score_in_silence(
    host: PracticeHost, text_file: TextFile, name: str
) -> None:
    """Every byte of what a score or a rank rests on, one after the other."""
    path = host.folder / name
    good = text_file("good.csv", GOOD)
    host.submit_file(DOGS.slug, good, "")
    graded = host.fetch_submissions(DOGS.slug)
    pending = next((host.folder / "submissions").glob("1.json"))
    record, content = pending.read_bytes(), path.read_bytes()
    board = host.fetch_leaderboard(DOGS.slug)
    for at in range(0, len(content), 3):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        try:
            assert host.fetch_leaderboard(DOGS.slug) == board
            host.fetch_info(DOGS.slug)
            assert host.fetch_submissions(DOGS.slug) == graded
        except RunnerError as error:
            assert error.where == str(path), at
            assert error.fix == f"remove {host.folder}, then: `runner demo dog-breed`"
        else:
            assert name == "competition.json", at  # the others are compared as a whole
        assert pending.read_bytes() == record


def test_no_changed_byte_changes_a_submission_in_silence(host: PracticeHost, text_file: TextFile) -> None:
    host.submit_file(DOGS.slug, text_file("good.csv", GOOD), "note")
    graded = host.fetch_submissions(DOGS.slug)
    path = host.folder / "submissions" / "1.json"
    content = path.read_bytes()
    for at in range(len(content)):
        path.write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        try:
            assert host.fetch_submissions(DOGS.slug) == graded
        except RunnerError as error:
            assert error.where == str(path)
            assert str(error.fix).startswith(f"remove {path}")


def test_practice_data_without_checksums_is_used(host: PracticeHost) -> None:
    path = host.folder / "competition.json"
    marker = json.loads(path.read_text())
    del marker["checksum"], marker["sha256"]
    path.write_text(json.dumps(marker))
    assert host.fetch_info(DOGS.slug).title == DOGS.title


# --- creating it --------------------------------------------------------------------------------


def test_without_its_marker_the_folder_is_incomplete(host: PracticeHost) -> None:
    assert read_origin(host.folder, fix="") == {"made": "by hand"}
    (host.folder / "competition.json").unlink()
    assert read_origin(host.folder, fix="") is None


@pytest.mark.parametrize("marker", ['{"format": 99, "origin": {}}', '{"origin": {}}', "{"])
def test_a_marker_of_another_format_is_refused_with_a_fix(host: PracticeHost, marker: str) -> None:
    (host.folder / "competition.json").write_text(marker)
    fix = f"remove {host.folder}, then: `runner demo dog-breed`"
    for read in (lambda: read_origin(host.folder, fix=fix), lambda: host.list_files(DOGS.slug)):
        with pytest.raises(RunnerError) as caught:
            read()
        assert caught.value.fix == fix


def test_creating_it_again_removes_the_old_one(host: PracticeHost, text_file: TextFile) -> None:
    host.submit_file(DOGS.slug, text_file("good.csv", GOOD), "")
    create_practice_competition(
        DOGS,
        host.folder,
        PracticeData(
            files={"only.zip": text_file("only", "z")},
            sample=text_file("sample.csv", SAMPLE),
            classes=("basset", "collie"),
            solution=DOG_SOLUTION,
        ),
    )
    assert [file.name for file in host.list_files(DOGS.slug)] == ["only.zip"]
    assert host.fetch_submissions(DOGS.slug) == ()
    assert host.fetch_leaderboard(DOGS.slug).rows == ()
    assert host.fetch_limits(DOGS.slug).per_day == 20


def test_a_failed_creation_leaves_no_host(host: PracticeHost, tmp_path: Path, text_file: TextFile) -> None:
    with pytest.raises(FileNotFoundError):
        create_practice_competition(
            DOGS,
            host.folder,
            PracticeData(
                files={"gone.zip": tmp_path / "gone.zip"},
                sample=text_file("sample.csv", SAMPLE),
                classes=("basset", "collie"),
                solution=DOG_SOLUTION,
            ),
        )
    with pytest.raises(HostError, match="no practice data"):
        host.list_files(DOGS.slug)
