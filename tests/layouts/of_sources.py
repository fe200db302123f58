"""Competitions whose images are in tables, arrays, DICOM files, or several files each."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tests.layouts.engine import (
    Data,
    Example,
    Examples,
    Solution,
    hex_id,
    of_binary,
    of_classes,
    of_numbers,
    of_tags,
    paint,
    solution,
)


def _pixels(examples: Iterable[Example], height: int, width: int) -> Iterable[list[int]]:
    """The pixels of grey images, each as bright as its class is late."""
    for seed, x in enumerate(examples):
        shade = 40 + 180 * int(np.argmax(x.shares)) // max(1, len(x.shares) - 1)
        noise = np.random.default_rng(seed).integers(-20, 20, height * width)
        yield (noise + shade).clip(0, 255).tolist()


def digit_recognizer(data: Data) -> Solution:
    train, test = of_classes(("0", "1", "9"), lambda n: n - 39)
    pixels = [f"pixel{n}" for n in range(784)]
    labelled = zip(train, _pixels(train, 28, 28), strict=True)
    data.csv("train.csv", ("label", *pixels), ((x.label, *row) for x, row in labelled))
    data.csv("test.csv", pixels, _pixels(test, 28, 28))
    data.csv("sample_submission.csv", "ImageId,Label", ((x.id, 0) for x in test))
    return solution(test)


def kannada_mnist(data: Data) -> Solution:
    train, test = of_classes(("0", "1", "9"), lambda n: n - 40)
    pixels = [f"pixel{n}" for n in range(784)]
    labelled = zip(train, _pixels(train, 28, 28), strict=True)
    data.csv("train.csv", ("label", *pixels), ((x.label, *row) for x, row in labelled))
    with_ids = zip(test, _pixels(test, 28, 28), strict=True)
    data.csv("test.csv", ("id", *pixels), ((x.id, *row) for x, row in with_ids))
    data.csv("sample_submission.csv", "id,label", ((x.id, 0) for x in test))
    return solution(test)


def facial_keypoints(data: Data) -> Solution:
    columns = ("left_eye_center_x", "left_eye_center_y", "right_eye_center_x", "nose_tip_y", "mouth_left_corner_x")
    train, test = of_numbers(5, 0, 96, lambda n: n - 39)

    def faces(examples: Examples) -> list[str]:
        images = (paint(x.shares, seed, 96, 1)[..., 0] for seed, x in enumerate(examples))
        return [" ".join(map(str, image.ravel().tolist())) for image in images]

    cells = [["" if n % 7 == 0 and k > 1 else cell for k, cell in enumerate(x.cells)] for n, x in enumerate(train)]
    rows = [(*row, face) for row, face in zip(cells, faces(train), strict=True)]
    data.csv("training.csv", (*columns, "Image"), [*rows[1:], (*train[0].cells, faces(train[:1])[0])])
    data.csv("test.csv", "ImageId,Image", zip([x.id for x in test], faces(test), strict=True))
    asked = [(x.id, name) for n, x in enumerate(test) for name in columns[: 2 if n % 2 else 5]]
    table = [(row, id, name, "?") for row, (id, name) in enumerate(asked, start=1)]
    data.csv("IdLookupTable.csv", "RowId,ImageId,FeatureName,Location", table)
    data.csv("SampleSubmission.csv", "RowId,Location", ((row, 0) for row, *_ in table))
    for name, members in (("training.zip", "training.csv"), ("test.zip", "test.csv")):
        data.zip(name, members)
    return solution(test)


def bengali_graphemes(data: Data) -> Solution:
    train, test = of_classes(
        ("0|0|0", "64|7|0", "167|1|5"), lambda n: f"Train_{n}" if n < 20 else f"Test_{n - 20}", 20, 10
    )
    header = "image_id,grapheme_root,vowel_diacritic,consonant_diacritic,grapheme"
    data.csv("train.csv", header, ((x.id, *x.cells, "grapheme") for x in train))
    parts = ("consonant_diacritic", "grapheme_root", "vowel_diacritic")
    asked = [(f"{x.id}_{part}", x.id, part) for x in test for part in parts]
    data.csv("test.csv", "row_id,image_id,component", asked)
    data.csv("sample_submission.csv", "row_id,target", ((row, 0) for row, *_ in asked))
    for subset, examples in (("train", train), ("test", test)):
        for part in range(2 if subset == "test" else 1):
            of_file = examples[part::2] if subset == "test" else examples
            pixels = np.array(list(_pixels(of_file, 137, 236)), dtype=np.uint8).T
            columns = {"image_id": [x.id for x in of_file], **{str(n): row for n, row in enumerate(pixels)}}
            data.parquet(f"{subset}_image_data_{part}.parquet", columns)
    return solution(test)


def protein_atlas(data: Data) -> Solution:
    train, test = of_tags(("0", "2", "16", "25"), lambda n: f"{hex_id(n, 8)}-bbad-11e8-b2ba-ac1f6b6435d0", sep=" ")
    data.csv("train.csv", "Id,Target", ((x.id, x.label) for x in train))
    data.csv("sample_submission.csv", "Id,Predicted", ((x.id, 0) for x in test))
    for subset, examples in (("train", train), ("test", test)):
        for x in examples:
            for share, colour in zip(x.shares, ("red", "green", "blue", "yellow"), strict=True):
                data.image(f"{subset}/{x.id}_{colour}.png", (share,), bands=1)
        data.zip(f"{subset}.zip", subset, flat=True)
    return solution(test)


def cellular(data: Data) -> Solution:
    experiments = ("HEPG2-01", "HEPG2-02", "HUVEC-05", "RPE-03", "U2OS-01", "U2OS-02", "HUVEC-06", "RPE-04")
    train, test = of_classes(
        ("0", "513", "1107"), lambda n: f"{experiments[n // 4]}_{1 + n % 2}_B{2 + n % 4:02d}", 20, 12
    )
    header = "id_code,experiment,plate,well"
    data.csv("train.csv", f"{header},sirna", ((x.id, *x.id.split("_"), x.label) for x in train))
    data.csv("test.csv", header, ((x.id, *x.id.split("_")) for x in test))
    data.csv("sample_submission.csv", "id_code,sirna", ((x.id, 0) for x in test))
    for subset, examples in (("train", train), ("test", test)):
        for x in examples:
            experiment, plate, well = x.id.split("_")
            for site, channel in ((site, channel) for site in (1, 2) for channel in range(1, 7)):
                name = f"{subset}/{experiment}/Plate{plate}/{well}_s{site}_w{channel}.png"
                data.image(name, (x.shares[channel % 3],), bands=1)
    return solution(test)


def seti(data: Data) -> Solution:
    train, test = of_binary(lambda n: hex_id(n, 15))
    data.csv("train_labels.csv", "id,target", ((x.id, x.label) for x in train))
    data.csv("sample_submission.csv", "id,target", ((x.id, 0.5) for x in test))
    random = np.random.default_rng(3)
    for subset, examples in (("train", train), ("test", test)):
        for x in examples:
            bands = random.normal(0, 1, (6, 30, 24))
            bands[::2] += 3 * x.shares[1]
            np.save(data.path(f"{subset}/{x.id[0]}/{x.id}.npy"), bands.astype(np.float16))
    data.text("old_leaky_data/train_labels_old.csv", "id,target\n")
    return solution(test)


def isic_2024(data: Data) -> Solution:
    train, test = of_binary(lambda n: f"ISIC_{15670 + 3 * n:07d}")
    header = "isic_id,target,patient_id,age_approx,sex,tbp_lv_areaMM2"
    data.csv(
        "train-metadata.csv", header, ((x.id, x.label, f"IP_{n // 3}", 60, "male", 3.1) for n, x in enumerate(train))
    )
    data.csv("test-metadata.csv", "isic_id,patient_id", ((x.id, "IP_9") for x in test))
    data.csv("sample_submission.csv", "isic_id,target", ((x.id, 0.3) for x in test))
    data.hdf5("train-image.hdf5", train)
    data.hdf5("test-image.hdf5", test)
    return solution(test)


def panda(data: Data) -> Solution:
    train, test = of_classes(("0", "1", "2", "3", "4", "5"), lambda n: hex_id(n, 32))
    header = "image_id,data_provider,isup_grade,gleason_score"
    data.csv("train.csv", header, ((x.id, "karolinska", x.label, "0+0") for x in train))
    data.csv("test.csv", "image_id,data_provider", ((x.id, "karolinska") for x in test))
    data.csv("sample_submission.csv", "image_id,isup_grade", ((x.id, 0) for x in test))
    for subset, examples in (("train", train), ("test", test)):
        for x in examples:
            data.tiff_levels(f"{subset}_images/{x.id}.tiff", x.shares)
    return solution(test)


def rsna_hemorrhage(data: Data) -> Solution:
    kinds = ("any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural")
    train, test = of_tags(kinds, lambda n: f"ID_{hex_id(n, 9)}", empty=True)
    order = (1, 2, 3, 4, 5, 0)
    rows = [(f"{x.id}_{kinds[k]}", x.one_hot[k]) for x in train for k in order]
    data.csv("stage_2_train.csv", "ID,Label", [*rows, *rows[12:18]])
    asked = ((f"{x.id}_{kinds[k]}", 0.5) for x in test for k in order)
    data.csv("stage_2_sample_submission.csv", "ID,Label", asked)
    for folder, examples in (("stage_2_train", train), ("stage_2_test", test)):
        for x in examples:
            data.dicom(f"{folder}/{x.id}.dcm", x.shares)
    return solution(test)


def rsna_breast_cancer(data: Data) -> Solution:
    train, test = of_binary(lambda n: f"{10006 + 5 * (n // 2)}_{'LR'[n % 2]}")
    header = "site_id,patient_id,image_id,laterality,view,age"
    numbers = iter(range(462822612, 10**10, 1013))
    for subset, examples in (("train", train), ("test", test)):
        rows = [(2, *x.id.split("_"), next(numbers), view, x) for x in examples for view in ("CC", "MLO")]
        table = [(site, patient, image, side, view, 61) for site, patient, side, image, view, _ in rows]
        more = [row[-1].label if subset == "train" else row[-1].id for row in rows]
        column = "cancer" if subset == "train" else "prediction_id"
        data.csv(f"{subset}.csv", f"{header},{column}", ((*row, cell) for row, cell in zip(table, more, strict=True)))
        for _, patient, _, image, _, x in rows:
            data.dicom(f"{subset}_images/{patient}/{image}.dcm", x.shares)
    data.csv("sample_submission.csv", "prediction_id,cancer", ((x.id, 0.02) for x in test))
    return solution(test)


def rsna_brain_tumor(data: Data) -> Solution:
    train, test = of_binary(lambda n: f"{2 * n:05d}", 24, 12)
    data.csv("train_labels.csv", "BraTS21ID,MGMT_value", ((x.id, x.label) for x in train))
    data.csv("sample_submission.csv", "BraTS21ID,MGMT_value", ((x.id, 0.5) for x in test))
    for subset, examples in (("train", train), ("test", test)):
        for x in examples:
            for n in range(2, 2 + 1 + len(x.id) % 2 + int(x.id) % 3):
                data.dicom(f"{subset}/{x.id}/T2w/Image-{n}.dcm", x.shares)
            data.dicom(f"{subset}/{x.id}/FLAIR/Image-1.dcm", (0.5, 0.5))
    return solution(test)


def rsna_cervical_spine(data: Data) -> Solution:
    columns = ("patient_overall", *(f"C{n}" for n in range(1, 8)))
    train, test = of_tags(columns, lambda n: f"1.2.826.0.1.3680043.{6200 + n}", empty=True, train=24, test=16)
    data.csv("train.csv", ("StudyInstanceUID", *columns), ((x.id, *x.one_hot) for x in train))
    asked = [(f"{x.id}_{name}", x.id, name) for x in test for name in columns]
    data.csv("test.csv", "row_id,StudyInstanceUID,prediction_type", asked)
    data.csv("sample_submission.csv", "row_id,fractured", ((row, 0.5) for row, *_ in asked))
    for subset, examples in (("train_images", train), ("test_images", test)):
        for x in examples:
            for n in (1, 2):
                data.dicom(f"{subset}/{x.id}/{n}.dcm", x.shares)
    return solution(test)
