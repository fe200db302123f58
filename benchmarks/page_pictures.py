"""The README's pictures of the pages: python -m benchmarks.page_pictures WORKSPACE, after `runner demo`."""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

DOCS = Path(__file__).parents[1] / "docs"
# page, where in the workspace, the element at whose top the picture begins
PAGES = (
    ("explore", "practice/runs/dog-breed/explore.html", "body"),
    ("report", "practice/runs/dog-breed/demo/report.html", "#figure-confusion"),
    ("board", "board.html", "body"),
)
WIDTH, HEIGHT, SCALE = 900, 640, 0.75
MOST = 60_000  # bytes


def main(workspace: Path) -> None:
    """Open each page that is there, and keep what a person sees first."""
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    for name, pattern, element in PAGES:
        for page in list(workspace.glob(pattern))[:1]:
            shoot(driver, page.resolve(), element, DOCS / f"{name}.png")
    driver.quit()


def shoot(driver: webdriver.Chrome, page: Path, element: str, path: Path) -> None:
    """One picture, in as many colours as fit into its bytes."""
    screen = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    driver.get(page.as_uri())
    top = driver.execute_script("return document.querySelector(arguments[0]).getBoundingClientRect().top", element)
    clip = {"x": 0, "y": max(top, 0), "width": WIDTH, "height": HEIGHT, "scale": SCALE}
    shot = driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
    image = Image.open(io.BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
    path.parent.mkdir(exist_ok=True)
    for colours in (128, 64, 32, 16):
        image.quantize(colours).save(path, optimize=True)
        if path.stat().st_size < MOST:
            break
    print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
