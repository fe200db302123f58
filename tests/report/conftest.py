"""A headless browser without network, and runs on disk that nothing was trained for."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver.support.ui import WebDriverWait

from runner.contract import Recipe
from runner.prediction.blend import oof_targets_file, postprocess_file, read_blend
from runner.prediction.fit_postprocess import fit_postprocess
from runner.prediction.out_of_fold import OofTargets, read_oof_targets, write_oof_targets
from runner.prediction.postprocess import write_postprocess
from runner.prediction.predictions import ViewPredictions, predictions_file, write_view_predictions
from runner.session import Session
from runner.training.log import append_line
from runner.training.lr_finder import FORMAT, Curve, lr_file, read_curve
from runner.training.run import Run
from runner.workspace import Workspace, write_json, write_text
from tests.builders import start_run
from tests.competitions import SHAPES, write_plugin

_PATIENCE = 240  # seconds; a test that hangs is ended after 300
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


@dataclass
class Browser:
    """Opens pages, and has their requests and errors."""

    driver: Any

    def open(self, path: Path, *, width: int = 1280, dark: bool = False) -> None:
        self.driver.get_log("performance")
        self.driver.get_log("browser")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        address = path.resolve().as_uri()
        self.driver.get(address)
        # On a busy machine the driver returns before the page begins to load: half of it, or the page before, is there.
        loaded = "return document.readyState === 'complete' && location.href === arguments[0]"
        WebDriverWait(self.driver, _PATIENCE, poll_frequency=0.05).until(lambda _: self.run(loaded, address))

    def run(self, script: str, *values: object) -> Any:
        return self.driver.execute_script(script, *values)

    @property
    def requests(self) -> list[str]:
        events = [json.loads(line["message"])["message"] for line in self.driver.get_log("performance")]
        sent = [event for event in events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    @property
    def errors(self) -> list[str]:
        return [line["message"] for line in self.driver.get_log("browser")]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Headless Chromium; without it tests are skipped, and fail in CI."""
    chromium, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if not chromium or not driver:
        missing = "chromium and chromedriver are not installed: no page was opened in a browser"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for flag in FLAGS:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    with pytest.MonkeyPatch.context() as patch:
        # Whichever test is the first to ask for the browser: its driver is on this machine, behind no proxy.
        patch.setenv("NO_PROXY", "localhost,127.0.0.1")
        patch.setenv("no_proxy", "localhost,127.0.0.1")
        chrome = webdriver.Chrome(options=options, service=Service(driver))
    # A script has 30 seconds by default, which beside other tests a machine of two cores may need to begin it.
    chrome.set_script_timeout(_PATIENCE)
    chrome.set_page_load_timeout(_PATIENCE)
    yield Browser(chrome)
    chrome.quit()


MakeRun = Callable[..., Run]
CLASSES = ("akita", "beagle", "collie")


@pytest.fixture
def session(workspace_folder: Path, shapes_folder: Path) -> Session:
    """A session of a competition whose plugin and data are in the workspace."""
    return new_session(workspace_folder, shapes_folder)


def new_session(workspace_folder: Path, shapes_folder: Path) -> Session:
    """Such a session in a folder."""
    competition = replace(SHAPES, title="Shapes & <i>light</i>")
    write_plugin(workspace_folder, competition)
    data = workspace_folder / "data" / "shapes"
    shutil.copytree(shapes_folder, data)
    (data / ".complete").touch()
    return Session(competition, Workspace.at(workspace_folder))


@pytest.fixture
def make_run(session: Session) -> MakeRun:
    """Writes the files of a trained and predicted run, of any classes, without training or predicting."""
    return run_maker(session)


def run_maker(session: Session) -> MakeRun:
    """What writes such files for a session."""

    def make(
        name: str = "first",
        *,
        classes: tuple[str, ...] = CLASSES,
        rows: int = 60,
        epochs: int = 3,
        folds: int = 1,
        draw: int = 5,
        **recipe: Any,
    ) -> Run:
        changed = replace(session.competition.recipe, folds=folds if folds > 1 else None, **recipe)
        run = start_run(session.workspace, session.name, changed, name)
        _write_training(run, changed, epochs, folds)
        _write_predictions(run, classes, tuple(f"train{number:03d}" for number in range(rows)), folds, draw)
        if not changed.all_data:
            _write_score(session, run)
        return run

    return make


def _write_training(run: Run, recipe: Recipe, epochs: int, folds: int) -> None:
    for fold in range(folds):
        for epoch in range(epochs):
            append_line(
                run.log_file,
                {
                    "fold": fold,
                    "epoch": epoch,
                    "stage": 0,
                    "size": recipe.stages[0].size,
                    "mode": recipe.stages[0].mode.value,
                    "cycle": 0,
                    "ends_cycle": epoch == 2,
                    "batch_size": 16,
                    "train_loss": 1.0 / (epoch + 1),
                    "valid_loss": 1.1 / (epoch + 1),
                    "scores": {"log_loss": 1.1 / (epoch + 1), "accuracy": 0.5 + epoch / 10},
                    "seconds": 1.5,
                    "images_per_second": 40.0,
                    "losses": [1.0 / (epoch + 1)] * 4,
                    "lrs": [0.01 / (step + 1) for step in range(4)],
                },
            )
        meta = {"cycle": 0, "stage": 0, "size": 32, "valid_loss": 0.4, "scores": {"log_loss": 0.4, "accuracy": 0.7}}
        write_json(run.fold_dir(fold) / "snapshot-0.json", meta, format=1)
    curve = Curve((1e-5, 1e-4, 1e-3, 1e-2, 1e-1), (1.0, 0.9, 0.5, 0.3, 0.9))
    write_json(lr_file(run.fold_dir(0), 0), asdict(read_curve(curve)), format=FORMAT)


def _write_predictions(run: Run, classes: tuple[str, ...], ids: tuple[str, ...], folds: int, draw: int) -> None:
    """About three quarters of the rows are predicted right, the others as the next class."""
    random = np.random.default_rng(draw)
    labels = np.arange(len(ids)) % len(classes)
    predicted = np.where(random.random(len(ids)) < 0.75, labels, (labels + 1) % len(classes))
    logits = random.normal(0, 0.3, (len(ids), 2, len(classes)))
    logits[np.arange(len(ids)), :, predicted] += 4
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    views = ("plain", "mirror")
    test_ids = tuple(f"test{number:03d}" for number in range(21))
    for fold in range(folds):
        valid = ViewPredictions(ids[fold::folds], classes, views, views, probabilities[fold::folds])
        test = ViewPredictions(test_ids, classes, views, views, probabilities[: len(test_ids)])
        for subset, predictions in (("valid", valid), ("test", test)):
            write_view_predictions(predictions_file(run.fold_dir(fold), "snapshot-0", subset), predictions)
    targets = np.eye(len(classes), dtype=np.float32)[labels]
    write_oof_targets(oof_targets_file(run), OofTargets(ids, classes, targets, ("",) * len(ids)))
    write_text(run.folds_file, "id,fold\n" + "".join(f"{id},{row % folds}\n" for row, id in enumerate(ids)))


def _write_score(session: Session, run: Run) -> None:
    blend = read_blend([run], lambda: read_oof_targets(oof_targets_file(run)))
    postprocess, score = fit_postprocess(session.competition, blend.members, blend.targets, blend.folds.fold_of)
    write_postprocess(postprocess_file(run), postprocess, blend.members, "default")
    run.write_score(score)
