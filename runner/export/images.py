"""Images as the networks were trained on them, and decisions from their predictions: numpy, opencv and Pillow alone.

This file is copied into every exported folder, and works there by itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps


def read_settings(folder: Path) -> dict[str, Any]:
    """The content of export.json: classes, sizes and views, thresholds."""
    return json.loads((folder / "export.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def read_inputs(settings: dict[str, Any], path: str | Path) -> list[NDArray[Any]]:
    """An image's views for each input size, shaped (views, size, size, bands)."""
    return [np.stack([_view(settings, each, view, path) for view in each["views"]]) for each in settings["inputs"]]


def decide(settings: dict[str, Any], predictions: NDArray[Any]) -> list[str]:
    """What is decided of each image: a class, tags with blanks between them, 0 or 1; numbers as they are."""
    kind, classes, decision = settings["kind"], settings["classes"], settings["decision"]
    if kind == "numbers":
        return [" ".join(f"{value:.6g}" for value in row) for row in predictions]
    if kind == "targets":
        return [_of_each_target(settings["targets"], row) for row in predictions]
    if kind == "tags":
        chosen = _tags(decision, predictions)
        return [" ".join(np.array(classes)[row]) for row in chosen]
    if kind == "yes or no":
        return [str(int(value)) for value in predictions[:, 0] >= decision["threshold"]]
    if "cuts" in decision:
        grades = np.searchsorted(decision["cuts"], predictions @ np.arange(predictions.shape[1]), side="right")
    else:
        grades = (predictions / np.array(decision.get("divide_by", 1.0))).argmax(axis=1)
    return [classes[number] for number in grades]


def normalised(model: dict[str, Any], inputs: list[NDArray[Any]]) -> NDArray[np.float32]:
    """What one network of timm's takes: its views (views, bands, height, width), scaled as in its pretraining."""
    views = inputs[model["input"]][model["views"]].astype(np.float32)
    scaled = (views - np.array(model["mean"], np.float32)) / np.array(model["std"], np.float32)
    return np.ascontiguousarray(np.moveaxis(scaled, -1, 1))


def combine(settings: dict[str, Any], logits: list[NDArray[Any]]) -> NDArray[Any]:
    """Predictions (images, columns) of each network's logits (images, views, columns): the means, then calibrated."""
    post, total, weights = settings["postprocess"], 0.0, 0.0
    for model, each in zip(settings["models"], logits, strict=True):
        by_view = _by_block(post, each.astype(np.float64), _activate)
        if post["low"] is not None or post["high"] is not None:
            by_view = np.clip(by_view, post["low"], post["high"])
        one = by_view[:, 0] if by_view.shape[1] == 1 else _mean(post, by_view.swapaxes(0, 1), post["tta_mean"])
        total, weights = total + model["weight"] * _transformed(post, one, post["mean"]), weights + model["weight"]
    predictions = _restored(post, np.asarray(total / weights), post["mean"])
    calibration = post["calibration"]
    if (calibration["temperature"], calibration["bias"]) != (1.0, 0.0):
        logs = _by_block(post, predictions, _to_logs) / calibration["temperature"] + calibration["bias"]
        predictions = _by_block(post, logs, _activate)
    if calibration["clip"]:
        inside = np.clip(predictions, calibration["clip"], 1 - calibration["clip"])
        predictions = _by_block(post, inside, _scaled)
    return predictions


def _mean(post: dict[str, Any], views: NDArray[Any], mean: str) -> NDArray[Any]:
    return _restored(post, _transformed(post, views, mean).mean(axis=0), mean)


def _by_block(post: dict[str, Any], values: NDArray[Any], change: Any) -> NDArray[Any]:
    ends = np.cumsum([size for _, size in post["outputs"]])
    blocks = np.split(values, ends[:-1], axis=-1)
    parts = [change(kind, block) for (kind, _), block in zip(post["outputs"], blocks, strict=True)]
    return np.concatenate(parts, axis=-1)


def _activate(kind: str, logits: NDArray[Any]) -> NDArray[Any]:
    if kind == "softmax":
        powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))
    return 1 / (1 + np.exp(-logits)) if kind == "sigmoid" else logits


def _to_logs(kind: str, values: NDArray[Any]) -> NDArray[Any]:
    if kind == "softmax":
        return np.asarray(np.log(np.maximum(values, 1e-15)))
    inside = np.clip(values, 1e-7, 1 - 1e-7)
    return values if kind == "linear" else np.log(inside) - np.log1p(-inside)


def _scaled(kind: str, values: NDArray[Any]) -> NDArray[Any]:
    return values / values.sum(axis=-1, keepdims=True) if kind == "softmax" else values


def _transformed(post: dict[str, Any], values: NDArray[Any], mean: str) -> NDArray[Any]:
    return _by_block(post, values, _to_logs) if mean == "geometric" else values


def _restored(post: dict[str, Any], values: NDArray[Any], mean: str) -> NDArray[Any]:
    return _by_block(post, values, _activate if mean == "geometric" else _scaled)


def _of_each_target(targets: list[list[str]], row: NDArray[Any]) -> str:
    ends = np.cumsum([len(classes) for classes in targets])
    blocks = np.split(row, ends[:-1])
    return " ".join(classes[int(block.argmax())] for classes, block in zip(targets, blocks, strict=True))


def _tags(decision: dict[str, Any], predictions: NDArray[Any]) -> NDArray[np.bool_]:
    chosen = predictions > np.array(decision["thresholds"])
    if decision["at_least_one"]:
        empty = ~chosen.any(axis=1)
        chosen[empty, predictions[empty].argmax(axis=1)] = True
    if group := decision.get("mutually_exclusive"):
        likeliest = np.array(group)[predictions[:, group].argmax(axis=1)]
        chosen[:, group] = False
        chosen[np.isin(likeliest, decision["standalone"])] = False
        chosen[np.arange(len(chosen)), likeliest] = True
    return np.asarray(chosen)


def _view(settings: dict[str, Any], size: dict[str, Any], view: dict[str, Any], path: str | Path) -> NDArray[Any]:
    part = _part(settings, view, _reduced(settings, size, _read(settings, size, path)))
    turned = np.rot90(_resized(settings, part, size["size"]), view["rot90"])
    return np.ascontiguousarray(turned[:, ::-1] if view["hflip"] else turned)


def _part(settings: dict[str, Any], view: dict[str, Any], image: NDArray[Any]) -> NDArray[Any]:
    """The part of an image that a view shows, in the image's own resolution."""
    if view["pad_to_square"]:
        return _padded(image)
    if settings["resize"] == "pad":
        if view["zoom"] == 1:
            return image
        image = _padded(image)
    height, width = image.shape[:2]
    if settings["resize"] == "squash":
        rows, columns = max(1, round(height / view["zoom"])), max(1, round(width / view["zoom"]))
    else:
        rows = columns = max(1, round(min(height, width) / view["zoom"]))
    top, left = int((height - rows) * view["y"]), int((width - columns) * view["x"])
    return image[top : top + rows, left : left + columns]


def _read(settings: dict[str, Any], size: dict[str, Any], path: str | Path) -> NDArray[Any]:
    """The file upright: red, green and blue; or bands as an array (height, width, bands)."""
    if not settings["is_rgb"]:
        values = np.load(path) if str(path).endswith(".npy") else np.array(Image.open(path))
        values = values if values.ndim == 3 else values[..., None]
        return values.astype(np.uint8 if settings["depth"] == "uint8" else np.float32)
    image = Image.open(path)
    if size["min_decode"]:
        image.draft(None, (size["min_decode"], size["min_decode"]))
    upright = ImageOps.exif_transpose(image)
    if upright.has_transparency_data:
        canvas = Image.new("RGB", upright.size, "white")
        canvas.paste(upright.convert("RGBA"), mask=upright.convert("RGBA").getchannel("A"))
        return np.array(canvas)
    return np.array(upright.convert("RGB"))


def _reduced(settings: dict[str, Any], size: dict[str, Any], image: NDArray[Any]) -> NDArray[Any]:
    """The image with its short side near `resize_to`, never enlarged; as the training images were cached."""
    height, width = image.shape[:2]
    scale = 1.0 if settings["nearest"] else size["resize_to"] / min(height, width)
    if scale >= 1 / 1.25:
        return image
    shape = (max(size["resize_to"], round(width * scale)), max(size["resize_to"], round(height * scale)))
    return _with_bands(cv2.resize(image, shape, interpolation=cv2.INTER_AREA))


def _resized(settings: dict[str, Any], image: NDArray[Any], size: int) -> NDArray[Any]:
    """The image as a square of this size: cropped, squashed or padded."""
    if settings["resize"] == "pad":
        image = _padded(image, cv2.BORDER_REFLECT_101 if settings["padding"] == "reflect" else cv2.BORDER_REPLICATE)
    height, width = image.shape[:2]
    side = min(height, width)
    if settings["resize"] != "squash":
        top, left = (height - side) // 2, (width - side) // 2
        image = image[top : top + side, left : left + side]
    if image.shape[:2] == (size, size):
        return image
    smooth = cv2.INTER_AREA if side > 1.6 * size else cv2.INTER_CUBIC if side > size else cv2.INTER_LINEAR
    how = cv2.INTER_NEAREST if settings["nearest"] else smooth
    return _with_bands(cv2.resize(np.ascontiguousarray(image), (size, size), interpolation=how))


def _padded(image: NDArray[Any], border: int = cv2.BORDER_REFLECT_101) -> NDArray[Any]:
    height, width = image.shape[:2]
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return _with_bands(cv2.copyMakeBorder(image, top, side - height - top, left, side - width - left, border))


def _with_bands(image: Any) -> NDArray[Any]:
    return np.asarray(image if image.ndim == 3 else image[..., None])
