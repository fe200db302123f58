"""What to try next: what would help most by what was measured, each with its figure and a command to paste."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from runner.contract import Recipe, TrainMode
from runner.contract.recipe import scale_epochs, short_recipe, with_freeze_to, with_sizes
from runner.errors import RunnerError
from runner.report.run.data import RunData
from runner.training.diagnosis import Diagnosis, Trend, Verdict, diagnose
from runner.training.recipe_flags import sizes_of, train_words
from runner.training.run import Run, find_runs

_CHANGES = 3  # of the recipe, at most
_SIZE_STEP = 32  # pixels
_DROPOUTS = (0.3, 0.5)
_FEW_EPOCHS = 4  # of a stage, which nothing can be told of yet
_CONFIDENT = 0.9  # probability of a class that is not the label's
_MIN_CONFIDENT = 3  # images
_BACKBONES = ("convnext_tiny", "resnet50", "efficientnet_b3")  # families that differ, of a moderate size


@dataclass(frozen=True)
class RecipeChange:
    """One change of a run's recipe, with the figures for it."""

    words: str
    recipe: Recipe


Change = Callable[[RunData], RecipeChange | None]  # None if it cannot be made, or was made already


def next_steps(data: RunData) -> list[str]:
    """What to try next, as far as the run's files support it: the first is what would help most."""
    return [
        *_training_steps(data),
        *_label_steps(data),
        *_precision_steps(data),
        *_ensemble_steps(data),
        *_submit_steps(data),
    ]


def _training_steps(data: RunData) -> Iterator[str]:
    """The diagnosis of the last stage, then the changes of the recipe that it calls for."""
    if not data.log or data.log[-1]["valid_loss"] is None:
        return
    diagnosis = diagnose(data.log, max(line["stage"] for line in data.log))
    is_finished = data.progress.is_finished
    yield f"{'Last' if is_finished else 'Current'} stage, {diagnosis}."
    if is_finished:
        changes = filter(None, (change(data) for change in _changes_for(data, diagnosis)))
        steps = ((change.words, _train_command(data, change.recipe)) for change in changes)
        yield from [f"{words}: {command}" for words, command in steps if command][:_CHANGES]


def _changes_for(data: RunData, diagnosis: Diagnosis) -> list[Change]:
    """The changes that help against a diagnosis, the best first."""
    changes = list(_CHANGES_FOR[diagnosis.verdict])
    is_short = diagnosis.verdict is Verdict.TOO_EARLY and data.recipe.stages[-1].epochs < _FEW_EPOCHS
    if is_short or diagnosis.trend is Trend.FALLING:
        changes.insert(0, _longer)
    if diagnosis.trend is Trend.RISING and diagnosis.verdict is Verdict.OVERFITTING:
        changes.insert(2, _shorter)
    return changes


def _longer(data: RunData) -> RecipeChange | None:
    recipe = scale_epochs(data.recipe, 2)
    return RecipeChange(f"Twice as long, {recipe.epochs} epochs instead of {data.recipe.epochs}", recipe)


def _shorter(data: RunData) -> RecipeChange | None:
    recipe = scale_epochs(data.recipe, 0.5)
    if recipe.epochs >= data.recipe.epochs:
        return None
    return RecipeChange(f"Stop earlier, {recipe.epochs} epochs instead of {data.recipe.epochs}", recipe)


def _smaller_lr(data: RunData) -> RecipeChange | None:
    if data.recipe.find_lr:
        return None
    lr = float(f"{data.recipe.lr / 5:.1g}")
    recipe = replace(data.recipe, lr=lr, group_lrs=None)
    return RecipeChange(f"A smaller lr, {lr:g} instead of {data.recipe.lr:g}", recipe)


def _find_lr(data: RunData) -> RecipeChange | None:
    if data.recipe.find_lr:
        return None
    return RecipeChange(
        f"The LR finder's lr instead of {data.recipe.lr:g}", replace(data.recipe, find_lr=True, group_lrs=None)
    )


def _pretrained(data: RunData) -> RecipeChange | None:
    if not data.recipe.from_scratch or not data.competition.recipe.pretrained:
        return None
    return RecipeChange("Pretrained weights instead of random ones", replace(data.recipe, pretrained=True))


def _unfreeze(data: RunData) -> RecipeChange | None:
    """The declared stages, or the quick recipe, for a run that trained only the head."""
    if any(stage.mode is TrainMode.UNFROZEN for stage in data.recipe.stages):
        return None
    sized = with_sizes(data.competition.recipe, sizes_of(data.recipe))
    if all(stage.mode is not TrainMode.UNFROZEN for stage in sized.stages):
        sized = short_recipe(sized)
    recipe = replace(data.recipe, stages=sized.stages, find_lr=sized.find_lr)
    return RecipeChange("The whole network: only its head was trained", recipe)


def _larger_size(data: RunData) -> RecipeChange | None:
    largest, short = max(sizes_of(data.recipe)), data.short_side or 0
    larger = min(short, 2 * largest) // _SIZE_STEP * _SIZE_STEP
    if larger <= largest:
        return None
    words = f"A larger size, {larger} px after {largest} px: the short side of the images is typically {short} px"
    return RecipeChange(words, with_sizes(data.recipe, [*sizes_of(data.recipe), larger]))


def _dropout(data: RunData) -> RecipeChange | None:
    more = next((dropout for dropout in _DROPOUTS if dropout > data.recipe.dropout), None)
    if more is None:
        return None
    words = f"More dropout, {more:g} instead of {data.recipe.dropout:g}"
    return RecipeChange(words, replace(data.recipe, dropout=more))


def _freeze(data: RunData) -> RecipeChange | None:
    unfrozen = [stage for stage in data.recipe.stages if stage.mode is TrainMode.UNFROZEN]
    if data.recipe.from_scratch or not unfrozen or any(stage.freeze_to for stage in unfrozen):
        return None
    return RecipeChange("The first of the three layer groups frozen", with_freeze_to(data.recipe, 1))


def _less_dropout(data: RunData) -> RecipeChange | None:
    if not data.recipe.dropout:
        return None
    words = f"No dropout instead of {data.recipe.dropout:g}"
    return RecipeChange(words, replace(data.recipe, dropout=0.0))


def _backbone(data: RunData) -> RecipeChange | None:
    return RecipeChange("Another backbone", _with_other_backbone(data))


_CHANGES_FOR: dict[Verdict, tuple[Change, ...]] = {
    Verdict.NO_VALIDATION: (),
    Verdict.TOO_EARLY: (),
    Verdict.DIVERGED: (_smaller_lr, _find_lr),
    Verdict.GUESSING: (_find_lr, _pretrained, _unfreeze, _smaller_lr),
    Verdict.UNDERFITTING: (_unfreeze, _less_dropout, _larger_size, _find_lr, _backbone),
    Verdict.IMPROVING: (_larger_size,),
    Verdict.OVERFITTING: (_pretrained, _larger_size, _dropout, _freeze),
    Verdict.NEITHER: (_larger_size, _backbone),
    Verdict.CONVERGED: (_larger_size, _unfreeze, _backbone),
}


def _with_other_backbone(data: RunData) -> Recipe:
    """The recipe with the declared backbone, or one of another family; a weights file does not fit it."""
    own = data.recipe.backbone
    candidates = (data.competition.recipe.backbone, *_BACKBONES)
    other = next(name for name in candidates if name.split("_")[0][:6] != own.split("_")[0][:6])
    return replace(data.recipe, backbone=other, weights=None, from_run=None)


def _label_steps(data: RunData) -> Iterator[str]:
    """Images whose label may be wrong, and the pairs that are confused most."""
    for oof in data.oof.one_class_each if data.oof is not None else ():
        of_target = f" of {oof.labels.label}" if data.oof is not oof else ""
        labels, predicted = oof.labels_and_predictions
        confidence = np.abs(oof.probabilities[:, 0] - 0.5) + 0.5 if oof.is_binary else oof.probabilities.max(axis=1)
        wrong = int(((labels != predicted) & (confidence >= _CONFIDENT)).sum())
        if wrong >= _MIN_CONFIDENT:
            yield (
                f"{wrong:,} of {len(labels):,} validation images are predicted as another class{of_target} with at "
                f"least {100 * _CONFIDENT:.0f} %: look at the labels of the top losses, and for duplicates with other "
                f"labels: {data.command('explore')}"
            )
        pairs = "; ".join(map(str, oof.confusion.most_confused[:3]))
        if pairs:
            yield f"Most confused{of_target}: {pairs}."


def _precision_steps(data: RunData) -> Iterator[str]:
    score = data.score
    if score is None or data.members or data.all_data or len(score.get("folds", {})) > 1:
        return
    if score["cv"]["error"] > 0:
        yield (
            f"One holdout of {score['cv']['rows']:,} rows: a difference below {2 * score['cv']['error']:.2g} (two "
            f"standard errors) may be chance. Five folds: {_train_command(data, replace(data.recipe, folds=5))}"
        )


def _ensemble_steps(data: RunData) -> Iterator[str]:
    members = (data.score or {}).get("members", ())
    used = [member["name"] for member in members if member["weight"] > 0]
    if data.all_data or (len(used) != 1 and data.members) or not used:
        return
    if data.members:
        yield f"Only {used[0]} is used: the other runs did not improve it. Train runs that differ more."
        return
    other = _best_other_run(data)
    if other is not None:
        value = _cv_value(other)
        both = data.command("ensemble", data.run.name, other.name)
        yield f"An ensemble of both runs usually scores better ({other.name}: CV {value:.4f}): {both}"
    elif len(used) == 1:
        command = _train_command(data, _with_other_backbone(data))
        yield f"Only one model is used. For an ensemble, train another backbone: {command}"


def _cv_value(run: Run) -> float:
    """The run's CV score; a RunnerError before `predict`."""
    score = run.read_score()
    if score is None:
        raise RunnerError(f"{run.name} has no score yet", where=run.score_file)
    return score["cv"]["value"]


def _best_other_run(data: RunData) -> Run | None:
    """The trained and scored run with the same folds that has the best CV; None if there is no other."""
    others = []
    for run in find_runs(data.session.workspace, data.session.name):
        try:
            if run.name != data.run.name and not run.read_members() and _has_same_folds(run, data.run):
                others.append((run, _cv_value(run)))
        except (RunnerError, OSError):
            continue  # not predicted yet, or damaged
    return data.competition.metric.best(others, key=lambda pair: pair[1])[0] if others else None


def _has_same_folds(run: Run, other: Run) -> bool:
    return not run.read_recipe().all_data and run.folds_file.read_bytes() == other.folds_file.read_bytes()


def _submit_steps(data: RunData) -> Iterator[str]:
    if data.score is not None and not data.entries:
        yield f"Not submitted yet: {data.command('submit', data.run.name)}"


def _train_command(data: RunData, recipe: Recipe) -> str | None:
    """The command that trains this recipe; None if no flags do."""
    words = train_words(data.session, data.run, recipe)
    return None if words is None else data.command(*words)
