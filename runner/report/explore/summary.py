"""The results of `explore` in sentences, for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Iterator

from runner.contract import Regression
from runner.explore.explore import Exploration, ImageStatistic, Quantiles, SizeEffect

_RARE = 20  # images: with fewer, some folds may hold none of a class


def findings(exploration: Exploration) -> list[str]:
    """All sentences, the warnings first."""
    return [*(f"warning: {line}" for line in warnings(exploration)), *notes(exploration)]


def warnings(exploration: Exploration) -> list[str]:
    """Problems that someone should look into."""
    return [*_unreadable(exploration), *_duplicates(exploration), *_large_shifts(exploration)]


def notes(exploration: Exploration) -> list[str]:
    """Everything else."""
    return [*_classes(exploration), *_sizes(exploration), *_no_problems(exploration)]


def class_word(exploration: Exploration) -> str:
    """What images are counted by: class, label if an image may have several, or range of a number."""
    if isinstance(exploration.index.labels, Regression):
        return "range"
    return "label" if exploration.is_multilabel else "class"


def classes_word(exploration: Exploration) -> str:
    """The plural of `class_word`."""
    return "classes" if class_word(exploration) == "class" else f"{class_word(exploration)}s"


def describe_size(effect: SizeEffect) -> str:
    """The effect of one input size, such as "64 px: native size"."""
    if effect.upscaled > 0.995:
        words = f"every image is upsampled (median factor {effect.scale:.2g}): a larger size adds no detail"
    elif effect.upscaled > 0.005:
        words = f"{_percent(effect.upscaled)} of the images are smaller and upsampled"
    elif abs(effect.scale - 1) < 0.01:
        words = "native size"
    else:
        words = f"the median image is downsampled to {_percent(effect.scale)}"
    return f"{effect.size} px: {words}"


def describe_shift(measure: ImageStatistic) -> str:
    """The train/test shift of one measure, such as "width: large shift, higher in test (median 90, train 44)"."""
    train, test = Quantiles.of(measure.train), Quantiles.of(measure.test)
    if train is None or test is None:
        return f"{measure.name}: unknown"
    if measure.shift == "none":
        return f"{measure.name}: no shift"
    direction = "higher" if test.median > train.median else "lower" if test.median < train.median else "equal median"
    return (
        f"{measure.name}: {measure.shift} shift, {direction} in test "
        f"(median {test.median:.4g}, train {train.median:.4g})"
    )


def _unreadable(exploration: Exploration) -> Iterator[str]:
    images = exploration.unreadable
    if images:
        names = ", ".join(image.path for image in images[:3]) + (", ..." if len(images) > 3 else "")
        yield f"{_count(len(images), 'image')} cannot be read: {names}: {images[0].reason}"


def _duplicates(exploration: Exploration) -> Iterator[str]:
    groups = exploration.duplicates
    for count, problem in (
        (sum(group.label_conflict for group in groups), "with conflicting labels"),
        (sum(group.train_test for group in groups), "across train and test"),
        (sum(group.fold_leak for group in groups), "across folds (validation scores are too optimistic)"),
    ):
        if count:
            yield f"duplicate images {problem}: {_count(count, 'group')}"


def _large_shifts(exploration: Exploration) -> Iterator[str]:
    for measure in exploration.measures:
        if measure.shift == "large":
            yield describe_shift(measure)


def _classes(exploration: Exploration) -> Iterator[str]:
    counts = sorted(exploration.classes, key=lambda count: count.rows)
    rarest, commonest = counts[0], counts[-1]
    words = classes_word(exploration)
    if rarest.rows < commonest.rows:
        images = f"from {_count(rarest.rows, 'image')} ({rarest.name}) to {commonest.rows:,} ({commonest.name})"
    else:
        images = f"{_count(commonest.rows, 'image')} each"
    per_image = exploration.labels_per_image
    yield f"{len(counts)} {words}: {images}" + (f", {per_image:.1f} labels per image" if per_image else "")
    rare = [count.name for count in counts if count.rows < _RARE]
    if rare:
        names = ", ".join(rare[:6]) + (", ..." if len(rare) > 6 else "")
        yield f"{len(rare)} {words} with fewer than {_RARE} images ({names}): consider --oversample"


def _sizes(exploration: Exploration) -> Iterator[str]:
    width, height = (Quantiles.of(measure.train) for measure in exploration.sizes[:2])
    if width and height:
        equal = width.p5 == width.p95 and height.p5 == height.p95
        yield f"{'image size' if equal else 'median image'}: {width.median:.0f} x {height.median:.0f} pixels"
    yield from (describe_size(effect) for effect in exploration.size_effects)


def _no_problems(exploration: Exploration) -> Iterator[str]:
    if all(measure.shift == "none" for measure in exploration.measures):
        yield "no train/test shift in any measure"
    yield from (describe_shift(measure) for measure in exploration.measures if measure.shift == "small")
    if not exploration.duplicates:
        yield "no duplicate images" + ("" if exploration.all_decoded else " among those compared")


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else f"{share:.1%}"


def _count(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"
