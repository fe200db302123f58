"""Competitions whose images have numbers."""

from __future__ import annotations

from tests.layouts.engine import Data, Solution, hex_id, of_numbers, solution


def petfinder_pawpularity(data: Data) -> Solution:
    train, test = of_numbers(1, 1, 100, lambda n: hex_id(n, 32))
    first = ("Subject Focus", "Eyes", "Face", "Near", "Action", "Accessory")
    columns = (*first, "Group", "Collage", "Human", "Occlusion", "Info", "Blur")
    data.csv("train.csv", ("Id", *columns, "Pawpularity"), ((x.id, *[0, 1] * 6, x.label) for x in train))
    data.csv("test.csv", ("Id", *columns), ((x.id, *[1, 0] * 6) for x in test))
    data.csv("sample_submission.csv", "Id,Pawpularity", ((x.id, 65.74) for x in test))
    data.images("train/{id}.jpg", train)
    data.images("test/{id}.jpg", test)
    return solution(test)


def galaxy_zoo(data: Data) -> Solution:
    columns = ("Class1.1", "Class1.2", "Class11.6")
    train, test = of_numbers(3, 0, 1, lambda n: 100008 + 15 * n)
    data.csv("training_solutions_rev1.csv", ("GalaxyID", *columns), ((x.id, *x.cells) for x in train))
    for name, value in (("all_zeros_benchmark", 0), ("all_ones_benchmark", 1), ("central_pixel_benchmark", 0.5)):
        data.csv(f"{name}.csv", ("GalaxyID", *columns), ((x.id, *[value] * 3) for x in test))
        data.zip(f"{name}.zip", f"{name}.csv")
    data.zip("training_solutions_rev1.zip", "training_solutions_rev1.csv")
    for folder, examples in (("images_training_rev1", train), ("images_test_rev1", test)):
        data.images(f"{folder}/{{id}}.jpg", examples)
        data.zip(f"{folder}.zip", folder)
    return solution(test)


def csiro_biomass(data: Data) -> Solution:
    columns = ("Dry_Clover_g", "Dry_Dead_g", "Dry_Green_g", "Dry_Total_g", "GDM_g")
    of_plugin = ("Dry_Green_g", "Dry_Dead_g", "Dry_Clover_g", "GDM_g", "Dry_Total_g")
    train, test = of_numbers(5, 0, 80, lambda n: f"ID{1011485656 + 97 * n}")
    header = "sample_id,image_path,Sampling_Date,State,Species,Pre_GSHH_NDVI,Height_Ave_cm,target_name,target"
    more = ("2015/9/4", "Tas", "Ryegrass_Clover", 0.62, 4.6667)
    cells = [dict(zip(of_plugin, x.cells, strict=True)) for x in train]
    rows = [
        (f"{x.id}__{name}", f"train/{x.id}.jpg", *more, name, cells[n][name])
        for n, x in enumerate(train)
        for name in columns
    ]
    data.csv("train.csv", header, rows)
    asked = [(f"{x.id}__{name}", f"test/{x.id}.jpg", name) for x in test for name in columns]
    data.csv("test.csv", "sample_id,image_path,target_name", asked)
    data.csv("sample_submission.csv", "sample_id,target", ((row[0], 0.0) for row in asked))
    data.images("train/{id}.jpg", train)
    data.images("test/{id}.jpg", test)
    return solution(test)


def plant_traits_2024(data: Data) -> Solution:
    traits = ("X4", "X11", "X18", "X26", "X50", "X3112")
    train, test = of_numbers(6, 0, 20, lambda n: 192027691 + 3 * n)
    soil = ("WORLDCLIM_BIO1_annual_mean_temperature", "SOIL_bdod_0.5cm_mean_0.01_deg")
    columns = ("id", *soil, *(f"{trait}_mean" for trait in traits), *(f"{trait}_sd" for trait in traits))
    data.csv("train.csv", columns, ((x.id, 12.2, 125, *x.cells, *[0.1] * 6) for x in train))
    data.csv("test.csv", ("id", *soil), ((x.id, 12.2, 125) for x in test))
    data.csv("sample_submission.csv", ("id", *traits), ((x.id, *[1] * 6) for x in test))
    data.images("train_images/{id}.jpeg", train)
    data.images("test_images/{id}.jpeg", test)
    return solution(test)
