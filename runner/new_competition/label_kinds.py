"""The kind of the labels: by their values, by what the submission asks for, and by what the metric scores."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from runner.contract.labels import Binary, Labels, Multiclass, Multilabel, Ordinal, Regression, SeveralTargets
from runner.csv_file import parse_number
from runner.new_competition.label_names import LabelNames
from runner.new_competition.label_tables import LabelTable
from runner.new_competition.label_values import (
    ColumnsKind,
    TagLists,
    ValueKind,
    Values,
    columns_kind,
    tag_lists_of,
    values_of,
)
from runner.new_competition.metric_names import MetricName, kinds_of, read_metric
from runner.new_competition.plugin_text import Numbers
from runner.new_competition.questions import Findings, Question, UnclearError, some
from runner.new_competition.sample_form import Sample

# Words of which one says yes.
_OPPOSITES = (
    ("true", "false"),
    ("yes", "no"),
    ("y", "n"),
    ("t", "f"),
    ("positive", "negative"),
    ("pos", "neg"),
    ("abnormal", "normal"),
    ("malignant", "benign"),
)
_POSITIVE = re.compile(
    r"sick|ill|cancer|tumou?r|pneumonia|covid\w*|fake|defect\w*|damaged?|"
    r"anomal\w*|infected|parasiti[sz]ed|fire|crack\w*|ok_not|invasive|present",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Kind:
    """The kind of labels with its own fields, as a competition file says them."""

    labels: type[Labels]
    metric: MetricName
    fields: tuple[tuple[str, object], ...] = ()
    text: str = ""
    comment: str = ""
    metric_is_assumed: bool = False
    sizes: tuple[int, ...] = ()  # the numbers of classes of several targets
    targets: tuple[tuple[str, object], ...] = field(default=())  # their columns and classes


@dataclass(frozen=True)
class _Options:
    """Kinds that the values permit, the likeliest first, and the metric that each would mostly have."""

    kinds: tuple[tuple[type[Labels], str], ...]
    text: str


def decide_kind(source: LabelTable | LabelNames, sample: Sample, given: MetricName | None, findings: Findings) -> Kind:
    """The kind of these labels; an UnclearError if the metric cannot score what the values are."""
    if isinstance(source, LabelNames):
        return _kind_of_names(source, sample, given, findings)
    if source.rows:
        return _kind_of_rows(source, given, findings)
    if source.columns:
        return _kind_of_columns(source, given, findings)
    return _kind_of_column(source, sample, given, findings)


def _chosen(options: _Options, given: MetricName | None, findings: Findings) -> tuple[type[Labels], MetricName, bool]:
    """The first kind that the metric scores; asks for the metric if it was not given."""
    if given is None:
        names = tuple(dict.fromkeys(name for _, name in options.kinds))
        question = Question("--metric", f"the metric; the labels are {options.text}", names, names[0])
        answer, is_assumed = findings.answer(question)
        given = read_metric(answer)
    else:
        is_assumed = False
    scored = kinds_of(given)
    for kind, _ in options.kinds:
        if kind in scored:
            return kind, given, is_assumed
    wanted = " or ".join(kind.__name__ for kind in scored)
    raise UnclearError(
        f"the metric {given} scores {wanted} labels, and the labels are {options.text}",
        fix=f"give the metric of the evaluation page: `... --metric {options.kinds[0][1]}`; or another label: "
        "`... --label COLUMN`",
    )


# --- one column ---------------------------------------------------------------------------------


def _kind_of_column(found: LabelTable, sample: Sample, given: MetricName | None, findings: Findings) -> Kind:
    values = values_of(found.cells)
    if values.kind is ValueKind.CONSTANT:
        name = next(iter(values.counts), "blank")
        raise UnclearError(f"every row of {found.table.name} has the same {found.label}: {name!r}")
    listed = next((name for name in values.counts if name.startswith(("[", "{"))), None)
    if listed:
        raise UnclearError(
            f"the column {found.label!r} of {found.table.name} holds lists in brackets, such as {listed[:40]!r}",
            fix="name a column of plain values: `... --label COLUMN`; if there is none, write a `prepare` that makes "
            "it: docs/competitions.md",
        )
    if values.blanks > 0.01 * values.rows and not _may_be_blank(values, given):
        raise UnclearError(
            f"{values.blanks:,} of {values.rows:,} rows of {found.table.name} have no {found.label}",
            fix="delete these rows, or name another column: `... --label COLUMN`",
        )
    if len(sample.columns) > 1 and not sample.rows:
        return _kind_of_vocabulary(values, sample, given, findings)
    lists = _lists(values, given)
    if lists:
        return _tags(lists, values, given, findings)
    return _single(values, sample, given, findings)


def _may_be_blank(values: Values, given: MetricName | None) -> bool:
    if given is not None:
        return Multilabel in kinds_of(given) or kinds_of(given) == (Regression,)
    return values.kind is ValueKind.DECIMALS or tag_lists_of(values) is not None


def _lists(values: Values, given: MetricName | None) -> TagLists | None:
    """The lists of tags in the cells, unless the metric or the sample says that a cell is one name."""
    if values.kind is not ValueKind.WORDS or (given is not None and Multilabel not in kinds_of(given)):
        return None
    lists = tag_lists_of(values)
    of_tags = given is not None and kinds_of(given)[0] is Multilabel
    if lists is None and of_tags and given is not None and Multiclass not in kinds_of(given):
        return TagLists(" ", Counter(values.counts), values.blanks > 0)
    return lists


def _tags(lists: TagLists, values: Values, given: MetricName | None, findings: Findings) -> Kind:
    text = f"lists of {len(lists.tags):,} tags: {some([name for name, _ in lists.tags.most_common(4)], 4)}"
    options = _Options(((Multilabel, "mean_f1"), (Multilabel, "micro_f1"), (Multilabel, "mean_f2")), text)
    kind, metric, is_assumed = _chosen(options, given, findings)
    fields: list[tuple[str, object]] = [("sep", lists.sep)] if lists.sep != " " else []
    if values.blanks:
        fields.append(("may_be_empty", True))
    return Kind(kind, metric, tuple(fields), text, metric_is_assumed=is_assumed)


def _single(values: Values, sample: Sample, given: MetricName | None, findings: Findings) -> Kind:
    places = max((len(cell.split()) for cell in sample.cells), default=1)
    options = _options(values, sample, places)
    kind, metric, is_assumed = _chosen(options, given, findings)
    known = Kind(kind, metric, text=options.text, metric_is_assumed=is_assumed)
    if is_assumed and values.kind is ValueKind.WHOLE_NUMBERS:
        what = {Multiclass: "classes, not grades or amounts", Regression: "amounts, not classes or grades"}.get(kind)
        known = replace(known, comment=f"ASSUMED: {what} (--metric)" if what else "")
    if kind is Binary and values.kind is not ValueKind.ZERO_ONE:
        return _with_positive(known, values.names, sample, findings)
    if kind is Ordinal:
        return replace(known, fields=(("grades", int(values.high) + 1),))
    if kind is Multiclass:
        _require_one_language(values, sample, metric)
        _require_repeated(values)
    return known


def _require_repeated(values: Values) -> None:
    """An UnclearError if nearly every row has a label of its own, as ids and titles have."""
    if len(values.counts) > 20 and len(values.counts) > 0.7 * values.rows:
        raise UnclearError(
            f"{len(values.counts):,} of {values.rows:,} rows have a label of their own, so it is hardly a class: "
            f"{some(values.names, 3)}",
            fix="name the column of the labels: `... --label COLUMN`",
        )


def _options(values: Values, sample: Sample, places: int) -> _Options:
    """The kinds that the values of one column permit."""
    asks_words = not sample.has_numbers
    number: tuple[type[Labels], str] = (Regression, "rmse")
    first: tuple[type[Labels], str]
    match values.kind:
        case ValueKind.ZERO_ONE:
            first = (Binary, "auc" if sample.has_fractions or len(set(sample.cells)) < 2 else "accuracy")
            return _Options(
                (first, (Binary, "binary_log_loss"), (Ordinal, "qwk"), number, (Multiclass, "log_loss")), values.text
            )
        case ValueKind.WHOLE_NUMBERS if len(values.counts) == 2 and (
            sample.has_fractions or len(set(sample.cells)) < 2
        ):
            return _Options(((Multiclass, "accuracy"), (Binary, "auc"), (Binary, "log_loss"), number), values.text)
        case ValueKind.TWO_WORDS if not asks_words:
            return _Options(((Binary, "auc"), (Binary, "log_loss"), (Multiclass, "accuracy")), values.text)
        case ValueKind.TWO_WORDS | ValueKind.WORDS:
            first = (Multiclass, f"map_at_{places}" if places > 1 else "accuracy")
            return _Options((first, (Multiclass, "macro_f1")), values.text)
        case ValueKind.WHOLE_NUMBERS if places > 1:
            return _Options(((Multiclass, f"map_at_{places}"), (Multiclass, "accuracy")), values.text)
        case ValueKind.WHOLE_NUMBERS if sample.has_fractions:
            return _Options((number, (Ordinal, "qwk"), (Multiclass, "accuracy")), values.text)
        case ValueKind.WHOLE_NUMBERS if values.low >= 0 and values.high < 100:
            return _Options(((Multiclass, "accuracy"), (Ordinal, "qwk"), number), values.text)
        case ValueKind.WHOLE_NUMBERS:
            return _Options(((Multiclass, "accuracy"), number), values.text)
    return _Options((number, (Regression, "mae")), values.text)


def _with_positive(kind: Kind, names: Sequence[str], sample: Sample, findings: Findings) -> Kind:
    """The binary labels with the word that is positive: by the column's name, by what words mean, or as answered."""
    if len(names) != 2 and findings.answers.positive is None:
        raise UnclearError(
            f"the metric scores 0 or 1, and there are {len(names):,} labels: {some(names)}",
            fix=f"say which is positive: `... --positive {names[0]}`",
        )
    asked = [name for name in names if name.lower() == sample.columns[0].lower()]
    meant = [name for name in names if _POSITIVE.fullmatch(name)]
    pair = {name.lower(): name for name in names}
    opposite = next((pair[yes] for yes, no in _OPPOSITES if set(pair) == {yes, no}), None)
    comment = ""
    if opposite and findings.answers.positive in (None, opposite):
        positive = opposite
        findings.conclude("positive", f"{positive!r}, the opposite of {next(n for n in names if n != positive)!r}")
    elif asked and findings.answers.positive in (None, asked[0]):
        positive = asked[0]
        findings.conclude("positive", f"{positive!r}: the value column is named so")
    else:
        likely = meant[0] if len(meant) == 1 else names[-1]
        question = Question("--positive", f"which label is positive, 1: {' or '.join(names)}", tuple(names), likely)
        positive, is_assumed = findings.answer(question)
        if positive not in names:
            raise UnclearError(
                f"no label is named {positive!r}; there are {some(names)}", fix=f"`... --positive {names[0]}`"
            )
        if is_assumed:
            comment = f"ASSUMED: {positive!r} is positive (--positive)"
            why = "by the meaning of the word" if meant else f"nothing says which of {' and '.join(names)} is 1"
            findings.assume("positive", f"{positive!r}: {why}")
    return replace(kind, fields=(("positive", (positive,)),), comment=comment)


def _require_one_language(values: Values, sample: Sample, metric: MetricName) -> None:
    """An UnclearError if the submission asks for numbers where the labels are words."""
    cells = set(sample.cells)
    words = values.kind in (ValueKind.WORDS, ValueKind.TWO_WORDS)
    parts = {part for cell in cells for part in cell.split()} | cells
    if words and cells and not parts & set(values.counts) and all(parse_number(cell) is not None for cell in cells):
        raise UnclearError(
            f"the cells of {sample.table.name} are numbers, such as {sample.cells[0]}, and the labels are words: "
            f"{some(values.names, 3)}; the metric {metric} scores a class in each",
            fix="name the column with the classes' numbers: `... --label COLUMN`; if there is none, write a `prepare` "
            "that makes it: docs/competitions.md",
        )


# --- a column a class ---------------------------------------------------------------------------


def _kind_of_vocabulary(values: Values, sample: Sample, given: MetricName | None, findings: Findings) -> Kind:
    """One column whose values, or the parts of whose lists, are the columns of the submission."""
    names = set(sample.columns)
    if set(values.counts) <= names:
        text = f"{len(values.counts):,} of the {len(names):,} columns of the submission"
        options = _Options(((Multiclass, "log_loss"), (Multiclass, "mean_columnwise_auc")), f"one class each, {text}")
        kind, metric, is_assumed = _chosen(options, given, findings)
        return Kind(kind, metric, text=values.text, metric_is_assumed=is_assumed)
    if lists := tag_lists_of(values, sample.columns):
        text = f"lists of {len(lists.tags):,} of the {len(names):,} columns of the submission"
        options = _Options(((Multilabel, "mean_columnwise_auc"), (Multilabel, "lwlrap")), text)
        kind, metric, is_assumed = _chosen(options, given, findings)
        fields: list[tuple[str, object]] = [("sep", lists.sep)] if lists.sep != " " else []
        fields += [("may_be_empty", True)] if values.blanks else []
        return Kind(kind, metric, tuple(fields), text, metric_is_assumed=is_assumed)
    unknown = sorted(set(values.counts) - names)
    raise UnclearError(
        f"the submission has the columns {some(sample.columns)}, and the labels are others: {some(unknown)}",
        fix="name the column or columns of the labels: `... --label COLUMN,COLUMN`",
    )


# --- several columns ----------------------------------------------------------------------------

_SEVERAL: dict[ColumnsKind, tuple[tuple[type[Labels], str], ...]] = {
    ColumnsKind.ONE_HOT: ((Multiclass, "log_loss"), (Multilabel, "mean_columnwise_auc"), (Regression, "rmse")),
    ColumnsKind.INDEPENDENT: ((Multilabel, "mean_columnwise_auc"), (Multilabel, "log_loss"), (Regression, "rmse")),
    ColumnsKind.SHARES: ((Multiclass, "kl"), (Regression, "rmse")),
    ColumnsKind.VOTES: ((Multiclass, "kl"), (Regression, "rmse"), (SeveralTargets, "weighted_recall")),
    ColumnsKind.NUMBERS: ((Regression, "rmse"), (Regression, "mae"), (SeveralTargets, "weighted_recall")),
    ColumnsKind.WORDS: ((SeveralTargets, "weighted_recall"),),
}


def _kind_of_columns(found: LabelTable, given: MetricName | None, findings: Findings) -> Kind:
    rows = [row for row in found.table.columns(found.columns) if any(row)]
    if not rows:
        raise UnclearError(f"{found.table.name} has no row with a value in {some(found.columns)}")
    looks = columns_kind(rows)
    if looks is ColumnsKind.WORDS and given is not None and kinds_of(given) != (SeveralTargets,):
        raise UnclearError(
            f"the columns {some(found.columns)} of {found.table.name} hold words, and {given} scores numbers",
            fix="name the columns of the labels: `... --label COLUMN,COLUMN`",
        )
    text = f"{len(found.columns):,} columns, {looks.value}"
    kind, metric, is_assumed = _chosen(_Options(_SEVERAL[looks], text), given, findings)
    known = Kind(kind, metric, text=text, metric_is_assumed=is_assumed)
    if kind is SeveralTargets:
        return _several_targets(known, found)
    if kind is Multiclass and looks in (ColumnsKind.SHARES, ColumnsKind.VOTES):
        return replace(known, fields=(("soft", True),))
    if kind is Regression and looks is ColumnsKind.SHARES:
        return replace(known, fields=(("low", 0), ("high", 1)))
    return known


def _several_targets(kind: Kind, found: LabelTable) -> Kind:
    targets = []
    for name in found.columns:
        values = values_of(found.table.column(name))
        if values.kind is ValueKind.DECIMALS or len(values.counts) > 5000:
            raise UnclearError(f"the column {name!r} of {found.table.name} has no classes: {values.text}")
        names = values.names
        is_range = list(names) == list(map(str, range(len(names))))
        targets.append((name, Numbers(len(names)) if is_range else names))
    sizes = tuple(each.count if isinstance(each, Numbers) else len(each) for _, each in targets)
    return replace(kind, targets=tuple(targets), sizes=sizes)


# --- a row per id and column --------------------------------------------------------------------


def _kind_of_rows(found: LabelTable, given: MetricName | None, findings: Findings) -> Kind:
    values = values_of(found.cells)
    text = f"a row for each of {len(found.columns):,} columns, {values.text}"
    kinds: tuple[tuple[type[Labels], str], ...] = ((Regression, "rmse"), (Regression, "mae"))
    if values.kind is ValueKind.ZERO_ONE:
        kinds = ((Multilabel, "log_loss"), (Multilabel, "mean_columnwise_auc"), *kinds)
    elif values.kind in (ValueKind.WORDS, ValueKind.TWO_WORDS):
        raise UnclearError(f"the column {found.label!r} of {found.table.name} holds words: {some(values.names)}")
    kind, metric, is_assumed = _chosen(_Options(kinds, text), given, findings)
    return Kind(kind, metric, text=text, metric_is_assumed=is_assumed)


# --- labels in names ----------------------------------------------------------------------------


def _kind_of_names(found: LabelNames, sample: Sample, given: MetricName | None, findings: Findings) -> Kind:
    values = values_of([name for name, count in found.counts.items() for _ in range(count)])
    if len(sample.columns) > 1:
        unknown = sorted(set(found.counts) - set(sample.columns))
        if unknown:
            raise UnclearError(
                f"the submission has the columns {some(sample.columns)}, "
                f"and {found.evidence} are others: {some(unknown)}"
            )
        return _kind_of_vocabulary(values, sample, given, findings)
    # Names are words, whatever they look like.
    kind = ValueKind.TWO_WORDS if len(values.counts) == 2 else ValueKind.WORDS
    known = _single(replace(values, kind=kind), sample, given, findings)
    if known.labels not in (Multiclass, Binary):
        raise UnclearError(
            f"{known.labels.__name__} labels are numbers of a table, and these are in names: {values.text}"
        )
    return known
