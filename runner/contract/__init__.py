"""Everything that a competition file imports."""

from runner.contract.competition import Competition, ImageArray, Images
from runner.contract.labels import Binary, Labels, Multiclass, Multilabel
from runner.contract.metrics import ACCURACY, BINARY_LOG_LOSS, LOG_LOSS, MEAN_F2, ROC_AUC, Metric
from runner.contract.presets import NO_FLIP, RADAR, SIDE_ON, TOP_DOWN, Padding, Preset, Symmetry
from runner.contract.recipe import EnsembleRecipe, Recipe, Stage, TrainMode

__all__ = [
    "ACCURACY",
    "BINARY_LOG_LOSS",
    "LOG_LOSS",
    "MEAN_F2",
    "NO_FLIP",
    "RADAR",
    "ROC_AUC",
    "SIDE_ON",
    "TOP_DOWN",
    "Binary",
    "Competition",
    "EnsembleRecipe",
    "ImageArray",
    "Images",
    "Labels",
    "Metric",
    "Multiclass",
    "Multilabel",
    "Padding",
    "Preset",
    "Recipe",
    "Stage",
    "Symmetry",
    "TrainMode",
]
