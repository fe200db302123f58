"""The flags that several commands share, and the values that they make: recipe, options and compute."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from runner.cli.flag_conflicts import check_effect
from runner.cli.value_types import BackboneArg, BatchSize, Device, LearningRate, LocalPath, Number, Sizes, Views
from runner.contract.backbones import current_backbone
from runner.contract.training_practice import Policy
from runner.options import Compute, NotebookOptions, PredictOptions, TrainOptions

if TYPE_CHECKING:
    from runner.contract import Recipe
    from runner.session import Session

Function = TypeVar("Function", bound=Callable[..., Any])


class _OptionWithAlias(click.Option):
    """An option with an older name that still works and that help does not show."""

    def __init__(self, *arguments: Any, alias: str, **more: Any):
        declarations, *rest = arguments
        super().__init__([*declarations, alias], *rest, **more)
        self._alias = alias

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The line of help, without the older name."""
        names, self.opts = self.opts, [name for name in self.opts if name != self._alias]
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = names


_COMPUTE = (
    click.option(
        "--workers", type=click.IntRange(0, 64), metavar="N", help="Data-loading processes.  [default: by the machine]"
    ),
    click.option(
        "--cache-gb",
        type=Number(0),
        metavar="X",
        help="Disk that resized images may take, 0 for none.  [default: 20]",
    ),
    click.option(
        "--device",
        type=Device(),
        default="auto",
        show_default=True,
        help="Where to compute.",
    ),
)

_RECIPE = (
    click.option("--recipe-of", metavar="RUN", help="Begin with the recipe of a run, instead of the competition's."),
    click.option(
        "--recipe",
        "recipe_file",
        type=LocalPath(),
        metavar="FILE",
        help="Begin with the recipe in a JSON file, such as a run's recipe.json.",
    ),
    click.option(
        "--backbone",
        cls=_OptionWithAlias,
        alias="--model",
        metavar="NAME",
        help="Any timm model, or `current`: a newer one in the place of the recipe's.  [default: the recipe's]",
    ),
    click.option(
        "--backbone-arg",
        "backbone_args",
        type=BackboneArg(),
        multiple=True,
        help="A keyword argument of timm's create_model, as pad_type=same; repeatable.",
    ),
    click.option("--weights", type=LocalPath(), metavar="FILE", help="Start from this weights file."),
    click.option("--no-pretrained", is_flag=True, help="Start from scratch."),
    click.option("--from-run", metavar="RUN[:SNAPSHOT]", help="Start from a snapshot of another run."),
    click.option("--size", "sizes", type=Sizes(), help="Image sizes, smallest first."),
    click.option("--batch-size", type=BatchSize(), help="Rows in a mini-batch; auto halves it when memory runs out."),
    click.option(
        "--lr", type=LearningRate(), help="Peak learning rate of the head, or three (early,late,head), or `find`."
    ),
    click.option(
        "--freeze-to", type=click.IntRange(0, 2), metavar="N", help="Keep the first N of three layer groups frozen."
    ),
    click.option("--dropout", type=Number(0, 1, max_open=True), metavar="X", help="Dropout before the last layer."),
    click.option(
        "--oversample",
        type=Number(1, 100),
        metavar="X",
        help="Train on rows of rare classes up to X times an epoch.",
    ),
    click.option(
        "--augment",
        type=click.Choice(["none", *(policy.value for policy in Policy)]),
        help="TrivialAugment or RandAugment, after the preset's augmentation; none leaves the recipe's out.",
    ),
    click.option("--mixup", type=Number(0, 10), metavar="A", help="MixUp with this alpha, as 0.2; 0 for none."),
    click.option("--cutmix", type=Number(0, 10), metavar="A", help="CutMix with this alpha, as 1; 0 for none."),
    click.option(
        "--label-smoothing", type=Number(0, 0.9), metavar="X", help="Spread this share of each label over all classes."
    ),
    click.option(
        "--ema",
        type=Number(0, 1, max_open=True),
        metavar="DECAY",
        help="Validate and keep a moving average of the weights, as 0.99; 0 for none.",
    ),
    click.option(
        "--accumulate", type=click.IntRange(1, 1024), metavar="N", help="Mini-batches for one step of the optimizer."
    ),
    click.option("--folds", type=click.IntRange(2), metavar="N", help="Cross-validation with N folds."),
    click.option("--only-fold", type=click.IntRange(0), metavar="K", help="Train only this fold, counted from 0."),
    click.option("--engine", metavar="ray[:ADDRESS]", help="Spread the folds over Ray: this machine, or a cluster."),
    click.option(
        "--epochs-scale",
        type=Number(0, 100, min_open=True),
        default=1.0,
        metavar="X",
        help="Lengthen or shorten every cycle.",
    ),
    click.option(
        "--epochs",
        type=click.IntRange(1, 10_000),
        metavar="N",
        help="Exactly N epochs in all, divided over the stages; with fewer than stages, the last are left out.",
    ),
    click.option("--quick", is_flag=True, help="A short recipe: LR finder, one frozen epoch, three unfrozen cycles."),
    click.option(
        "--linear-probe", is_flag=True, help="Train only the head, on cached features: seconds instead of minutes."
    ),
    click.option(
        "--time-budget",
        type=Number(0, min_open=True),
        metavar="MIN",
        help="Shorten the recipe to fit, by the time of its first mini-batches.",
    ),
    click.option(
        "--solver",
        type=click.Choice(["lbfgs", "sgdr"]),
        help="How features stages train: a regression solved to convergence, or cosine cycles.",
    ),
    click.option("--seed", type=int, metavar="N", help="Seed of everything random except the folds."),
    click.option(
        "--set",
        "fields",
        multiple=True,
        metavar="FIELD=VALUE",
        help="Set any field of the recipe, as stages[1].size=224 or warmup=0.1; after all other flags; repeatable.",
    ),
    click.option("--skip-unreadable", is_flag=True, help="Train without the rows whose image cannot be read."),
    *_COMPUTE,
    click.option("--compile", is_flag=True, help="Compile the network first: slow to start, then faster."),
    click.option(
        "--track", type=click.Choice(["tensorboard", "wandb", "mlflow"]), help="Also log to this experiment tracker."
    ),
)

_PREDICT = (
    click.option(
        "--tta",
        cls=_OptionWithAlias,
        alias="--views",
        type=Views(),
        default="default",
        show_default=True,
        help="Test-time augmentation: views of each image, averaged if that helps.",
    ),
    click.option(
        "--snapshots",
        type=click.IntRange(1, 50),
        metavar="N",
        help="Predict with the last N snapshots.  [default: at most 3 of the last stage, 1 of each other]",
    ),
)


_NOTEBOOK = (
    click.option(
        "--accelerator",
        default="NvidiaTeslaT4",
        show_default=True,
        metavar="NAME|none",
        help="What a notebook on Kaggle computes on.",
    ),
    click.option(
        "--hours",
        type=Number(0.1, 12),
        default=9.0,
        show_default=True,
        metavar="H",
        help="The longest that a notebook on Kaggle may run.",
    ),
)


_ON_HOST = (
    click.option(
        "--on", type=click.Choice(["kaggle"]), help="Train on Kaggle's machines; the run comes back when it ends."
    ),
    *_NOTEBOOK,
)


def _decorator(options: Sequence[Callable[[Any], Any]]) -> Callable[[Function], Function]:
    """All of these options on one function, in the order in which help shows them."""

    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


source_option = click.option(
    "--from",
    "source",
    type=LocalPath(),
    metavar="DIR|ARCHIVE",
    help="If the data is not here yet, take it from this disk, not from the host.",
)
new_option = click.option("--new", is_flag=True, help="Train a new run, even if this command has one already.")
compute_options = _decorator(_COMPUTE)
recipe_options = _decorator(_RECIPE)
predict_options = _decorator(_PREDICT)
notebook_options = _decorator(_NOTEBOOK)
on_host_options = _decorator(_ON_HOST)


def read_compute(options: dict[str, Any]) -> Compute:
    """The compute that the flags choose."""
    chosen = Compute(device=options["device"], workers=options["workers"], compile=options.get("compile", False))
    gigabytes = options["cache_gb"]
    return chosen if gigabytes is None else replace(chosen, cache_bytes=int(gigabytes * 1e9))


def read_train_options(options: dict[str, Any]) -> TrainOptions:
    """How to train, from the flags."""
    return TrainOptions(
        weights=options["weights"],
        tracker=options["track"],
        time_budget=options["time_budget"],
        only_fold=options["only_fold"],
        engine=options["engine"],
        skip_unreadable=options["skip_unreadable"],
    )


def read_predict_options(options: dict[str, Any]) -> PredictOptions:
    """How to predict, from the flags."""
    return PredictOptions(options["tta"], options["snapshots"])


def read_notebook_options(options: dict[str, Any]) -> NotebookOptions:
    """Where a notebook runs, from the flags."""
    accelerator = options["accelerator"]
    return NotebookOptions(None if accelerator == "none" else accelerator, options["hours"])


def read_recipe(session: Session, options: dict[str, Any]) -> Recipe:
    """The competition's recipe, changed by the flags; a click.UsageError if they contradict each other."""
    from runner.training.recipe_file import with_fields

    recipe = changed_recipe(session, options)
    check_effect(recipe, options)
    return with_fields(recipe, options["fields"])


def changed_recipe(session: Session, options: dict[str, Any]) -> Recipe:
    """The competition's recipe, or the one to begin with, changed by the flags that have a name of their own."""
    from runner.contract.recipe import (
        Solver,
        linear_probe,
        scale_epochs,
        short_recipe,
        with_epochs,
        with_freeze_to,
        with_sizes,
        with_solver,
    )

    same_names = ("seed", "dropout", "oversample", "folds")
    recipe = _with_start(session, options)
    recipe = replace(recipe, **{name: options[name] for name in same_names if options[name] is not None})
    if options["sizes"]:
        recipe = with_sizes(recipe, options["sizes"])
    if options["quick"]:
        recipe = short_recipe(recipe)
    if options["linear_probe"]:
        recipe = linear_probe(recipe)
    if options["solver"] is not None:
        recipe = with_solver(recipe, Solver(options["solver"]))
    if options["freeze_to"] is not None:
        recipe = with_freeze_to(recipe, options["freeze_to"])
    recipe = _with_practice(recipe, options)
    recipe = _with_batch_size(_with_lr(recipe, options["lr"]), options["batch_size"])
    if options["epochs"] is not None:
        recipe = with_epochs(recipe, options["epochs"])
    else:
        recipe = scale_epochs(recipe, options["epochs_scale"])
    return recipe


def _with_start(session: Session, options: dict[str, Any]) -> Recipe:
    """The recipe to begin with, with the backbone and the first weights that the flags choose, and no others."""
    from runner.training.recipe_file import read_recipe_file
    from runner.training.run import find_run

    recipe, backbone, from_run = session.competition.recipe, options["backbone"], options["from_run"]
    if options["recipe_file"] is not None:
        recipe = read_recipe_file(options["recipe_file"])
    if options["recipe_of"] is not None:
        of_run = find_run(session.workspace, session.name, options["recipe_of"]).read_recipe()
        recipe = replace(of_run, all_data=False, refit_of=None)
    if from_run is not None:
        source = find_run(session.workspace, session.name, from_run.partition(":")[0]).read_recipe()
        recipe = replace(recipe, from_run=from_run, weights=None, backbone=source.backbone)
        # Their weights are of features of this width.
        recipe = replace(recipe, backbone_args=source.backbone_args, head=source.head)
    if options["weights"] is not None:
        recipe = replace(recipe, from_run=None, weights=None)
    if options["no_pretrained"]:
        recipe = replace(recipe, from_run=None, weights=None, pretrained=False)
    if backbone == "current":
        try:
            backbone = current_backbone(recipe.backbone)
        except ValueError as error:
            raise click.UsageError(f"--backbone current: {error}") from None
    if backbone is not None and backbone != recipe.backbone:
        # Weights and arguments are of the other backbone.
        recipe = replace(recipe, backbone=backbone, backbone_args={}, weights=None, from_run=from_run)
    return replace(recipe, backbone_args={**recipe.backbone_args, **dict(options["backbone_args"])})


def _with_practice(recipe: Recipe, options: dict[str, Any]) -> Recipe:
    """The recipe with the augmentation, loss and average of weights that the flags choose."""
    from runner.contract.recipe import with_augment

    augment = {name: options[name] for name in ("mixup", "cutmix") if options[name] is not None}
    if options["augment"] is not None:
        augment["policy"] = None if options["augment"] == "none" else Policy(options["augment"])
    if augment:
        recipe = with_augment(recipe, **augment)
    if options["label_smoothing"] is not None:
        recipe = replace(recipe, loss=replace(recipe.loss, label_smoothing=options["label_smoothing"]))
    if options["ema"] is not None:
        recipe = replace(recipe, regularize=replace(recipe.regularize, ema=options["ema"]))
    if options["accumulate"] is not None:
        recipe = replace(recipe, optimizer=replace(recipe.optimizer, accumulate=options["accumulate"]))
    return recipe


def _with_lr(recipe: Recipe, lr: Any) -> Recipe:
    if lr is None:
        return recipe
    if lr == "find":
        return replace(recipe, find_lr=True, group_lrs=None)
    rates = {"lr": lr[-1], "group_lrs": lr if len(lr) > 1 else None}
    return replace(recipe, find_lr=False, **rates)


def _with_batch_size(recipe: Recipe, batch_size: Any) -> Recipe:
    if batch_size is None:
        return recipe
    return replace(recipe, auto_batch=True) if batch_size == "auto" else replace(recipe, batch_size=batch_size)
