"""Competitions whose images have one class each."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from tests.layouts.engine import Data, Example, Solution, hex_id, of_classes, solution


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


def _cats_and_dogs(data: Data, test_folder: str, sample: str, cell: float) -> Solution:
    train, test = of_classes(("cat", "dog"), lambda n: n if n < 40 else n - 39)
    data.images("train/{label}.{id}.jpg", train)
    data.images(f"{test_folder}/{{id}}.jpg", test)
    data.csv(sample, "id,label", ((x.id, cell) for x in test))
    data.zip("train.zip", "train")
    data.zip(f"{test_folder}.zip", test_folder)
    return {x.id: str(int(x.label == "dog")) for x in test}


def dogs_vs_cats(data: Data) -> Solution:
    return _cats_and_dogs(data, "test", "sample_submission.csv", 0.5)


def dogs_vs_cats_2013(data: Data) -> Solution:
    return _cats_and_dogs(data, "test1", "sampleSubmission.csv", 0)


def dog_breed(data: Data) -> Solution:
    classes = ("affenpinscher", "basenji", "west_highland_white_terrier")
    train, test = of_classes(classes, lambda n: hex_id(n, 32))
    data.csv("labels.csv", "id,breed", ((x.id, x.label) for x in train))
    data.csv("sample_submission.csv", ("id", *classes), ((x.id, *[0.00833] * 3) for x in test))
    data.images("train/{id}.jpg", train)
    data.images("test/{id}.jpg", test)
    data.zip("dog-breed-identification.zip", "labels.csv", "sample_submission.csv", "train", "test")
    return solution(test)


def paddy_disease(data: Data) -> Solution:
    train, test = of_classes(("bacterial_leaf_blight", "blast", "normal"), lambda n: f"{100001 + n}.jpg")
    data.csv("train.csv", "image_id,label,variety,age", ((x.id, x.label, "ADT45", 45) for x in train))
    data.csv("sample_submission.csv", "image_id,label", ((x.id, "") for x in test))
    data.images("train_images/{label}/{id}", train)
    data.images("test_images/{id}", test)
    return solution(test)


def plant_seedlings(data: Data) -> Solution:
    train, test = of_classes(("Black-grass", "Common Chickweed", "Sugar beet"), lambda n: f"{hex_id(n, 9)}.png")
    data.images("train/{label}/{id}", train)
    data.images("test/{id}", test)
    data.csv("sample_submission.csv", "file,species", ((x.id, "Sugar beet") for x in test))
    return solution(test)


def leaf(data: Data) -> Solution:
    classes = ("Acer_Capillipes", "Quercus_Alnifolia", "Zelkova_Serrata")
    train, test = of_classes(classes, lambda n: 1 + n)
    features = [f"{kind}{number}" for kind in ("margin", "shape", "texture") for number in range(1, 65)]
    numbers = np.random.default_rng(9).random((len(train) + len(test), len(features))).round(6).tolist()
    data.csv("train.csv", ("id", "species", *features), ((x.id, x.label, *numbers.pop()) for x in train))
    data.csv("test.csv", ("id", *features), ((x.id, *numbers.pop()) for x in test))
    data.csv("sample_submission.csv", ("id", *classes), ((x.id, *[1 / 3] * 3) for x in test))
    data.images("images/{id}.jpg", [*train, *test])
    data.zip("images.zip", "images")
    for name in ("train.csv", "test.csv", "sample_submission.csv"):
        data.zip(f"{name}.zip", name)
    return solution(test)


def _whales(data: Data, classes: tuple[str, ...]) -> Solution:
    train, test = of_classes(classes, lambda n: f"{hex_id(n, 8)}.jpg")
    data.csv("train.csv", "Image,Id", ((x.id, x.label) for x in train))
    data.csv("sample_submission.csv", "Image,Id", ((x.id, " ".join(classes[:5])) for x in test))
    data.images("train/{id}", train)
    data.images("test/{id}", test)
    data.zip("train.zip", "train", flat=True)
    data.zip("test.zip", "test", flat=True)
    return solution(test)


def whale_playground(data: Data) -> Solution:
    return _whales(data, ("new_whale", "w_1287fbc", "w_98baff9", "w_7554f44", "w_1eafe46", "w_fd1cb9d"))


def humpback_whale(data: Data) -> Solution:
    return _whales(data, ("new_whale", "w_23a388d", "w_9b5109b", "w_9c506f6", "w_0369a5c", "w_f48451c"))


def happy_whale(data: Data) -> Solution:
    classes = [hex_id(n) for n in range(6)]
    train, test = of_classes(classes, lambda n: f"{hex_id(n, 14)}.jpg")
    data.csv("train.csv", "image,species,individual_id", ((x.id, "melon_headed_whale", x.label) for x in train))
    data.csv("sample_submission.csv", "image,predictions", ((x.id, " ".join(classes[:5])) for x in test))
    data.images("train_images/{id}", train)
    data.images("test_images/{id}", test)
    return solution(test)


def hotel_id_2021(data: Data) -> Solution:
    classes = ("36363", "53586", "18807", "64314", "60181", "2")
    train, test = of_classes(classes, lambda n: f"{hex_id(n, 16)}.jpg")
    chains = [n % 3 for n in range(len(train))]
    rows = [(x.id, chain, x.label, "2018-12-10 12:00:00") for x, chain in zip(train, chains, strict=True)]
    data.csv("train.csv", "image,chain,hotel_id,timestamp", [*rows, rows[7]])
    data.csv("sample_submission.csv", "image,hotel_id", ((x.id, "36363 53586 18807 64314 60181") for x in test))
    data.images("train_images/{chain}/{id}", train, chain=chains)
    data.images("test_images/{id}", test)
    return solution(test)


def _inaturalist(data: Data, year: int, cell: str) -> Solution:
    train, test = of_classes(("0", "1", "5", "400", "1009"), lambda n: 268243 + n)
    names = [f"Plants/{x.label}/{hex_id(int(x.id), 32)}.jpg" for x in train]
    paths = [f"train_val{year}/{name}" for name in names]
    data.coco(f"train{year}.json", train, paths)
    data.coco(f"val{year}.json", train[:9], paths)
    data.coco(f"test{year}.json", test, [f"test{year}/{x.id}.jpg" for x in test], labels=False)
    data.images(f"train_val{year}/{{name}}", train, name=names)
    data.images(f"test{year}/{{id}}.jpg", test)
    data.tar_gz(f"train_val{year}.tar.gz", f"train_val{year}")
    data.tar_gz(f"test{year}.tar.gz", f"test{year}")
    data.csv("kaggle_sample_submission.csv", "id,predicted", ((x.id, cell) for x in test))
    return solution(test)


def inaturalist_2018(data: Data) -> Solution:
    return _inaturalist(data, 2018, "0 1 5")


def inaturalist_2019(data: Data) -> Solution:
    return _inaturalist(data, 2019, "0")


def herbarium_2020(data: Data) -> Solution:
    train, test = of_classes(("0", "27", "42"), lambda n: n)
    names = [f"images/000/{int(x.label):02d}/{x.id}.jpg" for x in train]
    data.coco("nybg2020/train/metadata.json", train, names, encoding="latin-1", name="Sch\u00e4fferia")
    data.coco("nybg2020/test/metadata.json", test, [f"images/000/{x.id}.jpg" for x in test], labels=False)
    data.images("nybg2020/train/{name}", train, name=names)
    data.images("nybg2020/test/images/000/{id}.jpg", test)
    data.csv("sample_submission.csv", "Id,Predicted", ((x.id, 0) for x in test))
    return solution(test)


def herbarium_2021(data: Data) -> Solution:
    train, test = of_classes(("0", "27", "42"), lambda n: n)
    names = [f"images/604/{int(x.label):02d}/{x.id}.jpg" for x in train]
    data.coco("train/metadata.json", train, names)
    data.coco("test/metadata.json", test, [f"images/000/{x.id}.jpg" for x in test], labels=False)
    data.images("train/{name}", train, name=names)
    data.images("test/images/000/{id}.jpg", test)
    data.csv("sample_submission.csv", "Id,Predicted", ((x.id, 0) for x in test))
    return solution(test)


def herbarium_2022(data: Data) -> Solution:
    train, test = of_classes(("0", "27", "42"), lambda n: f"{n:05d}__{n % 3:03d}")
    names = [f"000/{int(x.label):02d}/{x.id}.jpg" for x in train]
    data.coco("train_metadata.json", train, names, id="image_id")
    test_rows = [{"file_name": f"000/{x.id}.jpg", "image_id": x.id, "license": 0} for x in test]
    data.text("test_metadata.json", json.dumps(test_rows))
    data.images("train_images/{name}", train, name=names)
    data.images("test_images/000/{id}.jpg", test)
    data.csv("sample_submission.csv", "Id,Predicted", ((x.id, 42) for x in test))
    return solution(test)


def iwildcam_2019(data: Data) -> Solution:
    train, test = of_classes(("0", "1", "19"), lambda n: f"{hex_id(n, 8)}-23d2-11e8-a6a3-ec086b02610b")
    header = "category_id,date_captured,file_name,frame_num,id,location,seq_id,seq_num_frames,width,height"
    rows = [(f"{x.id}.jpg", 1, x.id, n // 5, hex_id(n), 3, 1024, 747) for n, x in enumerate([*train, *test])]
    data.csv("train.csv", header, ((x.label, "2011-05-13 23:43:18", *row) for x, row in zip(train, rows, strict=False)))
    data.csv("test.csv", header.partition(",")[2], (("2011-05-13 23:43:18", *row) for row in rows[len(train) :]))
    data.csv("sample_submission.csv", "Id,Predicted", ((x.id, 0) for x in test))
    for subset, examples in (("train_images", train), ("test_images", test)):
        data.images(f"{subset}/{{id}}.jpg", examples)
        data.zip(f"{subset}.zip", subset, flat=True)
    return solution(test)


def iwildcam_2020(data: Data) -> Solution:
    train, test = of_classes(("0", "2", "317"), lambda n: f"{hex_id(n, 8)}-21bc-11ea-a13a-137349068a90")
    places = [n // 5 for n in range(len(train))]
    data.coco("iwildcam2020_train_annotations.json", train, [f"{x.id}.jpg" for x in train], location=places)
    data.coco("iwildcam2020_test_information.json", test, [f"{x.id}.jpg" for x in test], labels=False)
    data.csv("sample_submission.csv", "Id,Category", ((x.id, 2) for x in test))
    data.images("train/{id}.jpg", train)
    data.images("test/{id}.jpg", test)
    return solution(test)


def landmark_2020(data: Data) -> Solution:
    train, test = of_classes(("1", "7", "8815"), lambda n: hex_id(n, 16))
    data.csv("train.csv", "id,landmark_id", ((x.id, x.label) for x in train))
    data.csv("sample_submission.csv", "id,landmarks", ((x.id, "8815 0.1") for x in test))
    for subset, examples in (("train", train), ("test", test)):
        folders = [f"{x.id[0]}/{x.id[1]}/{x.id[2]}" for x in examples]
        data.images(subset + "/{folder}/{id}.jpg", examples, folder=folders)
    return solution(test)


def landmark_2021(data: Data) -> Solution:
    return landmark_2020(data)


def cifar_10(data: Data) -> Solution:
    train, test = of_classes(("airplane", "cat", "frog"), lambda n: n + 1 if n < 40 else n - 39)
    data.csv("trainLabels.csv", "id,label", ((x.id, x.label) for x in train))
    data.csv("sampleSubmission.csv", "id,label", ((x.id, "cat") for x in test))
    for subset, examples in (("train", train), ("test", test)):
        data.images(f"{subset}/{{id}}.png", examples)
        data.seven_zip(f"{subset}.7z", subset)
    return solution(test)


def street_view(data: Data) -> Solution:
    train, test = of_classes(("8", "A", "a"), lambda n: 1 + n)
    data.csv("trainLabels.csv", "ID,Class", ((x.id, x.label) for x in train))
    data.csv("sampleSubmission.csv", "ID,Class", ((x.id, "A") for x in test))
    for subset, examples in (("train", train), ("test", test)):
        for folder in (subset, f"{subset}Resized"):
            data.images(f"{folder}/{{id}}.Bmp", examples)
            data.zip(f"{folder}.zip", folder)
    return solution(test)


def right_whale(data: Data) -> Solution:
    classes = ("whale_00195", "whale_26698", "whale_95370")
    train, test = of_classes(classes, lambda n: f"w_{n}.jpg")
    data.csv("train.csv", "Image,whaleID", ((x.id, x.label) for x in train))
    data.csv("sample_submission.csv", ("Image", *classes), ((x.id, *[0.00223] * 3) for x in test))
    data.images("imgs/{id}", [*train, *test])
    data.zip("imgs.zip", "imgs")
    return solution(test)


def fisheries(data: Data) -> Solution:
    classes = ("ALB", "BET", "NoF")
    train, test = of_classes(classes, lambda n: f"img_{n:05d}.jpg")
    first, second = test[:8], [replace(x, id=f"test_stg2/image_{n:05d}.jpg") for n, x in enumerate(test[8:], 1)]
    header, sums = ("image", *classes), (0.455003, 0.052938, 0.123081)
    data.csv("sample_submission_stg1.csv", header, ((x.id, *sums) for x in first))
    data.csv("sample_submission_stg2.csv", header, ((x.id, *sums) for x in [*first, *second]))
    data.images("train/{label}/{id}", train)
    data.images("test_stg1/{id}", first)
    data.images("{id}", second)
    data.zip("train.zip", "train")
    data.zip("test_stg1.zip", "test_stg1")
    data.seven_zip("test_stg2.7z", "test_stg2")
    return solution([*first, *second])


def cervical_cancer(data: Data) -> Solution:
    classes = ("Type_1", "Type_2", "Type_3")
    train, test = of_classes(classes, lambda n: f"{n}.jpg")
    header = ("image_name", *classes)
    data.csv("sample_submission.csv", header, ((x.id, 0.17, 0.53, 0.3) for x in test[:6]))
    data.csv("sample_submission_stg2.csv", header, ((x.id, 0.17, 0.53, 0.3) for x in test))
    data.images("train/{label}/{id}", train)
    data.images("test/{id}", test[:6])
    data.images("test_stg2/{id}", test[6:])
    for folder in ("train", "test", "test_stg2"):
        data.seven_zip(f"{folder}.7z", folder)
    return solution(test)


def plankton(data: Data) -> Solution:
    classes = ("acantharia_protist", "copepod_calanoid", "unknown_sticks")
    train, test = of_classes(classes, lambda n: f"{1 + n}.jpg")
    data.csv("sampleSubmission.csv", ("image", *classes), ((x.id, *[1 / 121] * 3) for x in test))
    data.images("train/{label}/{id}", train)
    data.images("test/{id}", test)
    data.zip("train.zip", "train")
    data.zip("test.zip", "test")
    data.zip("sampleSubmission.csv.zip", "sampleSubmission.csv")
    return solution(test)


def state_farm(data: Data) -> Solution:
    classes = ("c0", "c1", "c9")
    train, test = of_classes(classes, lambda n: f"img_{1 + n}.jpg")
    drivers = [f"p{n // 6:03d}" for n in range(len(train))]
    rows = [(driver, x.label, x.id) for driver, x in zip(drivers, train, strict=True)]
    data.csv("driver_imgs_list.csv", "subject,classname,img", rows)
    data.csv("sample_submission.csv", ("img", *classes), ((x.id, 0.1, 0.1, 0.1) for x in test))
    data.images("train/{label}/{id}", train)
    data.images("test/{id}", test)
    data.zip("imgs.zip", "train", "test")
    for name in ("driver_imgs_list.csv", "sample_submission.csv"):
        data.zip(f"{name}.zip", name)
    return solution(test)


def diabetic_retinopathy(data: Data) -> Solution:
    train, test = of_classes(("0", "1", "2", "3", "4"), lambda n: f"{10 + n // 2}_{('left', 'right')[n % 2]}")
    data.csv("trainLabels.csv", "image,level", ((x.id, x.label) for x in train))
    data.csv("sampleSubmission.csv", "image,level", ((x.id, 0) for x in test))
    for name in ("trainLabels.csv", "sampleSubmission.csv"):
        data.zip(f"{name}.zip", name)
    for subset, examples in (("train", train), ("test", test)):
        data.images(f"{subset}/{{id}}.jpeg", examples)
    return solution(test)


def ubc_ocean(data: Data) -> Solution:
    train, test = of_classes(("CC", "EC", "HGSC"), lambda n: 4 + 13 * n)
    header = "image_id,label,image_width,image_height,is_tma"
    data.csv("train.csv", header, ((x.id, x.label, 900, 600, n % 8 == 0) for n, x in enumerate(train)))
    data.csv("test.csv", "image_id,image_width,image_height", ((x.id, 900, 600) for x in test))
    data.csv("sample_submission.csv", "image_id,label", ((x.id, "HGSC") for x in test))
    for subset, examples in (("train", train), ("test", test)):
        data.images(subset + "_images/{id}.png", examples)
        data.images(subset + "_thumbnails/{id}_thumbnail.png", [x for n, x in enumerate(examples) if n % 8])
    return solution(test)


def sorghum(data: Data) -> Solution:
    train, test = of_classes(
        ("PI_152591", "PI_152651", "PI_181080"), lambda n: f"2017-06-16__12-24-20-{n:03d}.png", 119
    )
    blank = Example("2017-06-02__16-48-57-866.png", "", (0.5, 0.5, 0.5))
    data.csv("train_cultivar_mapping.csv", "image,cultivar", ((x.id, x.label) for x in [*train, blank]))
    test = [replace(x, id=x.id.replace(".png", ".jpeg")) for x in test]
    data.csv("sample_submission.csv", "filename,cultivar", ((x.id, "PI_152591") for x in test))
    data.images("train_images/{id}", [*train, blank])
    data.images("test/{id}", test)
    return solution(test)
