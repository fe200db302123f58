"""A browser that sees no network, and runs as they lie on the disk."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.contract import Recipe, Stage, TrainMode
from runner.contract.recipe import FORMAT
from runner.prediction.oof_targets import OofTargets, write_oof_targets
from runner.prediction.predictions import ViewPredictions, write_view_predictions
from runner.workspace import write_json, write_text
from tests.competitions import SHAPES, write_plugin

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
    """A page under eyes: what it asked for, what it said, how it looks."""

    driver: Any

    def open(self, path: Path, *, width: int = 1280, dark: bool = False) -> None:
        self.driver.get_log("performance")
        self.driver.get_log("browser")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
        self.driver.get(path.resolve().as_uri())

    def run(self, script: str, *values: object) -> Any:
        return self.driver.execute_script(script, *values)

    @property
    def requests(self) -> list[str]:
        told = [json.loads(line["message"])["message"] for line in self.driver.get_log("performance")]
        sent = [one for one in told if one["method"] == "Network.requestWillBeSent"]
        return [one["params"]["request"]["url"] for one in sent]

    @property
    def errors(self) -> list[str]:
        return [line["message"] for line in self.driver.get_log("browser")]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium without a head; where there is none the test says so, and fails where a machine runs the tests."""
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
    made = webdriver.Chrome(options=options, service=Service(driver))
    yield Browser(made)
    made.quit()


MakeRun = Callable[..., Path]


@pytest.fixture
def shapes(workspace_folder: Path, shapes_folder: Path) -> Path:
    """A workspace with a competition of its own and its images."""
    write_plugin(workspace_folder, replace(SHAPES, title="Shapes & <i>light</i>"))
    data = workspace_folder / "data" / "shapes"
    shutil.copytree(shapes_folder, data)
    (data / ".complete").touch()
    return workspace_folder


@pytest.fixture
def make_run(shapes: Path) -> MakeRun:
    """A run's files as training and predicting leave them, of any number of classes, without either."""

    def make(
        name: str = "one",
        *,
        classes: tuple[str, ...] = ("akita", "beagle", "collie"),
        ids: int = 60,
        epochs: int = 3,
        folds: int = 1,
    ) -> Path:
        folder = shapes / "runs" / "shapes" / name
        _write_training(folder, epochs, folds)
        _write_predictions(folder, classes, tuple(f"train{number:03d}" for number in range(ids)), folds)
        return folder

    return make


def _write_training(folder: Path, epochs: int, folds: int) -> None:
    stage = Stage(32, TrainMode.UNFROZEN, cycle_len=3)
    recipe = Recipe("test_resnet", (stage,), lr=0.01, folds=folds if folds > 1 else None)
    write_json(folder / "recipe.json", recipe.to_dict(), format=FORMAT)
    write_json(folder / "environment.json", {"runner": "0.1.0", "gpu": None})
    lines = [
        {
            "fold": fold,
            "epoch": epoch,
            "stage": 0,
            "size": 32,
            "mode": "unfrozen",
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
        }
        for fold in range(folds)
        for epoch in range(epochs)
    ]
    write_text(folder / "log.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    curve = {"lrs": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1], "losses": [1.0, 0.9, 0.5, 0.3, 0.9]}
    found = {
        "curve": curve,
        "minimum": 1e-3,
        "lowest_loss_lr": 1e-2,
        "steep": 1e-3,
        "valley": 1e-3,
        "reason": "below the minimum",
    }
    write_json(folder / "fold-0" / "find-lr-0.json", found)
    facts = {"cycle": 0, "stage": 0, "size": 32, "valid_loss": 0.4, "scores": {"log_loss": 0.4, "accuracy": 0.7}}
    for fold in range(folds):
        write_json(folder / f"fold-{fold}" / "snapshot-0.json", facts)


def _write_predictions(folder: Path, classes: tuple[str, ...], ids: tuple[str, ...], folds: int) -> None:
    random = np.random.default_rng(5)
    true = np.arange(len(ids)) % len(classes)
    said = np.where(random.random(len(ids)) < 0.75, true, (true + 1) % len(classes))
    logits = random.normal(0, 0.3, (len(ids), 2, len(classes)))
    logits[np.arange(len(ids)), :, said] += 4
    shares = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    looks = ("plain", "mirror")
    for fold in range(folds):
        views = ViewPredictions(ids[fold::folds], classes, looks, looks, shares[fold::folds])
        write_view_predictions(folder / f"fold-{fold}" / "snapshot-0.valid.npz", views)
        write_view_predictions(
            folder / f"fold-{fold}" / "snapshot-0.test.npz", ViewPredictions(ids, classes, looks, looks, shares)
        )
    write_oof_targets(
        folder / "truth.npz", OofTargets(ids, classes, np.eye(len(classes), dtype=np.float32)[true], ("",) * len(ids))
    )
    write_text(
        folder / "folds.csv", "id,fold\n" + "".join(f"{name},{place % folds}\n" for place, name in enumerate(ids))
    )
    cv = {"metric": "log_loss", "value": 0.9, "error": 0.05, "rows": len(ids)}
    write_json(
        folder / "score.json",
        {
            "cv": cv,
            "also": {"accuracy": {**cv, "metric": "accuracy", "value": 0.75}},
            "folds": {str(fold): 0.9 + fold / 100 for fold in range(folds)},
            "optimistic": 0.89,
            "plan": "last",
            "views": {"look": "the mean of the views", "gain": 0.01, "error": 0.005},
            "weighings": [],
            "members": [{"name": "snapshot-0", "weight": 1.0, "alone": 0.9, "gain": 0.0}],
        },
    )
