"""Make a competition file: read the evidence, infer, check, write."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import competitions
from competitions import RESERVED_NAMES
from runner.commands import TYPED, again, command
from runner.contract.competition import slug_from_url
from runner.contract.labels import Binary, Labels, Multilabel, Regression
from runner.data.download import DataPaths
from runner.data.index import Index
from runner.errors import DataError, HostError, PluginError, RunnerError, UsageError
from runner.new_competition.dry_check import check, load_text
from runner.new_competition.evidence import Source
from runner.new_competition.fetch_source import fetch_about, fetch_source, kaggle_host
from runner.new_competition.infer import About, infer
from runner.new_competition.metric_names import read_metric
from runner.new_competition.questions import Answers, Ask, Conclusion, Findings, UnclearError
from runner.new_competition.read_source import read_source
from runner.problems import Problem, ProblemsError
from runner.workspace import Workspace, scratch_dir, write_text


@dataclass(frozen=True)
class NewOptions:
    """What `runner new` was asked."""

    slug: str
    name: str = ""
    answers: Answers = Answers()
    force: bool = False


@dataclass(frozen=True)
class NewCompetition:
    """A competition file that was written, why it says what it says, and what the index found."""

    name: str
    path: Path
    text: str
    conclusions: tuple[Conclusion, ...]
    training_images: int
    test_images: int
    classes: int
    unit: str  # what `classes` counts: classes, tags, numbers
    warnings: tuple[Problem, ...]
    notebooks_only: bool = False


def new_competition(workspace: Workspace, options: NewOptions, source: Path | None, ask: Ask) -> NewCompetition:
    """Write the competition file that a folder or archive shows, or Kaggle's files; an UnclearError if they show none.

    Without a source Kaggle is asked, which needs an account.
    """
    slug, name = _slug_and_name(options)
    if options.answers.metric:
        read_metric(options.answers.metric)  # a typing error is told before anything is read
    _require_new(workspace, slug, name, force=options.force)
    if source is not None and not source.exists():
        raise DataError("there is no such file or folder", where=source, fix=again("--from", "DIR"))
    with _scratch_dir(workspace) as scratch_dir:
        if source is not None:
            about, evidence = About(slug, title_of(slug)), read_source(source, scratch_dir / "source")
        else:
            with _or_files_of_yours():
                host = kaggle_host(slug)
                about = fetch_about(host, slug)
                fetched_dir = DataPaths(workspace.data_dir(name)).fetched_dir
                evidence = fetch_source(host, slug, fetched_dir, scratch_dir / "source")
        where = source or f"the files of {slug} on Kaggle"
        return _write(workspace, name, about, options, evidence, where, scratch_dir, ask)


@contextmanager
def _or_files_of_yours() -> Iterator[None]:
    """Name the other way in an error of the host: files that are here."""
    try:
        yield
    except HostError as error:
        fix = f"{error.fix}; " if error.fix and "--from" not in error.fix else ""
        fix = f"`{fix.removesuffix('; ')}`; " if fix.startswith(("runner ", "...")) else fix
        fix += f"with files you have: `{again('--from', 'DIR')}`"
        raise type(error)(error.message, where=error.where, fix=fix) from error


def _write(
    workspace: Workspace,
    name: str,
    about: About,
    options: NewOptions,
    evidence: Source,
    where: Path | str,
    scratch_dir: Path,
    ask: Ask,
) -> NewCompetition:
    findings = Findings(options.answers, ask)
    text = infer(evidence, about, findings).render()
    index = _checked(text, name, evidence, where, scratch_dir / "data", findings)
    path = file_of(workspace, name)
    write_text(path, text)
    return NewCompetition(
        name,
        path,
        text,
        findings.in_order(),
        len(index.train),
        len(index.test),
        len(index.classes),
        _unit(index.labels, len(index.classes)),
        index.problems,
        about.notebooks_only,
    )


def _unit(labels: Labels, count: int) -> str:
    if isinstance(labels, Binary) and count == 1:
        return "probability"
    unit = "tag" if isinstance(labels, Multilabel | Binary) else "number" if isinstance(labels, Regression) else "class"
    return unit if count == 1 else "classes" if unit == "class" else f"{unit}s"


def _checked(text: str, name: str, evidence: Source, where: Path | str, staging_dir: Path, findings: Findings) -> Index:
    """The index by the new file; an UnclearError with what was inferred if the files contradict it."""
    try:
        competition = load_text(text, name)
        index = check(competition, evidence, staging_dir, where=where, retry_command=TYPED).index
        _require_other_images(index)
        return index
    except (ProblemsError, PluginError, DataError) as error:
        listed = "\n".join(f"  {each.topic}: {each.text}" for each in findings.in_order())
        raise UnclearError(
            f"what was inferred does not fit all files, so nothing is written\n{listed}\n{_without_fixes(error)}",
            where=where,
            fix="correct the files, or say what is meant with flags: `... --help`",
        ) from error


def _require_other_images(index: Index) -> None:
    """A DataError if test images are training images: one of the two is taken for the other."""
    shared = set(index.train["path"]) & set(index.test["path"])
    if shared:
        raise DataError(f"  {len(shared):,} images are both training and test images, such as {min(shared)}")


def _without_fixes(error: RunnerError) -> str:
    if isinstance(error, ProblemsError):
        return "\n".join(f"  {each}" + f", and {each.more:,} more" * bool(each.more) for each in error.problems)
    return error.message


# --- names --------------------------------------------------------------------------------------


def title_of(slug: str) -> str:
    """A title made of a slug."""
    return " ".join(word.capitalize() if word.isalpha() else word for word in slug.split("-"))


def file_of(workspace: Workspace, name: str) -> Path:
    """The competition's file in the workspace."""
    return workspace.plugins_dir / f"{name.replace('-', '_')}.py"


def _slug_and_name(options: NewOptions) -> tuple[str, str]:
    """The slug, of an address too, and the command's name; a UsageError if one of them cannot be."""
    slug = slug_from_url(options.slug.strip()).strip("/")
    if "kaggle.com" in slug:
        raise UsageError(
            f"{options.slug!r} is not the address of a competition",
            fix="give the last part of its address: https://www.kaggle.com/competitions/...",
        )
    plain = re.sub(r"[^a-z0-9]+", "-", slug.lower()).strip("-")
    if slug != plain and not re.fullmatch(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*", slug):
        is_path = Path(options.slug).expanduser().exists()
        name = re.sub(r"[^a-z0-9]+", "-", Path(slug).stem.lower()).strip("-") if is_path else plain
        fix = command("new", name or "whale-calls", *(["--from", options.slug] if is_path else []))
        raise UsageError(f"{options.slug!r} is no slug, which is the last part of a competition's address", fix=fix)
    name = re.sub(r"[^a-z0-9]+", "-", (options.name or slug).lower()).strip("-")
    if not name or (options.name and name != options.name.lower().replace("_", "-")):
        raise UsageError(f"--name {options.name!r} is no name of a command", fix=again("--name", name or "whales"))
    if name in RESERVED_NAMES:
        raise UsageError(f"{name!r} is a command: the competition needs another name", fix=again("--name", f"{name}-1"))
    return slug, name


def _require_new(workspace: Workspace, slug: str, name: str, *, force: bool) -> None:
    """A UsageError if the competition ships, or has a file in the workspace."""
    if force:
        return
    for summary in competitions.summaries(workspace.plugins_dir):
        if isinstance(summary, PluginError) or (slug not in (summary.slug, summary.name) and name != summary.name):
            continue
        if summary.path.parent == workspace.plugins_dir:
            if summary.path == file_of(workspace, name) or summary.slug == slug:
                raise UsageError(
                    f"{slug} has a competition file already, {summary.name}",
                    where=summary.path,
                    fix=f"to use it: `{command(summary.name, 'run', '--no-submit')}`; to replace it: "
                    f"`{again('--name', summary.name, '--force')}`; to write another: `{again('--name', f'{name}-2')}`",
                )
        elif slug in (summary.slug, summary.name):
            raise UsageError(
                f"{slug} ships already, as {summary.name}: nothing is written",
                fix=f"to use it: `{command(summary.name, 'run', '--no-submit')}`; to write a file that goes before it: "
                f"`{again('--force')}`",
            )
        else:
            raise UsageError(
                f"{name} is the name of a competition that ships, {summary.slug}", fix=again("--name", f"{name}-2")
            )


@contextmanager
def _scratch_dir(workspace: Workspace) -> Iterator[Path]:
    """A folder on the workspace's disk, removed afterwards: tables may be large."""
    parent = workspace.root / "data"
    is_new = not parent.exists()
    parent.mkdir(parents=True, exist_ok=True)
    try:
        with scratch_dir(parent, "new") as folder:
            yield folder
    finally:
        if is_new and not any(parent.iterdir()):
            parent.rmdir()
