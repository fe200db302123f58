"""Screenshots of the pages for the documentation: `python -m docs.screenshots [WORKSPACE]`.

Without a workspace, runs are trained for it, which takes some minutes; with one, its runs are shown.
"""

from __future__ import annotations

import base64
import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from benchmarks.harness import run_runner

DOCS = Path(__file__).parent
COMPETITIONS = ("dog-breed", "planet", "iceberg")
LENGTHS = (0.5, 2, 4)  # of the short recipe: different runs, so that there is something to compare
SMALL = ("--backbone", "test_resnet", "--no-pretrained", "--size", 64, "--quick", "--lr", 0.01, "--batch-size", 32)
WIDTH, SCALE = 1280, 0.75
MAX_BYTES = 150_000
PRACTICE = ("--host", "practice")


class Screenshot(NamedTuple):
    """An image in docs/: its page in the workspace, the element at its top, and its height in pixels."""

    name: str
    page: str
    element: str
    height: int


SCREENSHOTS = (
    Screenshot("explore", "practice/runs/dog-breed/explore.html", "#examples", 570),
    Screenshot("report", "practice/runs/dog-breed/demo/report.html", "#confusion-matrix", 700),
    Screenshot("board", "board.html", "#cv-and-leaderboard", 640),
)


def main() -> None:
    """Train runs if no workspace is named; write the pages and their screenshots."""
    if len(sys.argv) > 1:
        take_screenshots(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        train_runs(Path(folder))
        take_screenshots(Path(folder))


def train_runs(workspace: Path) -> None:
    """Train and submit runs of several lengths on practice data, and an ensemble."""
    run_runner(workspace, "demo", "--all")
    for name in COMPETITIONS:
        for length in LENGTHS:
            run = f"times-{length:g}"
            flags = (*SMALL, "--epochs-scale", length, "--seed", round(10 * length))
            run_runner(workspace, *PRACTICE, name, "train", "--run", run, *flags)
            run_runner(workspace, *PRACTICE, name, "predict", "--run", run)
            run_runner(workspace, *PRACTICE, name, "submit", run)
        run_runner(workspace, *PRACTICE, name, "ensemble", "demo", f"times-{LENGTHS[-1]:g}", "--name", "both")
        run_runner(workspace, *PRACTICE, name, "submit", "both")


def take_screenshots(workspace: Path) -> None:
    """Write the pages, and a screenshot of each."""
    run_runner(workspace, *PRACTICE, "dog-breed", "explore")
    run_runner(workspace, *PRACTICE, "dog-breed", "report", "demo")
    run_runner(workspace, "board")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    for screenshot in SCREENSHOTS:
        take_screenshot(driver, screenshot, (workspace / screenshot.page).resolve(), DOCS / f"{screenshot.name}.png")
    driver.quit()


def take_screenshot(driver: webdriver.Chrome, screenshot: Screenshot, page: Path, path: Path) -> None:
    """Write one image, with as many colours as fit its size in bytes."""
    screen = {"width": WIDTH, "height": screenshot.height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    driver.get(page.as_uri())
    find_top = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
    top = driver.execute_script(find_top, screenshot.element)
    clip = {"x": 0, "y": max(top, 0), "width": WIDTH, "height": screenshot.height, "scale": SCALE}
    capture = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    image = Image.open(io.BytesIO(base64.b64decode(capture["data"]))).convert("RGB")
    for colours in (256, 128, 64, 32):
        image.quantize(colours).save(path, optimize=True)
        if path.stat().st_size < MAX_BYTES:
            break
    print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
