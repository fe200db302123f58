"""With more predictions than fit in memory the postprocess is fitted on a sample, and every row is scored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runner.contract import ACCURACY, BALANCED_ACCURACY, GAP, LOG_LOSS, MACRO_F1, Metric, map_at
from runner.errors import DamagedFileError
from runner.prediction import arrays, fit_postprocess, out_of_fold
from runner.prediction.averaging import TTAMode
from runner.prediction.out_of_fold import Member, OofTargets, read_member_predictions, validation_rows
from runner.prediction.postprocess_folds import assign_postprocess_folds, sample_rows
from runner.prediction.predictions import Predictions, read_view_predictions, write_predictions
from tests.competitions import SHAPES
from tests.prediction.conftest import MULTICLASS, draw_rows, outputs

CLASSES = ("a", "b", "c")


def write_members(folder: Path, rows: int = 300) -> tuple[tuple[Member, ...], OofTargets, dict[str, int]]:
    """Members with a file for each of five folds, their targets as class numbers, and the folds."""
    drawn = draw_rows(MULTICLASS, rows=rows)
    numbers, fold_of = drawn.targets.argmax(axis=1), {id: row % 5 for row, id in enumerate(drawn.ids)}
    members = []
    for name, probabilities in zip(drawn.names, drawn.members, strict=True):
        paths = tuple(folder / f"fold-{fold}" / f"{name}.valid.npz" for fold in range(5))
        for fold, path in enumerate(paths):
            path.parent.mkdir(exist_ok=True)
            write_predictions(path, Predictions(drawn.ids[fold::5], CLASSES, probabilities[fold::5]))
        members.append(Member(name, paths))
    return tuple(members), OofTargets(drawn.ids, CLASSES, numbers, ("",) * rows), fold_of


@pytest.mark.parametrize(
    "metric", [LOG_LOSS, ACCURACY, BALANCED_ACCURACY, MACRO_F1, GAP, map_at(2)], ids=lambda m: m.key
)
def test_every_row_is_scored_by_a_postprocess_that_some_of_them_fit(
    metric: Metric, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = write_members(tmp_path)
    competition = replace(SHAPES, metric=metric, extra_metrics=(ACCURACY,))
    _, of_all = fit_postprocess.fit_postprocess(competition, *files)
    monkeypatch.setattr(fit_postprocess, "MAX_VALUES", 200 * 3 * 13)
    monkeypatch.setattr(out_of_fold, "_BLOCK_VALUES", 3 * 16)
    _, sampled = fit_postprocess.fit_postprocess(competition, *files)
    assert sampled["cv"]["rows"] == of_all["cv"]["rows"] == 300
    assert sampled["cv"]["value"] == pytest.approx(of_all["cv"]["value"], abs=of_all["cv"]["error"])
    assert sampled["cv"]["error"] == pytest.approx(of_all["cv"]["error"], rel=0.2)
    assert sampled["folds"].keys() == of_all["folds"].keys()
    assert sampled["extra_metrics"]["accuracy"]["rows"] == 300


@pytest.mark.parametrize("folds", [1, 5])
def test_a_sample_has_whole_groups_in_the_folds_that_they_have_among_all_rows(folds: int, tmp_path: Path) -> None:
    members, targets, fold_of = write_members(tmp_path)
    groups = tuple(f"scene {row // 3}" for row in range(300))
    fold_of = {id: row // 3 % folds for row, id in enumerate(targets.ids)}
    rows = validation_rows(members, replace(targets, groups=groups), fold_of)
    sample = sample_rows(rows, 100)
    assert len(sample.ids) == 99 and all(sample.groups.count(group) == 3 for group in set(sample.groups))
    fold_among_all = dict(zip(rows.ids, assign_postprocess_folds(rows).tolist(), strict=True))
    assert [fold_among_all[id] for id in sample.ids] == assign_postprocess_folds(sample).tolist()


def test_a_large_array_is_mapped_and_has_the_same_values(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members, targets, _ = write_members(tmp_path)
    read = read_member_predictions(members, targets.ids, CLASSES, TTAMode.NONE, outputs=outputs(True, 3))
    monkeypatch.setattr(arrays, "_MAPPED_BYTES", 0)
    monkeypatch.setattr(arrays, "_BLOCK_BYTES", 64)
    assert isinstance(read_view_predictions(members[0].valid[0]).probabilities, np.memmap)
    mapped = read_member_predictions(members, targets.ids, CLASSES, TTAMode.NONE, outputs=outputs(True, 3))
    assert np.array_equal(mapped, read)


def test_a_changed_byte_of_a_mapped_array_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    members, _, _ = write_members(tmp_path)
    monkeypatch.setattr(arrays, "_MAPPED_BYTES", 0)
    path = members[0].valid[0]
    values = read_view_predictions(path).probabilities
    content = bytearray(path.read_bytes())
    content[content.index(values.tobytes()) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedFileError):
        read_view_predictions(path)
