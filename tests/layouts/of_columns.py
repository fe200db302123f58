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
    asked = tags[:1] + tags[2:10]  # of eleven, as in MLE-bench
    data.csv("sample_submission.csv", ("StudyInstanceUID", *asked), ((x.id, *[0] * 9) for x in test))
    data.csv("train_annotations.csv", "StudyInstanceUID,label,data", [(train[0].id, tags[0], "[[1487, 1279]]")])
    data.images("train/{id}.jpg", train)
    data.images("test/{id}.jpg", test)
    return {x.id: "|".join(tag for tag in x.cells if tag in asked) for x in test}


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


def alaska2(data: Data) -> Solution:
    train, test = of_binary(lambda n: f"{n + 1:05d}.jpg", test=16)
    for x in train[::2]:
        data.image(f"Cover/{x.id}", (1.0, 0.0))
        for kind in ("JMiPOD", "JUNIWARD", "UERD"):
            data.image(f"{kind}/{x.id}", (0.0, 1.0))
    names = [f"{n + 1:04d}.jpg" for n in range(len(test))]
    data.images("Test/{name}", test, name=names)
    data.csv("sample_submission.csv", "Id,Label", ((name, 0) for name in names))
    return dict(zip(names, (x.label for x in test), strict=True))


def hms_brain_activity(data: Data) -> Solution:
    votes = [f"{name}_vote" for name in ("seizure", "lpd", "gpd", "lrda", "grda", "other")]
    train, test = of_classes([f"{'0|' * n}5|{'1|' * (5 - n)}".rstrip("|") for n in range(6)], lambda n: 1000 + 7 * n)
    header = "eeg_id,eeg_sub_id,spectrogram_id,spectrogram_label_offset_seconds,label_id,patient_id,expert_consensus"
    rows = [
        (x.id, sub, 90000 + int(x.id), 6.0 * sub, f"{x.id}{sub}", n // 2, "Other")
        for n, x in enumerate(train)
        for sub in (0, 1)
    ]
    cells = [x.cells for x in train for _ in (0, 1)]
    data.csv("train.csv", (*header.split(","), *votes), ((*row, *cell) for row, cell in zip(rows, cells, strict=True)))
    data.csv("test.csv", "spectrogram_id,eeg_id,patient_id", ((90000 + int(x.id), x.id, 99) for x in test))
    data.csv("sample_submission.csv", ("eeg_id", *votes), ((x.id, *[1 / 6] * 6) for x in test))
    for folder, examples in (("train_spectrograms", train), ("test_spectrograms", test)):
        for x in examples:
            powers = np.random.default_rng(int(x.id)).random((320, 40)) + 0.1
            powers[:, 6 * int(np.argmax(x.shares)) :][:, :6] *= 1000
            powers[3, 5] = np.nan
            columns = [f"LL_{n}" for n in range(40)]
            data.parquet(
                f"{folder}/{90000 + int(x.id)}.parquet",
                {"time": range(1, 641, 2), **dict(zip(columns, powers.T, strict=True))},
            )
    return solution(test)
