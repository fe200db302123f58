"""`explore` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Runner


def test_explore_prints_a_summary_and_writes_a_page(cli: Runner, shapes: Path, shapes_folder: Path) -> None:
    refused = cli("shapes", "explore")
    assert refused.code == 1 and "runner shapes download" in refused.err
    assert cli("shapes", "download", "--from", shapes_folder).code == 0
    result = cli("shapes", "explore", "--figures", shapes / "figures")
    page = shapes / "runs" / "shapes" / "explore.html"
    assert result.code == 0 and result.out.endswith(f"{page}\n") and page.is_file()
    assert "32 px: the median image is downsampled to 80%" in result.out
    assert {path.name for path in (shapes / "figures").iterdir()} >= {"class-counts.svg", "class-counts.png"}
    assert cli("shapes", "split").code == 0
    text = json.loads(cli("shapes", "explore", "--json").out)
    assert text["images"] == {"train": 60, "test": 21}
    assert set(text["folds"]) == {"holdout", "train only"}
    # What lies in the folder of runs is no run.
    assert cli("shapes", "runs", "--json").out == "[]\n"
