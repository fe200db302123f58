"""Labels in the names of the training images: class folders, or a part of the file's name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from runner.contract.images import folder_of
from runner.new_competition.evidence import Source, suffix_of, without_suffix
from runner.new_competition.image_places import is_below, is_mask
from runner.new_competition.questions import Findings, Question, UnclearError, some
from runner.new_competition.test_images import TestImages

_TRAIN = re.compile(r"train|(?<!un)labell?ed", re.IGNORECASE)
_VALID = re.compile(r"valid|^val$|[_-]val$|^val[_-]|^dev$", re.IGNORECASE)
_TEST = re.compile(r"test|eval|unlabel|hidden", re.IGNORECASE)
# Folders of parts, sizes, patients and dates are no classes.
_NO_CLASS = re.compile(
    r"(part|batch|chunk|split|fold|shard|set|group|patient|subject|case|site|scene|seq|sequence|video|dir|folder|"
    r"image|img|images|imgs|photos|pictures|data|extra|unlabel+ed|other|misc)s?[ _-]*\w{0,4}|\d{4}[_-]\d\d[_-]\d\d.*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class LabelNames:
    """Templates with a `{label}`, and how often each label occurs."""

    templates: tuple[str, ...]
    counts: Counter[str]
    evidence: str
    valid: str | None = None
    has_witness: bool = False  # the sample submission names these labels

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self.counts))


def find_label_names(source: Source, test: TestImages) -> list[LabelNames]:
    """Every way to read a label from the training images' names; those that the sample names, if there are any."""
    of_test = _folders_of(test)
    folders = [folder for folder in source.images.folders if not is_below(folder, of_test)]
    folders = [folder for folder in folders if not is_mask(folder)] or folders
    training = [folder for folder in folders if any(_TRAIN.search(part) for part in folder.split("/"))]
    training = training or [folder for folder in folders if not any(_VALID.search(p) for p in folder.split("/"))]
    if not training:
        return []
    found = [*_class_folders(training, folders, source), *_parts_of_names(training, source)]
    witnessed = [_with_witness(each, test) for each in found]
    return [each for each in witnessed if each.has_witness] or found


def _folders_of(test: TestImages) -> tuple[str, ...]:
    return tuple(dict.fromkeys(folder_of(each) for each in test.place.templates))


# --- folders ------------------------------------------------------------------------------------


def _root(folders: Sequence[str]) -> str:
    """The folder around these: up to the one that is named after training, or what they share."""
    parts = [folder.split("/") for folder in folders]
    shared = 0
    while all(len(each) > shared and each[shared] == parts[0][shared] for each in parts):
        shared += 1
    return "/".join(parts[0][:shared])


def _class_folders(training: Sequence[str], folders: Sequence[str], source: Source) -> Iterator[LabelNames]:
    root = _root(training)
    below = {folder: folder[len(root) + 1 :].split("/") for folder in training if folder != root}
    if not root or len(below) < 2 or len(below) < len(training):
        return
    depths = {len(parts) for parts in below.values()}
    if len(depths) > 1:
        return
    depth = depths.pop()
    for level in range(depth):
        counts = Counter[str]()
        for folder, parts in below.items():
            counts[parts[level]] += source.images.folders[folder]
        if len(counts) < 2:
            continue
        middle = ["{label}" if each == level else "*" for each in range(depth)]
        template = "/".join([root, *middle, "{id}"])
        where = f"the folders in {root}/" if depth == 1 else f"folders {level + 1} deep in {root}/"
        yield LabelNames((template,), counts, where, _valid_template(root, counts, folders, middle))


def _valid_template(root: str, counts: Counter[str], folders: Sequence[str], middle: Sequence[str]) -> str | None:
    """The folder of validation images that has the same classes in it."""
    if list(middle) != ["{label}"]:
        return None
    others = {folder.rpartition("/")[0] for folder in folders if folder.rpartition("/")[2] in counts}
    valid = [other for other in sorted(others - {root}) if other and _VALID.search(other.rpartition("/")[2])]
    return f"{valid[0]}/{{label}}/{{id}}" if len(valid) == 1 else None


# --- parts of names -----------------------------------------------------------------------------


def _parts_of_names(training: Sequence[str], source: Source) -> Iterator[LabelNames]:
    """`{label}.{id}.jpg`, `{id}_{label}.jpg`: a part that few words fill, beside one that is nearly always another."""
    names = [path for path in source.images.paths if path.rpartition("/")[0] in set(training)]
    suffixes = {suffix_of(path) for path in names}
    if len(suffixes) != 1 or not all(training):
        return
    suffix = suffixes.pop()
    stems = [without_suffix(path.rpartition("/")[2]) for path in names]
    for separator in "._- ":
        if not all(separator in stem for stem in stems):
            continue
        for template, labels, ids in (
            (
                f"{{label}}{separator}{{id}}",
                [s.partition(separator)[0] for s in stems],
                [s.partition(separator)[2] for s in stems],
            ),
            (
                f"{{id}}{separator}{{label}}",
                [s.rpartition(separator)[2] for s in stems],
                [s.rpartition(separator)[0] for s in stems],
            ),
        ):
            counts = Counter(labels)
            if _are_labels(counts, ids, len(stems) // len(training)):
                templates = tuple(f"{folder}/{template}{suffix}" for folder in training)
                yield LabelNames(templates, counts, f"the files' names, {template}{suffix}")


def _are_labels(counts: Counter[str], ids: Sequence[str], rows: int) -> bool:
    is_repeated = 2 <= len(counts) <= max(2, rows // 3) and min(counts.values()) >= 1
    return is_repeated and not all(name.isdigit() for name in counts) and len(set(ids)) * len(counts) >= rows


# --- witnesses ----------------------------------------------------------------------------------


def _with_witness(found: LabelNames, test: TestImages) -> LabelNames:
    """The labels, with whether the sample submission names them: in its columns, or in its cells."""
    names, sample = set(found.counts), test.sample
    columns, cells = set(sample.columns), {cell for cell in sample.cells if cell}
    parts = {part for cell in cells for part in cell.split()}
    if len(columns) > 1 and names <= columns:
        text = "which are the columns of the sample submission"
    elif (
        cells
        and (cells <= names or (len(parts) > 1 and parts <= names))
        and not (sample.has_numbers and len(cells) < 2)
    ):
        text = "which the sample's cells name"
    elif len(columns) == 1 and columns <= names:
        text = f"one of which, {min(columns)!r}, is the column of the sample submission"
    else:
        return found
    return LabelNames(found.templates, found.counts, f"{found.evidence}, {text}", found.valid, has_witness=True)


def decide_names(found: Sequence[LabelNames], findings: Findings) -> LabelNames:
    """The one way to read the labels; an UnclearError if several are possible, or the names are hardly classes."""
    if len(found) > 1:
        options = "; ".join(f"{each.templates[0]}: {some(each.names, 3)}" for each in found)
        raise UnclearError(
            f"no table names the training images, and their names may hold the label in {len(found)} ways: {options}",
            fix="write the competition file by hand, with the right one as train_images: docs/competitions.md",
        )
    (names,) = found
    if names.has_witness or findings.answers.positive in names.counts:
        return names
    if any(_NO_CLASS.fullmatch(name) for name in names.counts) or len(names.counts) > 1000:
        raise UnclearError(
            f"no table names the training images, and {names.evidence} do not look like classes: {some(names.names)}",
            fix="put the table of the labels beside the images, or write the competition file by hand: "
            "docs/competitions.md",
        )
    question = Question("--yes", f"whether {names.evidence} are the classes: {some(names.names)}", ("yes", "no"), "yes")
    answer, is_assumed = findings.answer(question)
    if answer != "yes":
        raise UnclearError("nothing else says the labels", fix="put the table of the labels beside the images")
    if is_assumed:
        findings.assume("labels", f"{names.evidence} are the classes, for no table names these images")
    return names
