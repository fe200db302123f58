"""`runner doctor`: every check with its status and its fix, and an exit code for scripts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import namedtuple
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.cli.conftest import Runner
from tests.kaggle_server import KaggleServer
from tests.kaggle_server.faults import refuses

Results = dict[str, list[dict[str, str]]]


def run_doctor(cli: Runner, *words: object) -> tuple[int, Results]:
    """The exit code, and the results by their check."""
    run = cli("doctor", *words, "--json")
    results: Results = {}
    for result in json.loads(run.out):
        assert list(result) == ["check", "status", "detail", "fix"]
        results.setdefault(result["check"], []).append(result)
    return run.code, results


# --- account and host ---------------------------------------------------------------------------


def test_missing_credentials_are_an_error_with_the_page_to_get_them(cli: Runner) -> None:
    code, results = run_doctor(cli)
    assert code == 1
    assert results["credentials"][0]["status"] == "error"
    assert "https://www.kaggle.com/settings" in results["credentials"][0]["fix"]
    assert {"GPU", "memory", "disk", "Python", "versions"} <= set(results)


def test_a_working_setup_is_ok_in_every_check(server: KaggleServer, cli: Runner, shapes: Path) -> None:
    cli("shapes", "download")
    code, results = run_doctor(cli, "shapes")
    assert code == 0
    for check in ("credentials", "host", "rules", "submissions", "data", "Python", "versions"):
        assert [(result["status"], result["fix"]) for result in results[check]] == [("ok", "")], check
    assert results["submissions"][0]["detail"] == "2 of 2 left today"
    assert "KAGGLE_API_TOKEN" in results["credentials"][0]["detail"]


def test_the_table_has_no_secret(server: KaggleServer, cli: Runner) -> None:
    run = cli("doctor", "shapes")
    assert run.code == 0
    assert "credentials" in run.out
    assert os.environ["KAGGLE_API_TOKEN"] not in run.out + run.err


def test_the_table_fits_80_columns_but_for_fixes(cli: Runner) -> None:
    lines = cli("doctor").out.splitlines()
    assert lines[0].split() == ["check", "status", "detail"]
    assert all(len(line) <= 80 for line in lines if not line.startswith("  fix: "))
    assert any(line.startswith("  fix: ") for line in lines)


def test_without_a_competition_the_credentials_are_tried_on_the_host(server: KaggleServer, cli: Runner) -> None:
    server.competitions["dog-breed-identification"] = server.competitions["shapes"]
    server.fail_always("GetCompetition", refuses(401, "Unauthenticated"))
    code, results = run_doctor(cli)
    assert code == 1
    assert results["host"][0]["status"] == "error"
    assert "rejects" in results["host"][0]["detail"]


def test_unused_and_readable_credentials_are_warnings(server: KaggleServer, cli: Runner) -> None:
    file = Path(os.environ["HOME"]) / ".kaggle" / "kaggle.json"
    file.parent.mkdir()
    file.write_text('{"username": "ann", "key": "hush"}')
    file.chmod(0o644)
    code, results = run_doctor(cli, "shapes")
    assert code == 0
    used, unused, readable = results["credentials"]
    assert [result["status"] for result in (used, unused, readable)] == ["ok", "warning", "warning"]
    assert "is not used" in unused["detail"]
    assert "unset KAGGLE_API_TOKEN" in unused["fix"]
    assert readable["fix"] == f"chmod 600 {file}"
    assert "hush" not in json.dumps(results)


def test_rules_not_accepted_are_an_error_with_their_page(server: KaggleServer, cli: Runner) -> None:
    server.competitions["shapes"].rules_accepted = False
    code, results = run_doctor(cli, "shapes")
    assert code == 1
    assert "https://www.kaggle.com/competitions/shapes/rules" in results["rules"][0]["fix"]


def test_a_competition_that_takes_notebooks_only_is_told(server: KaggleServer, cli: Runner) -> None:
    server.competitions["shapes"].notebooks_only = True
    code, results = run_doctor(cli, "shapes")
    assert code == 0
    assert results["notebooks"][0]["status"] == "ok"
    assert results["submissions"][0]["status"] == "ok"


def test_a_competition_that_takes_no_submissions_is_an_error(server: KaggleServer, cli: Runner) -> None:
    server.competitions["shapes"].submissions_disabled = True
    code, results = run_doctor(cli, "shapes")
    assert code == 1
    assert results["submissions"][0]["status"] == "error"
    assert results["submissions"][0]["fix"] == "runner shapes run --no-submit"


def test_no_submission_left_is_a_warning_with_the_hour_of_the_next(
    server: KaggleServer, cli: Runner, tmp_path: Path
) -> None:
    host = server.competitions["shapes"].host
    for number in range(2):
        (tmp_path / f"{number}.csv").write_text(str(number))
        host.submit_file("shapes", tmp_path / f"{number}.csv", "")
    code, results = run_doctor(cli, "shapes")
    assert code == 0
    assert results["submissions"][0]["status"] == "warning"
    assert "00:00 UTC" in results["submissions"][0]["fix"]


def test_a_wrong_clock_is_a_warning(server: KaggleServer, cli: Runner) -> None:
    server.clock_offset = timedelta(hours=2)
    code, results = run_doctor(cli, "shapes")
    assert code == 0
    assert results["clock"][0]["status"] == "warning"
    assert "min behind" in results["clock"][0]["detail"]


def test_the_practice_host_needs_no_account(cli: Runner) -> None:
    code, results = run_doctor(cli, "--host", "practice")
    assert code == 0
    assert "credentials" not in results


def test_an_unknown_competition_is_wrong_usage(cli: Runner) -> None:
    assert cli("doctor", "dogbreed").code == 2


# --- data ---------------------------------------------------------------------------------------


def test_data_is_missing_complete_damaged_or_incomplete(server: KaggleServer, cli: Runner, shapes: Path) -> None:
    data = shapes / "data" / "shapes"

    def check_data() -> tuple[str, str]:
        result = run_doctor(cli, "shapes")[1]["data"][0]
        return result["status"], result["fix"]

    assert check_data() == ("warning", "runner shapes download")
    cli("shapes", "download")
    assert check_data() == ("ok", "")
    (data / "train" / "train003.jpg").unlink()
    assert check_data() == ("error", "runner shapes download --force")
    assert run_doctor(cli, "shapes")[0] == 1
    (data / ".complete").unlink()
    assert check_data() == ("error", "runner shapes download")


def test_fixes_of_practice_data_name_the_practice_host(cli: Runner) -> None:
    _, results = run_doctor(cli, "--host", "practice", "dog-breed")
    assert results["data"][0]["fix"] == "runner --host practice dog-breed download"


# --- machine ------------------------------------------------------------------------------------


def test_a_full_disk_is_an_error(cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 0))
    code, results = run_doctor(cli, "--host", "practice")
    assert code == 1
    assert results["disk"][0]["status"] == "error"


def test_little_memory_is_a_warning(cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=10**9))
    code, results = run_doctor(cli, "--host", "practice")
    assert code == 0
    assert (results["memory"][0]["status"], results["memory"][0]["detail"]) == ("warning", "1.0 GB free")


@pytest.mark.parametrize(("native", "precision"), [(True, "native bf16"), (False, "no native bf16")])
def test_a_gpu_has_its_memory_and_whether_bf16_is_native(
    cli: Runner, monkeypatch: pytest.MonkeyPatch, native: bool, precision: str
) -> None:
    cuda = SimpleNamespace(
        is_available=lambda: True,
        device_count=lambda: 2,
        device=lambda _index: nullcontext(),
        get_device_properties=lambda index: SimpleNamespace(name=f"GPU {index}", total_memory=16 * 10**9),
        is_bf16_supported=lambda including_emulation=True: native or including_emulation,
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    _, results = run_doctor(cli, "--host", "practice")
    assert [result["status"] for result in results["GPU"]] == ["ok", "ok"]
    assert results["GPU"][1]["detail"].startswith(f"GPU 1, 16.0 GB, {precision}")


def test_no_gpu_is_a_warning(cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    code, results = run_doctor(cli, "--host", "practice")
    assert code == 0
    assert results["GPU"][0]["status"] == "warning"


def test_a_broken_torch_is_an_error_and_the_other_checks_run(tmp_path: Path, workspace_folder: Path) -> None:
    (tmp_path / "torch.py").write_text('raise OSError("libcudart.so.12: cannot open shared object file")')
    path = os.pathsep.join([str(tmp_path), *sys.path])
    run = subprocess.run(
        [sys.executable, "-m", "runner", "--workspace", workspace_folder, "--host", "practice", "doctor", "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert run.returncode == 1, run.stderr
    results = {result["check"]: result for result in json.loads(run.stdout)}
    assert results["GPU"]["status"] == "error"
    assert "libcudart.so.12" in results["GPU"]["detail"]
    assert "pip install --force-reinstall torch" in results["GPU"]["fix"]
    assert results["memory"]["status"] == results["Python"]["status"] == "ok"


def test_a_missing_package_is_an_error(cli: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runner.checks._PACKAGES", ("timm", "not-a-package"))
    code, results = run_doctor(cli, "--host", "practice")
    assert code == 1
    assert results["versions"][0]["detail"] == "not installed: not-a-package"
