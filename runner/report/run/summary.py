"""What is said of a run in plain sentences, for the terminal and for the page alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from runner.contract import Metric, Multiclass, Multilabel, Recipe, TrainMode
from runner.contract.recipe import Stage
from runner.contract.thresholds import apply_thresholds
from runner.report.run.data import OofPredictions, RunData, is_tags
from runner.report.run.leaderboard import standings_of
from runner.report.run.per_class import tags_table
from runner.training.diagnosis import diagnose

LEARNS = {
    TrainMode.FEATURES: "the head alone learns, on activations computed once",
    TrainMode.FROZEN: "the head alone learns, on augmented images",
    TrainMode.UNFROZEN: "the whole network learns",
}
_ENOUGH = 20_000  # rows: to score a guess on more would only take memory
_WEIGHED = {
    "last": "the last network answers alone",
    "best single": "the network that is best alone answers",
    "plain mean": "the plain mean of the networks' {space} answers",
    "greedy": "a weighted mean of the networks' {space} answers, its weights chosen greedily",
}


def summary(material: RunData) -> str:
    """What was trained, how good it is, and what it confuses: for one who sees nothing else."""
    said = [_trained(material)]
    if material.held_out is not None and material.score is not None:
        said += [_how_good(material, material.held_out), _weakest(material, material.held_out)]
    return " ".join(one for one in said if one)


def _trained(material: RunData) -> str:
    task = _task(material)
    if material.members:
        return f"An ensemble of {_count(len(material.members), 'run')} ({', '.join(material.members)}){task}."
    recipe = material.recipe
    if recipe.all_data:
        told = f"{recipe.backbone}, trained{task} by the steps of {recipe.refit_of} with no row held back: "
        return told + f"no row is left to score_rehearsal it by, and the score told here is that of {recipe.refit_of}."
    if material.rows is None:
        return f"{recipe.backbone}{task}."
    learned, held = material.rows
    if recipe.folds:
        of = f"{learned:,} images in {recipe.folds} folds, a network for each fold that it did not learn from"
        return f"{recipe.backbone}, trained{task} on {of}."
    return f"{recipe.backbone}, trained{task} on {learned:,} images; {held:,} others were held out."


def _task(material: RunData) -> str:
    labels, count = material.competition.labels, material.class_count
    if isinstance(labels, Multiclass):
        return f" to tell {count} classes apart" if count else ""
    if isinstance(labels, Multilabel):
        return f" to name {count} tags" if count else ""
    return f" to say how likely {labels.label} is"


def _how_good(material: RunData, held: OofPredictions) -> str:
    metric, score = material.competition.metric, material.score or {}
    value = f"{metric.title} {with_error(score['cv'])} ({metric.direction}; guessing gives {guess(metric, held):.4f})"
    if is_tags(material.competition):
        return f"On {len(held.ids):,} held-out images: {value}."
    true, said = held.true_and_said
    return f"It sees {100 * np.mean(true == said):.1f} % of {len(held.ids):,} held-out images right: {value}."


def _weakest(material: RunData, held: OofPredictions) -> str:
    if is_tags(material.competition):
        name, total, _named, _found, _trusted, f2, *_ = tags_table(held).rows[0]
        return f"The tag it finds worst is {name} (F2 {f2:.2f} on {total:,} images)."
    worst = held.confusion.worst[:1]
    return "".join(f"Most often it takes {true} for {said} ({n} of {of})." for true, said, n, of in worst)


def guess(metric: Metric, held: OofPredictions) -> float:
    """The score of one who knows how common each class is, and looks at no image."""
    some = held.targets[:: max(1, len(held.targets) // _ENOUGH)]
    shares = np.tile(held.targets.mean(axis=0), (len(some), 1))
    return metric.score(some, apply_thresholds(shares) if metric.takes_decisions else shares)


def state(material: RunData) -> str:
    """What is missing of a run that still goes or was killed; else nothing."""
    if not material.members and material.epochs_done < material.epochs_wanted:
        told = f"{material.epochs_done} of {material.epochs_wanted} epochs are done. What is there is drawn."
        return (
            f"Not finished: {told} To go on: {material.command_line('train', '--run', material.run.name, '--resume')}"
        )
    if material.score is None and not material.members:
        return f"Trained, but not predicted yet: {material.command_line('predict', '--run', material.run.name)}"
    return ""


def score_facts(material: RunData) -> list[tuple[str, str, str]]:
    """The score with its error bar, what it is made of, and where it stands: name, value, remark."""
    facts = _held_out_facts(material) if material.score is not None else _last_epoch(material)
    facts += [
        (f"Place, {'private' if one.private else 'public'}", f"{one.rank:,} of {one.teams:,}", f"score {one.score:.5f}")
        for one in standings_of(material)
    ]
    if material.log:
        seconds = sum(line["seconds"] for line in material.log)
        facts.append(("Training took", _duration(seconds), _count(len(material.log), "epoch")))
    return facts


def _held_out_facts(material: RunData) -> list[tuple[str, str, str]]:
    score, metric, held = material.score or {}, material.competition.metric, material.held_out
    whose = f" of {material.recipe.refit_of}" if material.all_data else ""

    def guessed(one: Metric) -> str:
        return f"guessing: {guess(one, held):.4f}" if held is not None else ""

    remarks = [metric.direction, f"{score['cv']['rows']:,} rows", guessed(metric)]
    facts = [(f"Held-out {metric.title}{whose}", with_error(score["cv"]), "; ".join(filter(None, remarks)))]
    for one in material.competition.extra_metrics:
        if one.key in score.get("also", {}):
            facts.append((f"Held-out {one.title}{whose}", with_error(score["also"][one.key]), guessed(one)))
    each = list(score.get("folds", {}).values())
    if len(each) > 1:
        facts.append(("Folds", f"{min(each):.4f} to {max(each):.4f}", _count(len(each), "fold")))
    return facts


def _last_epoch(material: RunData) -> list[tuple[str, str, str]]:
    if not material.log:
        return []
    last = material.log[-1]
    titles = {one.key: one.title for one in (material.competition.metric, *material.competition.extra_metrics)}
    told = [
        (f"{titles.get(key, key)}, last epoch", f"{value:.4f}", "held-out rows, one network")
        for key, value in last["scores"].items()
    ]
    return told or [("Training loss, last epoch", f"{last['train_loss']:.4f}", "on the rows it learns from")]


def next_steps(material: RunData) -> list[str]:
    """What the files speak for; never more than they say."""
    return [*_of_training(material), *_of_score(material), *_of_members(material), *_of_submitting(material)]


def _of_training(material: RunData) -> Iterator[str]:
    if not material.log or material.log[-1]["valid_loss"] is None:
        return
    last = material.log[-1]
    lines = [line for line in material.log if line["fold"] == last["fold"]]
    which = "last stage" if material.epochs_done >= material.epochs_wanted else "stage under way"
    yield f"The {which} {diagnose(lines, last['stage'])}.".replace("still learning", "was still learning")
    most, short = max(stage.size for stage in material.recipe.stages), material.short_side
    larger = short // 32 * 32 if short is not None else 0
    if larger > most:
        yield (
            f"The images' short side is typically {short} px, and the largest size was {most} px: "
            f"{material.command_line('train', '--size', f'{most},{larger}')} shows finer differences."
        )


def _of_score(material: RunData) -> Iterator[str]:
    score, held = material.score, material.held_out
    if score is not None and score["cv"]["error"] > 0 and len(score.get("folds", {})) == 1:
        yield (
            f"One holdout of {score['cv']['rows']:,} rows: a change smaller than about {score['cv']['error']:.2g} is "
            f"within chance. {material.command_line('train', '--folds', '5')} narrows that."
        )
    if held is not None and isinstance(material.competition.labels, Multiclass):
        worst = held.confusion.worst[:3]
        told = "; ".join(f"{true} taken for {said} ({count} of {total})" for true, said, count, total in worst)
        if told:
            yield f"Most confused: {told}. Their images among the most wrong ones show why, or a wrong label."


def _of_members(material: RunData) -> Iterator[str]:
    members = (material.score or {}).get("members", ())
    counting = [one["name"] for one in members if one["weight"] > 0]
    if len(counting) != 1 or material.all_data:
        return
    if material.members:
        yield f"{counting[0]} answers alone: the others did not help. Runs that differ more blend better."
    else:
        blend = material.command_line("ensemble", "RUN", "RUN")
        yield f"One network answers alone. Another run usually helps, blended: {blend}."


def _of_submitting(material: RunData) -> Iterator[str]:
    if material.score is not None and not material.entries:
        yield f"It was not submitted yet: {material.command_line('submit', material.run.name)}."


def recipe_in_words(recipe: Recipe) -> str:
    """The recipe as sentences."""
    start = "random weights"
    if recipe.from_run:
        start = f"the weights of {recipe.from_run}"
    elif recipe.weights:
        start = f"pretrained weights ({recipe.weights})"
    elif recipe.pretrained:
        start = "pretrained weights"
    stages, epochs = _count(len(recipe.stages), "stage"), _count(recipe.epochs, "epoch")
    rate = "The rate of each stage was asked of the finder" if recipe.find_lr else f"The top rate is {recipe.lr:g}"
    slower = f", times {recipe.layer_decay:.3g} for each earlier group" if recipe.layer_decay != 1 else ""
    held = "No row was held back." if recipe.all_data else f"{recipe.folds} folds." if recipe.folds else "One holdout."
    parts = [
        f"{recipe.backbone} from {start}, in {stages} and {epochs}.",
        _stages_in_words(recipe.stages),
        f"{rate}; it falls by a cosine in each cycle{slower}.",
        ", ".join(_extras(recipe)).capitalize() + ".",
        held,
    ]
    return " ".join(part for part in parts if part)


def _extras(recipe: Recipe) -> Iterator[str]:
    yield f"batches of {recipe.batch_size}"
    yield f"weight decay {recipe.weight_decay:g}"
    yield f"seed {recipe.seed}"
    if recipe.dropout:
        yield f"dropout {recipe.dropout:g}"
    if recipe.oversample > 1:
        yield f"rare classes shown up to {recipe.oversample:g} times"


def _stages_in_words(stages: Sequence[Stage]) -> str:
    told = [f"at {stage.size} px {LEARNS[stage.mode]} ({_count(stage.epochs, 'epoch')})" for stage in stages]
    return ("First " + ", then ".join(told) + ".") if len(told) > 1 else f"{told[0].capitalize()}." if told else ""


def answer_in_words(plan: str, look: str) -> str:
    """What becomes of the networks' predictions, from the names of the steps that were taken."""
    weighing, _, rest = plan.partition(", ")
    way, _, space = weighing.partition(" of ")
    told = _WEIGHED.get(way, weighing).format(space=space)
    then = f"; after it: {rest}" if rest else ""
    return f"For each image {told}; what a network says is {look}{then}."


def with_error(score: dict[str, float]) -> str:
    """A score and how far chance alone could move it."""
    return f"{score['value']:.4f} ± {score['error']:.4f}"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}" + ("" if number == 1 else "s")


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
