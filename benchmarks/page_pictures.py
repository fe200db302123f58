"""The README's images of the pages: python -m benchmarks.page_images [WORKSPACE].

Without a workspace one is made for it, by the commands below: some minutes. With one, what is there is drawn.
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

from benchmarks.scratch import run_runner

DOCS = Path(__file__).parents[1] / "docs"
COMPETITIONS = ("dog-breed", "planet", "iceberg")
LENGTHS = (0.5, 2, 4)  # of the short recipe: runs that differ, so that there is something to compare
SMALL = ("--model", "test_resnet", "--no-pretrained", "--size", "64", "--quick", "--lr", "0.01", "--batch-size", "32")
WIDTH, SCALE = 1280, 0.75
MOST = 150_000  # bytes


class Shot(NamedTuple):
    """An image: its name, the page in the workspace, where on it the image begins, and how far down it goes."""

    name: str
    page: str
    element: str
    height: int


SHOTS = (
    Shot("explore", "practice/runs/dog-breed/explore.html", "#what-they-look-like", 570),
    Shot("report", "practice/runs/dog-breed/demo/report.html", "#confusions", 700),
    Shot("board", "board.html", "#cv-against-the-leaderboard", 640),
)


def main() -> None:
    """Make what is missing, open each page, and keep what a person sees."""
    if len(sys.argv) > 1:
        shoot_all(Path(sys.argv[1]))
        return
    with tempfile.TemporaryDirectory() as folder:
        make_runs(Path(folder))
        shoot_all(Path(folder))


def make_runs(workspace: Path) -> None:
    """Practice data, and runs and submissions of several lengths."""
    run_runner(workspace, "demo", "--all")
    for name in COMPETITIONS:
        for length in LENGTHS:
            flags = (*SMALL, "--epochs-scale", str(length), "--seed", str(round(10 * length)))
            run_runner(workspace, "--host", "practice", name, "train", "--run", f"times-{length:g}", *flags)
            run_runner(workspace, "--host", "practice", name, "predict", "--run", f"times-{length:g}")
            run_runner(workspace, "--host", "practice", name, "submit", f"times-{length:g}")
        run_runner(
            workspace, "--host", "practice", name, "ensemble", "demo", f"times-{LENGTHS[-1]:g}", "--name", "both"
        )
        run_runner(workspace, "--host", "practice", name, "submit", "both")


def shoot_all(workspace: Path) -> None:
    """Draw the pages anew, and take an image of each."""
    run_runner(workspace, "--host", "practice", "dog-breed", "explore")
    run_runner(workspace, "--host", "practice", "dog-breed", "report", "demo")
    run_runner(workspace, "board")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    for shot in SHOTS:
        shoot(driver, shot, (workspace / shot.page).resolve(), DOCS / f"{shot.name}.png")
    driver.quit()


def shoot(driver: webdriver.Chrome, shot: Shot, page: Path, path: Path) -> None:
    """One image, in as many colours as fit into its bytes."""
    screen = {"width": WIDTH, "height": shot.height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    driver.get(page.as_uri())
    find_top = "return document.querySelector(arguments[0]).getBoundingClientRect().top"
    top = driver.execute_script(find_top, shot.element)
    clip = {"x": 0, "y": max(top, 0), "width": WIDTH, "height": shot.height, "scale": SCALE}
    taken = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    image = Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")
    path.parent.mkdir(exist_ok=True)
    for colours in (256, 128, 64, 32):
        image.quantize(colours).save(path, optimize=True)
        if path.stat().st_size < MOST:
            break
    print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
