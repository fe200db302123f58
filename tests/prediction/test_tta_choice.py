"""ViewPredictions are averaged unless that scored worse, and no row has a say in how it is itself looked at."""

from __future__ import annotations

import numpy as np
import pytest

from runner.contract import LOG_LOSS, MEAN_F2, ROC_AUC
from runner.prediction.averaging import Mean, TTAMode
from runner.prediction.nested_cv import NestedCV
from runner.prediction.out_of_fold import OutOfFold
from runner.prediction.postprocess import Task
from runner.prediction.tta_choice import TTANestedCV

ROWS = 120


def rows_of(seed: int = 0, *, noise: dict[TTAMode, float], rows: int = ROWS, targets: np.ndarray | None = None):
    """Members that see the truth through noise: another amount for each look."""
    random = np.random.default_rng(seed)
    drawn = np.eye(3)[random.integers(0, 3, rows)]
    targets = drawn if targets is None else targets
    ids = tuple(f"row{row:03d}" for row in range(rows))

    def read(look: TTAMode) -> OutOfFold:
        draws = np.random.default_rng([seed, int(1000 * noise[look])])
        logits = 2 * drawn[None] + draws.normal(scale=noise[look], size=(2, rows, 3))
        shares = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
        return OutOfFold(("one", "two"), ids, shares.astype(np.float32), targets, np.arange(rows) % 5, ("",) * rows)

    return read


TASK = Task(LOG_LOSS, multiclass=True)
BETTER = {TTAMode.NONE: 1.5, TTAMode.MEAN: 0.7, TTAMode.GEOMETRIC_MEAN: 0.7}
WORSE = {TTAMode.NONE: 0.5, TTAMode.MEAN: 1.5, TTAMode.GEOMETRIC_MEAN: 1.5}


def test_the_mean_of_views_is_taken_where_it_scores_better_and_left_where_it_scores_worse():
    better, worse = (TTANestedCV(rows_of(noise=noise), tuple(TTAMode), TASK) for noise in (BETTER, WORSE))
    assert better.look is not TTAMode.NONE
    assert better.gain_of_views().value > 0
    assert worse.look is TTAMode.NONE
    assert worse.gain_of_views().value < 0


def test_the_mean_of_probabilities_stands_unless_logs_gain_beyond_chance():
    much = TTANestedCV(rows_of(noise={**BETTER, TTAMode.GEOMETRIC_MEAN: 0.2}), tuple(TTAMode), TASK)
    assert much.look is TTAMode.GEOMETRIC_MEAN
    assert TTANestedCV(rows_of(noise=BETTER), tuple(TTAMode), TASK).look is TTAMode.MEAN


def test_one_look_is_the_nest_itself():
    read = rows_of(noise=BETTER)
    looked, nest = TTANestedCV(read, (TTAMode.NONE,), TASK), NestedCV(read(TTAMode.NONE), TASK)
    assert looked.nested_score() == nest.nested_score()
    assert looked.final_step() == nest.final_step()
    assert looked.gain_of_views() is None


def test_with_too_few_rows_to_tell_the_mean_is_believed():
    for noise in (WORSE, {**BETTER, TTAMode.GEOMETRIC_MEAN: 0.01}):
        assert TTANestedCV(rows_of(noise=noise, rows=12), tuple(TTAMode), TASK).look is TTAMode.MEAN


@pytest.mark.parametrize("noise", [BETTER, WORSE, {TTAMode.NONE: 1.0, TTAMode.MEAN: 1.0, TTAMode.GEOMETRIC_MEAN: 1.0}])
def test_a_parts_labels_have_no_say_in_its_own_answers(noise: dict[TTAMode, float]):
    truth = rows_of(noise=noise)(TTAMode.NONE).targets
    planted = truth.copy()
    part = np.arange(ROWS) % 5 == 2
    planted[part] = np.roll(planted[part], 1, axis=1)
    honest, lied = (
        TTANestedCV(rows_of(noise=noise, targets=targets), tuple(TTAMode), TASK).nested_score()
        for targets in (truth, planted)
    )
    assert np.array_equal(honest.values[part], lied.values[part])
    assert not np.array_equal(honest.values[~part], lied.values[~part])


def test_metrics_of_decisions_and_of_ranks_choose_a_look_too():
    tags = TTANestedCV(rows_of(noise=BETTER), tuple(TTAMode), Task(MEAN_F2, multiclass=False))
    assert tags.look is not TTAMode.NONE
    assert set(np.unique(tags.nested_score().values)) <= {0, 1}

    def one_column(look: TTAMode) -> OutOfFold:
        rows = rows_of(noise=BETTER)(look)
        return OutOfFold(rows.names, rows.ids, rows.members[:, :, :1], rows.targets[:, :1], rows.folds, rows.groups)

    ranks = TTANestedCV(one_column, tuple(TTAMode), Task(ROC_AUC, multiclass=False))
    assert ranks.look is not TTAMode.NONE
    assert 0.5 < ranks.nested_score().score.value <= 1


def test_one_look_is_held_at_a_time():
    nest = TTANestedCV(rows_of(noise=BETTER), tuple(TTAMode), TASK)
    assert len(nest._nests) == 1
    nest.nested_score()
    assert list(nest._nests) == [nest.look]


def test_a_look_takes_the_plain_view_or_all():
    assert TTAMode.NONE.views(("plain", "mirror")) == ("plain",)
    assert TTAMode.MEAN.views(("plain", "mirror")) == ("plain", "mirror")
    assert TTAMode.GEOMETRIC_MEAN.space is Mean.GEOMETRIC
