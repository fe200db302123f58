"""Tiny data sets: examples of classes, tags or numbers, images that show them, tables, archives."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tarfile
import wave
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from runner.contract.patterns import fill

TRAIN, TEST = 40, 20
SIZE = 32


@dataclass(frozen=True)
class Example:
    """One image: its id, its label as the index keeps it, and how much of each colour it shows."""

    id: str
    label: str
    shares: tuple[float, ...]

    @property
    def cells(self) -> list[str]:
        """The parts of a label with several."""
        return self.label.split("|")

    @property
    def one_hot(self) -> list[int]:
        """1 in the column of each colour that is there."""
        return [int(share > 0) for share in self.shares]


Examples = list[Example]
# Of an example's number, from 0: its id. Test rows go on counting where training rows end.
MakeId = Callable[[int], object]


def of_classes(classes: Sequence[str], id: MakeId, train: int = TRAIN, test: int = TEST) -> tuple[Examples, Examples]:
    """Examples of one class each, as many of each."""
    order = [number % len(classes) for number in range(train)] + [number * 7 % len(classes) for number in range(test)]
    shares = np.eye(len(classes))[order]
    return _parted([Example(str(id(n)), classes[k], tuple(shares[n])) for n, k in enumerate(order)], train)


def of_binary(id: MakeId, train: int = TRAIN, test: int = TEST) -> tuple[Examples, Examples]:
    """Examples that are positive or not."""
    return of_classes(("0", "1"), id, train, test)


def of_tags(
    tags: Sequence[str], id: MakeId, sep: str = "|", empty: bool = False, train: int = TRAIN, test: int = TEST
) -> tuple[Examples, Examples]:
    """Examples with some of the tags, or `empty` ones with none."""
    random = np.random.default_rng(5)
    has = random.random((train + test, len(tags))) < 0.4
    if not empty:
        has[~has.any(axis=1), 0] = True
    examples = [
        Example(str(id(n)), sep.join(tag for tag, there in zip(tags, row, strict=True) if there), tuple(row * 1.0))
        for n, row in enumerate(has)
    ]
    return _parted(examples, train)


def of_numbers(
    columns: int, low: float, high: float, id: MakeId, train: int = TRAIN, test: int = TEST
) -> tuple[Examples, Examples]:
    """Examples with numbers, which the image shows by its brightness."""
    shares = np.random.default_rng(6).random((train + test, columns)).round(2)
    texts = ["|".join(f"{low + (high - low) * share:g}" for share in row) for row in shares]
    return _parted([Example(str(id(n)), texts[n], tuple(row)) for n, row in enumerate(shares)], train)


def _parted(examples: Examples, train: int) -> tuple[Examples, Examples]:
    return examples[:train], examples[train:]


def hex_id(number: int, digits: int = 12) -> str:
    """An id that looks random."""
    return f"{(number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 16**digits:0{digits}x}"


def paint(shares: Sequence[float], seed: int, size: int = SIZE, bands: int = 3) -> NDArray[np.uint8]:
    """Stripes, one a share: of a colour of its own, as bright as the share is great. Shaped (height, width, bands)."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 40, (size, size, bands)).astype(float)
    edges = np.linspace(0, size, len(shares) + 1).astype(int)
    if sum(share > 0 for share in shares) == 1 and max(shares) == 1:
        edges = np.where(np.arange(len(edges)) <= int(np.argmax(shares)), 0, size)  # one class: all over the image
    for number, share in enumerate(shares):
        colour = np.array([_wave(number, len(shares), band) for band in range(bands)])
        image[:, edges[number] : edges[number + 1]] += 210 * share * colour
    return np.asarray(image.clip(0, 255), dtype=np.uint8)


def _wave(number: int, count: int, band: int) -> float:
    """How much of a band is in colour `number` of so many."""
    return 0.5 + 0.5 * float(np.cos(2 * np.pi * (number / max(2, count) + band / 3)))


def _number(id: str) -> int | str:
    """An id as JSON has it."""
    return int(id) if id.isdecimal() else id


class Data:
    """The folder of a data set that is being made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._painted = 0

    def path(self, name: str) -> Path:
        """A path in the folder, whose parent exists."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def csv(self, name: str, header: str | Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A table; the header may be one text with commas."""
        columns = header.split(",") if isinstance(header, str) else header
        with self.path(name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([columns, *rows])

    def text(self, name: str, text: str, encoding: str = "utf-8") -> None:
        """A text file."""
        self.path(name).write_text(text, encoding=encoding)

    def coco(
        self,
        file: str,
        examples: Sequence[Example],
        paths: Sequence[str],
        *,
        id: str = "id",
        labels: bool = True,
        encoding: str = "utf-8",
        **more: Any,
    ) -> None:
        """COCO's annotations; `more` are columns of the images, or one value for all of them."""
        images: list[dict[str, Any]] = []
        for number, (example, path) in enumerate(zip(examples, paths, strict=False)):
            own = {key: value[number] if isinstance(value, list) else value for key, value in more.items()}
            images.append({"file_name": path, id: _number(example.id), "license": 1, **own})
        document: dict[str, Any] = {"images": images, "info": {"year": 2020}, "licenses": []}
        if labels:
            classes = dict.fromkeys(example.label for example in examples)
            document["annotations"] = [
                {"id": 900_000 + number, "image_id": _number(example.id), "category_id": int(example.label)}
                for number, example in enumerate(examples[: len(images)])
            ]
            document["categories"] = [{"id": int(label), "name": f"kind {label}"} for label in classes]
        self.text(file, json.dumps(document, ensure_ascii=False), encoding)

    def images(self, template: str, examples: Iterable[Example], **columns: Sequence[object]) -> None:
        """An image for each example; other columns of the template are given in the order of the examples."""
        for number, example in enumerate(examples):
            fields = {name: str(values[number]) for name, values in columns.items()}
            name = fill(template, {"id": example.id, "label": example.label, **fields})
            self.image(name, example.shares)

    def image(self, name: str, shares: Sequence[float], bands: int = 3) -> None:
        """An image file in the format of its suffix."""
        self._painted += 1
        image = paint(shares, self._painted, bands=bands)
        Image.fromarray(image[..., 0] if bands == 1 else image).save(self.path(name), quality=95)

    def parquet(self, name: str, columns: Mapping[str, Any]) -> None:
        """A parquet file of these columns."""
        import pyarrow
        from pyarrow import parquet

        arrays = [pyarrow.array(values) for values in columns.values()]
        parquet.write_table(pyarrow.Table.from_arrays(arrays, names=list(columns)), self.path(name))

    def recording(self, name: str, shares: Sequence[float]) -> None:
        """A WAV file of a second, with a tone for each share; the higher, the later."""
        self._painted += 1
        rate = 8000
        times = np.arange(rate) / rate
        tones = [share * np.sin(2 * np.pi * (300 * 1.9**n) * times) for n, share in enumerate(shares)]
        noise = np.random.default_rng(self._painted).normal(0, 0.05, rate)
        with wave.open(str(self.path(name)), "wb") as file:
            file.setparams((1, 2, rate, 0, "NONE", ""))
            file.writeframes((3000 * (np.sum(tones, axis=0) + noise)).astype("<i2").tobytes())

    def hdf5(self, name: str, examples: Examples) -> None:
        """A file of JPEGs by id."""
        import h5py

        with h5py.File(self.path(name), "w") as file:
            for example in examples:
                self._painted += 1
                stream = io.BytesIO()
                Image.fromarray(paint(example.shares, self._painted)).save(stream, "JPEG")
                file.create_dataset(example.id, data=np.void(stream.getvalue()))

    def tiff_levels(self, name: str, shares: Sequence[float]) -> None:
        """A TIFF of three sizes."""
        self._painted += 1
        sizes = (128, 64, 32)
        first, *more = (Image.fromarray(paint(shares, self._painted, size)) for size in sizes)
        first.save(self.path(name), save_all=True, append_images=more)

    def dicom(self, name: str, shares: Sequence[float]) -> None:
        """A grey image of 12 bits, as bright as the first share; the other shares are stripes."""
        from pydicom.dataset import FileDataset, FileMetaDataset
        from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

        self._painted += 1
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        file = FileDataset(str(self.path(name)), {}, file_meta=meta, preamble=bytes(128))
        file.SOPClassUID, file.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        pixels = paint(shares, self._painted, bands=1)[..., 0].astype(np.uint16) * 16
        pixels[0, :2] = 0, 4095  # the range of every image, which a reader may scale to
        file.Rows, file.Columns = pixels.shape
        file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
        file.BitsAllocated, file.BitsStored, file.HighBit, file.PixelRepresentation = 16, 12, 11, 0
        file.PixelData = pixels.tobytes()
        file.save_as(self.path(name), enforce_file_format=True)

    def zip(self, archive: str, *names: str, flat: bool = False) -> None:
        """Move files and folders into a zip; `flat`: without the name of the folder."""
        with zipfile.ZipFile(self.path(archive), "w") as file:
            for path in self._files(names):
                file.write(path, path.relative_to(self.folder / names[0] if flat else self.folder))
        self._remove(names)

    def tar_gz(self, archive: str, *names: str) -> None:
        """Move files and folders into a compressed tar."""
        with tarfile.open(self.path(archive), "w:gz") as file:
            for path in self._files(names):
                file.add(path, str(path.relative_to(self.folder)))
        self._remove(names)

    def seven_zip(self, archive: str, *names: str) -> None:
        """Move files and folders into a 7z."""
        import py7zr

        with py7zr.SevenZipFile(self.path(archive), "w", filters=[{"id": py7zr.FILTER_COPY}]) as file:
            for path in self._files(names):
                file.write(path, str(path.relative_to(self.folder)))
        self._remove(names)

    def _files(self, names: Iterable[str]) -> list[Path]:
        paths = [self.folder / name for name in names]
        return [
            file for path in paths for file in (sorted(path.rglob("*")) if path.is_dir() else [path]) if file.is_file()
        ]

    def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            path = self.folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


# The hidden labels: of each test id its label, as the index keeps labels.
Solution = dict[str, str]


def solution(test: Examples) -> Solution:
    """The labels of the test examples."""
    return {example.id: example.label for example in test}
