"""Image folders are found by what the tables say of their images, wherever an archive has them."""

from __future__ import annotations

from pathlib import Path

from runner.contract import LOG_LOSS, NO_FLIP, Competition, Multiclass
from runner.data.collect_files import Source, collect_files
from runner.data.index import build_index
from tests.builders import write_csv, write_images


def test_a_folder_is_found_by_the_columns_in_its_images_names(tmp_path: Path) -> None:
    source = tmp_path / "source"
    write_csv(source / "drivers.csv", ("subject", "classname", "img"), [("p1", "c0", "a.jpg"), ("p2", "c1", "b.jpg")])
    write_csv(source / "sample_submission.csv", ("img", "c0", "c1"), [("t.jpg", 0.5, 0.5)])
    write_images(source / "old" / "train", ["x.jpg"])
    write_images(source / "imgs" / "train" / "deep", ["c0/img_a.jpg", "c1/img_b.jpg"])
    write_images(source / "imgs" / "test", ["t.jpg"])
    competition = Competition(
        slug="drivers",
        title="Drivers",
        labels=Multiclass(csv="drivers.csv", id="img", label="classname", group="subject"),
        train_images="train/{classname}/img_{id}",
        test_images="test/{id}",
        sample_submission="sample_submission.csv",
        preset=NO_FLIP,
        metric=LOG_LOSS,
        name="drivers",
    )
    collect_files(Source(source, "drivers", "runner drivers download"), competition, tmp_path / "u", tmp_path / "data")
    index = build_index(competition, tmp_path / "data")
    assert list(index.train["path"]) == ["train/c0/img_a.jpg", "train/c1/img_b.jpg"]
    assert list(index.train["group"]) == ["p1", "p2"]
