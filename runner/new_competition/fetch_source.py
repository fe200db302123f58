"""Fetch the evidence from Kaggle: the list of files, the tables, and archives whose content the list does not tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rich.filesize import decimal

from runner.archives.disk_space import require_free
from runner.archives.names import has_archive_name, safe_path, without_suffixes
from runner.commands import TYPED, command
from runner.console import log, progress
from runner.contract import ACCURACY, SIDE_ON, Competition, Multiclass
from runner.errors import HostError
from runner.hosts.kaggle import KaggleHost
from runner.hosts.protocol import RemoteFile
from runner.new_competition.evidence import READ_SUFFIXES, Source
from runner.new_competition.infer import About
from runner.new_competition.metric_names import metric_of_kaggle
from runner.new_competition.read_source import MOST_TABLES, TABLES, read_source


def kaggle_host(slug: str) -> KaggleHost:
    """Kaggle for a competition that has no file yet: of all that a file says, only the slug is known."""
    unknown = Competition(
        slug=slug,
        title=slug,
        labels=Multiclass(),
        train_images="train/{label}/{id}",
        test_images="test/{id}",
        sample_submission="sample_submission.csv",
        preset=SIDE_ON,
        metric=ACCURACY,
    )
    return KaggleHost(unknown)


def fetch_about(host: KaggleHost, slug: str) -> About:
    """Title, metric and form of submissions, by the competition's page."""
    info = host.fetch_info(slug)
    metric = metric_of_kaggle(info.metric)
    if info.metric and not metric:
        log.warning(f"the page names the metric {info.metric!r}, which may be one of several")
    return About(slug, info.title, metric, info.notebooks_only)


def fetch_source(host: KaggleHost, slug: str, fetched_dir: Path, scratch_dir: Path) -> Source:
    """The evidence in the competition's files; what is downloaded stays for `download`."""
    files = host.list_files(slug)
    chosen = choose_evidence(files)
    if not chosen:
        raise HostError(
            f"Kaggle lists no file of {slug} that could be a table or hold images",
            fix=f"with files you have: `{command('new', slug, '--from', 'DIR')}`",
        )
    _download(host, slug, chosen, fetched_dir)
    images = [file.name for file in files if _suffix(file.name) in READ_SUFFIXES]
    return read_source(fetched_dir, scratch_dir, listed_names=images)


def choose_evidence(files: Sequence[RemoteFile]) -> list[RemoteFile]:
    """The tables; and the archives of images, if the list does not name the images."""
    single = [file for file in files if not file.bundle]
    if not single:
        return list(files)
    counts = Counter(file.name.rpartition("/")[0] for file in single if _is_table(file))
    tables = [file for file in single if _is_table(file) and counts[file.name.rpartition("/")[0]] <= MOST_TABLES]
    if any(_suffix(file.name) in READ_SUFFIXES for file in single):
        return tables
    return tables + [file for file in single if has_archive_name(file.name) and file not in tables]


def _is_table(file: RemoteFile) -> bool:
    return _suffix(without_suffixes(file.name)) in TABLES


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()


def _download(host: KaggleHost, slug: str, files: Sequence[RemoteFile], folder: Path) -> None:
    missing = []
    for file in files:
        try:
            path = folder / Path(safe_path(file.name))
        except ValueError as error:
            raise HostError(f"Kaggle lists a file with an unsafe name: {error}", where="Kaggle") from error
        if not (path.is_file() and (not file.size_listed or path.stat().st_size == file.size)):
            missing.append((file, path))
    size = sum(file.size for file, _ in missing)
    if not missing:
        return
    folder.mkdir(parents=True, exist_ok=True)
    require_free(folder, size, "download the files", TYPED)
    log.info(
        f"fetching {len(missing):,} files of {slug}, {decimal(size)}; `download` and `run` do not fetch them again"
    )
    with progress("downloading from Kaggle", size, "B") as advance:
        for file, path in missing:
            path.parent.mkdir(parents=True, exist_ok=True)
            host.download_file(slug, file, path, advance)
