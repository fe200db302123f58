"""The soak, much shortened: several processes submit the same files at once."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.torture.soak import soak


def test_files_that_two_processes_submit_at_once_arrive_once(tmp_path: Path) -> None:
    assert soak(tmp_path / "soak", submissions=6, processes=2, seed=1) == []


def test_the_soak_notices_a_file_that_arrived_twice(tmp_path: Path) -> None:
    folder = tmp_path / "soak"
    assert soak(folder, submissions=2, processes=2, seed=1) == []
    from benchmarks.torture.soak import _problems

    record = json.loads((folder / "host" / "submissions" / "1.json").read_text())
    del record["checksum"]
    (folder / "host" / "submissions" / "3.json").write_text(json.dumps(record | {"ref": "3"}))
    (folder / "host" / "submissions" / "3.csv").write_bytes((folder / "host" / "submissions" / "1.csv").read_bytes())
    problems = list(_problems(folder, sorted((folder / "files").iterdir())))
    assert any("2 submissions, 1 lines in the ledger" in problem for problem in problems)
