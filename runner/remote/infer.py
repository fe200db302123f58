"""Inference on Kaggle: `predict` and the run's own postprocess on whatever test set is mounted there.

A valid submission is written before anything is predicted, from the class frequencies. In a rerun on the hidden test
set, which nobody can look at, every failure leaves that file; before it, failures are errors.
"""

from __future__ import annotations

import os
import shutil
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from competitions import load
from runner.console import log
from runner.errors import DataError
from runner.images.readers import open_images
from runner.images.unreadable import find_unreadable, read_all
from runner.images.view_size import size_in
from runner.images.views import View, choose_views
from runner.options import Compute
from runner.prediction.averaging import Matrix, TTAMode
from runner.prediction.blend import postprocess_file
from runner.prediction.out_of_fold import Member
from runner.prediction.postprocess import Postprocess, read_postprocess, read_scored_views, read_tta_option
from runner.prediction.predict import RefitModels, predict_fold
from runner.prediction.predictions import predictions_file
from runner.prediction.submission import write_submission
from runner.prediction.swa import choose_models
from runner.prediction.weighted_models import WeightedModel
from runner.remote.hidden_test import HiddenSession
from runner.remote.mounted_data import find_competition, link_data
from runner.remote.package import PACKAGE_FORMAT, Manifest
from runner.remote.result import MANIFEST, RESULT, RESULT_FORMAT, SUBMISSION
from runner.training.fold import FoldRun, worker_count
from runner.training.folds import build_folds
from runner.training.run import Run
from runner.training.unreadable import read_skipped, write_skipped
from runner.workspace import Workspace, read_record, write_json

_RERUN = "KAGGLE_IS_COMPETITION_RERUN"
_CACHE_BYTES = 2 * 10**9  # a rerun reads each image once for each size
_RESERVE = 60.0  # seconds that the last steps may take


@dataclass(frozen=True)
class InferenceResult:
    """What runner.json says of a session."""

    digest: str
    kind: str
    rows: int  # ids of the test set
    defaults: int  # of them predicted by the class frequencies
    images: int
    seconds: float
    models: int
    models_left_out: int = 0  # for lack of time
    is_rerun: bool = False
    error: str = ""


@dataclass
class Inference:
    """One session: the package, the test set, the models, and the time that is left."""

    session: HiddenSession
    manifest: Manifest
    package_dir: Path
    deadline: float  # on the monotonic clock
    start: float = field(default_factory=time.monotonic)
    left_out: int = 0

    @cached_property
    def postprocess(self) -> Postprocess:
        """The fitted postprocess of the run."""
        return read_postprocess(postprocess_file(self._run(self.manifest.run)))

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the test set, each once."""
        return tuple(dict.fromkeys(self.session.index.test["id"]))

    @property
    def defaults(self) -> int:
        """How many ids are predicted by the class frequencies."""
        return len(set(self._skipped))

    def write_default(self, path: Path) -> None:
        """A valid submission from the class frequencies alone."""
        fold = self._folds(self.manifest.models[0].run)[0]
        mean = fold.mean_target.astype(np.float64)

        def predict(rows: Sequence[int]) -> Matrix:
            return self.postprocess.calibrate_and_decide(np.tile(mean, (len(rows), 1))).values

        self._write(path, predict)

    def write_predicted(self, path: Path) -> None:
        """The submission of the run's models; an image that the decoder cannot read is looked for and left out."""
        try:
            members = self._predict()
        except DataError as error:
            log.warning(f"an image cannot be read, so each is decoded once now: {error.message}")
            self._skip((), self._undecodable())
            members = self._predict()
        names = {member.name for member in members}
        pairs = zip(self.postprocess.members, self.postprocess.weights, strict=True)
        weights = tuple(weight if name in names else 0.0 for name, weight in pairs)
        postprocess = replace(self.postprocess, weights=weights)
        self._write(path, postprocess.predict_test(members, self.ids, self.session.index.classes))

    def find_unreadable(self) -> None:
        """Leave out the images that are missing, truncated or none; quick, for each image's ends alone are read."""
        table = self.session.index.test
        rows = np.flatnonzero(~table["id"].isin(self.session.missing))
        paths = table["path"].iloc[rows].tolist()
        workers = worker_count(self.session.compute)
        found = find_unreadable(self.session.index.data_dir, paths, workers=workers) if paths else ()
        self._skip(self.session.missing, [image.path for image in found])
        if self._skipped:
            unreadable = self.defaults - len(self.session.missing)
            log.warning(
                f"{len(self.session.missing):,} ids without an image, {unreadable:,} without one that can be "
                "read: they are predicted by the class frequencies"
            )

    def _undecodable(self) -> list[str]:
        table = self.session.index.test
        rows = np.flatnonzero(~table["id"].isin(self._skipped))
        paths = table["path"].iloc[rows].tolist()
        images = open_images(self.session.index.data_dir, paths)
        _, found = read_all("decoding", paths, lambda row: images[row].shape, worker_count(self.session.compute))
        return [image.path for image in found]

    @property
    def _skipped(self) -> tuple[str, ...]:
        return read_skipped(self._run(self.manifest.models[0].run)).test

    def _skip(self, ids: Iterable[str], paths: Sequence[str]) -> None:
        """Leave these test ids, and the images at these paths, out in every run."""
        for name in dict.fromkeys(model.run for model in self.manifest.models):
            run = self._run(name)
            known = read_skipped(run)
            own = self._of_this_test_set(known.test)
            skipped = replace(known, test=tuple(dict.fromkeys([*own, *ids])))
            write_skipped(run, skipped.with_images(self.session.index, paths))

    def _of_this_test_set(self, ids: Sequence[str]) -> list[str]:
        """Those that this test set has: a run remembers the broken images of the one that it knew."""
        here = set(self.ids)
        return [id for id in ids if id in here]

    def _predict(self) -> list[Member]:
        """The members that are predicted in time, the heaviest first."""
        members: list[Member] = []
        longest = 0.0
        for number, model in enumerate(self.manifest.models):
            before = time.monotonic()
            if members and before + 1.2 * longest + _RESERVE > self.deadline:
                self.left_out = len(self.manifest.models) - number
                log.warning(f"{self.left_out} models are left out: the session would not end in time")
                break
            members.append(self._predict_model(model))
            longest = max(longest, time.monotonic() - before)
        return members

    def _predict_model(self, packed: WeightedModel) -> Member:
        folds, views = self._folds(packed.run), self._views(packed)
        for fold in folds:
            names = tuple(snapshot.name for snapshot in fold.read_snapshots())
            models = choose_models(fold, RefitModels((*names, packed.model), (packed.model,)))
            predict_fold(fold, models, views, ("test",))
        files = tuple(predictions_file(fold.folder, packed.model, "test") for fold in folds)
        return Member(packed.member, (), files, tuple(view.name for view in views))

    def _views(self, packed: WeightedModel) -> tuple[View, ...]:
        """The views that the postprocess averages; the plain one alone if it averages none."""
        option = read_tta_option(postprocess_file(self._run(packed.run)))
        scored = read_scored_views(postprocess_file(self._run(self.manifest.run)))[packed.member]
        chosen = choose_views(self.session.competition.preset, option, size_in(scored))
        views = [view for view in chosen if view.name in scored]
        return tuple(views[:1] if self.postprocess.tta is TTAMode.NONE else views)

    def _folds(self, run_name: str) -> tuple[FoldRun, ...]:
        """The folds that were packed: those with weights."""
        folds = build_folds(self.session, self._run(run_name))
        return tuple(fold for fold in folds if any(fold.folder.glob("*.safetensors")))

    def _run(self, name: str) -> Run:
        # An ensemble has nothing but its postprocess in the package.
        return Run(self.session.name, name, self.session.workspace.run_dir(self.session.name, name))

    def _write(self, path: Path, values: Callable[[Sequence[int]], Matrix]) -> None:
        form = self.session.submission_format
        write_submission(form, path, classes=self.session.index.classes, ids=self.ids, values=values)


def main(scratch: Path, root: Path, digest: str, options: dict[str, Any]) -> int:
    """Predict in a kernel's session; `options` are the script's."""
    is_rerun, start = bool(os.environ.get(_RERUN)), time.monotonic()
    working = root / "working"
    inference = open_inference(scratch, root, start + float(options["seconds"]))
    inference.write_default(working / SUBMISSION)
    log.info(f"{len(inference.ids):,} ids; a default submission is written")
    error = ""
    try:
        inference.find_unreadable()
        inference.write_predicted(working / SUBMISSION)
    except Exception as failure:
        if not is_rerun:
            raise
        traceback.print_exc()
        error = f"{type(failure).__name__}: {failure}"
    result = InferenceResult(
        digest,
        "infer",
        rows=len(inference.ids),
        defaults=len(inference.ids) if error else inference.defaults,
        images=len(inference.session.index.test),
        seconds=round(time.monotonic() - start, 1),
        models=len(inference.manifest.models),
        models_left_out=inference.left_out,
        is_rerun=is_rerun,
        error=error,
    )
    write_json(working / RESULT, asdict(result), format=RESULT_FORMAT)
    log.info(f"{result.rows:,} ids predicted in {result.seconds:.0f} s, {result.defaults:,} by the class frequencies")
    return 0


def open_inference(scratch: Path, root: Path, deadline: float) -> Inference:
    """The inference of an unpacked package on the files under `root`."""
    package_dir = scratch / "package"
    manifest = read_record(package_dir / MANIFEST, Manifest, format=PACKAGE_FORMAT)
    competition = load(manifest.competition, package_dir / "competitions")
    workspace = Workspace(scratch / "workspace")
    link_data(competition, find_competition(root, manifest.slug), workspace)
    shutil.copytree(package_dir / "runs", workspace.runs_dir(manifest.competition))
    session = HiddenSession(
        competition,
        workspace,
        compute=Compute(cache_bytes=_CACHE_BYTES),
        package_dir=package_dir,
        manifest=manifest,
    )
    return Inference(session, manifest, package_dir, deadline)
