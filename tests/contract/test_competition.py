"""A competition that contradicts itself cannot be built; one that does not says what it needs."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

import competitions
from runner.contract import (
    ACCURACY,
    BINARY_LOG_LOSS,
    LOG_LOSS,
    MEAN_F2,
    NO_FLIP,
    RADAR,
    ROC_AUC,
    SIDE_ON,
    TOP_DOWN,
    Binary,
    Competition,
    ImageArray,
    Metric,
    Multiclass,
    Multilabel,
    Preset,
    Recipe,
    Stage,
    Symmetry,
    TrainMode,
)
from runner.contract.labels import targets_of

RECIPE = Recipe("resnet18", (Stage(64, TrainMode.UNFROZEN),), lr=1e-3)
ONE_OF_MANY, TAGS, PROBABILITY = Multiclass(csv="labels.csv"), Multilabel(csv="tags.csv"), Binary(csv="y.csv")


def build(**changes: Any) -> Competition:
    """A sound competition, but for the changes."""
    sound = {
        "slug": "any",
        "title": "Any",
        "labels": ONE_OF_MANY,
        "train_images": "train/{id}.jpg",
        "test_images": "test/{id}.jpg",
        "sample_submission": "sample.csv",
        "preset": SIDE_ON,
        "metric": LOG_LOSS,
        "recipe": RECIPE,
    }
    return Competition(**{**sound, **changes})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"train_images": "train/image.jpg"}, "train_images"),
        ({"test_images": ("test/{id}.jpg", "{id}.jpg")}, "test_images"),
        ({"labels": Multiclass(csv=None)}, "labels"),
        ({"train_images": "train/{label}/{id}"}, "labels"),
        ({"labels": TAGS}, "metric"),
        ({"metric": MEAN_F2}, "metric"),
        ({"labels": PROBABILITY}, "metric"),  # the log loss of one column is always 0
        ({"metric": BINARY_LOG_LOSS}, "metric"),
        ({"metric": ROC_AUC}, "metric"),
        ({"extra_metrics": (ACCURACY, MEAN_F2)}, "extra_metrics"),
        ({"labels": TAGS, "metric": MEAN_F2, "extra_metrics": (ACCURACY,)}, "extra_metrics"),
        ({"prepare": print}, "prepare"),
        ({"raw_files": ("train.json",)}, "prepare"),
    ],
)
def test_a_contradiction_is_refused_at_construction_and_names_its_field(changes, field):
    with pytest.raises(ValueError, match=rf"^Competition\.{field}: "):
        build(**changes)


@pytest.mark.parametrize(
    ("labels", "metric"),
    [
        (ONE_OF_MANY, LOG_LOSS),
        (ONE_OF_MANY, ACCURACY),
        (TAGS, MEAN_F2),
        (PROBABILITY, BINARY_LOG_LOSS),
        (PROBABILITY, ROC_AUC),
        (PROBABILITY, ACCURACY),
    ],
)
def test_labels_go_with_the_metrics_that_score_them(labels, metric):
    assert build(labels=labels, metric=metric).metric is metric


def test_a_plugin_may_bring_a_metric_of_its_own():
    error = Metric("error", "error", lambda targets, got: float((targets != got).mean()), higher_is_better=False)
    assert build(metric=error).metric.score(np.eye(2), np.eye(2)) == 0


def test_a_misspelt_field_is_refused_at_construction():
    with pytest.raises(TypeError, match="sample_submision"):
        build(sample_submision="sample.csv")


def test_a_competition_cannot_be_changed_in_place():
    with pytest.raises(FrozenInstanceError):
        build().slug = "another"  # type: ignore[misc]


def test_a_folder_a_class_needs_no_table():
    competition = build(labels=Multiclass(), train_images="train/{label}/{id}", test_images="test/{id}")
    assert competition.required_files == (("sample.csv",), ("train/",), ("test/",))


def test_rows_of_an_array_have_no_folder_of_images():
    competition = build(
        train_images=ImageArray("train.npy", table="train.csv"),
        test_images=ImageArray("test.npy", table="test.csv"),
        prepare=print,
        raw_files=("train.json",),
    )
    assert competition.image_folders == ()
    assert competition.required_files == (("train.json",), ("sample.csv",))


@pytest.mark.parametrize(
    ("name", "required"),
    [
        ("dog-breed", (("labels.csv",), ("sample_submission.csv",), ("train/",), ("test/",))),
        ("iceberg", (("train.json",), ("test.json",), ("sample_submission.csv",))),
        (
            "planet",
            (
                ("train_v2.csv", "train_classes.csv"),
                ("sample_submission_v2.csv", "sample_submission.csv"),
                ("train-jpg/",),
                ("test-jpg/",),
                ("test-jpg-additional/",),
            ),
        ),
    ],
)
def test_a_shipped_competition_says_what_a_download_must_bring(name, required):
    assert competitions.load(name).required_files == required


@pytest.mark.parametrize(
    ("name", "slug", "metric", "preset"),
    [
        ("dog-breed", "dog-breed-identification", LOG_LOSS, SIDE_ON),
        ("iceberg", "statoil-iceberg-classifier-challenge", BINARY_LOG_LOSS, RADAR),
        ("planet", "planet-understanding-the-amazon-from-space", MEAN_F2, TOP_DOWN),
    ],
)
def test_a_shipped_competition_is_scored_and_augmented_as_its_kind_asks(name, slug, metric, preset):
    competition = competitions.load(name)
    assert (competition.slug, competition.metric, competition.preset) == (slug, metric, preset)


def test_icebergs_of_one_angle_stay_together():
    assert competitions.load("iceberg").labels.group == "inc_angle"


def test_nothing_in_the_radar_preset_changes_decibels():
    assert (RADAR.max_lighting, RADAR.max_zoom, RADAR.max_rotate) == (0, 1, 0)


@pytest.mark.parametrize(
    ("preset", "symmetry"),
    [
        (SIDE_ON, Symmetry.HFLIP),
        (TOP_DOWN, Symmetry.D4),
        (RADAR, Symmetry.D4),
        (NO_FLIP, Symmetry.NONE),
    ],
)
def test_a_preset_flips_only_what_may_be_flipped(preset: Preset, symmetry: Symmetry):
    assert preset.symmetry is symmetry


def test_classes_become_one_hot_rows_by_name():
    assert targets_of(ONE_OF_MANY, ["b", "a"], ["a", "b", "a"]).tolist() == [[0, 1], [1, 0], [0, 1]]


def test_tags_become_rows_with_a_mark_for_each():
    assert targets_of(TAGS, ["x", "y", "z"], ["z x", "y", ""]).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_probabilities_become_one_column():
    assert targets_of(PROBABILITY, ["y"], ["1", "0"]).tolist() == [[1], [0]]
    assert targets_of(PROBABILITY, ["y"], []).shape == (0, 1)


def test_what_tags_obey_is_told_in_tags_that_there_are():
    obeyed = Multilabel(csv="tags.csv", mutually_exclusive=("clear", "cloudy"), standalone=("cloudy",))
    assert obeyed.standalone == ("cloudy",)
    with pytest.raises(ValueError, match=r"Multilabel\.standalone: road is not among clear, cloudy"):
        Multilabel(csv="tags.csv", mutually_exclusive=("clear", "cloudy"), standalone=("road",))
    with pytest.raises(ValueError, match=r"Multilabel\.mutually_exclusive: snow is not among clear, road"):
        Multilabel(csv="tags.csv", names=("clear", "road"), mutually_exclusive=("clear", "snow"))
