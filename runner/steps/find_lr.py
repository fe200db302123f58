"""The learning-rate finder, for each stage of a recipe; nothing is kept of what it trains."""

from __future__ import annotations

from runner.contract import Recipe
from runner.options import TrainOptions
from runner.session import Session
from runner.training.distributed import get_accelerator, main_process_first
from runner.training.folds import preview_fold, resolve_start
from runner.training.lr_finder import StageLR, find_stage_lr
from runner.training.model import check_backbone


def find_lr(session: Session, recipe: Recipe, options: TrainOptions = TrainOptions()) -> list[StageLR]:
    """The finder's result for each stage, from the weights that the recipe starts with."""
    check_backbone(recipe)
    get_accelerator(session.compute)
    recipe, options = main_process_first(lambda: resolve_start(session, recipe, options))
    fold = main_process_first(lambda: preview_fold(session, recipe, options))
    return [find_stage_lr(fold, stage, options) for stage in recipe.stages if not stage.is_regression]
