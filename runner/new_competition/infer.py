"""A competition, inferred from the evidence: each field with the reason for it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from runner.contract import Metric
from runner.contract.competition import can_score
from runner.contract.labels import Coco, Labels, Multiclass, Multilabel, Ordinal, Regression, SeveralTargets
from runner.contract.metrics import METRICS
from runner.new_competition.evidence import Source, SourceTable
from runner.new_competition.image_places import Place
from runner.new_competition.label_kinds import Kind, decide_kind
from runner.new_competition.label_names import LabelNames, decide_names, find_label_names
from runner.new_competition.label_tables import GROUPS, LabelTable, decide_label, find_label_tables
from runner.new_competition.metric_names import MetricExpression, MetricName, expression_of, read_metric
from runner.new_competition.plugin_text import Call, Field, Name, PluginText
from runner.new_competition.questions import Findings, Question, UnclearError, some
from runner.new_competition.test_images import TestImages, find_test_images

PRESETS = ("side_on", "top_down", "radar", "no_flip")
_MOST_SHORT_SIDE = 64  # pixels of images that are unlike photographs
_COLOUR = ("RGB", "RGBA", "CMYK", "YCbCr", "P")
_SIDES = re.compile(r"(.+)([_-])(left|right|l|r|front|back|top|bottom|before|after)", re.IGNORECASE)


@dataclass(frozen=True)
class About:
    """What is known of a competition beside its files."""

    slug: str
    title: str
    metric: str = ""  # as its page names it
    notebooks_only: bool = False


def infer(source: Source, about: About, findings: Findings) -> PluginText:
    """The competition file that the evidence supports; an UnclearError if it supports none."""
    given = _given_metric(about, findings)
    test = find_test_images(source, findings)
    labels = _labels(source, test, findings)
    kind = decide_kind(labels, test.sample, given, findings)
    metric = _metric(kind, labels, about, findings)
    group = _group(labels, findings)
    _tell_labels(labels, kind, findings)
    fields = [
        Field("slug", about.slug),
        Field("title", about.title),
        Field("labels", _labels_call(labels, kind, group), _labels_comment(labels, kind, group, findings)),
        Field("train_images", _train_images(labels), _place_comment(labels)),
        Field("test_images", _images(test.place), _bands_comment(test.place)),
        *([Field("valid_images", labels.valid)] if isinstance(labels, LabelNames) and labels.valid else []),
        *([Field("test_csv", _table(test.table))] if test.table else []),
        Field("sample_submission", test.sample.table.name),
        *_submission_fields(test, metric),
        _preset(test, findings),
        Field("metric", _metric_code(metric), _metric_comment(kind, metric)),
        *_recipe(source, labels, findings),
        *([Field("notebooks_only", True)] if about.notebooks_only else []),
    ]
    _require_columns(metric, kind, test)
    return PluginText(_summary(about, kind, labels), tuple(fields))


def _given_metric(about: About, findings: Findings) -> MetricName | None:
    name = findings.answers.metric or about.metric
    return read_metric(name) if name else None


# --- labels -------------------------------------------------------------------------------------


def _labels(source: Source, test: TestImages, findings: Findings) -> LabelTable | LabelNames:
    """The labels: in a table whose columns the submission asks for, else in names, else as answered."""
    tables = find_label_tables(source, test, findings)
    if tables and tables[0].strength > 0:
        return _or_names(decide_label(tables, test, findings))
    names = find_label_names(source, test)
    if names and (names[0].has_witness or not tables):
        return decide_names(names, findings)
    if tables:
        return _or_names(decide_label(tables, test, findings))
    raise _no_labels(source, test)


def _or_names(labels: LabelTable) -> LabelTable | LabelNames:
    """The labels by their table; by the folders, if these are the table's column `label`: `{label}` says so."""
    if not any("{label}" in template for template in labels.place.templates):
        return labels
    templates = tuple(re.sub(rf"\{{{labels.field}\}}", "{id}", each) for each in labels.place.templates)
    if labels.label != "label" or labels.table.header.count("label") != 1:
        raise UnclearError(
            f"the folders of the training images are the column 'label' of {labels.table.name}, and the label is "
            f"{labels.label or some(labels.columns)!r}",
            fix="rename the column `label` in the table: in a template it stands for the label",
        )
    evidence = f"the folders, which are the column 'label' of {labels.table.name}"
    return LabelNames(templates, Counter(labels.cells), evidence, has_witness=True)


def _no_labels(source: Source, test: TestImages) -> UnclearError:
    folders = some([f"{folder or '.'}/ ({count:,})" for folder, count in source.images.folders.most_common(6)])
    tables = some([t.name for t in source.tables if t is not test.sample.table]) or "none"
    unread = "".join(f"\n  not readable: {line}" for line in source.unread)
    return UnclearError(
        "no table names training images, and neither their folders nor their names hold labels\n"
        f"  tables: {tables}{unread}\n  images: {folders}",
        fix="put the training images and the table of their labels beside the other files; if the table names them "
        "otherwise, write the competition file by hand: docs/competitions.md",
    )


def _tell_labels(labels: LabelTable | LabelNames, kind: Kind, findings: Findings) -> None:
    name = kind.labels.__name__
    if isinstance(labels, LabelNames):
        findings.conclude("training images", f"{' and '.join(labels.templates)}: {labels.counts.total():,} images")
        findings.conclude("labels", f"{name}: {kind.text}; by {labels.evidence}")
        if labels.valid:
            findings.conclude("validation images", labels.valid)
        return
    place, table = labels.place, labels.table.name
    if place.bands:
        findings.assume("training images", f"the files of one id are bands of one image: {some(place.bands)}")
    counted = "a pattern" if "*" in place.text else f"{place.found:,} of {place.rows:,} rows of {table} have an image"
    findings.conclude("training images", f"{place.text}: {counted}")
    what = f"column {labels.label!r}" if not labels.columns else f"columns {some(labels.columns, 4)}"
    text = f"{name} in {table}, {what}: {kind.text}; {labels.evidence}"
    (findings.assume if labels.is_assumed else findings.conclude)("labels", text)


def _labels_call(labels: LabelTable | LabelNames, kind: Kind, group: str | None) -> Call:
    if isinstance(labels, LabelNames):
        return Call(kind.labels.__name__, (), (*kind.fields, *((("group", group),) if group else ())))
    csv = ("csv", _table(labels.table))
    id = (("id", labels.id),) if labels.id != "id" and labels.field else ()
    of_group = (("group", group),) if group else ()
    if kind.labels is SeveralTargets:
        return Call(
            "SeveralTargets",
            tuple(
                Call("Multiclass", (), (csv, *id, ("label", name), *of_group, ("classes", classes)))
                for name, classes in kind.targets
            ),
        )
    label = (("label", labels.label),) if labels.label and labels.label != _usual_label(kind.labels) else ()
    columns = (("columns", _short(labels.columns, labels.table)),) if labels.columns and not labels.rows else ()
    rows = (("rows", labels.rows), ("columns", labels.columns)) if labels.rows else ()
    return Call(kind.labels.__name__, (), (csv, *id, *label, *columns, *rows, *of_group, *kind.fields))


def _usual_label(kind: type[Labels]) -> str:
    return str(kind.__dataclass_fields__["label"].default)


def _table(table: SourceTable) -> object:
    return Call("Coco", (table.name,)) if isinstance(table.table, Coco) else table.name


def _short(columns: Sequence[str], table: SourceTable) -> tuple[str, ...]:
    """The columns, with a `*` for several that begin alike, if that stands for no other column."""
    if len(columns) <= 4:
        return tuple(columns)
    wanted, rest, short = set(columns), list(columns), list[str]()
    while rest:
        starts = [rest[0][:end] for end in range(1, len(rest[0]) + 1)]
        fitting = [start for start in starts if wanted.issuperset(n for n in table.header if n.startswith(start))]
        covered = {start: [name for name in rest if name.startswith(start)] for start in fitting}
        start = max(fitting, key=lambda start: (len(covered[start]), len(start)), default=rest[0])
        names = covered.get(start, rest[:1])
        short.append(f"{start}*" if len(names) > 1 else names[0])
        rest = [name for name in rest if name not in names]
    return tuple(short) if len(short) <= len(columns) // 2 else tuple(columns)


def _labels_comment(labels: LabelTable | LabelNames, kind: Kind, group: str | None, findings: Findings) -> str:
    parts = [kind.comment] if kind.comment else []
    if isinstance(labels, LabelTable) and labels.is_assumed:
        parts.append(f"ASSUMED: {labels.label!r} is the label, by its name (--label)")
    if isinstance(labels, LabelTable) and labels.left_out:
        parts.append(f"ASSUMED: {some(labels.left_out, 2)} {'is' if len(labels.left_out) == 1 else 'are'} left out")
    if isinstance(labels, LabelNames) and not labels.has_witness and findings.answers.positive is None:
        parts.append("ASSUMED: these names are the classes")
    if group and group != findings.answers.group:
        parts.append(f"ASSUMED: rows of one {group} stay in one fold (--group)")
    return "; ".join(parts)


def _group(labels: LabelTable | LabelNames, findings: Findings) -> str | None:
    """The column, or the part of the id, whose rows stay in one fold: as answered, or by its name."""
    given = findings.answers.group
    if isinstance(labels, LabelNames):
        return given
    if given:
        if "{" not in given and given not in labels.table.header:
            raise UnclearError(
                f"{labels.table.name} has no column {given!r}; there are {some(labels.table.header, 8)}",
                fix="name one of them: `... --group COLUMN`; or a part of the id: `... --group '{patient}_*'`",
            )
        findings.conclude("groups", f"{given}: --group")
        return given
    if labels.rows:
        return None
    group = next(iter(_group_columns(labels)), None) or _sides(labels)
    if group:
        findings.assume("groups", f"rows with the same {group} stay in one fold, by its name")
    return group


def _group_columns(labels: LabelTable) -> Iterator[str]:
    """Columns that are named after what several images are of, and repeat as such do."""
    table = labels.table
    taken = {labels.id, labels.field, labels.label, *labels.columns}
    for name in table.header:
        if name in taken or not GROUPS.fullmatch(name):
            continue
        counts = Counter(value for value in table.column(name) if value)
        # A handful of large ones cannot be dealt into folds.
        if len(counts) >= 8 and max(counts.values()) > 1 and max(counts.values()) <= 0.2 * len(table):
            yield name


def _sides(labels: LabelTable) -> str | None:
    """`{patient}_*`, if the ids come in pairs such as `10_left` and `10_right`."""
    if labels.id not in labels.table.header:
        return None
    ids = labels.table.column(labels.id)
    matches = [_SIDES.fullmatch(re.sub(r"\.\w{3,4}$", "", id)) for id in ids]
    if not all(matches):
        return None
    counts = Counter((match[1], match[2]) for match in matches if match)
    return f"{{patient}}{next(iter(counts))[1]}*" if max(counts.values()) > 1 else None


# --- images -------------------------------------------------------------------------------------


def _train_images(labels: LabelTable | LabelNames) -> object:
    if isinstance(labels, LabelNames):
        return labels.templates[0] if len(labels.templates) == 1 else labels.templates
    return _images(labels.place)


def _images(place: Place) -> object:
    """A template, several of which one exists, or the files whose bands are stacked."""
    if place.images is not None:
        return place.images
    if place.bands:
        return Call("Stack", place.templates)
    return place.templates[0] if len(place.templates) == 1 else place.templates


def _place_comment(labels: LabelTable | LabelNames) -> str:
    return _bands_comment(labels.place) if isinstance(labels, LabelTable) else ""


def _bands_comment(place: Place) -> str:
    return "ASSUMED: the files of one id are bands of one image" if place.bands else ""


def _small_side(place: Place) -> int:
    """The longer side of the images of a place in a table, if they are smaller than photographs; else 0."""
    shape = place.images.arguments[-1] if isinstance(place.images, Call) and place.images.name == "Pixels" else ()
    small = isinstance(shape, tuple) and bool(shape) and max(shape) <= _MOST_SHORT_SIDE
    return max(shape) if small and isinstance(shape, tuple) else 0


def _at_twice(side: int) -> Call:
    """The recipe for small images at twice their size: at their own, the last map of features is a single pixel."""
    return Call("with_sizes", (Name("UNLIKE_PHOTOGRAPHS"), (max(64, 32 * round(2 * side / 32)),)))


def _recipe(source: Source, labels: LabelTable | LabelNames, findings: Findings) -> Iterator[Field]:
    """Another recipe than that for photographs, if the images' headers say that they are none."""
    if isinstance(labels, LabelTable) and labels.place.images is not None and not source.headers:
        side = _small_side(labels.place)
        if side:
            yield Field("recipe", _at_twice(side), "such small images are unlike the pretraining ones")
        return
    if not source.headers:
        return
    sizes = Counter((header.width, header.height) for header in source.headers)
    modes = sorted({header.mode for header in source.headers})
    (width, height), count = sizes.most_common(1)[0]
    size = f"{width} x {height}" + ("" if count == len(source.headers) else " and other sizes")
    small = max(max(each) for each in sizes) <= _MOST_SHORT_SIDE
    grey = not any(mode in _COLOUR for mode in modes)
    is_stack = isinstance(labels, LabelTable) and bool(labels.place.bands)
    text = f"{size}, {' and '.join(modes)}, by the headers of {len(source.headers)} images"
    findings.conclude("images", text)
    if small or grey or is_stack:
        why = f"images of {size} pixels" if small else "grey images" if grey else "bands in files of their own"
        recipe = _at_twice(max(max(each) for each in sizes)) if small else Name("UNLIKE_PHOTOGRAPHS")
        yield Field("recipe", recipe, f"{why} are unlike the pretraining ones")


# --- submission, metric, preset -----------------------------------------------------------------


def _submission_fields(test: TestImages, metric: MetricExpression) -> Iterator[Field]:
    sample = test.sample
    if sample.rows:
        yield Field("submission_rows", sample.rows)
    separators = {mark for cell in sample.cells for mark in ",;|" if mark in cell}
    lists = metric.metric.decision is not None and len(separators) == 1
    if lists and not any(" " in cell.strip() for cell in sample.cells):
        yield Field("submission_sep", separators.pop())
    elif lists and all(re.search(r"[,;|] ", cell) for cell in sample.cells if re.search(r"[,;|]", cell)):
        yield Field("submission_sep", f"{separators.pop()} ")


def _metric(kind: Kind, labels: LabelTable | LabelNames, about: About, findings: Findings) -> MetricExpression:
    expression = expression_of(kind.metric, kind.labels, kind.sizes)
    if expression.metric.columns and isinstance(labels, LabelTable):
        expression = replace(expression, note=_weights(expression, labels))
    _require_scores(expression.metric, kind)
    text = f"{expression.metric.title}, {expression.metric.direction}" + (
        f"; {expression.note}" if expression.note else ""
    )
    if kind.metric_is_assumed:
        findings.assume("metric", f"{text}: usual for such labels; the evaluation page names the right one")
    elif about.metric and not findings.answers.metric:
        findings.conclude("metric", f"{text}: by the competition's page")
    else:
        findings.conclude("metric", text)
    return expression


def _weights(metric: MetricExpression, labels: LabelTable) -> str:
    """Which column each weight is of; an UnclearError if they are not as many."""
    with_ones = f"{metric.name}:{','.join('1' for _ in labels.columns)}"
    if len(metric.arguments) != len(labels.columns):
        raise UnclearError(
            f"{metric.name} has {len(metric.arguments)} weights, and there are {len(labels.columns)} columns: "
            f"{some(labels.columns, 12)}",
            fix=f"give a weight for each of them, in this order: `... --metric {with_ones}`",
        )
    pairs = (f"{weight} {name}" for name, weight in zip(labels.columns, metric.arguments, strict=True))
    return f"weights: {', '.join(pairs)}"


def _require_scores(metric: Metric, kind: Kind) -> None:
    """An UnclearError if the metric does not score these labels after all."""
    made: dict[type[Labels], Labels] = {
        Multiclass: Multiclass(),
        Ordinal: Ordinal(),
        Regression: Regression(csv="train.csv"),
    }
    labels = made.get(kind.labels)
    if labels is not None and not can_score(metric, labels):
        suitable = [known.key for known in METRICS if can_score(known, labels)]
        raise UnclearError(
            f"the metric {kind.metric} does not score {kind.labels.__name__} labels, which these are: {kind.text}",
            fix=f"take the metric of the evaluation page; one that scores them: `... --metric {suitable[0]}`",
        )


def _require_columns(metric: MetricExpression, kind: Kind, test: TestImages) -> None:
    """An UnclearError if the metric scores a column a class, and the submission has one for all."""
    has_columns = metric.metric.decision is None and kind.labels in (Multiclass, Ordinal)
    if has_columns and len(test.sample.columns) == 1:
        raise UnclearError(
            f"{metric.metric.title} scores a probability for each class, and {test.sample.table.name} has one column "
            f"beside the id, {test.sample.columns[0]!r}; the labels are {kind.text}",
            fix="give the metric of the evaluation page: `... --metric accuracy`; or the class whose probability is "
            "asked for: `... --positive CLASS`",
        )


def _metric_code(metric: MetricExpression) -> object:
    if metric.arguments or metric.keywords:
        return Call(metric.name, metric.arguments, metric.keywords)
    return Name(metric.name)


def _metric_comment(kind: Kind, metric: MetricExpression) -> str:
    if kind.metric_is_assumed:
        return "ASSUMED: the evaluation page names the metric (--metric)"
    return metric.note


def _preset(test: TestImages, findings: Findings) -> Field:
    # Pixels in a table are letters and digits, mostly.
    usual = "no_flip" if test.pixels else "side_on"
    question = Question("--preset", "what may be flipped: the preset", PRESETS, usual)
    preset, is_assumed = findings.answer(question)
    if preset.lower() not in PRESETS:
        raise UnclearError(f"there is no preset {preset!r}; there are {', '.join(PRESETS)}", fix="... --preset side_on")
    what = "no flips" if test.pixels else "flipped left to right, never upside down"
    comment = f"ASSUMED: {what} (--preset)" if is_assumed else ""
    if is_assumed:
        findings.assume("preset", f"{preset.upper()}: {what}; the files do not say")
    return Field("preset", Name(preset.upper()), comment)


_NOUNS = {
    Multiclass: "one class an image",
    Ordinal: "one grade an image",
    Multilabel: "several tags an image",
    Regression: "numbers",
    SeveralTargets: "several targets",
}


def _summary(about: About, kind: Kind, labels: LabelTable | LabelNames) -> str:
    where = labels.table.name if isinstance(labels, LabelTable) else "the images' names"
    return f"{about.title}: {_NOUNS.get(kind.labels, '0 or 1')}, by {where}."
