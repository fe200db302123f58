"""The learning-rate finder, for each stage of a recipe; nothing is kept of what it trains."""

from __future__ import annotations

from runner.contract import Recipe
from runner.options import TrainOptions
from runner.session import Session
from runner.steps.machine import machine_of
from runner.training.distributed import build_accelerator, main_process_first
from runner.training.folds import preview_fold
from runner.training.model import check_backbone
from runner.training.stage import Found, find_stage_rate


def find_lr(session: Session, recipe: Recipe, options: TrainOptions = TrainOptions()) -> list[Found]:
    """The finder's result for each stage, from the weights that the recipe starts with."""
    check_backbone(recipe.backbone)
    machine = machine_of(session, options)
    accelerator = build_accelerator(machine.device)
    competition, workspace, index = session.competition, session.workspace, session.index
    fold = main_process_first(accelerator, lambda: preview_fold(competition, workspace, index, recipe))
    return [find_stage_rate(fold, machine, accelerator, stage) for stage in recipe.stages]
