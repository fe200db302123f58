"""Packages that only some competitions' files need: what is missing is told before anything is downloaded or read."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import PurePosixPath
from typing import Any

from runner.commands import install_command
from runner.contract.competition import Competition
from runner.contract.images import Hdf5, Images, Level, Pixels, templates_of
from runner.contract.labels import Table, aliases
from runner.data.image_names import DICOM_SUFFIXES
from runner.errors import MissingPackageError

# By extra of this package: the files, and the module that reads them.
_EXTRAS = {
    "dicom": ("DICOM files", "pydicom"),
    "hdf5": ("HDF5 files", "h5py"),
    "parquet": ("parquet files", "pyarrow"),
    "tiff": ("TIFF files of several sizes, or of many bands,", "tifffile"),
}


def require_packages(competition: Competition) -> None:
    """Raise a MissingPackageError if a package is not installed that the competition's files need by their names."""
    for extra in needed_extras(competition):
        _, module = _EXTRAS[extra]
        if find_spec(module) is None:
            raise _missing(extra)


def needed_extras(competition: Competition) -> tuple[str, ...]:
    """The extras of this package that the competition's files need, by their names."""
    return tuple(dict.fromkeys(_extras(competition)))


def import_extra(extra: str) -> Any:
    """The module that reads the files of an extra; a MissingPackageError with the command that installs it."""
    try:
        return import_module(_EXTRAS[extra][1])
    except ImportError as error:
        raise _missing(extra) from error


def _missing(extra: str) -> MissingPackageError:
    files, module = _EXTRAS[extra]
    return MissingPackageError(f"{files} need the package {module}, which is not installed", fix=install_command(extra))


def _extras(competition: Competition) -> Iterator[str]:
    for images in (competition.train_images, competition.test_images):
        yield from _extras_of(images)
    for table in (competition.labels.csv, competition.test_csv):
        yield from _extras_of_table(table)


def _extras_of(images: Images) -> Iterator[str]:
    if isinstance(images, Hdf5):
        yield "hdf5"
    if isinstance(images, Level):
        yield "tiff"
    if isinstance(images, Pixels):
        yield from _extras_of_table(images.table)
    if any(PurePosixPath(template).suffix.lower() in DICOM_SUFFIXES for template in templates_of(images)):
        yield "dicom"


def _extras_of_table(table: Table | None) -> Iterator[str]:
    if table and aliases(table)[0].lower().endswith(".parquet"):
        yield "parquet"
