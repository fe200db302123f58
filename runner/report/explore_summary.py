"""What was found in the images, in plain sentences: for the terminal and for the page alike."""

from __future__ import annotations

from collections.abc import Iterator

from runner.explore.explore import Exploration, Fit, Measure, Quantiles

_RARE = 20  # rows; below it a fold may hold none of a class, and its share of the score is luck


def findings(found: Exploration) -> list[str]:
    """A sentence for each thing that a person should know, the alarming ones first."""
    return [*warnings(found), *_classes(found), *_sizes(found), *_same(found)]


def warnings(found: Exploration) -> list[str]:
    """What calls for something to be done."""
    return [*_broken(found), *_alike(found), *_different(found)]


def tell_fit(fit: Fit) -> str:
    """What one size means."""
    if fit.enlarged > 0.995:
        what = f"every image is enlarged, the typical one {fit.scale:.2g} times: more pixels, no more detail"
    elif fit.enlarged > 0.005:
        what = f"{_share(fit.enlarged)} of the images are smaller and get enlarged"
    elif abs(fit.scale - 1) < 0.01:
        what = "the images' own size"
    else:
        what = f"the typical image is reduced to {_share(fit.scale)} of its short side"
    return f"{fit.size} px: {what}"


def tell_measure(measure: Measure) -> str:
    """How test images differ from labelled ones in one number."""
    train, test = Quantiles.of(measure.train), Quantiles.of(measure.test)
    if train is None or test is None:
        return f"{measure.name}: not known"
    if measure.verdict == "alike":
        return f"{measure.name}: alike"
    way = "higher" if test.median > train.median else "lower" if test.median < train.median else "otherwise spread"
    middle = f"{test.median:.4g} against {train.median:.4g} in the middle"
    return f"{measure.name}: {measure.verdict}, {way} in the test images ({middle})"


def _broken(found: Exploration) -> Iterator[str]:
    if found.broken:
        names = ", ".join(one.path for one in found.broken[:3]) + (" and others" if len(found.broken) > 3 else "")
        yield f"{_images(len(found.broken))} cannot be read: {names}"


def _alike(found: Exploration) -> Iterator[str]:
    for kind, groups in (
        ("bear different labels", [one for one in found.alike if one.label_conflict]),
        ("lie in train and in test", [one for one in found.alike if one.train_test]),
        (
            "are held out in one fold and learned from in it: the score flatters",
            [g for g in found.alike if g.fold_leak],
        ),
    ):
        if groups:
            yield f"{_groups(len(groups))} of images that are one image, or nearly, {_verb(kind, len(groups))}"


def _different(found: Exploration) -> Iterator[str]:
    for measure in found.differences:
        if measure.verdict == "different":
            yield f"train and test differ in {tell_measure(measure).replace(': different,', ':', 1)}"


def _classes(found: Exploration) -> Iterator[str]:
    counts = sorted(found.classes, key=lambda one: one.rows)
    least, most = counts[0], counts[-1]
    what = "tags" if found.cooccurrence is not None else "classes"
    spread = f"from {_images(least.rows)} ({least.name}) to {most.rows:,} ({most.name})"
    yield (
        f"{len(counts)} {what}: {spread if least.rows < most.rows else f'{_images(most.rows)} each'}"
        + (f", {found.tags_a_image:.1f} tags an image" if found.tags_a_image else "")
    )
    rare = [one for one in counts if one.rows < _RARE]
    if rare:
        names = ", ".join(one.name for one in rare[:6])
        yield f"{len(rare)} {what} with fewer than {_RARE} images ({names}): --oversample shows them more often"


def _sizes(found: Exploration) -> Iterator[str]:
    width, height = (Quantiles.of(measure.train) for measure in found.sizes[:2])
    if width and height:
        same = width.low == width.high and height.low == height.high
        yield f"{'all' if same else 'typical'} images: {width.median:.0f} x {height.median:.0f} pixels"
    yield from (tell_fit(fit) for fit in found.fits)


def _same(found: Exploration) -> Iterator[str]:
    apart = [one for one in found.differences if one.verdict != "alike"]
    if not apart:
        yield "train and test look alike in every measure"
    yield from (f"train and test: {tell_measure(one)}" for one in apart if one.verdict != "different")
    if not found.alike:
        yield "no image is there twice" + ("" if _all_seen(found) else ", among those that were compared")


def _all_seen(found: Exploration) -> bool:
    return found.looked_at + len(found.broken) >= found.images


def _share(value: float) -> str:
    return f"{value:.0%}" if value >= 0.01 else f"{value:.1%}"


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _groups(count: int) -> str:
    return "1 group" if count == 1 else f"{count:,} groups"


def _verb(words: str, count: int) -> str:
    plural, _, rest = words.partition(" ")
    singular = {"bear": "bears", "lie": "lies", "are": "is"}[plural]
    return f"{singular if count == 1 else plural} {rest}"
