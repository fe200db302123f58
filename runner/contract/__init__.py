"""The words a plugin is written in."""

from runner.contract.competition import Bands, Competition, Pictures
from runner.contract.labels import Labels, OneOfMany, Probability, Tags
from runner.contract.metrics import ACCURACY, BINARY_LOG_LOSS, LOG_LOSS, MEAN_F2, ROC_AUC, Metric
from runner.contract.presets import RADAR, SIDE_ON, TOP_DOWN, UPRIGHT, Padding, Preset, Symmetry
from runner.contract.recipe import Recipe, Stage, State

__all__ = [
    "ACCURACY",
    "BINARY_LOG_LOSS",
    "LOG_LOSS",
    "MEAN_F2",
    "RADAR",
    "ROC_AUC",
    "SIDE_ON",
    "TOP_DOWN",
    "UPRIGHT",
    "Bands",
    "Competition",
    "Labels",
    "Metric",
    "OneOfMany",
    "Padding",
    "Pictures",
    "Preset",
    "Probability",
    "Recipe",
    "Stage",
    "State",
    "Symmetry",
    "Tags",
]
