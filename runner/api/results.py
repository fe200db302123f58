"""What calls return beside runs and tables: each has a short repr, and shows itself in a notebook."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runner.api.keywords import Call

if TYPE_CHECKING:
    import pandas as pd

    from runner.api.shown import Figures
    from runner.climb_record import ClimbRecord
    from runner.explore.explore import Exploration as Explored
    from runner.hosts.standings import Standing
    from runner.hosts.submit import SubmitResult
    from runner.practice.rehearsal_result import RehearsalResult
    from runner.report.compare.page import ComparisonReport
    from runner.report.page.figures import ReportFigure
    from runner.report.run.page import Report as WrittenReport
    from runner.session import Session
    from runner.training.lr_finder import StageLR


def _in_calls(session: Session, text: str) -> str:
    """A sentence of a page whose commands are written as calls."""
    return Call(session, "report").translate(text)


@dataclass(frozen=True, repr=False)
class Exploration:
    """What can be known of the images before training; in a notebook, the page about them."""

    session: Session
    found: Explored
    page: Path
    drawn: tuple[ReportFigure, ...]

    @property
    def sizes(self) -> pd.DataFrame:
        """A row an image, by id: subset, width, height, aspect ratio."""
        from runner.api.tables import sizes_table

        return sizes_table(self.found)

    @property
    def duplicates(self) -> pd.DataFrame:
        """A row for each image that has duplicates, with the number of its group."""
        from runner.api.tables import duplicates_table

        return duplicates_table(self.found)

    @property
    def classes(self) -> pd.DataFrame:
        """A row a class, the most frequent first: its images, and the validation rows in each fold."""
        from runner.api.tables import classes_table

        return classes_table(self.found)

    @property
    def shift(self) -> pd.DataFrame:
        """A row a measure: medians of labelled and of test images, and whether the two differ."""
        from runner.api.tables import shift_table

        return shift_table(self.found)

    @property
    def unreadable(self) -> pd.DataFrame:
        """The images that cannot be read, and why."""
        import pandas as pd

        rows = [(image.path, image.reason) for image in self.found.unreadable]
        return pd.DataFrame(rows, columns=["path", "reason"])

    @property
    def findings(self) -> list[str]:
        """The results in sentences, warnings first."""
        from runner.report.explore.summary import findings

        return [_in_calls(self.session, line) for line in findings(self.found)]

    @property
    def figures(self) -> Figures:
        """The figures of the page, by name."""
        from runner.api.shown import Figures

        return Figures(self.drawn)

    def to_html(self, path: str | Path) -> Path:
        """Write the page to another place; its path."""
        from runner.report.explore.page import write_exploration

        target = Path(path).expanduser()
        write_exploration(self.session, self.found, target)
        return target

    def to_dict(self) -> dict[str, Any]:
        """Every number as plain values, as `explore --json` prints them."""
        return self.found.to_dict()

    def __repr__(self) -> str:
        warnings = sum(line.startswith("warning:") for line in self.findings)
        return f"<exploration of {self.found.images:,} images: {warnings} warnings; {self.page}>"

    def _repr_html_(self) -> str:
        from runner.api.shown import frame

        return frame(self.page)


@dataclass(frozen=True, repr=False)
class Report:
    """The page about a run; in a notebook, the page itself."""

    session: Session
    path: Path
    written: WrittenReport

    @property
    def figures(self) -> Figures:
        """The figures of the page, by name."""
        from runner.api.shown import Figures

        return Figures(self.written.figures)

    @property
    def key_figures(self) -> pd.DataFrame:
        """The numbers that matter most, with a note to each."""
        import pandas as pd

        return pd.DataFrame(self.written.terminal.key_figures, columns=["what", "value", "note"])

    @property
    def next_steps(self) -> list[str]:
        """What to try next, by what the run shows."""
        return [_in_calls(self.session, line) for line in self.written.terminal.next_steps]

    def to_html(self, path: str | Path) -> Path:
        """Write the page to another place; its path. Links to image files lead there only from its own place."""
        from runner.workspace import write_text

        target = Path(path).expanduser()
        write_text(target, self.path.read_text(encoding="utf-8"))
        return target

    def __repr__(self) -> str:
        return f"<report: {self.path}>"

    def _repr_html_(self) -> str:
        from runner.api.shown import frame

        return frame(self.path)


@dataclass(frozen=True, repr=False)
class Comparison:
    """Runs beside the first of them; in a notebook, the page about it."""

    written: ComparisonReport

    @property
    def path(self) -> Path:
        """The page."""
        return self.written.path

    @property
    def runs(self) -> pd.DataFrame:
        """A row a run: its score, the difference to the first with its standard error, times."""
        from runner.api.tables import table_of
        from runner.report.compare.page import runs_table

        return table_of(runs_table(self.written.comparison))

    @property
    def recipes(self) -> pd.DataFrame:
        """What differs in the recipes: a row a field, a column a run."""
        from runner.api.tables import table_of
        from runner.report.compare.page import recipes_table

        comparison = self.written.comparison
        return table_of(recipes_table(comparison, comparison.recipes, ""))

    @property
    def classes(self) -> dict[str, pd.DataFrame]:
        """The change of each class, by the name of the run that is compared with the first."""
        from runner.api.tables import table_of
        from runner.report.compare.page import classes_table

        pairs = self.written.comparison.with_first
        return {pair.second.name: table_of(classes_table(pair)) for pair in pairs}

    @property
    def sentences(self) -> list[str]:
        """What it comes to, and why a run or a pair is not compared."""
        from runner.report.compare.page import sentences

        comparison = self.written.comparison
        return [_in_calls(comparison.session, line) for line in (*sentences(comparison), *comparison.problems)]

    @property
    def figures(self) -> Figures:
        """The figures of the page, by name."""
        from runner.api.shown import Figures

        return Figures(self.written.figures)

    def __repr__(self) -> str:
        return "\n".join([*self.sentences, str(self.path)])

    def _repr_html_(self) -> str:
        from runner.api.shown import frame

        return frame(self.path)


@dataclass(frozen=True, repr=False)
class LRSearch:
    """The LR finder's curve for each stage, and the lr that it suggests; in a notebook, the curves."""

    found: tuple[StageLR, ...]
    path: Path  # of the figure

    @property
    def suggested(self) -> list[float | None]:
        """The peak lr of the head that is suggested for each stage; None where the curve has none."""
        return [each.result.minimum for each in self.found]

    @property
    def table(self) -> pd.DataFrame:
        """A row a stage: its size and mode, the suggestions by fastai's names, and the reason."""
        import pandas as pd

        names = ("minimum", "lowest_loss_lr", "steep", "valley", "reason")
        rows = [
            {"size": each.stage.size, "mode": each.stage.mode.value}
            | {name: getattr(each.result, name) for name in names}
            for each in self.found
        ]
        return pd.DataFrame(rows)

    @property
    def curve(self) -> pd.DataFrame:
        """The lr and the smoothed loss of every mini-batch of the sweeps, with the number of the stage."""
        import pandas as pd

        rows = [
            (number, lr, loss)
            for number, each in enumerate(self.found, 1)
            for lr, loss in zip(each.result.curve.lrs, each.result.curve.losses, strict=True)
        ]
        return pd.DataFrame(rows, columns=["stage", "lr", "loss"])

    def __repr__(self) -> str:
        lrs = ", ".join("none" if lr is None else f"{lr:.2g}" for lr in self.suggested)
        return f"<suggested lr: {lrs}; {self.path}>"

    def _repr_png_(self) -> bytes:
        from runner.report.page.figures import png_of
        from runner.report.run.curves import draw_lr_finder_figure

        return png_of(draw_lr_finder_figure(titled_curves(self.found)))


def titled_curves(found: tuple[StageLR, ...]) -> list[tuple[str, Any]]:
    """The curves with the size and mode of their stages."""
    from runner.report.run.data import LrFinderCurve

    return [(f"{each.stage.size} px, {each.stage.mode.value}", LrFinderCurve.of(each.result)) for each in found]


@dataclass(frozen=True, repr=False)
class Submitted:
    """A submission in its last known state, and its standing on each leaderboard."""

    result: SubmitResult

    @property
    def status(self) -> str:
        """complete, pending or error."""
        return self.result.submission.status.value

    @property
    def ref(self) -> str:
        """The host's name for it."""
        return self.result.submission.ref

    @property
    def public(self) -> float | None:
        """The score on the public leaderboard; None while it is not known."""
        return self.result.submission.public

    @property
    def private(self) -> float | None:
        """The score on the private leaderboard; None while it is not known."""
        return self.result.submission.private

    @property
    def standings(self) -> tuple[Standing, ...]:
        """Rank, teams and medal on each leaderboard, public first."""
        return self.result.standings

    def __repr__(self) -> str:
        from runner.cli.messages import format_submission

        return format_submission(self.result)


@dataclass(frozen=True, repr=False)
class Climb:
    """What a climb has tried, and the run to submit."""

    session: Session
    record: ClimbRecord
    run: Any  # with the submission: the ensemble, or its refit on all rows
    reason: str  # why it ended
    page: Path

    @property
    def steps(self) -> pd.DataFrame:
        """A row a step: minutes, score, gain and decision."""
        from runner.api.tables import table_of
        from runner.report.climb import steps_table

        return table_of(steps_table(self.record))

    def __repr__(self) -> str:
        best = self.record.best
        score = "" if best is None or best.score is None else f", {best.score:.5f} ± {best.error:.5f}"
        return f"<climb: {len(self.record.steps)} steps in {self.record.seconds / 60:.1f} minutes{score}>"

    def _repr_html_(self) -> str:
        from runner.api.shown import frame

        return frame(self.page)


@dataclass(frozen=True, repr=False)
class Rehearsal:
    """A rehearsal's scores: by cross-validation, and on the rows that were hidden."""

    result: RehearsalResult
    run: Any = field(compare=False)  # the run that was trained, in the rehearsal's own workspace

    @property
    def cv(self) -> Any:
        """The cross-validation score."""
        return self.result.cv

    @property
    def hidden(self) -> Any:
        """The score on the hidden rows."""
        return self.result.hidden

    def __repr__(self) -> str:
        return str(self.result)
