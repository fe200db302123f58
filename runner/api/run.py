"""A run of a session: its scores, predictions and figures as values, and the calls that go on with it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from runner.api.calls import calling, explained
from runner.api.commands import documented
from runner.api.keywords import Call
from runner.api.results import Report, Submitted
from runner.api.work import predict, report, submit, with_compute
from runner.errors import UsageError
from runner.session import Session as StepSession
from runner.training.run import Run as StepRun

if TYPE_CHECKING:
    import pandas as pd

    from runner.api.shown import Figures, ShownFigure
    from runner.contract import Recipe
    from runner.prediction.score import Score
    from runner.report.run.data import OofPredictions, RunData
    from runner.steps.predict_images import ImagePredictions, Images


@dataclass(frozen=True, repr=False)
class Run(StepRun):
    """One training, or an ensemble, in its folder. What it knows is read from its files when it is asked for.

    `score`, `oof`, `confusion`, `top_losses` and `per_class` are of its validation rows: they predict first, by the
    default views, if nothing is predicted yet.
    """

    session: StepSession = field(compare=False)

    @classmethod
    def of(cls, session: StepSession, run: StepRun) -> Run:
        """The run of that name in a session."""
        return cls(run.competition, run.name, run.folder, session)

    @property
    def recipe(self) -> Recipe:
        """What is trained, as a frozen value; an ensemble has none."""
        return self.read_recipe()

    @property
    def score(self) -> Score:
        """The cross-validation score with its standard error: `.value`, `.error`, `.rows`."""
        from runner.prediction.score import Score

        with self._asking():
            score = self._predicted().read_score()
            assert score is not None
            return Score(**score["cv"])

    @property
    def scores(self) -> dict[str, Any]:
        """All of score.json: folds, extra metrics, postprocess, TTA, the members and what each gains."""
        with self._asking():
            return dict(self._predicted().read_score() or {})

    @property
    def log(self) -> pd.DataFrame:
        """A row an epoch: losses, scores, lr and seconds; empty for an ensemble."""
        from runner.api.tables import log_table

        return log_table(self._data.log)

    @property
    def oof(self) -> pd.DataFrame:
        """The out-of-fold predictions by id: fold, actual, predicted, loss, and a column of probabilities a class."""
        from runner.api.tables import oof_table
        from runner.data.folds import read_folds

        with self._asking():
            oof = self._read_oof()
            return oof_table(oof, read_folds(self.folds_file, competition=self.competition))

    @property
    def confusion(self) -> pd.DataFrame:
        """Counts by actual class (rows) and predicted class (columns), confused classes side by side."""
        from runner.api.tables import confusion_table

        with self._asking():
            oof = self._read_oof()
            if not oof.one_class_each or oof.by_target:
                raise UsageError(
                    "a confusion matrix needs one class an image", fix="run.per_class has what is known of each label"
                )
            return confusion_table(oof.confusion)

    @property
    def per_class(self) -> pd.DataFrame:
        """Recall and precision of each class; of tags their F-score or AUC; of numbers their errors."""
        from runner.api.tables import joined, table_of
        from runner.report.run.number_figures import numbers_table
        from runner.report.run.oof_figures import classes_table, labels_table

        with self._asking():
            oof = self._read_oof()
            if oof.is_numbers:
                return table_of(numbers_table(oof))
            if oof.by_target:
                return joined({name: table_of(classes_table(part)) for name, part in oof.by_target}, "target")
            return table_of(labels_table(oof) if oof.is_multilabel else classes_table(oof))

    def top_losses(self, count: int = 9) -> ShownFigure:
        """The validation images that the run predicts worst, drawn with their actual and predicted labels."""
        from runner.api.images import worst_rows
        from runner.api.shown import ShownFigure

        with self._asking():
            return ShownFigure(worst_rows(self.session, self._read_oof(), _count(count)), photographs=True)

    @property
    def figures(self) -> Figures:
        """The figures of the report, by name: schedule, loss, metric, confusion, calibration, leaderboard..."""
        return self.report().figures

    @property
    def submission(self) -> Path:
        """The path of the submission file, whether it is there yet or not."""
        return self.session.submission_file(self.name)

    @documented("report")
    def report(self, **keywords: Any) -> Report:
        """The page about this run, as `session.report(run)`."""
        with calling(self.session, "report", self.name, **keywords):
            return report(self.session, self)

    @overload
    def predict(self, images: None = None, **keywords: Any) -> Run: ...

    @overload
    def predict(self, images: Images, **keywords: Any) -> pd.DataFrame: ...

    @documented("predict", without=("run", "out"))
    def predict(self, images: Images | None = None, **keywords: Any) -> Run | pd.DataFrame:
        """Predict validation and test rows, score the first, write the submission; this run again.

        With `images` (a folder, a pattern, paths, arrays, or a DataFrame with the column `path` and those that the
        networks also read) a DataFrame of their probabilities and decisions, by the run's own views and postprocess.
        Unreadable images are named in its `.attrs["unreadable"]` and left out.
        """
        if images is None:
            with calling(self.session, "predict", run=self.name, **keywords) as context:
                predict(self.session, self, context)
            return self
        from runner.api.tables import image_predictions_table

        return image_predictions_table(list(self.iterate_images(images, **keywords)))

    def iterate_images(self, images: Images, **keywords: Any) -> Iterator[ImagePredictions]:
        """What `predict(images)` gives, some at a time: a million images need no more memory than a thousand."""
        from runner.steps.predict_images import predict_any

        self._predicted()
        with calling(self.session, "predict", run=self.name, images="given", **keywords) as context:
            yield from predict_any(with_compute(self.session, context), self, images)

    @documented("submit", without=("best",))
    def submit(self, **keywords: Any) -> Submitted:
        """Submit this run, as `session.submit(run)`."""
        with calling(self.session, "submit", self.name, **keywords) as context:
            return submit(self.session, self, context)

    def rename(self, name: str) -> Run:
        """Give the run another name, its submission and its lines in the ledger, too; the run by its new name."""
        from runner.steps.manage_runs import rename_run

        with self._asking():
            return Run.of(self.session, rename_run(self.session, self, name))

    def annotate(self, text: str) -> Run:
        """Say something of the run, which `session.runs()` shows; an empty text removes it."""
        from runner.steps.manage_runs import annotate_run

        with self._asking():
            annotate_run(self, text)
        return self

    def delete(self) -> None:
        """Delete the run's folder; its submission and its lines in the ledger stay."""
        from runner.steps.manage_runs import delete_run

        with self._asking():
            delete_run(self.session, self)

    def _asking(self) -> Any:
        return explained(Call(self.session, "predict", (), {"run": self.name}))

    def _predicted(self) -> Run:
        """This run, predicted by now."""
        if self.read_score() is None:
            self.predict()
        return self

    def _read_oof(self) -> OofPredictions:
        data = self._predicted()._data
        if data.all_data:
            raise UsageError(
                f"{self.name} is trained on all labelled rows: it has no validation rows",
                where=self.folder,
                fix=f"session.find_run({data.refit_of!r}) has them",
            )
        known: dict[str, Any] = self.__dict__
        if known.get("_oof_of") is not data:
            known.update(_oof_of=data, _oof=data.read_oof())
        oof: OofPredictions = known["_oof"]
        return oof

    @property
    def _data(self) -> RunData:
        """The files of the run as they are now; read once as long as they do not change."""
        from runner.report.run.data import read_run_data

        files = (self.log_file, self.score_file, self.folder / "postprocess.json")
        state = tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)
        known: dict[str, Any] = self.__dict__
        if known.get("_state") != state:
            known.update(_state=state, _data_read=read_run_data(self.session, self))
        data: RunData = known["_data_read"]
        return data

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if not name.startswith("_")}

    def __repr__(self) -> str:
        overview = dict(self._overview())
        return f"<run {self.name}: {overview['recipe']}; {overview.get('CV', overview['status'])}>"

    def _repr_html_(self) -> str:
        from runner.api.shown import facts

        return facts(f"{self.competition}: {self.name}", list(self._overview()))

    def _overview(self) -> Sequence[tuple[str, str]]:
        """What can be told at once, and never raises."""
        from runner.prediction.score import Score
        from runner.steps.runs import run_status
        from runner.training.run import read_overview

        overview = read_overview(self)
        status, note = run_status(self.session, self)
        rows = [("recipe", overview.recipe), ("status", f"{status}: {note}" if note else status)]
        if overview.cv is not None:
            title = self.session.competition.metric.title
            rows.append(("CV", f"{title} {Score(**overview.cv)}, {overview.cv['rows']:,} rows"))
        return [*rows, ("folder", str(self.folder))]


def _count(count: Any) -> int:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise UsageError(f"top_losses: {count!r:.40} is not a number of images", fix="run.top_losses(9)")
    return count
