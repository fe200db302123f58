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
