"""README.md of an exported folder: what the model is, its honest score, its data, the licence of its weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import timm

from runner.contract import Recipe
from runner.prediction.loaded_models import LoadedRun
from runner.prediction.score import Score
from runner.training.run import find_run

_CLASSES = 20  # that are listed


def model_card(loaded: LoadedRun, settings: dict[str, Any], format: str, difference: float, rows: int) -> str:
    """The model card in Markdown; `difference` is the largest to this package's own predictions, on so many images."""
    lines = [f"# {loaded.run.name}: {loaded.competition.title}", "", *_summary(loaded), "", "## Use", ""]
    lines += ["```console", f"$ pip install {' '.join(_packages(format))}", "$ python predict.py IMAGE…", "```", ""]
    lines += [*_inputs(settings), "", "## Score", "", *_score(loaded), "", "## Data", "", *_data(loaded), ""]
    lines += ["## Networks", "", *_networks(loaded), "", "## Licence of the weights", "", *_licences(loaded), ""]
    lines += ["## Agreement", ""]
    lines.append(
        f"On {rows} images of the test set its predictions differ from those of the run by at most {difference:.1g}, "
        "in single precision."
    )
    return "\n".join(lines) + "\n"


def _packages(format: str) -> list[str]:
    runtime = {"onnx": ["onnxruntime"], "timm": ["torch", "timm", "safetensors"]}.get(format, ["torch"])
    return [*runtime, "numpy", "opencv-python-headless", "pillow"]


def _summary(loaded: LoadedRun) -> Iterator[str]:
    labels, classes = type(loaded.competition.labels).__name__, loaded.classes
    shown = ", ".join(classes[:_CLASSES]) + (f" and {len(classes) - _CLASSES} more" if len(classes) > _CLASSES else "")
    yield f"Predicts {labels} labels of images: {shown}."


def _inputs(settings: dict[str, Any]) -> Iterator[str]:
    for each in settings["inputs"]:
        views = ", ".join(view["name"] for view in each["views"])
        yield (
            f"- Input: {each['size']} x {each['size']} pixels with {settings['bands']} bands, in these views: {views}. "
            "`images.py` makes them as the training images were made."
        )
    if settings["tabular"]:
        yield f"- And the values of {', '.join(settings['tabular'])}, NaN where they are not known."
    yield f"- Decisions: {settings['decision'].get('note') or 'as `decide` in images.py makes them'}."


def _score(loaded: LoadedRun) -> Iterator[str]:
    score, competition = loaded.run.read_score(), loaded.competition
    if score is None:
        yield "The run has no score."
        return
    cv = Score(**score["cv"])
    of = f" of {score['refit_of']}, of which this is a refit on all labelled rows," if "refit_of" in score else ""
    yield (
        f"CV {competition.metric.title} {cv} ({competition.metric.direction}){of} on {cv.rows:,} validation rows: each "
        "was predicted by networks that had not trained on it, with thresholds and weights that were fitted without it."
    )
    for metric in competition.extra_metrics:
        if metric.key in score["extra_metrics"]:
            yield f"{metric.title}: {Score(**score['extra_metrics'][metric.key])}."


def _data(loaded: LoadedRun) -> Iterator[str]:
    index, competition = loaded.session.index, loaded.competition
    yield (
        f"{competition.title}, https://www.kaggle.com/competitions/{competition.slug}: {len(index.train):,} labelled "
        "images. The competition's rules say what data and models may be used for."
    )


def _recipes(loaded: LoadedRun) -> dict[str, Recipe]:
    names = loaded.run.read_members() or (loaded.run.name,)
    workspace, competition = loaded.session.workspace, loaded.session.name
    return {name: find_run(workspace, competition, name).read_recipe() for name in names}


def _networks(loaded: LoadedRun) -> Iterator[str]:
    weight_of = dict(zip(loaded.postprocess.members, loaded.postprocess.weights, strict=True))
    for model in loaded.models:
        backbone = model.networks[0][0].recipe.backbone
        count = len(model.networks)
        folds = f"{count} folds" if count > 1 else "one network"
        yield f"- {model.member}: {backbone} at {model.size} px, {folds}, weight {weight_of[model.member]:.3f}"
    for name, recipe in _recipes(loaded).items():
        yield f"- {name} was trained by: {recipe.summary}"


def _licences(loaded: LoadedRun) -> Iterator[str]:
    yield from dict.fromkeys(_licence(recipe) for recipe in _recipes(loaded).values())


def _licence(recipe: Recipe) -> str:
    """Where the weights began, and under which licence those were."""
    if recipe.weights:
        return f"- Training began with the weights file {recipe.weights}, whose licence is not known here."
    if recipe.from_run:
        return f"- Training began with weights of {recipe.from_run}; their licence is that of its own beginning."
    if not recipe.pretrained:
        return f"- {recipe.backbone}: trained from random weights on the competition's data alone."
    config = timm.get_pretrained_cfg(recipe.backbone)
    licence = getattr(config, "license", None) or "not known to timm"
    origin = getattr(config, "hf_hub_id", None) or getattr(config, "url", None) or "timm"
    return f"- {recipe.backbone}: training began with the pretrained weights {origin}, licence: {licence}."
