"""Competitions whose labels are one or several columns of 0 and 1."""

from __future__ import annotations

import json

import numpy as np

from tests.layouts.engine import Data, Example, Solution, hex_id, of_binary, of_classes, solution


def aerial_cactus(data: Data) -> Solution:
    train, test = of_binary(lambda n: f"{hex_id(n, 32)}.jpg")
    data.csv("train.csv", "id,has_cactus", ((x.id, x.label) for x in train))
    data.csv("sample_submission.csv", "id,has_cactus", ((x.id, 0.5) for x in test))
    data.images("train/{id}", train)
    data.images("test/{id}", test)
    data.zip("train.zip", "train")
    data.zip("test.zip", "test")
    return solution(test)


def plant_pathology_2020(data: Data) -> Solution:
    classes = ("healthy", "multiple_diseases", "rust", "scab")
    train, test = of_classes(classes, lambda n: f"Train_{n}" if n < 40 else f"Test_{n - 40}")
    data.csv("train.csv", ("image_id", *classes), ((x.id, *x.one_hot) for x in train))
    data.csv("test.csv", "image_id", ((x.id,) for x in test))
    data.csv("sample_submission.csv", ("image_id", *classes), ((x.id, 0.25, 0.25, 0.25, 0.25) for x in test))
    data.images("images/{id}.jpg", [*train, *test])
    return solution(test)


def iceberg(data: Data) -> Solution:
    train, test = of_binary(lambda n: hex_id(n, 8))
    random = np.random.default_rng(8)

    def record(x: Example, more: dict[str, object]) -> dict[str, object]:
        bands = random.normal(-22 + 6 * x.shares[1], 2, (2, 75 * 75)).round(2).tolist()
        return {"id": x.id, "band_1": bands[0], "band_2": bands[1], **more}

    for subset, examples in (("train", train), ("test", test)):
        angles = ["na" if subset == "train" and n % 9 == 0 else 30 + n // 2 / 7 for n in range(len(examples))]
        labels = [{"is_iceberg": int(x.label)} if subset == "train" else {} for x in examples]
        rows = [record(x, {"inc_angle": a, **y}) for x, a, y in zip(examples, angles, labels, strict=True)]
        data.text(f"data/processed/{subset}.json", json.dumps(rows))
        data.seven_zip(f"{subset}.json.7z", f"data/processed/{subset}.json")
    data.csv("sample_submission.csv", "id,is_iceberg", ((x.id, 0.5) for x in test))
    return solution(test)
