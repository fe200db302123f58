"""Competitions whose labels are one or several columns of 0 and 1."""

from __future__ import annotations

import json

import numpy as np

from tests.layouts.engine import Data, Example, Solution, hex_id, of_binary, of_classes, of_tags, solution


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


def ranzcr_clip(data: Data) -> Solution:
    tags = (
        *("ETT - Abnormal", "ETT - Borderline", "ETT - Normal", "NGT - Abnormal", "NGT - Borderline"),
        *("NGT - Incompletely Imaged", "NGT - Normal", "CVC - Abnormal", "CVC - Borderline", "CVC - Normal"),
        "Swan Ganz Catheter Present",
    )
    train, test = of_tags(tags, lambda n: f"1.2.826.0.1.3680043.8.498.{26697628953273228189375557799582420561 + n}")
    header = ("StudyInstanceUID", *tags, "PatientID")
    data.csv("train.csv", header, ((x.id, *x.one_hot, hex_id(n // 2, 9)) for n, x in enumerate(train)))
    data.csv("sample_submission.csv", ("StudyInstanceUID", *tags), ((x.id, *[0] * 11) for x in test))
    data.csv("train_annotations.csv", "StudyInstanceUID,label,data", [(train[0].id, tags[0], "[[1487, 1279]]")])
    data.images("train/{id}.jpg", train)
    data.images("test/{id}.jpg", test)
    return solution(test)


def histopathologic_cancer(data: Data) -> Solution:
    train, test = of_binary(lambda n: hex_id(n, 40))
    data.csv("train_labels.csv", "id,label", ((x.id, x.label) for x in train))
    data.csv("sample_submission.csv", "id,label", ((x.id, 0) for x in test))
    data.images("train/{id}.tif", train)
    data.images("test/{id}.tif", test)
    return solution(test)


def invasive_species(data: Data) -> Solution:
    train, test = of_binary(lambda n: n + 1 if n < 40 else n - 39)
    data.csv("train_labels.csv", "name,invasive", ((x.id, x.label) for x in train))
    data.csv("sample_submission.csv", "name,invasive", ((x.id, 0.5) for x in test))
    for name in ("train_labels.csv", "sample_submission.csv"):
        data.zip(f"{name}.zip", name)
    for subset, examples in (("train", train), ("test", test)):
        data.images(f"{subset}/{{id}}.jpg", examples)
        data.seven_zip(f"{subset}.7z", subset)
    return solution(test)


def siim_melanoma(data: Data) -> Solution:
    train, test = of_binary(lambda n: f"ISIC_{15719 + 7 * n:07d}")
    more = [(f"IP_{n // 3:07d}", "male", "" if n == 5 else 45.0, "torso") for n in range(len(train) + len(test))]
    header = "image_name,patient_id,sex,age_approx,anatom_site_general_challenge"
    rows = [(x.id, *row) for x, row in zip([*train, *test], more, strict=True)]
    labels = [("nevus", ("benign", "malignant")[int(x.label)], x.label) for x in train]
    data.csv("train.csv", f"{header},diagnosis,benign_malignant,target", map(tuple.__add__, rows, labels))
    data.csv("test.csv", header, rows[len(train) :])
    data.csv("sample_submission.csv", "image_name,target", ((x.id, 0) for x in test))
    for subset, examples in (("train", train), ("test", test)):
        data.images(f"jpeg/{subset}/{{id}}.jpg", examples)
        data.text(f"{subset}/{examples[0].id}.dcm", "a DICOM file that is not needed")
    return solution(test)
