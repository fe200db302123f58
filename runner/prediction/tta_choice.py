"""Whether the views of test-time augmentation are averaged, and in which space: judged as honestly as the rest.

Averaging views fits nothing and takes away variance, so it is believed from the start, and given up only where the
plain view scored better. Even this choice, of one among three, is made again for every part without that part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.prediction.averaging import TTAMode
from runner.prediction.nested_cv import NestedCV, NestedScore
from runner.prediction.out_of_fold import OutOfFold
from runner.prediction.postprocess import Postprocess, Task
from runner.prediction.score import Gain, bootstrap_gain, paired_gain

Matrix = NDArray[Any]


class TTANestedCV:
    """The final step and its score where the members' views may be made one in several ways.

    `read` gives the members as a look shows them; one look is held at a time, because planet's are large.
    """

    def __init__(self, read: Callable[[TTAMode], OutOfFold], looks: Sequence[TTAMode], task: Task, seed: int = 0):
        self._read, self._task, self._seed = read, task, seed
        self._looks = tuple(looks)
        self._nests: dict[TTAMode, NestedCV] = {}
        self._values: dict[TTAMode, Matrix] = {}
        frame = self._nest(self._looks[0])
        # The same for every look: they differ in what the members say, not in the rows.
        self._slices, self._units, self._nested = frame.slices, frame.units, frame.nested
        self._targets = frame.rows.targets
        if len(self._looks) > 1:
            for look in self._looks:
                self._values[look] = self._nest(look).unfitted_values()

    @property
    def look(self) -> TTAMode:
        """The chosen one."""
        return self._choose(None)

    @property
    def nest(self) -> NestedCV:
        """All that is chosen and fitted for the chosen look."""
        return self._nest(self.look)

    def final_step(self) -> Postprocess:
        """The chosen step, fitted on all the rows as the chosen look shows them."""
        return self.nest.final_step()

    def nested_score(self) -> NestedScore:
        """The score of choosing the look, the steps, and fitting them, on rows that had no part in it."""
        looks = [self._choose(part) for part in range(len(self._slices))]
        values: dict[int, Matrix] = {}
        # TTAMode by look, the chosen one last: each is read once.
        for look in sorted(set(looks), key=lambda one: one is self.look):
            for part in (part for part, own in enumerate(looks) if own is look):
                values[part] = self._nest(look).honest_answer(part).values
        return self.nest.score_answers(np.concatenate([values[part] for part in range(len(looks))]))

    def gain_of_views(self) -> Gain | None:
        """How much better the best mean of views is than the plain one, nothing else done to either."""
        return self._gain(TTAMode.NONE, self._best_mean(None), None) if self._values else None

    def _choose(self, without: int | None) -> TTAMode:
        """The look, judged without that part."""
        if len(self._looks) == 1:
            return self._looks[0]
        if not self._nested:
            return TTAMode.MEAN  # too few rows to tell anything by: what is right beforehand
        mean = self._best_mean(without)
        return mean if self._gain(TTAMode.NONE, mean, without).value > 0 else TTAMode.NONE

    def _best_mean(self, without: int | None) -> TTAMode:
        gain = self._gain(TTAMode.MEAN, TTAMode.GEOMETRIC_MEAN, without)
        return TTAMode.GEOMETRIC_MEAN if gain.exceeds_standard_error else TTAMode.MEAN

    def _gain(self, simple: TTAMode, other: TTAMode, without: int | None) -> Gain:
        rows = np.ones(len(self._targets), dtype=bool)
        if without is not None and self._nested:
            rows[self._slices[without]] = False
        metric, targets = self._task.metric, self._targets[rows]
        units = np.unique(self._units[rows], return_inverse=True)[1]
        one, two = self._values[simple][rows], self._values[other][rows]
        if metric.per_row is None:
            return bootstrap_gain(metric, targets, one, two, units)
        return paired_gain(metric, metric.per_row(targets, one), metric.per_row(targets, two), units)

    def _nest(self, look: TTAMode) -> NestedCV:
        if look not in self._nests:
            self._nests.clear()
            self._nests[look] = NestedCV(self._read(look), self._task, self._seed)
        return self._nests[look]
