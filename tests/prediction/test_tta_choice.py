"""Views are averaged unless that scored worse, and no row has a say in how it is itself looked at."""

from __future__ import annotations

import numpy as np
import pytest

from runner.contract import LOG_LOSS, MEAN_F2, ROC_AUC
from runner.prediction.averaging import Look, Space
from runner.prediction.nested_cv import Nest
from runner.prediction.out_of_fold import OutOfFold
from runner.prediction.postprocess import Task
from runner.prediction.tta_choice import LookedNest

ROWS = 120


def rows_of(seed: int = 0, *, noise: dict[Look, float], rows: int = ROWS, targets: np.ndarray | None = None):
    """Members that see the truth through noise: another amount for each look."""
    random = np.random.default_rng(seed)
    drawn = np.eye(3)[random.integers(0, 3, rows)]
    targets = drawn if targets is None else targets
    ids = tuple(f"row{row:03d}" for row in range(rows))

    def read(look: Look) -> OutOfFold:
        draws = np.random.default_rng([seed, int(1000 * noise[look])])
        logits = 2 * drawn[None] + draws.normal(scale=noise[look], size=(2, rows, 3))
        shares = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
        return OutOfFold(("one", "two"), ids, shares.astype(np.float32), targets, np.arange(rows) % 5, ("",) * rows)

    return read


TASK = Task(LOG_LOSS, multiclass=True)
BETTER = {Look.PLAIN: 1.5, Look.MEAN: 0.7, Look.MEAN_OF_LOGS: 0.7}
WORSE = {Look.PLAIN: 0.5, Look.MEAN: 1.5, Look.MEAN_OF_LOGS: 1.5}


def test_the_mean_of_views_is_taken_where_it_scores_better_and_left_where_it_scores_worse():
    better, worse = (LookedNest(rows_of(noise=noise), tuple(Look), TASK) for noise in (BETTER, WORSE))
    assert better.look is not Look.PLAIN
    assert better.gain_of_views().value > 0
    assert worse.look is Look.PLAIN
    assert worse.gain_of_views().value < 0


def test_the_mean_of_probabilities_stands_unless_logs_gain_beyond_chance():
    much = LookedNest(rows_of(noise={**BETTER, Look.MEAN_OF_LOGS: 0.2}), tuple(Look), TASK)
    assert much.look is Look.MEAN_OF_LOGS
    assert LookedNest(rows_of(noise=BETTER), tuple(Look), TASK).look is Look.MEAN


def test_one_look_is_the_nest_itself():
    read = rows_of(noise=BETTER)
    looked, nest = LookedNest(read, (Look.PLAIN,), TASK), Nest(read(Look.PLAIN), TASK)
    assert looked.honest_score() == nest.honest_score()
    assert looked.final_step() == nest.final_step()
    assert looked.gain_of_views() is None


def test_with_too_few_rows_to_tell_the_mean_is_believed():
    for noise in (WORSE, {**BETTER, Look.MEAN_OF_LOGS: 0.01}):
        assert LookedNest(rows_of(noise=noise, rows=12), tuple(Look), TASK).look is Look.MEAN


@pytest.mark.parametrize("noise", [BETTER, WORSE, {Look.PLAIN: 1.0, Look.MEAN: 1.0, Look.MEAN_OF_LOGS: 1.0}])
def test_a_parts_labels_have_no_say_in_its_own_answers(noise: dict[Look, float]):
    truth = rows_of(noise=noise)(Look.PLAIN).targets
    planted = truth.copy()
    part = np.arange(ROWS) % 5 == 2
    planted[part] = np.roll(planted[part], 1, axis=1)
    honest, lied = (
        LookedNest(rows_of(noise=noise, targets=targets), tuple(Look), TASK).honest_score()
        for targets in (truth, planted)
    )
    assert np.array_equal(honest.values[part], lied.values[part])
    assert not np.array_equal(honest.values[~part], lied.values[~part])


def test_metrics_of_decisions_and_of_ranks_choose_a_look_too():
    tags = LookedNest(rows_of(noise=BETTER), tuple(Look), Task(MEAN_F2, multiclass=False))
    assert tags.look is not Look.PLAIN
    assert set(np.unique(tags.honest_score().values)) <= {0, 1}

    def one_column(look: Look) -> OutOfFold:
        rows = rows_of(noise=BETTER)(look)
        return OutOfFold(rows.names, rows.ids, rows.members[:, :, :1], rows.targets[:, :1], rows.folds, rows.groups)

    ranks = LookedNest(one_column, tuple(Look), Task(ROC_AUC, multiclass=False))
    assert ranks.look is not Look.PLAIN
    assert 0.5 < ranks.honest_score().score.value <= 1


def test_one_look_is_held_at_a_time():
    nest = LookedNest(rows_of(noise=BETTER), tuple(Look), TASK)
    assert len(nest._nests) == 1
    nest.honest_score()
    assert list(nest._nests) == [nest.look]


def test_a_look_takes_the_plain_view_or_all():
    assert Look.PLAIN.views(("plain", "mirror")) == ("plain",)
    assert Look.MEAN.views(("plain", "mirror")) == ("plain", "mirror")
    assert Look.MEAN_OF_LOGS.space is Space.LOGS
