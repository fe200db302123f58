"""DICOM images as a radiologist sees them: rescaled, in their window, bright where the body is dense."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runner.data.manifest import fix_of_file
from runner.data.packages import import_extra
from runner.errors import DataError
from runner.images.decode import no_warnings, require_possible_size
from runner.images.layout import with_channel_axis

_GREYS = ("MONOCHROME1", "MONOCHROME2")
_PACKAGES = "pip install pylibjpeg pylibjpeg-openjpeg pylibjpeg-libjpeg"


def read_dicom(path: Path, content: bytes | None = None) -> NDArray[Any]:
    """The image, (height, width, 1 or 3); DataError if it is broken, has several frames or cannot be decompressed."""
    with _opened(path, content) as dataset:
        pixels = _decoded(dataset, path)
        if str(dataset.PhotometricInterpretation) not in _GREYS:
            return _colours(pixels, dataset)
        values = import_extra("dicom").pixels.apply_modality_lut(pixels, dataset)
        share = _in_window(np.asarray(values, dtype=np.float64), dataset)
        if dataset.PhotometricInterpretation == "MONOCHROME1":  # its least value is white
            share = 1 - share
        return with_channel_axis((share * 255).round().astype(np.uint8))


def dicom_size(path: Path) -> tuple[int, int]:
    """(width, height), from the header alone."""
    with _opened(path, None, stop_before_pixels=True) as dataset:
        return int(dataset.Columns), int(dataset.Rows)


def check_dicom(path: Path) -> None:
    """Raise DataError if the file is no image, or has fewer pixels than its header says."""
    with _opened(path, None) as dataset:
        bits = int(dataset.Rows) * int(dataset.Columns) * int(dataset.SamplesPerPixel) * int(dataset.BitsAllocated)
        needed = 1 if dataset.file_meta.TransferSyntaxUID.is_compressed else bits // 8
        if len(dataset.PixelData) < needed:
            raise ValueError("the file is cut off: it has fewer pixels than its header says")


@contextmanager
def _opened(path: Path, content: bytes | None, **options: Any) -> Iterator[Any]:
    """The file's dataset, of one frame of a possible size; any failure in the block becomes a DataError."""
    pydicom = import_extra("dicom")
    try:
        # Of fields that are not as the standard has them, which are common and change no pixel.
        with no_warnings():
            dataset = pydicom.dcmread(path if content is None else BytesIO(content), **options)
            require_possible_size(int(dataset.Columns), int(dataset.Rows), path)
            frames = int(dataset.get("NumberOfFrames") or 1)
            if frames > 1:
                raise ValueError(f"it has {frames} frames, and is not one image")
            yield dataset
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError("the image is missing", where=path, fix=fix_of_file(path)) from error
    except Exception as error:  # pydicom raises errors of any type for damaged files
        raise DataError(f"the DICOM file cannot be read: {error}", where=path, fix=fix_of_file(path)) from error


def _decoded(dataset: Any, path: Path) -> NDArray[Any]:
    try:
        return np.asarray(dataset.pixel_array)
    except RuntimeError as error:
        if "missing dependencies" not in str(error):
            raise
        syntax = dataset.file_meta.TransferSyntaxUID.name
        raise DataError(f"no installed package decompresses {syntax}", where=path, fix=_PACKAGES) from error


def _colours(pixels: NDArray[Any], dataset: Any) -> NDArray[Any]:
    """Red, green and blue; pydicom has converted them from other colour spaces."""
    if str(dataset.PhotometricInterpretation) == "PALETTE COLOR":
        pixels = import_extra("dicom").pixels.apply_color_lut(pixels, dataset)
    white = 255 if pixels.dtype == np.uint8 else 65_535
    scaled: NDArray[Any] = (pixels.astype(np.float64) * 255 / white).round().astype(np.uint8)
    return scaled


def _in_window(values: NDArray[Any], dataset: Any) -> NDArray[Any]:
    """0 to 1 within the file's first window, or else from its least value to its greatest."""
    if dataset.get("VOILUTSequence"):
        shown = import_extra("dicom").pixels.apply_voi_lut(values.astype(np.int64), dataset, index=0)
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        return _between(np.asarray(shown, dtype=np.float64), 0, 2**bits - 1)
    centre, width = _first(dataset.get("WindowCenter")), _first(dataset.get("WindowWidth"))
    if centre is None or width is None or width < 1:
        return _between(values, *_range(values, dataset))
    function = str(dataset.get("VOILUTFunction") or "LINEAR")
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -50, 50)))
    if function == "LINEAR_EXACT":
        return _between(values, centre - width / 2, centre + width / 2)
    # As the standard defines it: C.11.2.1.2.1.
    return _between(values, centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)


def _first(value: Any) -> float | None:
    if value is None or value == "":
        return None
    return float(value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value)


def _range(values: NDArray[Any], dataset: Any) -> tuple[float, float]:
    """The least and the greatest value, without those that mark pixels outside of the image."""
    padding = dataset.get("PixelPaddingValue")
    if padding is not None:
        slope, intercept = float(dataset.get("RescaleSlope", 1)), float(dataset.get("RescaleIntercept", 0))
        inside = values[values != float(padding) * slope + intercept]
        values = inside if inside.size else values
    return float(values.min()), float(values.max())


def _between(values: NDArray[Any], low: float, high: float) -> NDArray[Any]:
    if high <= low:
        return (values >= high).astype(np.float64)
    return ((values - low) / (high - low)).clip(0, 1)
