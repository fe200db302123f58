"""A tiny competition for each source of images: three shades that a tiny network learns, and the files as they come."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from runner.contract import Competition, Hdf5, Level, Multiclass, Pixels, Stack, Stage, TrainMode
from tests.builders import write_csv
from tests.competitions import SHAPES

SHADES = ("dark", "grey", "light")
SIDE, TRAIN, TEST = 24, 36, 9

Grey = NDArray[np.uint8]
Writer = Callable[[Path, "Made"], dict[str, Any]]


@dataclass(frozen=True)
class Made:
    """Grey images with their ids and shades: `train` and `test`."""

    ids: tuple[str, ...]
    shades: tuple[str, ...]
    images: tuple[Grey, ...]


def make(subset: str) -> Made:
    """The images of a subset; a shade is learned from a pixel, whatever the file made of it."""
    random = np.random.default_rng(len(subset))
    count = TRAIN if subset == "train" else TEST
    images = [random.integers(0, 60, (SIDE, SIDE)).astype(np.uint8) + np.uint8(80 * (n % 3)) for n in range(count)]
    return Made(tuple(f"{subset}{n}" for n in range(count)), tuple(SHADES[n % 3] for n in range(count)), tuple(images))


def write_tables(folder: Path, columns: Sequence[str] = ()) -> None:
    """labels.csv and sample_submission.csv."""
    train, test = make("train"), make("test")
    write_csv(folder / "labels.csv", ("id", "breed"), zip(train.ids, train.shades, strict=True))
    write_csv(folder / "sample_submission.csv", ("id", *SHADES), ((id, *[1 / 3] * 3) for id in test.ids))


def write_files(folder: Path, write: Callable[[Path, str, Grey], None]) -> None:
    """Call `write(folder of the subset, id, image)` for every image, and write the tables."""
    for subset in ("train", "test"):
        (folder / subset).mkdir(parents=True, exist_ok=True)
        made = make(subset)
        for id, image in zip(made.ids, made.images, strict=True):
            write(folder / subset, id, image)
    write_tables(folder)


def competition(train: Any, test: Any, **fields: Any) -> Competition:
    """The competition of these files."""
    recipe = replace(SHAPES.recipe, stages=(Stage(SIDE, TrainMode.UNFROZEN, cycle_len=4),), batch_size=8)
    return replace(SHAPES, train_images=train, test_images=test, recipe=recipe, extra_metrics=(), **fields)


def _stack(folder: Path) -> Competition:
    def write(folder: Path, id: str, image: Grey) -> None:
        for number, colour in enumerate(COLOURS):
            Image.fromarray(image + np.uint8(5 * number)).save(folder / f"{id}_{colour}.png")

    write_files(folder, write)
    return competition(*(Stack(*(f"{subset}/{{id}}_{c}.png" for c in COLOURS)) for subset in ("train", "test")))


COLOURS = ("red", "green", "blue", "yellow", "far_red")


def _pixels(folder: Path) -> Competition:
    """As digit-recognizer: a column a pixel, and no ids."""
    header = [f"pixel{number}" for number in range(SIDE * SIDE)]
    train, test = make("train"), make("test")
    rows = [(shade, *image.ravel()) for shade, image in zip(train.shades, train.images, strict=True)]
    write_csv(folder / "train.csv", ("breed", *header), rows)
    write_csv(folder / "test.csv", header, (image.ravel() for image in test.images))
    write_csv(folder / "sample_submission.csv", ("ImageId", *SHADES), ((n, *[1 / 3] * 3) for n in range(1, TEST + 1)))
    return competition(
        Pixels("train.csv", "pixel*", (SIDE, SIDE)),
        Pixels("test.csv", "pixel*", (SIDE, SIDE)),
        labels=Multiclass(csv="train.csv", id="ImageId", label="breed"),
    )


def _cells(folder: Path) -> Competition:
    """As facial-keypoints-detection: all pixels in one cell, here with three bands and decimals."""

    def cell(image: Grey) -> str:
        return " ".join(f"{value / 100:.2f}" for band in (image, image // 2, image // 3) for value in band.ravel())

    for subset in ("train", "test"):
        made = make(subset)
        rows = zip(made.ids, made.shades, map(cell, made.images), strict=True)
        write_csv(folder / f"{subset}.csv", ("id", "breed", "Image"), rows)
    write_csv(folder / "sample_submission.csv", ("id", *SHADES), ((id, *[1 / 3] * 3) for id in make("test").ids))
    images = (Pixels(f"{subset}.csv", "Image", (3, SIDE, SIDE), id="id") for subset in ("train", "test"))
    return competition(*images, labels=Multiclass(csv="train.csv", id="id", label="breed"))


def _parquets(folder: Path) -> Competition:
    """As bengaliai-cv19: several parquet files of a column a pixel, and the labels in a CSV."""
    for subset in ("train", "test"):
        made = make(subset)
        table = pd.DataFrame(np.stack([image.ravel() for image in made.images])).rename(columns=str)
        table.insert(0, "image_id", made.ids)
        for number, rows in enumerate(np.array_split(np.arange(len(table)), 2)):
            table.iloc[rows].to_parquet(folder / f"{subset}_image_data_{number}.parquet")
    write_tables(folder)
    names = (f"{subset}_image_data_*.parquet" for subset in ("train", "test"))
    return competition(*(Pixels(name, "*", (SIDE, SIDE), id="image_id") for name in names))


def _arrays(folder: Path) -> Competition:
    """As seti-breakthrough-listen: a .npy of six bands an image, of half precision."""

    def write(folder: Path, id: str, image: Grey) -> None:
        (folder / id[-1]).mkdir(exist_ok=True)
        np.save(folder / id[-1] / f"{id}.npy", np.stack([image / 50 - band for band in range(6)]).astype(np.float16))

    write_files(folder, write)
    return competition("train/*/{id}.npy", "test/*/{id}.npy")


def _zipped_arrays(folder: Path) -> Competition:
    def write(folder: Path, id: str, image: Grey) -> None:
        np.savez_compressed(folder / f"{id}.npz", image=image.astype(np.uint16)[..., None] * 40)

    write_files(folder, write)
    return competition("train/{id}.npz", "test/{id}.npz")


def _deep(folder: Path) -> Competition:
    """X-rays: twelve bits in PNGs of 16."""

    def write(folder: Path, id: str, image: Grey) -> None:
        Image.fromarray(image.astype(np.uint16) * 16).save(folder / f"{id}.png")

    write_files(folder, write)
    return competition("train/{id}.png", "test/{id}.png")


def _decimals(folder: Path) -> Competition:
    def write(folder: Path, id: str, image: Grey) -> None:
        Image.fromarray(image.astype(np.float32) / 300 - 0.4).save(folder / f"{id}.tif")

    write_files(folder, write)
    return competition("train/{id}.tif", "test/{id}.tif")


def _dicom(folder: Path) -> Competition:
    """X-rays whose least value is white, stored with a rescale and a window."""

    def write(folder: Path, id: str, image: Grey) -> None:
        write_dicom(folder / f"{id}.dcm", 4000 - 8 * image.astype(np.uint16), window=(1000, 2000))

    write_files(folder, write)
    return competition("train/{id}.dcm", "test/{id}.dcm")


def write_dicom(path: Path, pixels: NDArray[np.uint16], *, window: tuple[float, float] | None, **fields: Any) -> None:
    """Write a grey DICOM file, MONOCHROME1 with half of each value if `fields` say nothing else."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    usual = {"PhotometricInterpretation": "MONOCHROME1", "RescaleSlope": 0.5, "RescaleIntercept": 0}
    sizes = {"Rows": pixels.shape[0], "Columns": pixels.shape[1], "SamplesPerPixel": 1, "PixelRepresentation": 0}
    bits = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}
    windows = {} if window is None else {"WindowCenter": window[0], "WindowWidth": window[1]}
    for name, value in {**usual, **sizes, **bits, **windows, **fields}.items():
        setattr(dataset, name, value)
    dataset.PixelData = pixels.astype("<u2").tobytes()
    dataset.save_as(path, enforce_file_format=True)


def _hdf5(folder: Path) -> Competition:
    """As isic-2024-challenge: JPEGs in one file a subset."""
    import h5py

    for subset in ("train", "test"):
        made = make(subset)
        with h5py.File(folder / f"{subset}-image.hdf5", "w") as file:
            for id, image in zip(made.ids, made.images, strict=True):
                stream = io.BytesIO()
                Image.fromarray(image).convert("RGB").save(stream, "JPEG", quality=90)
                file.create_dataset(id, data=np.void(stream.getvalue()))
    write_tables(folder)
    return competition(Hdf5("train-image.hdf5"), Hdf5("test-image.hdf5"))


def _level(folder: Path) -> Competition:
    """As prostate-cancer-grade-assessment: slides of three sizes in a TIFF."""
    import tifffile

    def write(folder: Path, id: str, image: Grey) -> None:
        colours = np.repeat(image[..., None], 3, axis=2)
        with tifffile.TiffWriter(folder / f"{id}.tiff") as file:
            for times in (4, 2, 1):
                file.write(colours.repeat(times, axis=0).repeat(times, axis=1), tile=(16, 16), photometric="rgb")

    write_files(folder, write)
    return competition(Level("train/{id}.tiff", 1), Level("test/{id}.tiff", 1))


def _bands(folder: Path) -> Competition:
    """Satellite images of thirteen bands, of which Pillow reads none."""
    import tifffile

    def write(folder: Path, id: str, image: Grey) -> None:
        bands = np.repeat(image[..., None].astype(np.uint16) * 30, 13, axis=2)
        tifffile.imwrite(folder / f"{id}.tif", bands, planarconfig="contig", photometric="minisblack")

    write_files(folder, write)
    return competition("train/{id}.tif", "test/{id}.tif")


def _class_folders(folder: Path) -> Competition:
    """As alaska2-image-steganalysis: a picture in four folders, and the test images in another beside them."""
    for subset in ("train", "test"):
        made = make(subset)
        for number, (shade, image) in enumerate(zip(made.shades, made.images, strict=True)):
            place = folder / ("Test" if subset == "test" else shade.title())
            place.mkdir(exist_ok=True)
            Image.fromarray(image).save(
                place / f"{number // 3:05}.jpg" if subset == "train" else place / f"{number:05}.jpg"
            )
    rows = ((f"{number:05}.jpg", *[1 / 3] * 3) for number in range(TEST))
    write_csv(folder / "sample_submission.csv", ("Id", "Dark", "Grey", "Light"), rows)
    return competition("{label}/{id}.jpg", "Test/{id}", labels=Multiclass(id="Id", group="*/{name}"))


# What writes the files of each source into a folder, and says the competition; and the bands and type of its images.
SOURCES: dict[str, tuple[Callable[[Path], Competition], str]] = {
    "a stack of five files": (_stack, "5 bands of 8-bit values"),
    "a column a pixel": (_pixels, "3 bands of 8-bit values"),
    "pixels in one cell": (_cells, "3 bands of floating-point values"),
    "several parquet files": (_parquets, "3 bands of 8-bit values"),
    "class folders at the top": (_class_folders, "3 bands of 8-bit values"),
    "npy files": (_arrays, "6 bands of floating-point values"),
    "npz files": (_zipped_arrays, "1 band of 16-bit values"),
    "16-bit PNGs": (_deep, "1 band of 16-bit values"),
    "DICOM files": (_dicom, "3 bands of 8-bit values"),
    "an HDF5 file": (_hdf5, "3 bands of 8-bit values"),
    "a size of a pyramid": (_level, "3 bands of 8-bit values"),
    "TIFFs of thirteen bands": (_bands, "13 bands of 16-bit values"),
    "floating-point TIFFs": (_decimals, "1 band of floating-point values"),
}

# The packages of extras that a source needs.
NEEDS = {
    "several parquet files": ("pyarrow",),
    "DICOM files": ("pydicom",),
    "an HDF5 file": ("h5py",),
    "a size of a pyramid": ("tifffile", "imagecodecs"),
    "TIFFs of thirteen bands": ("tifffile",),
}
