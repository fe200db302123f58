"""Where the images of ids are: templates that name one for each of them."""

from __future__ import annotations

import bisect
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from runner.contract.images import fill_template, folder_of
from runner.contract.patterns import fields_of
from runner.new_competition.evidence import ImageNames, suffix_of, without_suffix

_PROBES = 300  # ids that are searched to find a template; all are counted afterwards
_MOST = 0.98  # of the probes: a few images may be missing
_MANY = 0.8  # of them, if nothing fits better: the check of the index then names those that are missing
_MOST_FOLDERS = 6  # that are named one by one
_MOST_FILES = 24  # of one id
_SAME_FORMAT = {".jpeg": ".jpg", ".jpe": ".jpg", ".tiff": ".tif"}

Fields = Mapping[str, Sequence[str]]  # the other columns of the rows


@dataclass(frozen=True)
class Place:
    """Templates with an image for nearly every id."""

    templates: tuple[str, ...]
    found: int  # of the ids
    rows: int
    files: int  # images in the folders
    bands: tuple[str, ...] = ()  # what tells the files of one id from each other
    folder: str = ""  # of the images
    images: object = None  # the images as a competition file says them, if they are not files of their own

    @property
    def is_complete(self) -> bool:
        return self.found == self.rows

    @property
    def text(self) -> str:
        """The templates for a message."""
        return " and ".join(self.templates)


@dataclass(frozen=True)
class _Hit:
    folder: str
    suffix: str


def find_places(ids: Sequence[str], images: ImageNames, fields: Fields, field: str = "id") -> list[Place]:
    """The places in which nearly all ids have an image; `field` is the ids' name in the templates."""
    if not ids or not len(images):
        return []
    probes = _spread(len(ids))
    hits = {row: [_Hit(*_within(ids[row], *hit)) for hit in images.named(ids[row])] for row in probes if ids[row]}
    for share in (_MOST, _MANY):
        templates = _templates_of_names(ids, hits, fields, field, share * len(probes))
        # A few values, such as classes or licences, are in many names by chance.
        if not templates and share == _MOST and len({ids[row] for row in probes}) > len(probes) // 2:
            templates += _templates_of_parts(ids, probes, images, field)
            templates += _templates_of_folders(ids, probes, images, field)
        places = [_counted(each, bands, ids, fields, field, images) for each, bands in templates]
        if places := [place for place in places if place.found >= share * place.rows]:
            return places
    return []


def _within(id: str, folder: str, suffix: str) -> tuple[str, str]:
    """A hit in a folder; the first folder of an id that is the whole path."""
    return folder or id.partition("/")[0] if "/" in id else folder, suffix


def _spread(count: int) -> list[int]:
    return list(range(count)) if count <= _PROBES else [number * count // _PROBES for number in range(_PROBES)]


# --- ids that are the names of the images -------------------------------------------------------

_Found = tuple[tuple[str, ...], tuple[str, ...]]  # templates, and the bands of one id


def _templates_of_names(
    ids: Sequence[str], hits: Mapping[int, Sequence[_Hit]], fields: Fields, field: str, enough: float
) -> list[_Found]:
    in_folder: dict[str, set[int]] = {}
    for row, found in hits.items():
        for hit in found:
            in_folder.setdefault(hit.folder, set()).add(row)
    whole = [folder for folder, rows in in_folder.items() if len(rows) >= enough]
    templates = [_with_suffixes((folder,), hits, field) for folder in whole]
    rest = {row: [hit for hit in found if hit.folder not in whole] for row, found in hits.items()}
    if any(rest.values()):
        templates += _of_several_folders(ids, rest, fields, field, enough)
    return [(each, ()) for each in templates if each]


def _of_several_folders(
    ids: Sequence[str], hits: Mapping[int, Sequence[_Hit]], fields: Fields, field: str, enough: float
) -> list[tuple[str, ...]]:
    """Templates with a column, or a character of the id, in the folder; else the few folders, each named."""
    families: dict[tuple[str, int], dict[int, list[_Hit]]] = {}
    for row, found in hits.items():
        for hit in found:
            parts = hit.folder.split("/")
            families.setdefault((parts[0], len(parts)), {}).setdefault(row, []).append(hit)
    templates = []
    for family in families.values():
        if len(family) >= enough and (folder := _folder_by_fields(ids, family, fields, field)):
            templates.append(_with_suffixes((folder,), family, field))
    if templates:
        return templates
    for some in (*families.values(), hits):
        if sum(map(bool, some.values())) >= enough:
            counts = Counter(hit.folder for found in some.values() for hit in found)
            folders = sorted(counts, key=lambda folder: (-counts[folder], folder))
            if len(folders) <= _MOST_FOLDERS:
                return [_with_suffixes(folders, some, field)]
    return []


def _folder_by_fields(
    ids: Sequence[str], family: Mapping[int, Sequence[_Hit]], fields: Fields, field: str
) -> str | None:
    """The folder as a template: what is the same in all, or a column, or a character of the id."""
    rows = list(family)
    first = [[hit.folder.split("/") for hit in family[row]] for row in rows]
    depth = len(first[0][0])
    tokens: list[str] = []
    for level in range(depth):
        values = [{parts[level] for parts in of_row} for of_row in first]
        token = _token(ids, rows, values, fields, field)
        if token is None:
            return None
        tokens.append(token)
    return "/".join(tokens)


def _token(
    ids: Sequence[str], rows: Sequence[int], values: Sequence[set[str]], fields: Fields, field: str
) -> str | None:
    same = set.intersection(*values)
    if same:
        return min(same)
    for name, column in fields.items():
        is_field = name != field and re.fullmatch(r"\w+", name)
        if is_field and all(column[row] in each for row, each in zip(rows, values, strict=True)):
            return f"{{{name}}}"
    if all(ids[row] in each for row, each in zip(rows, values, strict=True)):
        return f"{{{field}}}"
    for position in range(8):
        letters = [ids[row][position : position + 1] for row in rows]
        if all(letter in each for letter, each in zip(letters, values, strict=True)):
            return f"{{{field}[{position}]}}"
    return None


def _with_suffixes(folders: Sequence[str], hits: Mapping[int, Sequence[_Hit]], field: str) -> tuple[str, ...]:
    """A template a folder and format; files of one format whose suffixes differ are found by one."""
    templates: dict[str, None] = {}
    for folder in folders:
        is_template = "{" in folder
        found = [hit.suffix for each in hits.values() for hit in each if is_template or hit.folder == folder]
        formats: dict[str, str] = {}
        for suffix, _ in Counter(found).most_common():
            formats.setdefault(_SAME_FORMAT.get(suffix.lower(), suffix.lower()), suffix)
        templates.update(dict.fromkeys(f"{folder}/{{{field}}}{suffix}" for suffix in formats.values() if folder))
    return tuple(templates)


# --- ids that are a part of the images' names ---------------------------------------------------


def _templates_of_parts(ids: Sequence[str], probes: Sequence[int], images: ImageNames, field: str) -> list[_Found]:
    """Templates such as `train/image_{id}.jpg`, `train/{id}_red.png` and its like, `train/{id}_*.jpg`."""
    before: dict[str, dict[int, set[str]]] = {}
    after: dict[str, dict[int, set[str]]] = {}
    backwards = sorted(stem[::-1] for stem in images.stems)
    for row in probes:
        id = ids[row]
        if len(id) < 1 or "/" in id:
            continue
        for stem in _beginning(images.stems, id):
            _note_parts(after, row, stem[len(id) :], images.by_stem[stem])
        for stem in (text[::-1] for text in _beginning(backwards, id[::-1])):
            _note_parts(before, row, stem[: -len(id)], images.by_stem[stem])
    return [*_constant_before(before, len(probes), field), *_constant_after(after, len(probes), field)]


def _beginning(names: Sequence[str], start: str) -> Iterator[str]:
    """The longer names that begin so, at the end of a word; not too many."""
    for number in range(bisect.bisect_left(names, start), len(names)):
        name = names[number]
        if not name.startswith(start):
            return
        # `img1` does not name `img10`.
        if len(name) > len(start) and not (name[len(start)].isdigit() and start[-1:].isdigit()):
            yield name


def _note_parts(found: dict[str, dict[int, set[str]]], row: int, part: str, paths: Iterable[str]) -> None:
    for path in paths:
        folder = path.rpartition("/")[0]
        found.setdefault(folder, {}).setdefault(row, set()).add(f"{part}\n{suffix_of(path)}")


def _constant_before(found: Mapping[str, Mapping[int, set[str]]], probes: int, field: str) -> Iterator[_Found]:
    for folder, rows in found.items():
        common = Counter(each for parts in rows.values() for each in parts).most_common(1)
        if folder and common and common[0][1] >= _MOST * probes:
            part, _, suffix = common[0][0].partition("\n")
            yield (f"{folder}/{part}{{{field}}}{suffix}",), ()


def _constant_after(found: Mapping[str, Mapping[int, set[str]]], probes: int, field: str) -> Iterator[_Found]:
    for folder, rows in found.items():
        if not folder or len(rows) < _MOST * probes:
            continue
        counts = Counter(each for parts in rows.values() for each in parts)
        in_all = sorted(each for each, count in counts.items() if count >= _MOST * probes)
        numbered = all(each.partition("\n")[0].strip("_-. ").isdigit() for each in counts) and len(counts) > 1
        if len(in_all) == len(counts) and len(in_all) <= _MOST_FILES and not numbered:
            names = [each.replace("\n", "") for each in _in_band_order(in_all)]
            bands = tuple(each.partition("\n")[0].strip("_-. ") for each in _in_band_order(in_all))
            templates = tuple(f"{folder}/{{{field}}}{name}" for name in names)
            yield templates, bands if len(bands) > 1 else ()
            continue
        separators, suffixes = {each[0] for each in counts}, {each.partition("\n")[2] for each in counts}
        if len(separators) == len(suffixes) == 1:
            yield (f"{folder}/{{{field}}}{separators.pop()}*{suffixes.pop()}",), ()


_COLOURS = ("red", "r", "green", "g", "blue", "b", "yellow", "y", "nir", "n")


def _in_band_order(parts: Sequence[str]) -> list[str]:
    def order(part: str) -> tuple[int, str]:
        name = part.partition("\n")[0].strip("_-. ").lower()
        return (_COLOURS.index(name) if name in _COLOURS else len(_COLOURS), part)

    return sorted(parts, key=order)


def _templates_of_folders(ids: Sequence[str], probes: Sequence[int], images: ImageNames, field: str) -> list[_Found]:
    """Templates of images in a folder that is named like the id: `train/{id}/red.png`, `train/{id}/*.png`."""
    found: dict[str, list[tuple[str, ...]]] = {}
    below: dict[str, list[str]] = {}
    for path in images.paths:
        folder, _, name = path.rpartition("/")
        below.setdefault(folder, []).append(name)
    for row in probes:
        for folder in images.folders_by_name.get(ids[row], ()):
            parent = folder.rpartition("/")[0]
            if parent and folder in below:
                found.setdefault(parent, []).append(tuple(sorted(below[folder])))
    templates: list[_Found] = []
    for parent, names in found.items():
        if len(names) < _MOST * len(probes):
            continue
        common = Counter(names).most_common(1)[0]
        suffixes = {suffix_of(name) for of_id in names for name in of_id}
        numbered = len(common[0]) > 1 and all(PurePosixPath(name).stem.isdigit() for name in common[0])
        if common[1] >= _MOST * len(probes) and len(common[0]) <= _MOST_FILES and not numbered:
            bands = tuple(PurePosixPath(name).stem for name in common[0])
            templates.append((tuple(f"{parent}/{{{field}}}/{name}" for name in common[0]), bands))
        elif len(suffixes) == 1:
            templates.append(((f"{parent}/{{{field}}}/*{suffixes.pop()}",), ()))
    return [(each, bands if len(bands) > 1 else ()) for each, bands in templates]


# --- counting -----------------------------------------------------------------------------------


def _counted(
    templates: tuple[str, ...],
    bands: tuple[str, ...],
    ids: Sequence[str],
    fields: Fields,
    field: str,
    images: ImageNames,
) -> Place:
    """The place with the number of ids that have an image there."""
    if any("*" in template for template in templates):
        found = len(ids)  # the check of the index counts them
    else:
        found = sum(path is not None for path in _paths(templates, range(len(ids)), ids, fields, field, images))
    folder = folder_of(templates[0])
    roots = set(map(folder_of, templates))
    files = sum(count for name, count in images.folders.items() if is_below(name, roots))
    return Place(templates, found, len(ids), files // max(len(bands), 1), bands, folder)


def is_below(folder: str, roots: Iterable[str]) -> bool:
    """Whether a folder is one of these, or in one of them."""
    return any(folder == root or folder.startswith(f"{root}/") for root in roots)


def probe_paths(place: Place, ids: Sequence[str], fields: Fields, field: str, images: ImageNames) -> set[str]:
    """The images of some of the ids."""
    return set(_paths(place.templates, _spread(len(ids)), ids, fields, field, images)) - {None}  # type: ignore[return-value]


def all_paths(place: Place, ids: Sequence[str], fields: Fields, field: str, images: ImageNames) -> set[str]:
    """The images of all ids."""
    return set(_paths(place.templates, range(len(ids)), ids, fields, field, images)) - {None}  # type: ignore[return-value]


def _paths(
    templates: Sequence[str], rows: Iterable[int], ids: Sequence[str], fields: Fields, field: str, images: ImageNames
) -> Iterator[str | None]:
    """The image of each of these rows; None if it has none."""
    parsed = [(template, fields_of(template)) for template in templates]
    for row in rows:
        values = {name: fields[name][row] for _, names in parsed for name in names if name in fields}
        paths = (_path(template, {**values, field: ids[row]}, images) for template, _ in parsed)
        yield next((path for path in paths if path), None)


def _path(template: str, values: Mapping[str, str], images: ImageNames) -> str | None:
    """The image of a template, with the suffix that it has."""
    path = fill_template(template, values)
    if path in images.all:
        return path
    start = without_suffix(path)
    named = images.by_stem.get(start.rpartition("/")[2], ())
    return next((each for each in named if without_suffix(each) == start), None)


# --- which of several places --------------------------------------------------------------------

_NOT_INPUTS = re.compile(
    r"(?:^|[/_-])(?:masks?|segm\w*|annot\w*|labels?|bbox\w*|heatmaps?|ground.?truth|depths?)(?=$|[/_-])", re.IGNORECASE
)
_TEST = re.compile(r"test|eval|unlabel|submission|hidden", re.IGNORECASE)
_TRAIN = re.compile(r"train|(?<!un)labell?ed", re.IGNORECASE)
_SMALL = re.compile(r"thumb|small|resiz|mini|preview|\d+x\d+|[_-](?:32|64|96|100|128|192|224|256|300|384|512)\b", re.I)
_LATER = re.compile(r"extra|external|old|additional|supplement|unused|20\d\d", re.IGNORECASE)


def best_places(places: Sequence[Place], *, of_test: bool) -> list[Place]:
    """The places by how well their names fit, the best first; several if nothing tells them apart."""
    if not places:
        return []
    ranked = sorted(places, key=lambda place: _rank(place, of_test=of_test))
    best = _rank(ranked[0], of_test=of_test)
    return [place for place in ranked if _rank(place, of_test=of_test) == best]


def role_of(place: Place) -> tuple[bool, int]:
    """Whether a place's name says masks, and training rather than test images."""
    return is_mask(place.text), bool(_TRAIN.search(place.text)) - bool(_TEST.search(place.text))


def _rank(place: Place, *, of_test: bool) -> tuple[bool | int, ...]:
    masks, training = role_of(place)
    name = place.text
    return (
        masks,
        training if of_test else -training,
        bool(_SMALL.search(name)),
        bool(_LATER.search(name)),
        bool(re.search(r"tif|dcm|dicom|npy", name, re.IGNORECASE)),
        place.files != place.rows,
    )


def is_mask(path: str) -> bool:
    """Whether a path names what a network is to find, and no input."""
    return bool(_NOT_INPUTS.search(path))
