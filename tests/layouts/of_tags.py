"""Competitions whose images have a list of tags each."""

from __future__ import annotations

from tests.layouts.engine import Data, Solution, of_tags


def planet(data: Data) -> Solution:
    train, test = of_tags(("agriculture", "clear", "primary", "road"), lambda n: f"train_{n}", sep=" ")
    data.csv("train_v2.csv/train_v2.csv", "image_name,tags", ((x.id, x.label) for x in train))
    names = [f"test_{n}" if n < 12 else f"file_{n}" for n in range(len(test))]
    data.csv("sample_submission_v2.csv", "image_name,tags", ((name, "primary clear") for name in names))
    data.images("train-jpg/{id}.jpg", train)
    data.images("test-jpg/{name}.jpg", test[:12], name=names)
    data.images("test-jpg-additional/{name}.jpg", test[12:], name=names[12:])
    data.seven_zip("test-jpg.7z", "test-jpg")
    return dict(zip(names, (x.label for x in test), strict=True))
