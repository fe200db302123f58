"""Competitions whose images have one class each."""

from __future__ import annotations

from tests.layouts.engine import Data, Solution, hex_id, of_classes, solution


def cassava_leaf(data: Data) -> Solution:
    train, test = of_classes(("0", "1", "2", "3", "4"), lambda n: f"{1000015157 + 977 * n}.jpg")
    data.csv("train.csv", "image_id,label", ((x.id, x.label) for x in train))
    data.csv("sample_submission.csv", "image_id,label", ((x.id, 4) for x in test))
    data.text("label_num_to_disease_map.json", '{"0": "Cassava Bacterial Blight (CBB)", "4": "Healthy"}')
    data.images("train_images/{id}", train)
    data.images("test_images/{id}", test)
    return solution(test)


def aptos_blindness(data: Data) -> Solution:
    train, test = of_classes(("0", "1", "2", "3", "4"), hex_id)
    data.csv("train.csv", "id_code,diagnosis", ((x.id, x.label) for x in train))
    data.csv("test.csv", "id_code", ((x.id,) for x in test))
    data.csv("sample_submission.csv", "id_code,diagnosis", ((x.id, 0) for x in test))
    data.images("train_images/{id}.png", train)
    data.images("test_images/{id}.png", test)
    return solution(test)


def dogs_vs_cats(data: Data) -> Solution:
    train, test = of_classes(("cat", "dog"), lambda n: n if n < 40 else n - 39)
    data.images("train/{label}.{id}.jpg", train)
    data.images("test/{id}.jpg", test)
    data.csv("sample_submission.csv", "id,label", ((x.id, 0.5) for x in test))
    data.zip("train.zip", "train")
    data.zip("test.zip", "test")
    return {x.id: str(int(x.label == "dog")) for x in test}


def dog_breed(data: Data) -> Solution:
    classes = ("affenpinscher", "basenji", "west_highland_white_terrier")
    train, test = of_classes(classes, lambda n: hex_id(n, 32))
    data.csv("labels.csv", "id,breed", ((x.id, x.label) for x in train))
    data.csv("sample_submission.csv", ("id", *classes), ((x.id, *[0.00833] * 3) for x in test))
    data.images("train/{id}.jpg", train)
    data.images("test/{id}.jpg", test)
    data.zip("dog-breed-identification.zip", "labels.csv", "sample_submission.csv", "train", "test")
    return solution(test)
