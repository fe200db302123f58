"""Where the images are: files named by a template, or rows of arrays and tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from runner.contract.labels import Table
from runner.contract.patterns import fill


@dataclass(frozen=True)
class ImageArray:
    """Images in one .npy array, shaped (rows, bands, height, width), in the order of the table."""

    array: str
    table: str  # the CSV whose row n is image n
    id: str = "id"
    unit: str = ""  # of the bands' values, for the axes of figures


@dataclass(frozen=True)
class Stack:
    """One image of several files, whose bands follow one another: `Stack("train/{id}_red.png", ...)`."""

    templates: tuple[str, ...]

    def __init__(self, *templates: str) -> None:
        if len(templates) < 2:
            raise ValueError("Stack: name at least two files")
        object.__setattr__(self, "templates", templates)


@dataclass(frozen=True)
class Pixels:
    """Images in the cells of a table: a column a pixel (`columns="pixel*"`), or all in one cell, separated by blanks.

    `shape` is (height, width) of grey images, or (bands, height, width). With a `*` in the table's name it is several
    files, one after another. `id`: without it a row's number is its id, from 1.
    """

    table: Table
    columns: str
    shape: tuple[int, ...]
    id: str | None = None


@dataclass(frozen=True)
class Hdf5:
    """Encoded images in an HDF5 file, one dataset an id."""

    file: str


@dataclass(frozen=True)
class Level:
    """Images of TIFF files that hold several sizes: 0 is the largest."""

    template: str
    level: int


# A template such as `train/{id}.jpg`, several of which the first that exists is meant, or another source.
Images = str | tuple[str, ...] | ImageArray | Stack | Pixels | Hdf5 | Level


def templates_of(images: Images) -> tuple[str, ...]:
    """The templates of files; none for images that are not files of their own."""
    if isinstance(images, str):
        return (images,)
    if isinstance(images, tuple):
        return images
    if isinstance(images, Stack):
        return images.templates
    if isinstance(images, Level):
        return (images.template,)
    return ()


def folder_of(template: str) -> str:
    """The folder of a template's images: `train` for `train/{id}.jpg`."""
    return re.split(r"[{*]", template, maxsplit=1)[0].rpartition("/")[0]


def fill_template(template: str, values: Mapping[str, str]) -> str:
    """The path of an image by a template. An id or a column may begin with the template's folder already."""
    path, folder = fill(template, values), folder_of(template)
    return path.removeprefix(f"{folder}/") if folder and path.startswith(f"{folder}/{folder}/") else path
