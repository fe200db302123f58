"""Real layouts of image competitions, each of a few rows: its files, the flags, and the competition they are."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from runner.contract import (
    Binary,
    Coco,
    Hdf5,
    Images,
    Labels,
    Multiclass,
    Multilabel,
    Ordinal,
    Pixels,
    Regression,
    SeveralTargets,
    Stack,
)

Content = str | bytes
Files = dict[str, Content]


@dataclass(frozen=True)
class Layout:
    """The files of a competition, the flags of `new`, and what must come out: a competition, or a refusal."""

    name: str
    files: Callable[[], Files]
    flags: str
    labels: Labels | None = None
    train: Images = ""
    test: Images = ""
    sample: str = "sample_submission.csv"
    metric: str = ""  # its key
    rows: str = ""
    more: Mapping[str, object] = field(default_factory=dict)  # other fields of the competition
    refused: str = ""  # words of the refusal
    assumed: tuple[str, ...] = ()  # words that must be in what is marked as assumed


def write(folder: Path, files: Mapping[str, Content]) -> Path:
    """Write the files, an archive for each name of one whose content is given as a mapping."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def zipped(files: Mapping[str, Content]) -> bytes:
    """The bytes of a zip."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def images(folder: str, names: Iterable[object], suffix: str = ".jpg") -> Files:
    """Empty files: nothing here opens an image."""
    return {f"{folder}/{name}{suffix}": b"" for name in names}


def table(header: str, rows: Iterable[Sequence[object]]) -> str:
    """A CSV."""
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


def beside(*columns: Iterable[object]) -> list[tuple[object, ...]]:
    """Rows of these columns."""
    return list(zip(*columns, strict=True))


def names(start: str, count: int) -> list[str]:
    """Names that look like hashes or numbers."""
    return [f"{start}{number:04d}" for number in range(count)]


def pick(options: Sequence[object], count: int, seed: int = 0) -> list[object]:
    """Each option at least once, in no order."""
    chosen = [options[n % len(options)] for n in range(count)]
    random.Random(seed).shuffle(chosen)
    return chosen


def numbers(count: int, low: float, high: float, digits: int = 3, seed: int = 1) -> list[float]:
    rng = random.Random(seed)
    return [round(rng.uniform(low, high), digits) for _ in range(count)]


A, T = names("a", 40), names("t", 12)

LAYOUTS: list[Layout] = []


def layout(flags: str = "", **expected: object) -> Callable[[Callable[[], Files]], Callable[[], Files]]:
    """Add a layout, named like the function that makes its files."""

    def add(function: Callable[[], Files]) -> Callable[[], Files]:
        LAYOUTS.append(Layout(function.__name__, function, flags, **expected))  # type: ignore[arg-type]
        return function

    return add


# --- one class --------------------------------------------------------------------------------


@layout(
    "--metric log_loss",
    labels=Multiclass(csv="train_labels.csv", label="flower"),
    train="train/{id}.jpg",
    test="test/{id}.jpg",
    metric="log_loss",
)
def flowers_with_a_column_a_class() -> Files:
    kinds = ["daisy", "rose", "tulip"]
    return {
        **images("train", A),
        **images("test", T),
        "train_labels.csv": table("id,flower", beside(A, pick(kinds, 40))),
        "sample_submission.csv": table("id,daisy,rose,tulip", [(t, 0.33, 0.33, 0.34) for t in T]),
        "README.md": "read me",
        ".DS_Store": b"\0",
    }


@layout(
    "--metric accuracy",
    labels=Multiclass(csv="train.csv", id="image_id"),
    train="train_images/{id}",
    test="test_images/{id}",
    metric="accuracy",
)
def leaves_with_a_label_map() -> Files:
    train, test = [f"{a}.jpg" for a in A], [f"{t}.jpg" for t in T]
    return {
        **images("train_images", train, ""),
        **images("test_images", test, ""),
        "train.csv": table("image_id,label", beside(train, pick(range(5), 40))),
        "sample_submission.csv": table("image_id,label", [(t, 4) for t in test]),
        "label_num_to_disease_map.json": json.dumps({str(n): f"disease {n}" for n in range(5)}),
        **images("train_tfrecords", ["ld_train00-1338"], ".tfrec"),
    }


@layout(
    "--metric macro_f1 --preset side_on",
    labels=Multiclass(csv="train.csv", id="ImageID", label="dish"),
    train="train/{id}",
    test="test/{id}",
    sample="sampleSubmission.csv",
    metric="macro_f1",
)
def food_with_names_and_suffixes() -> Files:
    train, test = [f"{a}.JPG" for a in A], [f"{t}.JPG" for t in T]
    return {
        **images("train", train, ""),
        **images("test", test, ""),
        "train.csv": table("ImageID,dish", beside(train, pick(["fried rice", "apple pie", "soup"], 40))),
        "sampleSubmission.csv": table("ImageID,dish", [(t, "soup") for t in test]),
        "classes.csv": table("class_id,class", [(0, "fried rice"), (1, "apple pie"), (2, "soup")]),
    }


@layout(
    "--metric accuracy",
    labels=Multiclass(),
    train="train/{label}/{id}",
    test="test/{id}",
    metric="accuracy",
)
def seedlings_in_class_folders() -> Files:
    kinds = {"Black-grass": A[:10], "Maize": A[10:30], "Charlock": A[30:]}
    return {
        **{name: b"" for kind, ids in kinds.items() for name in images(f"train/{kind}", ids, ".png")},
        **images("test", T, ".png"),
        "sample_submission.csv": table("file,species", [(f"{t}.png", "Maize") for t in T]),
    }


@layout(
    "--metric log_loss",
    labels=Multiclass(),
    train="train/{label}/{id}",
    test="test_stg1/{id}",
    sample="sample_submission_stg1.csv",
    metric="log_loss",
)
def fish_in_double_folders() -> Files:
    kinds = {"ALB": A[:20], "NoF": A[20:30], "YFT": A[30:]}
    return {
        **{name: b"" for kind, ids in kinds.items() for name in images(f"fish/train/train/{kind}", ids)},
        **images("fish/test_stg1/test_stg1", T),
        "fish/sample_submission_stg1.csv": table("image,ALB,NoF,YFT", [(f"{t}.jpg", 0.5, 0.25, 0.25) for t in T]),
    }


@layout(
    "--metric log_loss --group subject",
    labels=Multiclass(csv="driver_imgs_list.csv", id="img", label="classname", group="subject"),
    train="imgs/train/{classname}/{id}",
    test="imgs/test/{id}",
    metric="log_loss",
)
def drivers_in_class_folders_with_a_table() -> Files:
    kinds = pick(["c0", "c1", "c2"], 40)
    train = [f"{a}.jpg" for a in A]
    return {
        **{f"imgs/train/{kind}/{a}": b"" for kind, a in beside(kinds, train)},
        **images("imgs/test", T),
        "driver_imgs_list.csv": table(
            "subject,classname,img", beside(pick([f"p{n}" for n in range(9)], 40, 3), kinds, train)
        ),
        "sample_submission.csv": table("img,c0,c1,c2", [(f"{t}.jpg", 0.3, 0.3, 0.4) for t in T]),
    }


@layout(
    "--metric accuracy",
    labels=Multiclass(csv="trainLabels.csv", label="label"),
    train="train/{id}.png",
    test="test/{id}.png",
    sample="sampleSubmission.csv",
    metric="accuracy",
)
def numbered_images_with_the_same_names() -> Files:
    return {
        **images("train", range(1, 61), ".png"),
        **images("test", range(1, 31), ".png"),
        "trainLabels.csv": table("id,label", beside(range(1, 61), pick(["cat", "ship", "frog"], 60))),
        "sampleSubmission.csv": table("id,label", [(n, "cat") for n in range(1, 31)]),
    }


@layout(
    "--metric balanced_accuracy",
    labels=Multiclass(csv="train.csv", id="image_id"),
    train="train_images/{id}.png",
    test="test_images/{id}.png",
    metric="balanced_accuracy",
)
def slides_with_thumbnails() -> Files:
    return {
        **images("train_images", A, ".png"),
        **images("train_thumbnails", [f"{a}_thumbnail" for a in A], ".png"),
        **images("test_images", T, ".png"),
        **images("test_thumbnails", [f"{t}_thumbnail" for t in T], ".png"),
        "train.csv": table(
            "image_id,label,image_width,image_height,is_tma",
            [
                (a, k, 20000 + n, 30000 - n, n % 2 == 0)
                for n, (a, k) in enumerate(beside(A, pick(["CC", "EC", "HGSC"], 40)))
            ],
        ),
        "test.csv": table("image_id,image_width,image_height", [(t, 20000, 30000) for t in T]),
        "sample_submission.csv": table("image_id,label", [(t, "HGSC") for t in T]),
    }


@layout(
    "--metric map_at_5",
    labels=Multiclass(csv="train.csv", id="Image", label="Id"),
    train="train/{id}",
    test="test/{id}",
    metric="map_at_5",
)
def whales_with_five_guesses() -> Files:
    ids = [f"w_{n:07x}" for n in range(8)]
    train, test = [f"{a}.jpg" for a in A], [f"{t}.jpg" for t in T]
    return {
        **images("train", train, ""),
        **images("test", test, ""),
        "train.csv": table("Image,Id", beside(train, pick(["new_whale", *ids], 40))),
        "sample_submission.csv": table("Image,Id", [(t, " ".join(["new_whale", *ids[:4]])) for t in test]),
    }


@layout(
    "--metric map_at_5",
    labels=Multiclass(csv="train.csv", id="image", label="hotel_id"),
    train="train_images/{chain}/{id}",
    test="test_images/{id}",
    metric="map_at_5",
)
def hotels_in_folders_of_a_column() -> Files:
    train, test = [f"{a}.jpg" for a in A], [f"{t}.jpg" for t in T]
    chains = pick([str(n) for n in range(9)], 40, 5)
    return {
        **{f"train_images/{chain}/{a}": b"" for chain, a in beside(chains, train)},
        **images("test_images", test, ""),
        "train.csv": table(
            "image,chain,hotel_id,timestamp", beside(train, chains, pick(range(100, 120), 40), ["2019-04-15"] * 40)
        ),
        "sample_submission.csv": table("image,hotel_id", [(t, "101 102 103 104 105") for t in test]),
    }


@layout(
    "--metric gap",
    labels=Multiclass(csv="train.csv", label="landmark_id"),
    train="train/{id[0]}/{id[1]}/{id[2]}/{id}.jpg",
    test="test/{id[0]}/{id[1]}/{id[2]}/{id}.jpg",
    metric="gap",
)
def landmarks_in_folders_of_letters() -> Files:
    rng = random.Random(2)
    ids = [f"{rng.getrandbits(64):016x}" for _ in range(60)]

    def path(folder: str, id: str) -> str:
        return f"{folder}/{id[0]}/{id[1]}/{id[2]}/{id}.jpg"

    return {
        **{path("train", a): b"" for a in ids[:45]},
        **{path("test", t): b"" for t in ids[45:]},
        "train.csv": table("id,landmark_id", beside(ids[:45], pick(range(1000, 1020), 45))),
        "sample_submission.csv": table("id,landmarks", [(t, "1003 0.1") for t in ids[45:]]),
    }


@layout(
    "--metric macro_f1",
    labels=Multiclass(csv=Coco("train/metadata.json"), label="category_id"),
    train="train/{file_name}",
    test="test/{file_name}",
    metric="macro_f1",
    more={"test_csv": Coco("test/metadata.json")},
)
def herbarium_in_coco() -> Files:
    train = [{"id": n, "file_name": f"images/{n // 10:03d}/{n}.jpg", "height": 1000, "width": 681} for n in range(50)]
    test = [{"id": n, "file_name": f"images/{n // 10:03d}/{n}.jpg", "height": 1000, "width": 681} for n in range(20)]
    marks = [{"id": n, "image_id": n, "category_id": k} for n, k in enumerate(pick(range(6), 50))]
    kinds = [{"id": n, "name": f"species {n}", "family": "f"} for n in range(6)]
    return {
        **{f"train/{each['file_name']}": b"" for each in train},
        **{f"test/{each['file_name']}": b"" for each in test},
        "train/metadata.json": json.dumps({"annotations": marks, "categories": kinds, "images": train, "info": {}}),
        "test/metadata.json": json.dumps({"images": test, "info": {}}),
        "sample_submission.csv": table("Id,Predicted", [(n, 0) for n in range(20)]),
    }


@layout(
    "--metric accuracy --group location",
    labels=Multiclass(csv="train.csv", id="file_name", label="category_id", group="location"),
    train="train_images/{id}",
    test="test_images/{id}.jpg",
    metric="accuracy",
)
def cameras_with_ids_of_two_kinds() -> Files:
    train = [f"{a}.jpg" for a in A]
    return {
        **images("train_images", train, ""),
        **images("test_images", T),
        "train.csv": table(
            "category_id,date_captured,file_name,id,location",
            beside(pick([0, 1, 8, 19], 40), ["2011-05-13 23:43:18"] * 40, train, A, pick(range(10, 22), 40, 4)),
        ),
        "test.csv": table(
            "date_captured,file_name,id,location", beside(["2011"] * 12, [f"{t}.jpg" for t in T], T, range(12))
        ),
        "sample_submission.csv": table("Id,Category", [(t, 0) for t in T]),
    }


@layout(
    "--metric accuracy",
    labels=Multiclass(),
    train="train/{label}/{id}",
    test="test/{id}.jpg",
    metric="accuracy",
    more={"valid_images": "valid/{label}/{id}"},
)
def sports_with_a_validation_folder() -> Files:
    kinds = ["archery", "boxing", "curling"]
    return {
        **{name: b"" for n, kind in enumerate(kinds) for name in images(f"train/{kind}", A[n * 10 : n * 10 + 10])},
        **{name: b"" for n, kind in enumerate(kinds) for name in images(f"valid/{kind}", [f"v{n}", f"w{n}"])},
        **images("test", T),
        "sample_submission.csv": table("id,sport", [(t, "boxing") for t in T]),
    }


@layout(
    "--metric log_loss",
    labels=Multiclass(csv="train.csv", id="image_id", columns=("healthy", "multiple_diseases", "rust", "scab")),
    train="images/{id}.jpg",
    test="images/{id}.jpg",
    metric="log_loss",
)
def apples_one_hot_in_one_folder() -> Files:
    train, test = [f"Train_{n}" for n in range(40)], [f"Test_{n}" for n in range(12)]
    hot = [[int(n % 4 == k) for k in range(4)] for n in range(40)]
    return {
        **images("images", train),
        **images("images", test),
        "train.csv": table("image_id,healthy,multiple_diseases,rust,scab", [(a, *h) for a, h in beside(train, hot)]),
        "test.csv": table("image_id", [(t,) for t in test]),
        "sample_submission.csv": table(
            "image_id,healthy,multiple_diseases,rust,scab", [(t, 0.25, 0.25, 0.25, 0.25) for t in test]
        ),
    }


@layout(
    "--metric top_1_error",
    labels=Multiclass(csv="labels.csv", id="image", label="cultivar"),
    train="train/{id}",
    test="test/{id}",
    metric="top_1_error",
)
def several_archives_in_one() -> Files:
    train, test = [f"{a}.png" for a in A], [f"{t}.png" for t in T]
    return {
        "competition.zip": zipped(
            {
                "train.zip": zipped(images("train", train, "")),
                "test.zip": zipped(dict.fromkeys(test, b"")),
                "labels.csv.zip": zipped(
                    {"labels.csv": table("image,cultivar", beside(train, pick(["PI_1", "PI_2", "PI_3"], 40)))}
                ),
                "sample_submission.csv": table("image,cultivar", [(t, "PI_1") for t in test]),
                "__MACOSX/._train.zip": b"\0",
            }
        )
    }


# --- 0 and 1 ----------------------------------------------------------------------------------


@layout(
    "--metric auc --preset top_down",
    labels=Binary(csv="train.csv", label="has_cactus"),
    train="train/{id}",
    test="test/{id}",
    metric="roc_auc",
)
def cacti_with_extra_folders() -> Files:
    train, test = [f"{a}.jpg" for a in A], [f"{t}.jpg" for t in T]
    return {
        **images("train", train, ""),
        **images("test", test, ""),
        "train.csv": table("id,has_cactus", beside(train, pick([0, 1], 40))),
        "sample_submission.csv": table("id,has_cactus", [(t, 0.5) for t in test]),
    }


@layout(
    "--metric auc",
    labels=Binary(csv="train.csv", id="image_name", label="target", group="patient_id"),
    train="jpeg/train/{id}.jpg",
    test="jpeg/test/{id}.jpg",
    metric="roc_auc",
    assumed=("patient_id",),
)
def lesions_with_patients() -> Files:
    patients = pick([f"IP_{n}" for n in range(14)], 40, 9)
    return {
        **images("jpeg/train", A),
        **images("jpeg/test", T),
        "train.csv": table(
            "image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target",
            [
                (a, p, "male", 45 + n % 3, "torso", ["nevus", "unknown"][n % 2], ["benign", "malignant"][k], k)
                for n, (a, p, k) in enumerate(beside(A, patients, pick([0, 1], 40)))
            ],
        ),
        "test.csv": table("image_name,patient_id,sex,age_approx", [(t, "IP_99", "male", 70) for t in T]),
        "sample_submission.csv": table("image_name,target", [(t, 0) for t in T]),
    }


@layout(
    "--metric log_loss --positive dog",
    labels=Binary(positive="dog"),
    train="train/{label}.{id}.jpg",
    test="test/{id}.jpg",
    metric="binary_log_loss",
)
def cats_and_dogs_in_names() -> Files:
    return {
        **images("train", [f"{kind}.{n}" for kind in ("cat", "dog") for n in range(20)]),
        **images("test", range(1, 13)),
        "sample_submission.csv": table("id,label", [(n, 0.5) for n in range(1, 13)]),
    }


@layout(
    "--metric auc",
    labels=Binary(csv="train_labels.csv", id="name", label="invasive"),
    train="train/{id}.jpg",
    test="test/{id}.jpg",
    metric="roc_auc",
)
def invasive_plants_packed() -> Files:
    return {
        "train.7z.zip": zipped(images("train", range(1, 31))),
        "test.zip": zipped(images("test", range(1, 13))),
        "train_labels.csv.zip": zipped(
            {"train_labels.csv": table("name,invasive", beside(range(1, 31), pick([0, 1], 30)))}
        ),
        "sample_submission.csv": table("name,invasive", [(n, 0.5) for n in range(1, 13)]),
    }


@layout(
    "--metric auc",
    labels=Binary(positive="PNEUMONIA"),
    train="chest_xray/train/{label}/{id}",
    test="chest_xray/test/{id}",
    metric="roc_auc",
    assumed=("PNEUMONIA",),
)
def x_rays_in_class_folders() -> Files:
    return {
        **images("chest_xray/train/NORMAL", A[:15], ".jpeg"),
        **images("chest_xray/train/PNEUMONIA", A[15:], ".jpeg"),
        **images("chest_xray/test", T, ".jpeg"),
        "sample_submission.csv": table("image,probability", [(f"{t}.jpeg", 0.5) for t in T]),
    }


@layout(
    "--metric pf1",
    labels=Binary(csv="train.csv", id="{patient_id}_{laterality}", label="cancer", group="patient_id"),
    train="train_images/{patient_id}/{image_id}.png",
    test="test_images/{patient_id}/{image_id}.png",
    metric="pf1",
    more={"test_csv": "test.csv"},
)
def breasts_with_several_images() -> Files:
    def rows(count: int, seed: int) -> list[list[object]]:
        made = []
        for n in range(count):
            patient, side = 1000 * seed + n // 4, "LR"[n // 2 % 2]
            made.append([1, patient, 5000 * seed + n, side, ["CC", "MLO"][n % 2], 55])
        return made

    train, test = rows(80, 1), rows(24, 2)
    cancer = {f"{row[1]}_{row[3]}": n % 3 == 0 for n, row in enumerate(train)}
    return {
        **{f"train_images/{row[1]}/{row[2]}.png": b"" for row in train},
        **{f"test_images/{row[1]}/{row[2]}.png": b"" for row in test},
        "train.csv": table(
            "site_id,patient_id,image_id,laterality,view,age,cancer",
            [(*row, int(cancer[f"{row[1]}_{row[3]}"])) for row in train],
        ),
        "test.csv": table(
            "site_id,patient_id,image_id,laterality,view,age,prediction_id",
            [(*row, f"{row[1]}_{row[3]}") for row in test],
        ),
        "sample_submission.csv": table(
            "prediction_id,cancer", [(id, 0.02) for id in dict.fromkeys(f"{row[1]}_{row[3]}" for row in test)]
        ),
    }


# --- several at once --------------------------------------------------------------------------


@layout(
    "--metric mean_f2 --preset top_down",
    labels=Multilabel(csv="train_v2.csv", id="image_name"),
    train="train-jpg/{id}.jpg",
    test=("test-jpg/{id}.jpg", "test-jpg-additional/{id}.jpg"),
    sample="sample_submission_v2.csv",
    metric="mean_f2",
)
def satellite_tags_in_two_test_folders() -> Files:
    tags = [
        "clear primary",
        "clear primary road",
        "cloudy",
        "haze primary water",
        "clear agriculture road",
        "haze road",
    ]
    train, test, more = names("train_", 40), names("test_", 12), names("file_", 6)
    return {
        **images("train-jpg", train),
        **images("train-tif", train, ".tif"),
        **images("test-jpg", test),
        **images("test-jpg-additional", more),
        "train_v2.csv": table("image_name,tags", beside(train, pick(tags, 40))),
        "sample_submission_v2.csv": table(
            "image_name,tags", [(t, "primary clear agriculture road") for t in test + more]
        ),
    }


@layout(
    "--metric micro_f1",
    labels=Multilabel(csv="train.csv", label="attribute_ids"),
    train="train/{id}.png",
    test="test/{id}.png",
    metric="micro_f1",
)
def art_with_ids_of_attributes() -> Files:
    rng = random.Random(4)
    lists = [" ".join(map(str, sorted(rng.sample(range(12), rng.randint(1, 4))))) for _ in A]
    return {
        **images("train", A, ".png"),
        **images("test", T, ".png"),
        "train.csv": table("id,attribute_ids", beside(A, lists)),
        "labels.csv": table("attribute_id,attribute_name", [(n, f"culture::{n}") for n in range(12)]),
        "sample_submission.csv": table("id,attribute_ids", [(t, "0 1 2") for t in T]),
    }


@layout(
    "--metric mean_f1",
    labels=Multilabel(csv="train.csv", id="poster", label="genres", sep="|"),
    train="posters/train/{id}.jpg",
    test="posters/test/{id}.jpg",
    metric="mean_f1",
    more={"submission_sep": "|"},
)
def movie_posters_with_genres() -> Files:
    rng = random.Random(5)
    kinds = ["Drama", "Comedy", "Sci Fi", "Horror", "Crime"]
    lists = ["|".join(sorted(rng.sample(kinds, rng.randint(1, 3)))) for _ in A]
    return {
        **images("posters/train", A),
        **images("posters/test", T),
        "train.csv": table("poster,title,genres", beside(A, [f"Film {n}" for n in range(40)], lists)),
        "test.csv": table("poster,title", beside(T, [f"Other {n}" for n in range(12)])),
        "sample_submission.csv": table("poster,genres", [(t, "Drama|Comedy") for t in T]),
    }


@layout(
    "--metric auc",
    labels=Multilabel(
        csv="train.csv",
        id="StudyInstanceUID",
        columns=("ETT - Abnormal", "ETT - Normal", "NGT - Normal", "CVC - Normal"),
        group="PatientID",
    ),
    train="train/{id}.jpg",
    test="test/{id}.jpg",
    metric="mean_columnwise_auc",
    assumed=("PatientID",),
)
def catheters_with_independent_columns() -> Files:
    ids = [f"1.2.826.0.1.{n}" for n in range(52)]
    train, test = ids[:40], ids[40:]
    rng = random.Random(6)
    columns = "ETT - Abnormal,ETT - Normal,NGT - Normal,CVC - Normal"
    return {
        **images("train", train),
        **images("test", test),
        "train.csv": table(
            f"StudyInstanceUID,{columns},PatientID",
            [(a, *[rng.randint(0, 1) for _ in range(4)], f"p{n % 15}") for n, a in enumerate(train)],
        ),
        "train_annotations.csv": table(
            "StudyInstanceUID,label,data", [(a, "ETT - Normal", '"[[1, 2]]"') for a in train[:20]]
        ),
        "sample_submission.csv": table(f"StudyInstanceUID,{columns}", [(t, 0, 0, 0, 0) for t in test]),
    }


@layout(
    "--metric lwlrap",
    labels=Multilabel(csv="train_curated.csv", id="fname", label="labels", sep=","),
    train="train_curated/{id}.png",
    test="test/{id}.png",
    metric="lwlrap",
)
def sounds_with_commas_and_a_noisy_table() -> Files:
    kinds = ["Bark", "Bell", "Bus", "Car"]
    rng = random.Random(7)
    train, noisy = names("c", 40), names("n", 50)

    def lists(count: int) -> list[str]:
        return ['"' + ",".join(rng.sample(kinds, rng.randint(1, 3))) + '"' for _ in range(count)]

    return {
        **images("train_curated", train, ".png"),
        **images("train_noisy_extra", noisy, ".png"),
        **images("test", T, ".png"),
        "train_curated.csv": table("fname,labels", beside(train, lists(40))),
        "train_noisy_extra.csv": table("fname,labels", beside(noisy, lists(50))),
        "sample_submission.csv": table("fname,Bark,Bell,Bus,Car", [(t, 0, 0, 0, 0) for t in T]),
    }


@layout(
    "--metric macro_f1",
    labels=Multilabel(csv="train.csv", id="Id", label="Target"),
    train=Stack(*(f"train/{{id}}_{colour}.png" for colour in ("red", "green", "blue", "yellow"))),
    test=Stack(*(f"test/{{id}}_{colour}.png" for colour in ("red", "green", "blue", "yellow"))),
    metric="macro_f1_of_tags",
    assumed=("bands",),
)
def proteins_in_four_files() -> Files:
    rng = random.Random(8)
    colours = ("red", "green", "blue", "yellow")
    lists = [" ".join(map(str, rng.sample(range(9), rng.randint(1, 3)))) for _ in A]
    return {
        **images("train", [f"{a}_{colour}" for a in A for colour in colours], ".png"),
        **images("test", [f"{t}_{colour}" for t in T for colour in colours], ".png"),
        "train.csv": table("Id,Target", beside(A, lists)),
        "sample_submission.csv": table("Id,Predicted", [(t, 0) for t in T]),
    }


@layout(
    "--metric weighted_log_loss:2,1,1",
    labels=Multilabel(
        csv="stage_1_train.csv", id="ID", label="Label", rows="{id}_{column}", columns=("any", "epidural", "subdural")
    ),
    train="stage_1_train_images/{id}.png",
    test="stage_1_test_images/{id}.png",
    sample="stage_1_sample_submission.csv",
    metric="weighted_log_loss",
    rows="{id}_{column}",
)
def haemorrhages_in_long_rows() -> Files:
    train, test = names("ID_0a", 30), names("ID_f1", 12)
    kinds = ("any", "epidural", "subdural")
    rng = random.Random(9)
    return {
        **images("stage_1_train_images", train, ".png"),
        **images("stage_1_test_images", test, ".png"),
        "stage_1_train.csv": table("ID,Label", [(f"{a}_{k}", rng.randint(0, 1)) for a in train for k in kinds]),
        "stage_1_sample_submission.csv": table("ID,Label", [(f"{t}_{k}", 0.5) for t in test for k in kinds]),
    }


@layout(
    "--metric weighted_recall:2,1",
    labels=SeveralTargets(
        Multiclass(csv="train.csv", id="image_id", label="root", classes=tuple(map(str, range(5)))),
        Multiclass(csv="train.csv", id="image_id", label="vowel", classes=tuple(map(str, range(3)))),
    ),
    train="train/{id}.png",
    test="test/{id}.png",
    metric="weighted_recall",
    rows="{id}_{column}",
)
def letters_with_two_targets() -> Files:
    train, test = names("Train_", 40), names("Test_", 12)
    return {
        **images("train", train, ".png"),
        **images("test", test, ".png"),
        "train.csv": table(
            "image_id,root,vowel,grapheme", beside(train, pick(range(5), 40, 1), pick(range(3), 40, 2), ["x"] * 40)
        ),
        "test.csv": table("row_id,image_id,component", [(f"{t}_{c}", t, c) for t in test for c in ("root", "vowel")]),
        "sample_submission.csv": table("row_id,target", [(f"{t}_{c}", 0) for t in test for c in ("root", "vowel")]),
    }


# --- numbers and grades -----------------------------------------------------------------------


@layout(
    "--metric qwk",
    labels=Ordinal(csv="train.csv", id="id_code", label="diagnosis", grades=5),
    train="train_images/{id}.png",
    test="test_images/{id}.png",
    metric="qwk",
)
def eyes_with_grades() -> Files:
    return {
        **images("train_images", A, ".png"),
        **images("test_images", T, ".png"),
        "train.csv": table("id_code,diagnosis", beside(A, pick(range(5), 40))),
        "test.csv": table("id_code", [(t,) for t in T]),
        "sample_submission.csv": table("id_code,diagnosis", [(t, 0) for t in T]),
    }


@layout(
    "--metric qwk",
    labels=Ordinal(csv="trainLabels.csv", id="image", label="level", grades=5, group="{patient}_*"),
    train="train/{id}.jpeg",
    test="test/{id}.jpeg",
    sample="sampleSubmission.csv",
    metric="qwk",
    assumed=("{patient}_*",),
)
def pairs_of_eyes() -> Files:
    train = [f"{n}_{side}" for n in range(10, 30) for side in ("left", "right")]
    test = [f"{n}_{side}" for n in range(1, 7) for side in ("left", "right")]
    return {
        **images("train", train, ".jpeg"),
        **images("test", test, ".jpeg"),
        "trainLabels.csv": table("image,level", beside(train, pick(range(5), 40))),
        "sampleSubmission.csv": table("image,level", [(t, 0) for t in test]),
    }


@layout(
    "--metric rmse",
    labels=Regression(csv="train.csv", id="Id", label="Pawpularity"),
    train="train/{id}.jpg",
    test="test/{id}.jpg",
    metric="rmse",
)
def pets_with_features() -> Files:
    rng = random.Random(10)
    return {
        **images("train", A),
        **images("test", T),
        "train.csv": table(
            "Id,Subject Focus,Eyes,Face,Pawpularity", [(a, 0, 1, rng.randint(0, 1), rng.randint(1, 100)) for a in A]
        ),
        "test.csv": table("Id,Subject Focus,Eyes,Face", [(t, 0, 1, 1) for t in T]),
        "sample_submission.csv": table("Id,Pawpularity", [(t, 38.4) for t in T]),
    }


@layout(
    "--metric rmse",
    labels=Regression(csv="training_solutions_rev1.csv", id="GalaxyID", columns=("Class*",)),
    train="images_training_rev1/{id}.jpg",
    test="images_test_rev1/{id}.jpg",
    sample="all_zeros_benchmark_submission.csv",
    metric="rmse",
)
def galaxies_with_many_numbers() -> Files:
    columns = [f"Class{a}.{b}" for a in range(1, 6) for b in range(1, 4)]
    train, test = list(range(100008, 100048)), list(range(200000, 200012))
    header = ",".join(["GalaxyID", *columns])
    return {
        **images("images_training_rev1", train),
        **images("images_test_rev1", test),
        "training_solutions_rev1.csv": table(header, [(a, *numbers(15, 0, 1, seed=a)) for a in train]),
        "all_zeros_benchmark_submission.csv": table(header, [(t, *[0] * 15) for t in test]),
    }


@layout(
    "--metric mae",
    labels=Regression(csv="boneage-training-dataset.csv", label="boneage"),
    train="boneage-training-dataset/{id}.png",
    test="boneage-test-dataset/{id}.png",
    metric="mae",
)
def bone_ages_in_double_folders() -> Files:
    train, test = list(range(1377, 1417)), list(range(4360, 4372))
    rng = random.Random(11)
    return {
        **images("boneage-training-dataset/boneage-training-dataset", train, ".png"),
        **images("boneage-test-dataset/boneage-test-dataset", test, ".png"),
        "boneage-training-dataset.csv": table(
            "id,boneage,male", [(a, rng.randint(10, 228), a % 2 == 0) for a in train]
        ),
        "boneage-test-dataset.csv": table("Case ID,Sex", [(t, "M") for t in test]),
        "sample_submission.csv": table("id,boneage", [(t, 127) for t in test]),
    }


@layout(
    "--metric kl",
    labels=Multiclass(
        csv="train.csv",
        id="label_id",
        columns=("seizure_vote", "lpd_vote", "other_vote"),
        soft=True,
        group="patient_id",
    ),
    train="train_spectrograms/{id}.png",
    test="test_spectrograms/{id}.png",
    metric="kl",
    assumed=("patient_id",),
)
def brains_with_votes() -> Files:
    train, test = list(range(127492, 127532)), list(range(3911565283, 3911565295))
    rng = random.Random(12)
    return {
        **images("train_spectrograms", train, ".png"),
        **images("test_spectrograms", test, ".png"),
        "train.csv": table(
            "eeg_id,label_id,patient_id,expert_consensus,seizure_vote,lpd_vote,other_vote",
            [
                (n // 2, a, 40000 + n % 15, "Seizure", rng.randint(0, 9), rng.randint(0, 9), 1)
                for n, a in enumerate(train)
            ],
        ),
        "test.csv": table("eeg_id,label_id,patient_id", [(1, t, 6885) for t in test]),
        "sample_submission.csv": table(
            "label_id,seizure_vote,lpd_vote,other_vote", [(t, 0.333, 0.333, 0.334) for t in test]
        ),
    }


@layout(
    "--metric weighted_r2:0.1,0.9",
    labels=Regression(csv="train.csv", id="image", columns=("dry_green_g", "dry_total_g")),
    train="train/{id}.jpg",
    test="test/{id}.jpg",
    metric="weighted_r2",
    rows="{id}__{column}",
)
def pastures_with_a_row_per_number() -> Files:
    train, test = names("ID10", 40), names("ID90", 12)
    columns = ("dry_green_g", "dry_total_g")
    return {
        **images("train", train),
        **images("test", test),
        "train.csv": table(
            "image,state,dry_green_g,dry_total_g", [(a, "NSW", *numbers(2, 0, 90, seed=n)) for n, a in enumerate(train)]
        ),
        "sample_submission.csv": table("sample_id,target", [(f"{t}__{c}", 0.0) for t in test for c in columns]),
    }


# --- names and folders ------------------------------------------------------------------------


@layout(
    "--metric accuracy",
    labels=Multiclass(csv="train.csv", id="path", label="cell"),
    train="train/{id}",
    test="test/{id}",
    metric="accuracy",
)
def ids_with_their_folder() -> Files:
    return {
        **images("train", A, ".png"),
        **images("test", T, ".png"),
        "train.csv": table(
            "path,cell", [(f"train/{a}.png", k) for a, k in beside(A, pick(["basophil", "monocyte", "blast"], 40))]
        ),
        "sample_submission.csv": table("path,cell", [(f"test/{t}.png", "blast") for t in T]),
    }


@layout(
    "--metric accuracy",
    labels=Multiclass(csv="train_info.csv", id="filename", label="style"),
    train=("train_1/{id}", "train_2/{id}", "train_3/{id}"),
    test="test/{id}",
    metric="accuracy",
)
def paintings_in_numbered_folders() -> Files:
    train, test = [f"{n}.jpg" for n in range(1, 61)], [f"{n}.jpg" for n in range(100, 112)]
    return {
        **{f"train_{n % 3 + 1}/{a}": b"" for n, a in enumerate(train)},
        **images("test", test, ""),
        "train_info.csv": table(
            "filename,artist,title,style",
            [(a, f"x{n % 9}", f"t{n}", ["Cubism", "Pop Art", "Rococo"][n % 3]) for n, a in enumerate(train)],
        ),
        "sample_submission.csv": table("filename,style", [(t, "Cubism") for t in test]),
    }


@layout(
    "--metric auc",
    labels=Binary(csv="train_labels.csv", label="target"),
    train="train/{id[0]}/{id}.npy",
    test="test/{id[0]}/{id}.npy",
    metric="roc_auc",
)
def signals_in_npy() -> Files:
    rng = random.Random(13)
    ids = [f"{rng.getrandbits(48):012x}" for _ in range(80)]
    return {
        **{f"train/{a[0]}/{a}.npy": b"" for a in ids[:60]},
        **{f"test/{t[0]}/{t}.npy": b"" for t in ids[60:]},
        "train_labels.csv": table("id,target", beside(ids[:60], pick([0, 1], 60))),
        "sample_submission.csv": table("id,target", [(t, 0.5) for t in ids[60:]]),
    }


@layout(
    "--metric accuracy",
    labels=Multiclass(csv="Training_set.csv", id="filename"),
    train="train/{id}",
    test="test/{id}",
    metric="accuracy",
)
def names_with_a_prefix_and_test_table() -> Files:
    train, test = [f"Image_{n}.jpg" for n in range(1, 61)], [f"Image_{n}.jpg" for n in range(1, 31)]
    return {
        **images("train", train, ""),
        **images("test", test, ""),
        "Training_set.csv": table("filename,label", beside(train, pick(["sitting", "running", "calling"], 60))),
        "Testing_set.csv": table("filename", [(t,) for t in test]),
        "sample_submission.csv": table("filename,label", [(t, "sitting") for t in test]),
    }


@layout(
    "--metric auc",
    labels=Binary(csv="train.csv", label="label"),
    train="train/image_{id}.tif",
    test="test/image_{id}.tif",
    metric="roc_auc",
)
def ids_that_are_a_part_of_the_names() -> Files:
    return {
        **images("train", [f"image_{n}" for n in range(60)], ".tif"),
        **images("test", [f"image_{n}" for n in range(100, 120)], ".tif"),
        "train.csv": table("id,label", beside(range(60), pick([0, 1], 60))),
        "sample_submission.csv": table("id,label", [(n, 0) for n in range(100, 120)]),
    }


@layout(
    "--metric accuracy",
    labels=Multiclass(csv="train.csv", id="image_id", label="species"),
    train="train_images/{id}",
    test="test_images/{id}",
    metric="accuracy",
)
def species_beside_individuals() -> Files:
    train, test = [f"{a}.jpg" for a in A], [f"{t}.jpg" for t in T]
    return {
        **images("train_images", train, ""),
        **images("train_masks", train, ""),
        **images("test_images", test, ""),
        "train.csv": table(
            "image_id,species,age", beside(train, pick(["beluga", "orca", "minke"], 40), pick(range(30), 40))
        ),
        "sample_submission.csv": table("image_id,predictions", [(t, "orca") for t in test]),
    }


@layout(
    "--metric accuracy",
    labels=Multiclass(csv="train.tsv", id="img", label="sign"),
    train="data/train/{id}.ppm",
    test="data/test/{id}.ppm",
    sample="submission_format.csv",
    metric="accuracy",
)
def signs_with_tabs() -> Files:
    return {
        **images("data/train", A, ".ppm"),
        **images("data/test", T, ".ppm"),
        "train.tsv": table("img,sign", beside(A, pick(range(9), 40))).replace(",", "\t"),
        "submission_format.csv": table("img,sign", [(t, 0) for t in T]),
    }


# --- more tables and folders than are needed ----------------------------------------------------


@layout(
    "--metric accuracy",
    labels=Multiclass(csv="train.csv", id="image", label="cell"),
    train="train/{id}",
    test="test/{id}",
    metric="accuracy",
    assumed=("valid.csv",),
)
def cells_with_three_tables() -> Files:
    files = {part: [f"{part}_{n}.png" for n in range(count)] for part, count in (("train", 40), ("valid", 10))}
    test = [f"test_{n}.png" for n in range(12)]
    kinds = ["Eosinophil", "Monocyte", "Lymphocyte"]
    return {
        **images("train", files["train"], ""),
        **images("valid", files["valid"], ""),
        **images("test", test, ""),
        **{f"{part}.csv": table("image,cell", beside(ids, pick(kinds, len(ids)))) for part, ids in files.items()},
        "sample_submission.csv": table("image,cell", [(t, "Monocyte") for t in test]),
    }


@layout(
    "--metric accuracy",
    labels=Multiclass(csv="train_labels.csv", id="image_id", label="label"),
    train="train/{id}.jpg",
    test="test/{id}.jpg",
    metric="accuracy",
)
def metadata_beside_labels() -> Files:
    return {
        **images("train", A),
        **images("test", T),
        "train.csv": table("image_id,width,height,camera", [(a, 640, 480 + n % 3, "x") for n, a in enumerate(A)]),
        "train_labels.csv": table("image_id,label", beside(A, pick(["a", "b", "c"], 40))),
        "test.csv": table("image_id,width,height,camera", [(t, 640, 480, "x") for t in T]),
        "sample_submission.csv": table("image_id,label", [(t, "a") for t in T]),
    }


@layout(
    "--metric accuracy",
    labels=Multiclass(csv="train.csv", id="product", label="category"),
    train="images/{id}/*.jpg",
    test="images/{id}/*.jpg",
    metric="accuracy",
)
def products_in_folders() -> Files:
    products, others = names("P", 30), names("Q", 10)
    return {
        **{f"images/{p}/{n}.jpg": b"" for m, p in enumerate(products + others) for n in range(1 + m % 3)},
        "train.csv": table("product,category", beside(products, pick(["shoe", "shirt", "bag"], 30))),
        "test.csv": table("product", [(p,) for p in others]),
        "sample_submission.csv": table("product,category", [(p, "bag") for p in others]),
    }


@layout(
    "--metric accuracy",
    labels=Multiclass(csv="train.csv", id="Image", label="class_name"),
    train="train/{id}",
    test="test/{id}",
    metric="accuracy",
)
def suffixes_in_other_letters_and_a_class_map() -> Files:
    return {
        **images("train", A, ".jpg"),
        **images("test", T, ".jpg"),
        "train.csv": table(
            ",Image,class_name,class_id",
            [(n, f"{a}.JPG", ["ant", "bee", "fly"][n % 3], n % 3) for n, a in enumerate(A)],
        ),
        "class_map.csv": table("class_id,class_name", [(0, "ant"), (1, "bee"), (2, "fly")]),
        "sample_submission.csv": table("Image,Prediction", [(f"{t}.JPG", "ant") for t in T]),
    }


@layout(
    "--metric log_loss",
    labels=Binary(csv="train.csv", id="id", label="healthy", positive=("True",)),
    train="train/{id}.png",
    test="test/{id}.png",
    metric="binary_log_loss",
)
def truth_in_words() -> Files:
    return {
        **images("train", A, ".png"),
        **images("train_masks", A, ".png"),
        **images("test", T, ".png"),
        "train.csv": table("id,healthy", beside(A, pick(["True", "False"], 40))),
        "sample_submission.csv": table("id,healthy", [(t, 0.5) for t in T]),
    }


@layout(
    "--metric accuracy",
    labels=Multiclass(csv="train.csv", id="id", label="label"),
    train="train/{id}.jpg",
    test="test/{id}.jpg",
    sample="sample_submission.csv",
    metric="accuracy",
)
def several_stages_of_samples() -> Files:
    return {
        **images("train", A),
        **images("test", T),
        "train.csv": table("id,label", beside(A, pick(["a", "b", "c"], 40))),
        "sample_submission.csv": table("id,label", [(t, "a") for t in T]),
        "sample_submission_stage1.csv": table("id,label", [(t, "a") for t in T[:5]]),
        "solution_stage1.csv": table("id,label,Usage", [(t, "a", "Public") for t in T[:5]]),
    }


@layout(
    "--metric auc",
    labels=Binary(csv="train.csv", id="StudyInstanceUID", label="fracture"),
    train="train_images/{id}/*.jpg",
    test="test_images/{id}/*.jpg",
    metric="roc_auc",
)
def scans_with_many_slices() -> Files:
    studies, others = [f"1.2.826.0.1.{n}" for n in range(20)], [f"1.2.826.0.2.{n}" for n in range(6)]
    return {
        **{f"train_images/{s}/{n}.jpg": b"" for m, s in enumerate(studies) for n in range(1, 4 + m % 3)},
        **{f"test_images/{s}/{n}.jpg": b"" for m, s in enumerate(others) for n in range(1, 4 + m % 3)},
        "train.csv": table("StudyInstanceUID,fracture", beside(studies, pick([0, 1], 20))),
        "train_bounding_boxes.csv": table("x,y,StudyInstanceUID", [(1, 2, s) for s in studies[:9]]),
        "test.csv": table("StudyInstanceUID", [(s,) for s in others]),
        "sample_submission.csv": table("StudyInstanceUID,fracture", [(s, 0.5) for s in others]),
    }


@layout(
    "--metric accuracy",
    labels=Multiclass(),
    train="Training/{label}/{id}",
    test="Test/{id}",
    metric="accuracy",
)
def fruit_with_blanks_in_folders() -> Files:
    kinds = ["Apple Red 1", "Banana", "Cherry Wax"]
    return {
        **{name: b"" for n, kind in enumerate(kinds) for name in images(f"Training/{kind}", A[n * 9 : n * 9 + 9])},
        **images("Test", T),
        "sample_submission.csv": table("filename,fruit", [(f"{t}.jpg", "Banana") for t in T]),
    }


@layout(
    "--metric accuracy",
    labels=Multiclass(csv="train.csv", id="filename", label="label"),
    train=("train/{id}", "train_extra/{id}"),
    test="test/{id}",
    metric="accuracy",
)
def one_table_of_two_folders() -> Files:
    main, extra = [f"{a}.jpg" for a in A], [f"e{n}.jpg" for n in range(20)]
    return {
        **images("train", main, ""),
        **images("train_extra", extra, ""),
        **images("test", T),
        "train.csv": table("filename,label", beside(main + extra, pick(["x", "y", "z"], 60))),
        "sample_submission.csv": table("filename,label", [(f"{t}.jpg", "x") for t in T]),
    }


# --- pixels in tables -------------------------------------------------------------------------


def pixels(rows: int, values: int, seed: int) -> list[list[int]]:
    rng = random.Random(seed)
    return [[rng.randint(0, 255) for _ in range(values)] for _ in range(rows)]


DIGITS = ",".join(f"pixel{n}" for n in range(64))


@layout(
    "--metric accuracy",
    labels=Multiclass(csv="train.csv"),
    train=Pixels("train.csv", "pixel*", (8, 8)),
    test=Pixels("test.csv", "pixel*", (8, 8)),
    metric="accuracy",
    assumed=("no flips",),
)
def digits_without_ids() -> Files:
    return {
        "train.csv": table(f"label,{DIGITS}", [(n % 10, *row) for n, row in enumerate(pixels(40, 64, 1))]),
        "test.csv": table(DIGITS, pixels(12, 64, 2)),
        "sample_submission.csv": table("ImageId,Label", [(n, 0) for n in range(1, 13)]),
    }


@layout(
    "--metric accuracy",
    labels=Multiclass(csv="train.csv"),
    train=Pixels("train.csv", "pixel*", (8, 8)),
    test=Pixels("test.csv", "pixel*", (8, 8), id="id"),
    metric="accuracy",
)
def digits_with_ids_of_the_test() -> Files:
    return {
        "train.csv": table(f"label,{DIGITS}", [(n % 10, *row) for n, row in enumerate(pixels(40, 64, 1))]),
        "test.csv": table(f"id,{DIGITS}", [(n, *row) for n, row in enumerate(pixels(12, 64, 2))]),
        "Dig-MNIST.csv": table(f"label,{DIGITS}", [(n % 10, *row) for n, row in enumerate(pixels(9, 64, 3))]),
        "sample_submission.csv": table("id,label", [(n, 0) for n in range(12)]),
    }


@layout(
    "--metric rmse",
    labels=Regression(csv="training.csv", id="face", columns=("eye_x", "eye_y")),
    train=Pixels("training.csv", "Image", (8, 8), id="face"),
    test=Pixels("test.csv", "Image", (8, 8), id="face"),
    metric="rmse",
)
def faces_in_one_cell() -> Files:
    cells = [" ".join(map(str, row)) for row in pixels(40, 64, 1)]
    return {
        "training.csv": table("face,eye_x,eye_y,Image", beside(A, numbers(40, 0, 8), numbers(40, 0, 8, seed=2), cells)),
        "test.csv": table("face,Image", beside(T, cells[:12])),
        "sample_submission.csv": table("face,eye_x,eye_y", [(t, 1, 1) for t in T]),
    }


@layout(
    "--metric accuracy",
    labels=Multiclass(csv="train_labels.csv", id="image_id"),
    train=Pixels("train.csv", "pixel*", (8, 8), id="image_id"),
    test=Pixels("test.csv", "pixel*", (8, 8), id="image_id"),
    metric="accuracy",
)
def letters_with_a_table_of_labels() -> Files:
    return {
        "train.csv": table(f"image_id,{DIGITS}", [(a, *row) for a, row in beside(A, pixels(40, 64, 1))]),
        "train_labels.csv": table("image_id,label", beside(A, pick(["alef", "bet", "gimel"], 40))),
        "test.csv": table(f"image_id,{DIGITS}", [(t, *row) for t, row in beside(T, pixels(12, 64, 2))]),
        "sample_submission.csv": table("image_id,label", [(t, "bet") for t in T]),
    }


def hdf5(ids: Sequence[str]) -> bytes:
    """An HDF5 file with a dataset of each id."""
    import h5py
    import numpy as np

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for id in ids:
            file[id] = np.void(b"\xff\xd8")
    return content.getvalue()


@layout(
    "--metric partial_auc:0.8",
    labels=Binary(csv="train-metadata.csv", id="isic_id", label="target", group="patient_id"),
    train=Hdf5("train-image.hdf5"),
    test=Hdf5("test-image.hdf5"),
    metric="partial_auc",
    assumed=("patient_id",),
)
def lesions_in_hdf5() -> Files:
    return {
        "train-image.hdf5": hdf5(A),
        "test-image.hdf5": hdf5(T),
        "train-metadata.csv": table(
            "isic_id,target,patient_id,age", beside(A, pick([0, 1], 40), pick([f"IP_{n}" for n in range(12)], 40), A)
        ),
        "test-metadata.csv": table("isic_id,patient_id,age", beside(T, T, T)),
        "sample_submission.csv": table("isic_id,target", [(t, 0.3) for t in T]),
    }


# --- refused ----------------------------------------------------------------------------------


@layout("--metric accuracy", refused="no sample submission")
def without_a_sample_submission() -> Files:
    return {**images("train", A), **images("test", T), "train.csv": table("id,label", beside(A, pick(["a", "b"], 40)))}


@layout("--metric accuracy", refused="no image has the name of an id")
def without_test_images() -> Files:
    return {
        **images("train", A),
        "train.csv": table("id,label", beside(A, pick(["a", "b", "c"], 40))),
        "sample_submission.csv": table("id,label", [(t, "a") for t in T]),
    }


@layout("--metric accuracy", refused="do not look like classes")
def batches_that_are_no_classes() -> Files:
    return {
        **images("train/batch_1", A[:20]),
        **images("train/batch_2", A[20:]),
        **images("test", T),
        "sample_submission.csv": table("id,label", [(t, 0) for t in T]),
    }


@layout("--metric auc", refused="scores")
def words_where_the_metric_scores_two() -> Files:
    return {
        **images("train", A),
        **images("test", T),
        "train.csv": table("id,label", beside(A, numbers(40, 0, 9))),
        "sample_submission.csv": table("id,label", [(t, 0.5) for t in T]),
    }


@layout("--metric accuracy", refused="which column of train.csv is the label")
def two_columns_that_may_be_the_label() -> Files:
    return {
        **images("train", A),
        **images("test", T),
        "train.csv": table("id,genus,family", beside(A, pick([1, 2, 3], 40), pick([4, 5, 6], 40, 2))),
        "sample_submission.csv": table("id,answer", [(t, 0) for t in T]),
    }


@layout("--metric accuracy", refused="have different labels for")
def two_tables_that_disagree() -> Files:
    return {
        **images("train", A),
        **images("test", T),
        "labels_a.csv": table("id,label", beside(A, pick(["a", "b", "c"], 40))),
        "labels_b.csv": table("id,label", beside(A, pick(["a", "b", "c"], 40, 2))),
        "sample_submission.csv": table("id,label", [(t, "a") for t in T]),
    }


@layout("--metric accuracy", refused="the labels are words")
def numbers_asked_for_and_words_given() -> Files:
    return {
        **images("train", A),
        **images("test", T),
        "train.csv": table("id,label", beside(A, pick(["cat", "dog", "emu"], 40))),
        "sample_submission.csv": table("id,label", [(t, 2) for t in T]),
    }


@layout("--metric accuracy", refused="beside the tables")
def images_beside_the_tables() -> Files:
    return {
        **{f"{name}.jpg": b"" for name in A + T},
        "train.csv": table("id,label", beside(A, pick(["a", "b", "c"], 40))),
        "sample_submission.csv": table("id,label", [(t, "a") for t in T]),
    }


@layout("--metric log_loss", refused="the labels are others")
def columns_of_other_classes() -> Files:
    return {
        **images("train", A),
        **images("test", T),
        "train.csv": table("id,breed", beside(A, pick(["beagle", "boxer", "collie"], 40))),
        "sample_submission.csv": table("id,class_0,class_1,class_2", [(t, 0.3, 0.3, 0.4) for t in T]),
    }


@layout("--metric accuracy", refused="may hold the label in 2 ways")
def names_of_two_meanings() -> Files:
    return {
        **{
            f"train/{site}/{kind}_{n}.jpg": b""
            for site in ("north", "south")
            for kind in ("oak", "elm")
            for n in range(9)
        },
        **images("test", T),
        "sample_submission.csv": table("id,answer", [(t, 0) for t in T]),
    }


@layout("--metric mean_f1", refused="lists in brackets")
def lists_in_brackets() -> Files:
    lists = pick(["\"['a', 'b']\"", "\"['a']\"", "\"['b', 'c']\""], 40)
    return {
        **images("train", A),
        **images("test", T),
        "train.csv": table("id,tags", beside(A, lists)),
        "sample_submission.csv": table("id,tags", [(t, "a b") for t in T]),
    }


@layout("--metric auc", refused="one column beside the id")
def an_auc_of_many_classes_in_one_column() -> Files:
    return {
        **images("train", A),
        **images("test", T),
        "train.csv": table("id,label", beside(A, pick([0, 1, 2], 40))),
        "sample_submission.csv": table("id,label", [(t, 0.5) for t in T]),
    }


@layout("--metric accuracy", refused="ask for different ids")
def samples_that_ask_for_different_ids() -> Files:
    return {
        **images("train", A),
        **images("test", T),
        "train.csv": table("id,label", beside(A, pick(["a", "b", "c"], 40))),
        "submission_a.csv": table("id,label", [(t, "a") for t in T[:8]]),
        "submission_b.csv": table("id,label", [(t, "a") for t in T[4:]]),
    }


@layout("--metric accuracy", refused="not of")
def a_column_and_cells_that_disagree() -> Files:
    return {
        **images("train", A),
        **images("test", T),
        "train.csv": table("id,label,species", beside(A, pick([1, 2, 3], 40, 1), pick(["owl", "jay", "tit"], 40, 2))),
        "sample_submission.csv": table("id,label", [(t, "owl") for t in T]),
    }


@layout("--metric accuracy --label labl", refused="no table has a column 'labl'")
def a_label_that_is_misspelt() -> Files:
    return {
        **images("train", A),
        **images("test", T),
        "train.csv": table("id,label", beside(A, pick(["a", "b", "c"], 40))),
        "sample_submission.csv": table("id,label", [(t, "a") for t in T]),
    }


@layout("--metric accuracy", refused="zeros in front")
def ids_that_are_padded_otherwise() -> Files:
    return {
        **images("train", [f"{n:05d}" for n in range(40)]),
        **images("test", [f"{n:05d}" for n in range(40, 60)]),
        "train.csv": table("id,label", [(n, "abc"[n % 3]) for n in range(40)]),
        "sample_submission.csv": table("id,label", [(n, "a") for n in range(40, 60)]),
    }


@layout("--metric accuracy", refused="have different labels for")
def labels_that_were_corrected() -> Files:
    return {
        **images("train", A),
        **images("test", T),
        "train.csv": table("id,label", beside(A, pick(["a", "b", "c"], 40))),
        "train_cleaned.csv": table("id,label", beside(A[:30], pick(["a", "b", "c"], 30, 5))),
        "sample_submission.csv": table("id,label", [(t, "a") for t in T]),
    }
