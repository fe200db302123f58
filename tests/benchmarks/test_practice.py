"""What trainings are compared, and the table of what each practice earns."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.practice import DataSet, plan_trials, report
from benchmarks.quality import StageRow, report_stages, stage_recipes

GROUPS = ("defaults", "practice", "longer", "frozen")
FOLDERS = [DataSet("cifar", "cifar-10", Path("cifar")), DataSet("woof", "dog-breed", Path("woof"))]


def test_every_variant_is_another_recipe_than_its_base() -> None:
    practice = [DataSet(f"practice {name}", name, None) for name in ("dog-breed", "planet", "iceberg")]
    trials = plan_trials([*FOLDERS, *practice], "mobilenetv2_100", 2, 0.5, GROUPS, 128)
    base = {(each.data, each.group): each.recipe for each in trials if each.name == "base"}
    for trial in trials:
        assert (trial.recipe == base[trial.data, trial.group]) == (trial.name == "base"), trial.name
    assert len({(each.data, each.group, each.name, each.seed) for each in trials}) == len(trials)
    assert {each.group for each in trials if each.data.name == "woof"} == {"practice"}


def test_the_first_seed_of_all_practices_comes_before_the_second() -> None:
    trials = plan_trials(FOLDERS, "mobilenetv2_100", 3, 1.0, ("practice",), 160)
    assert [each.seed for each in trials] == sorted(each.seed for each in trials)


def test_the_table_has_paired_differences_with_the_temperature(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def line(name: str, seed: int, loss: float, calibrated: float, accuracy: float) -> str:
        test = {"loss": loss, "calibrated": calibrated, "accuracy": accuracy}
        figures = {"valid": {"loss": 9.0}, "test": test, "train_seconds": 10.0}
        return json.dumps({"data": "cifar", "group": "practice", "name": name, "seed": seed, **figures})

    lines = [
        line("base", 0, 0.70, 0.60, 0.80),
        line("base", 1, 0.80, 0.70, 0.78),
        line("smoothing", 0, 0.90, 0.58, 0.81),
        line("smoothing", 1, 0.95, 0.66, 0.78),
        json.dumps({"data": "cifar", "group": "practice", "name": "lion", "seed": 0, "error": "ValueError: no"}),
    ]
    results = tmp_path / "results.jsonl"
    results.write_text("\n".join(lines) + "\n", encoding="utf-8")
    report(results)
    printed = capsys.readouterr().out
    assert "failed: cifar, lion, seed 0: ValueError: no" in printed
    (row,) = (line for line in printed.splitlines() if line.startswith("smoothing"))
    assert row.split() == [
        "smoothing",
        "2",
        "0.6200",
        "+0.0300",
        "±",
        "0.0100",
        "0.7950",
        "+0.0050",
        "±",
        "0.0050",
        "10.0",
    ]


def test_stages_are_told_beside_the_first_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert len(stage_recipes(160, 224)) == len(
        {str(each.stages) + str(each.freeze_bn) for each in stage_recipes(160, 224).values()}
    )
    head = [StageRow(10.0, (0.3, 0.9), (0.30, 0.90)), StageRow(12.0, (0.3, 0.9), (0.20, 0.92))]
    longer = [StageRow(30.0, (0.3, 0.9), (0.28, 0.91)), StageRow(30.0, (0.3, 0.9), (0.20, 0.91))]
    report_stages({"a head": head, "and all layers": longer})
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert first.split()[-6:] == ["11.0", "0.2500", "0.9100", "+0.0000", "±", "0.0000"]
    assert second.split()[-6:] == ["30.0", "0.2400", "0.9100", "+0.0100", "±", "0.0100"]
