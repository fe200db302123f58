"""Made-up members for the prediction room: out-of-fold rows of every kind of task."""

from __future__ import annotations

import numpy as np

from runner.contract import ACCURACY, BINARY_LOG_LOSS, LOG_LOSS, MEAN_F2, ROC_AUC, Activation, Block, Outputs
from runner.prediction.label_constraints import LabelConstraints
from runner.prediction.out_of_fold import OutOfFold
from runner.prediction.postprocess import Task


def outputs(multiclass: bool, columns: int = 2) -> Outputs:
    """Classes of which each row has one, or columns that stand alone."""
    return Outputs((Block(Activation.SOFTMAX if multiclass else Activation.SIGMOID, columns),))


BINARY = Task(BINARY_LOG_LOSS, outputs(False, 1))
MULTICLASS = Task(LOG_LOSS, outputs(True, 3))
MULTILABEL = Task(MEAN_F2, outputs(False, 6), constraints=LabelConstraints((0, 1, 2), (1,)))
TASKS = (BINARY, MULTICLASS, MULTILABEL, Task(ROC_AUC, outputs(False, 1)), Task(ACCURACY, outputs(True, 3)))

# Multilabel rows have one of three weathers; the second, a cloud, has no other label beside it.
WEATHER, OTHER_LABEL = np.array([0.6, 0.2, 0.2]), 0.3


def draw_rows(task: Task, rows: int = 120, members: int = 3, *, seed: int = 0, signal: float = 1.5) -> OutOfFold:
    """Members that see the targets through their own noise, well calibrated; without signal they see noise alone."""
    random = np.random.default_rng(seed)
    targets = draw_targets(task, rows, random)
    seen = signal * (2 * targets - 1) + random.normal(size=(members, *targets.shape))
    probabilities = to_probabilities(task, 2 * signal * seen if signal else seen)
    names = tuple(f"member {number}" for number in range(members))
    ids = tuple(f"row {number:04d}" for number in range(rows))
    folds = np.zeros(rows, dtype=np.int64)
    return OutOfFold(names, ids, probabilities.astype(np.float32), targets, folds, ("",) * rows)


def draw_targets(task: Task, rows: int, random: np.random.Generator) -> np.ndarray:
    if task.metric is MEAN_F2:
        weather = np.eye(3)[random.choice(3, rows, p=WEATHER)]
        return np.hstack([weather, (random.random((rows, 3)) < OTHER_LABEL) * (weather[:, 1:2] == 0)])
    if task.outputs.only is Activation.SOFTMAX:
        return np.eye(3)[random.integers(0, 3, rows)]
    return random.integers(0, 2, (rows, 1)).astype(float)


def to_probabilities(task: Task, logits: np.ndarray) -> np.ndarray:
    if task.metric is not MEAN_F2:
        return softmax(logits) if task.outputs.only is Activation.SOFTMAX else sigmoid(logits)
    weather = softmax(np.log(WEATHER) + logits[..., :3])
    others = sigmoid(np.log(OTHER_LABEL / (1 - OTHER_LABEL)) + logits[..., 3:])
    return np.concatenate([weather, others * (1 - weather[..., 1:2])], axis=-1)


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))
