"""What can be known of the images before anything is trained, and the page about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from runner.explore.explore import MAX_DECODED, Exploration
from runner.explore.explore import explore as explore_index
from runner.report.explore.page import write_exploration
from runner.report.page.figures import ReportFigure
from runner.session import Session


@dataclass(frozen=True)
class ExploredPage:
    """The results, the page that shows them, and its figures."""

    exploration: Exploration
    page: Path
    figures: tuple[ReportFigure, ...]


def explore(session: Session, *, sample: int = MAX_DECODED) -> ExploredPage:
    """Read every header and decode at most `sample` images; write explore.html."""
    exploration = explore_index(session.competition, session.index, session.folds_file, max_decoded=sample)
    # Beside folds.csv, not in the cache: `clean` must not delete it.
    page = session.folds_file.with_name("explore.html")
    return ExploredPage(exploration, page, tuple(write_exploration(session, exploration, page)))
