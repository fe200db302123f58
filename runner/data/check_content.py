"""Whether files are the data of a competition: by the tables' columns, and an image for each of their ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from runner.commands import command
from runner.contract import Competition
from runner.contract.labels import Table
from runner.csv_file import CsvError
from runner.data.collect_files import Source
from runner.data.index import build_index
from runner.data.index_inputs import existing_name
from runner.data.tables import read_table
from runner.errors import DataError, WrongDataError
from runner.problems import Problem, ProblemsError

# Problems of files that are another competition's, or not what the competition file says.
_OF_WRONG_DATA = frozenset(
    (
        "missing file",
        "not a CSV",
        "not a table",
        "not JSON",
        "missing column",
        "missing header",
        "empty folder",
        "empty file",
        "sample submission's columns",
        "unreadable array",
    )
)
_WITHOUT_IMAGE = "id without an image"
# Of the ids; fewer are missing in a copy that is only incomplete.
_MOST = 0.5


def check_content(competition: Competition, folder: Path, source: Source, *, must_be_right: bool) -> None:
    """Raise a DataError if the files are not the competition's, or, if they must be right, for any error in them.

    Else errors in single rows are left to be corrected in the data folder; every later step tells them.
    """
    try:
        build_index(competition, folder)
    except ProblemsError as error:
        name = competition.name or competition.slug
        if _is_wrong(competition, folder, error.problems):
            raise _wrong_data(name, source, error.problems) from error
        if must_be_right:
            raise _incomplete(name, source, error) from error


def _is_wrong(competition: Competition, folder: Path, problems: Sequence[Problem]) -> bool:
    if any(problem.kind in _OF_WRONG_DATA for problem in problems):
        return True
    missing = sum(1 + problem.more for problem in problems if problem.kind == _WITHOUT_IMAGE)
    return missing > _MOST * _count_ids(competition, folder)


def _count_ids(competition: Competition, folder: Path) -> int:
    tables = (competition.sample_submission, competition.labels.csv)
    return sum(_count_rows(folder, table) for table in tables if table)


def _count_rows(folder: Path, table: Table) -> int:
    name = existing_name(folder, table)
    try:
        return sum(1 for _ in read_table(folder / name, table, name))
    except CsvError:
        return 0


def _wrong_data(name: str, source: Source, problems: Sequence[Problem]) -> WrongDataError:
    fix = f"name the folder or archive of {name}: `{command(name, 'download', '--from', 'DIR')}`"
    if source.is_download:
        fix = f"correct the competition file, then: `{source.retry_command}`; or {fix}"
    # Without the fixes of single problems, which are for the right files.
    lines = [f"  {problem}" + f", and {problem.more:,} more" * bool(problem.more) for problem in problems]
    message = "\n".join([f"these files are not the data of {name}, or not all of it:", *lines])
    return WrongDataError(message, where=source.path, fix=fix)


def _incomplete(name: str, source: Source, error: ProblemsError) -> DataError:
    fix = f"correct them there, then: `{source.retry_command}`"
    if source.is_download:
        fix = f"take the data from elsewhere: `{command(name, 'download', '--from', 'DIR')}`"
    return DataError(f"the data is incomplete or damaged\n{error.message}", where=source.path, fix=fix)
