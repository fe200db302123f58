"""Competitions whose images have a list of tags each."""

from __future__ import annotations

from tests.layouts.engine import Data, Solution, hex_id, of_tags, solution


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


def plant_pathology_2021(data: Data) -> Solution:
    train, test = of_tags(("complex", "healthy", "rust", "scab"), lambda n: f"{hex_id(n, 16)}.jpg", sep=" ")
    data.csv("train.csv", "image,labels", ((x.id, x.label) for x in train))
    data.csv("sample_submission.csv", "image,labels", ((x.id, "healthy") for x in test))
    data.images("train_images/{id}", train)
    data.images("test_images/{id}", test)
    return solution(test)


def imet_2019(data: Data) -> Solution:
    train, test = of_tags(("0", "1", "2", "51", "1099"), lambda n: hex_id(n, 16), sep=" ")
    data.csv("train.csv", "id,attribute_ids", ((x.id, x.label) for x in train))
    data.csv("labels.csv", "attribute_id,attribute_name", ((0, "culture::abruzzi"), (1, "tag::abbey")))
    data.csv("sample_submission.csv", "id,attribute_ids", ((x.id, "0 1 2") for x in test))
    data.images("train/{id}.png", train)
    data.images("test/{id}.png", test)
    return solution(test)


def imet_2020(data: Data) -> Solution:
    return imet_2019(data)


def freesound_2019(data: Data) -> Solution:
    tags = ("Accelerating_and_revving_and_vroom", "Bark", "Male_speech_and_man_speaking", "Zipper_(clothing)")
    train, test = of_tags(tags, lambda n: f"{hex_id(n, 8)}.wav", sep=",")
    data.csv("train_curated.csv", "fname,labels", ((x.id, x.label) for x in train))
    data.csv("sample_submission.csv", ("fname", *tags), ((x.id, 0, 0, 0, 0) for x in test))
    for folder, examples in (("train_curated", train), ("test", test)):
        for x in examples:
            data.recording(f"{folder}/{x.id}", x.shares)
        data.zip(f"{folder}.zip", folder, flat=True)
    return solution(test)


def mlsp_birds(data: Data) -> Solution:
    species = tuple(map(str, range(19)))
    train, test = of_tags(species, lambda n: n, sep=" ", empty=True)
    names = [f"PC{1 + n % 9}_20090531_050000_{n:04d}" for n in range(len(train) + len(test))]
    essential, supplemental = "mlsp_contest_dataset/essential_data", "mlsp_contest_dataset/supplemental_data"
    data.csv(f"{essential}/rec_id2filename.txt", "rec_id,filename", enumerate(names))
    rows = [",".join([x.id, *x.label.split()]) for x in train] + [f"{x.id},?" for x in test]
    data.text(f"{essential}/rec_labels_test_hidden.txt", "\n".join(["rec_id,[labels]", *rows]) + "\n")
    data.images(supplemental + "/spectrograms/{name}.bmp", [*train, *test], name=names)
    data.zip("mlsp_contest_dataset.zip", "mlsp_contest_dataset")
    asked = ((100 * int(x.id) + n, 0) for x in test for n in range(19))
    data.csv("sample_submission.csv", "Id,Probability", asked)
    return solution(test)
