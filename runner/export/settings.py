"""export.json: all that images.py needs to read images as in training, and to decide."""

from __future__ import annotations

from typing import Any

import numpy as np

from runner.contract import Binary, Labels, Multilabel, Ordinal, Regression, SeveralTargets, TagSet
from runner.errors import UsageError
from runner.images.cached import TargetSize
from runner.images.layout import Layout
from runner.images.views import RandomView, View
from runner.prediction.decisions import DecisionRule, FittedDecision
from runner.prediction.loaded_models import LoadedRun

_TOGETHER = (
    "the run decides the tags of an image together, for the greatest expected F-score; here a tag is one above {:g}, "
    "which is a little less good"
)


def export_settings(loaded: LoadedRun, layout: Layout) -> dict[str, Any]:
    """A plain value for export.json; a UsageError if the run's views cannot be made elsewhere."""
    labels, preset = loaded.competition.labels, loaded.competition.preset
    inputs = []
    for size, views in loaded.inputs:
        target = TargetSize.of(preset, size)
        inputs.append(
            {
                "size": size,
                "min_decode": target.min_decode if target else None,
                "resize_to": target.resize_to if target else None,
                "views": [_plain_view(loaded, view) for view in views],
            }
        )
    return {
        "competition": loaded.competition.slug,
        "run": loaded.run.name,
        "kind": _kind(labels, len(loaded.classes)),
        "classes": list(loaded.classes),
        "targets": [list(t.classes or ()) for t in labels.targets] if isinstance(labels, SeveralTargets) else [],
        "inputs": inputs,
        "bands": layout.channels,
        "depth": layout.depth,
        "is_rgb": layout.is_rgb,
        "nearest": preset.geometric_only,
        "resize": preset.resize.value,
        "padding": preset.padding.value,
        "tabular": list(loaded.competition.tabular),
        "decision": _decision(loaded),
    }


def _plain_view(loaded: LoadedRun, view: View) -> dict[str, Any]:
    if isinstance(view, RandomView):
        raise UsageError(
            f"{loaded.run.name} averages random views, which only this package draws",
            where=loaded.run.folder,
            fix=loaded.session.command("predict", "--run", loaded.run.name, "--tta", "default"),
        )
    return {
        "name": view.name,
        "rot90": view.rot90,
        "hflip": view.hflip,
        "zoom": view.zoom,
        "x": view.x,
        "y": view.y,
        "pad_to_square": view.pad_to_square,
    }


def _kind(labels: Labels, columns: int) -> str:
    if isinstance(labels, Regression):
        return "numbers"
    if isinstance(labels, SeveralTargets):
        return "targets"
    if isinstance(labels, Multilabel) or (isinstance(labels, Binary) and columns > 1):
        return "tags"
    return "yes or no" if isinstance(labels, Binary) else "classes"


def _decision(loaded: LoadedRun) -> dict[str, Any]:
    """What images.py decides by: thresholds of tags, cuts between grades, or what classes are divided by."""
    fitted, kind = loaded.postprocess.decision, _kind(loaded.competition.labels, len(loaded.classes))
    if kind == "tags":
        return _tag_decision(loaded, fitted)
    if kind == "yes or no":
        return {"threshold": _threshold(fitted)}
    if fitted is not None and isinstance(loaded.competition.labels, Ordinal):
        cuts = {DecisionRule.CUTS: list(fitted.thresholds), DecisionRule.MEAN_GRADE: _middle(len(loaded.classes))}
        return {"cuts": cuts[fitted.rule]} if fitted.rule in cuts else {}
    if fitted is not None and fitted.rule is DecisionRule.PRIOR_AWARE:
        return {"divide_by": (np.array(fitted.prior) ** fitted.power).tolist()}
    return {}


def _middle(grades: int) -> list[float]:
    return [grade + 0.5 for grade in range(grades - 1)]


def _threshold(fitted: FittedDecision | None) -> float:
    """The probability from which on it is yes."""
    if fitted is not None and fitted.rule is DecisionRule.SHARPENED:
        return fitted.thresholds[0]
    if fitted is not None and fitted.rule is DecisionRule.PRIOR_AWARE:
        odds = (fitted.prior[0] / (1 - min(fitted.prior[0], 1 - 1e-9))) ** fitted.power
        return float(odds / (1 + odds))  # where the weighed probability is one half
    return 0.5


def _tag_decision(loaded: LoadedRun, fitted: FittedDecision | None) -> dict[str, Any]:
    columns = len(loaded.classes)
    if fitted is None:
        return {"thresholds": [0.5] * columns, "at_least_one": False}
    default = TagSet(fitted.beta).default_threshold
    thresholds = list(fitted.thresholds) or [default]
    plain: dict[str, Any] = {
        "thresholds": thresholds * columns if len(thresholds) == 1 else thresholds,
        "at_least_one": True,
    }
    if fitted.constraints is not None:
        plain["mutually_exclusive"] = list(fitted.constraints.mutually_exclusive)
        plain["standalone"] = list(fitted.constraints.standalone)
    if fitted.rule is DecisionRule.EXPECTED:
        plain["note"] = _TOGETHER.format(default)
    return plain
