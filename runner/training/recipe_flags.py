"""The flags of `train` that turn a competition's declared recipe into another one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

from runner.contract import Recipe, TrainMode
from runner.contract.backbone_args import Argument, parse_argument, write_argument
from runner.contract.recipe import (
    Solver,
    linear_probe,
    scale_epochs,
    short_recipe,
    with_augment,
    with_freeze_to,
    with_sizes,
    with_solver,
)
from runner.options import Compute
from runner.session import Session
from runner.training.run import Run
from runner.training.weights_files import find_weights_file

Flags = dict[str, object]


def train_words(session: Session, run: Run, recipe: Recipe) -> list[str] | None:
    """The `train` command of this recipe: by its own flags, else by naming the run; None if no flags make it."""
    weights = find_weights_file(session, recipe.weights) if recipe.weights else None
    if weights or not recipe.weights:
        flags = recipe_flags(recipe, session.competition.recipe, str(weights) if weights else None)
        if flags is not None:
            return ["train", *flags]
    if not run.recipe_file.exists() or run.is_empty:  # an empty run is removed when its training fails
        return None
    differences = recipe_flags(recipe, run.read_recipe())
    return None if differences is None else ["train", "--recipe-of", run.name, *differences]


def compute_flags(compute: Compute) -> list[str]:
    """The flags of this device and these workers, as far as they are not the default ones."""
    default, flags = Compute(), dict[str, object]()
    if compute.device != default.device:
        flags["--device"] = compute.device
    if compute.workers != default.workers:
        flags["--workers"] = compute.workers
    if compute.cache_bytes != default.cache_bytes:
        flags["--cache-gb"] = f"{compute.cache_bytes / 1e9:g}"
    return [str(word) for flag in flags.items() for word in flag]


def recipe_flags(recipe: Recipe, declared: Recipe, weights_file: str | None = None) -> list[str] | None:
    """The flags; None if no flags make this recipe. `weights_file` is the path of the recipe's weights."""
    stage_flags = _stage_flags(recipe, declared)
    if stage_flags is None or not _has_flags(recipe, declared):
        return None
    flags = {**_start_flags(recipe, declared, weights_file), **stage_flags}
    flags |= _optimizer_flags(recipe, declared, finds_lr=declared.find_lr or "--quick" in flags)
    if recipe.folds and recipe.folds != declared.folds:
        flags["--folds"] = recipe.folds
    if recipe.seed != declared.seed:
        flags["--seed"] = recipe.seed
    return [word for flag, value in flags.items() for word in _words(flag, value)]


def _words(flag: str, value: object) -> list[str]:
    """A flag as it is typed: once for each value of a list."""
    values = value if isinstance(value, list) else [value]
    return [word for each in values for word in (flag, str(each)) if word]


def sizes_of(recipe: Recipe) -> list[int]:
    """Its image sizes, in order, each once."""
    return list(dict.fromkeys(stage.size for stage in recipe.stages))


def _has_flags(recipe: Recipe, declared: Recipe) -> bool:
    """Whether all differences have flags: some settings can only be switched on, or only off."""
    drops_start = not (recipe.weights or recipe.from_run) and bool(declared.weights or declared.from_run)
    return not (
        (recipe.pretrained and not declared.pretrained)
        or (declared.auto_batch and not recipe.auto_batch)
        or (declared.folds and not recipe.folds)
        or not _can_be_typed(recipe)
        or _without_flags(recipe) != _without_flags(declared)
        or (recipe.head != declared.head and not recipe.from_run)  # which brings the head of the other run
        or bool(_declared_args(recipe, declared).keys() - recipe.backbone_args.keys())
        or (drops_start and recipe.pretrained and recipe.backbone == declared.backbone)
    )


def _without_flags(recipe: Recipe) -> tuple[object, ...]:
    """What no flag changes of the loss, the regularization and the optimizer."""
    return (
        replace(recipe.loss, label_smoothing=0.0),
        replace(recipe.regularize, ema=0.0),
        replace(recipe.optimizer, accumulate=1),
        recipe.grad_checkpointing,
    )


def _can_be_typed(recipe: Recipe) -> bool:
    """Whether the backbone's arguments are the same when they are read again: the text "1" would be a number."""
    arguments = recipe.backbone_args.items()
    return all(repr(parse_argument(write_argument(*each))) == repr(each) for each in arguments)


def _declared_args(recipe: Recipe, declared: Recipe) -> dict[str, Argument]:
    """The arguments that the declared recipe gives to this backbone."""
    return declared.backbone_args if recipe.backbone == declared.backbone else {}


def _start_flags(recipe: Recipe, declared: Recipe, weights_file: str | None) -> Flags:
    """Backbone and first weights."""
    flags: Flags = {}
    if recipe.backbone != declared.backbone:
        flags["--backbone"] = recipe.backbone
    before = _declared_args(recipe, declared)
    changed = {name: value for name, value in recipe.backbone_args.items() if before.get(name, ...) != value}
    if changed:
        flags["--backbone-arg"] = [write_argument(name, value) for name, value in changed.items()]
    if recipe.from_run:
        flags["--from-run"] = recipe.from_run
    elif recipe.weights and recipe.weights != declared.weights:
        flags["--weights"] = weights_file or recipe.weights.partition(" sha256:")[0]
    elif declared.pretrained and not recipe.pretrained:
        flags["--no-pretrained"] = ""
    return flags


def _stage_flags(recipe: Recipe, declared: Recipe) -> Flags | None:
    """Sizes, trained layers and lengths; None if no flags make these stages, as after a time budget."""
    sizes = sizes_of(recipe)
    size_flags: Flags = {} if sizes == sizes_of(declared) else {"--size": ",".join(map(str, sizes))}
    sized, augment_flags = _with_augment_of(recipe, with_sizes(declared, sizes))
    size_flags |= augment_flags
    for flags, base in _bases(sized):
        scale = _epochs_scale(base, recipe)
        if scale is not None:
            return {**size_flags, **flags, **({} if scale == 1 else {"--epochs-scale": f"{scale:g}"})}
    return None


def _with_augment_of(recipe: Recipe, declared: Recipe) -> tuple[Recipe, Flags]:
    """The declared recipe with the other's augmentation in all stages on images, and the flags for it."""
    wanted = next((stage.augment for stage in recipe.stages if stage.mode is TrainMode.UNFROZEN), None)
    before = next((stage.augment for stage in declared.stages if stage.mode is TrainMode.UNFROZEN), None)
    if wanted is None or before is None or wanted == before:
        return declared, {}
    flags: Flags = {}
    if wanted.policy != before.policy:
        flags["--augment"] = "none" if wanted.policy is None else wanted.policy.value
    if wanted.mixup != before.mixup:
        flags["--mixup"] = f"{wanted.mixup:g}"
    if wanted.cutmix != before.cutmix:
        flags["--cutmix"] = f"{wanted.cutmix:g}"
    changes = {name: getattr(wanted, name) for name in ("policy", "mixup", "cutmix")}
    return with_augment(declared, **changes), flags


def _bases(sized: Recipe) -> Iterator[tuple[Flags, Recipe]]:
    """Every recipe that flags make of this one, apart from the lengths of its cycles."""
    variants: tuple[tuple[Flags, Recipe], ...] = (
        ({}, sized),
        ({"--linear-probe": ""}, linear_probe(sized)),
        ({"--quick": ""}, short_recipe(sized)),
    )
    solvers: list[tuple[Flags, Solver | None]] = [({}, None)]
    solvers += [({"--solver": solver.value}, solver) for solver in Solver]
    for (flags, base), (solver_flags, solver) in product(variants, solvers):
        solved = base if solver is None else with_solver(base, solver)
        if solver is not None and solved == base:
            continue
        yield flags | solver_flags, solved
        if any(stage.mode is TrainMode.UNFROZEN for stage in solved.stages):
            for groups in range(3):
                yield flags | solver_flags | {"--freeze-to": groups}, with_freeze_to(solved, groups)


def _epochs_scale(base: Recipe, target: Recipe) -> float | None:
    """The factor that makes the stages of the second of those of the first; None if there is none."""
    if len(base.stages) != len(target.stages):
        return None
    both = zip(base.stages, target.stages, strict=True)
    pairs = [(stage.cycle_len, wanted.cycle_len) for stage, wanted in both if not stage.is_regression]
    if not pairs:
        return 1.0 if base.stages == target.stages else None
    # Lengths are rounded: each allows a range of factors.
    low = max((wanted - 0.5) / length if wanted > 1 else 0 for length, wanted in pairs)
    high = min((wanted + 0.5) / length for length, wanted in pairs)
    exact = sorted({wanted / length for length, wanted in pairs} | {(low + high) / 2})
    candidates = [1.0, *(round(scale, digits) for digits in range(5) for scale in exact)]
    fitting = (scale for scale in candidates if scale > 0 and scale_epochs(base, scale).stages == target.stages)
    return next(fitting, None)


def _optimizer_flags(recipe: Recipe, declared: Recipe, *, finds_lr: bool) -> Flags:
    """Batch size, lr, dropout and oversampling; `finds_lr` if the LR finder runs without a flag for it."""
    flags: Flags = {}
    if recipe.auto_batch and not declared.auto_batch:
        flags["--batch-size"] = "auto"
    elif recipe.batch_size != declared.batch_size:
        flags["--batch-size"] = recipe.batch_size
    if _lrs(recipe, finds_lr=recipe.find_lr) != _lrs(declared, finds_lr=finds_lr):
        flags["--lr"] = "find" if recipe.find_lr else ",".join(f"{lr:g}" for lr in recipe.group_lrs or (recipe.lr,))
    if recipe.dropout != declared.dropout:
        flags["--dropout"] = f"{recipe.dropout:g}"
    if recipe.oversample != declared.oversample:
        flags["--oversample"] = f"{recipe.oversample:g}"
    if recipe.loss.label_smoothing != declared.loss.label_smoothing:
        flags["--label-smoothing"] = f"{recipe.loss.label_smoothing:g}"
    if recipe.regularize.ema != declared.regularize.ema:
        flags["--ema"] = f"{recipe.regularize.ema:g}"
    if recipe.optimizer.accumulate != declared.optimizer.accumulate:
        flags["--accumulate"] = recipe.optimizer.accumulate
    return flags


def _lrs(recipe: Recipe, *, finds_lr: bool) -> tuple[object, ...]:
    """All that `--lr` sets: it replaces each of them."""
    return (finds_lr, recipe.group_lrs, None if finds_lr or recipe.group_lrs else recipe.lr)
