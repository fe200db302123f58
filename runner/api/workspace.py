"""Calls over all competitions of a workspace: what is there, the board, checks of the machine, new files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.api.keywords import told_without_session
from runner.api.run import Run
from runner.api.session import Session, open_session
from runner.cli.commands.list import overviews
from runner.cli.global_options import HOSTS, GlobalOptions
from runner.errors import UsageError
from runner.notebook import output_area

if TYPE_CHECKING:
    import pandas as pd

    from runner.new_competition.new import NewCompetition

Folder = str | os.PathLike[str] | None


@told_without_session()
def competitions(workspace: Folder = None, *, all: bool = False) -> pd.DataFrame:
    """A row for each competition that is used here, with `all` for every known one: its data, runs and best scores."""
    from runner.api.tables import rows_of

    options = _options(workspace)
    known = list(options.summaries())
    shown = [each for each in known if all or options.is_used(each.name, each.path)]
    return rows_of(overviews(options, shown))


@dataclass(frozen=True, repr=False)
class Board:
    """The page over every run and submission; in a notebook, the page itself."""

    path: Path

    def __repr__(self) -> str:
        return f"<board: {self.path}>"

    def _repr_html_(self) -> str:
        from runner.api.shown import frame

        return frame(self.path)


@told_without_session()
def board(workspace: Folder = None) -> Board:
    """The page over every run and submission of every competition in the workspace."""
    from runner.report.board import board_file, read_history, write_board

    options = _options(workspace)
    base = options.existing_workspace
    histories = [read_history(each, base.for_host(host), host) for each in options.summaries() for host in HOSTS]
    return Board(write_board(histories, board_file(base)))


@told_without_session()
def doctor(competition: str | None = None, workspace: Folder = None, *, host: str = "kaggle") -> pd.DataFrame:
    """A row for each check of account, data and machine, with what fixes it."""
    from competitions import load
    from runner.api.tables import rows_of
    from runner.checks import run_checks

    options = _options(workspace, host)
    found = None if competition is None else load(competition, options.plugins_dir)
    rows = run_checks(options.workspace, host, found)
    table = rows_of(rows)
    table["status"] = [row.status.value for row in rows]
    return table


@told_without_session()
def demo(competition: str = "dog-breed", workspace: Folder = None, *, notebooks: bool = False) -> Run:
    """Everything on practice data, graded on a practice leaderboard; the run that was submitted."""
    from runner.api.live import live_epochs
    from runner.workflow import demo as run_demo

    session = open_session(competition, workspace, host="practice")
    with output_area(), live_epochs(session, plot=False):
        return Run.of(session, run_demo(session, notebooks=notebooks).run)


@dataclass(frozen=True, repr=False)
class NewFile:
    """A competition file that was written, and why it says what it says."""

    made: NewCompetition
    workspace: Path

    @property
    def path(self) -> Path:
        """The file."""
        return self.made.path

    @property
    def text(self) -> str:
        """What is in it."""
        return self.made.text

    @property
    def conclusions(self) -> pd.DataFrame:
        """A row for each conclusion: what it is about, what it says, and whether it is only assumed."""
        import pandas as pd

        rows = [(each.topic, each.text, each.is_assumed) for each in self.made.conclusions]
        return pd.DataFrame(rows, columns=["topic", "conclusion", "assumed"])

    def open(self) -> Session:
        """A session of the new competition."""
        return open_session(self.made.name, self.workspace)

    def __repr__(self) -> str:
        return f"<{self.made.path}: {self.made.training_images:,} training images, {self.made.classes:,} classes>"


@told_without_session()
def new(
    slug: str,
    source: str | Path | None = None,
    *,
    workspace: Folder = None,
    name: str = "",
    label: str | Sequence[str] = (),
    force: bool = False,
    **answers: Any,
) -> NewFile:
    """Write a competition file from a folder or archive of its files, or from what Kaggle says of it.

    Nothing is asked: what the files do not say is assumed, and marked. `answers` are metric, preset, id, group,
    positive, sample and table, as the flags of `runner new`.
    """
    from runner.new_competition.new import NewOptions, new_competition
    from runner.new_competition.questions import Answers

    known = [each for each in Answers.__dataclass_fields__ if each != "label"]
    if unknown := [each for each in answers if each not in known]:
        raise UsageError(f"new() has no keyword {unknown[0]!r}", fix=f"its answers: {', '.join(known)}")
    labels = (label,) if isinstance(label, str) else tuple(label)
    asked = NewOptions(slug, name, Answers(label=labels, **answers), force)
    options = _options(workspace)
    folder = None if source is None else Path(source).expanduser()
    made = new_competition(options.root_workspace, asked, folder, lambda _question: None)
    return NewFile(made, options.root_workspace.root)


def _options(workspace: Folder, host: str = "kaggle") -> GlobalOptions:
    if host not in HOSTS:
        raise UsageError(f"there is no host {host!r}", fix=f"one of: {', '.join(HOSTS)}")
    return GlobalOptions(folder=None if workspace is None else str(Path(workspace).expanduser()), host_name=host)
