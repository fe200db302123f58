"""A competition with contradictory fields cannot be built; a valid one lists the files that it needs."""

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
from runner.contract.targets import as_matrix, take_columns, target_means, targets_of

RECIPE = Recipe("resnet18", (Stage(64, TrainMode.UNFROZEN),), lr=1e-3)
MULTICLASS, MULTILABEL, BINARY = Multiclass(csv="labels.csv"), Multilabel(csv="tags.csv"), Binary(csv="y.csv")


def build(**changes: Any) -> Competition:
    """A valid competition with these changes."""
    valid = {
        "slug": "any",
        "title": "Any",
        "labels": MULTICLASS,
        "train_images": "train/{id}.jpg",
        "test_images": "test/{id}.jpg",
        "sample_submission": "sample.csv",
        "preset": SIDE_ON,
        "metric": LOG_LOSS,
        "recipe": RECIPE,
    }
    return Competition(**{**valid, **changes})


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"train_images": "train/image.jpg"}, "train_images"),
        ({"test_images": ("test/{id}.jpg", "{id}.jpg")}, "test_images"),
        ({"labels": Multiclass(csv=None)}, "labels"),
        ({"train_images": "train/{label}/{id}"}, "labels"),
        ({"labels": MULTILABEL}, "metric"),
        ({"metric": MEAN_F2}, "metric"),
        ({"labels": BINARY}, "metric"),  # the log loss of one column is always 0
        ({"metric": BINARY_LOG_LOSS}, "metric"),
        ({"metric": ROC_AUC}, "metric"),
        ({"extra_metrics": (ACCURACY, MEAN_F2)}, "extra_metrics"),
        ({"labels": MULTILABEL, "metric": MEAN_F2, "extra_metrics": (ACCURACY,)}, "extra_metrics"),
        ({"prepare": print}, "prepare"),
        ({"raw_files": ("train.json",)}, "prepare"),
    ],
)
def test_a_contradiction_is_refused_and_its_field_named(changes, field):
    with pytest.raises(ValueError, match=rf"^Competition\.{field}: "):
        build(**changes)


@pytest.mark.parametrize(
    ("labels", "metric"),
    [
        (MULTICLASS, LOG_LOSS),
        (MULTICLASS, ACCURACY),
        (MULTILABEL, MEAN_F2),
        (BINARY, BINARY_LOG_LOSS),
        (BINARY, ROC_AUC),
        (BINARY, ACCURACY),
    ],
)
def test_labels_are_accepted_with_their_metrics(labels, metric):
    assert build(labels=labels, metric=metric).metric is metric


def test_an_unsuitable_metric_lists_the_suitable_ones():
    with pytest.raises(ValueError) as caught:
        build(metric=BINARY_LOG_LOSS)
    assert str(caught.value) == (
        "Competition.metric: binary_log_loss does not score Multiclass labels; these do: LOG_LOSS, KL, ACCURACY, "
        "BALANCED_ACCURACY, MACRO_F1, MEAN_COLUMNWISE_AUC, GAP"
    )


def test_a_plugin_may_define_its_own_metric():
    error = Metric("error", "error", lambda targets, values: float((targets != values).mean()), higher_is_better=False)
    assert build(metric=error).metric.score(np.eye(2), np.eye(2)) == 0


def test_a_misspelt_field_is_refused():
    with pytest.raises(TypeError, match="sample_submision"):
        build(sample_submision="sample.csv")


def test_a_competition_is_frozen():
    with pytest.raises(FrozenInstanceError):
        build().slug = "another"  # type: ignore[misc]


def test_labels_from_folders_need_no_table():
    competition = build(labels=Multiclass(), train_images="train/{label}/{id}", test_images="test/{id}")
    assert competition.required_files == (("sample.csv",), ("train/",), ("test/",))


def test_an_image_array_has_no_image_folders():
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
def test_a_shipped_competition_lists_its_required_files(name, required):
    assert competitions.load(name).required_files == required


@pytest.mark.parametrize(
    ("name", "slug", "metric", "preset"),
    [
        ("dog-breed", "dog-breed-identification", LOG_LOSS, SIDE_ON),
        ("iceberg", "statoil-iceberg-classifier-challenge", BINARY_LOG_LOSS, RADAR),
        ("planet", "planet-understanding-the-amazon-from-space", MEAN_F2, TOP_DOWN),
    ],
)
def test_a_shipped_competition_has_its_metric_and_preset(name, slug, metric, preset):
    competition = competitions.load(name)
    assert (competition.slug, competition.metric, competition.preset) == (slug, metric, preset)


def test_iceberg_rows_are_grouped_by_angle():
    assert competitions.load("iceberg").labels.group == "inc_angle"


def test_the_radar_preset_changes_no_pixel_value():
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
def test_a_preset_has_the_symmetry_of_its_images(preset: Preset, symmetry: Symmetry):
    assert preset.symmetry is symmetry


def test_multiclass_targets_are_class_numbers():
    targets = targets_of(MULTICLASS, ["b", "a"], ["a", "b", "a"])
    assert targets.tolist() == [1, 0, 1]
    assert as_matrix(targets, 2).tolist() == [[0, 1], [1, 0], [0, 1]]
    assert as_matrix(take_columns(targets, [1, 0]), 2).tolist() == as_matrix(targets, 2)[:, [1, 0]].tolist()
    assert target_means(targets, 3).tolist() == [1 / 3, 2 / 3, 0]


def test_multilabel_targets_are_multi_hot():
    assert targets_of(MULTILABEL, ["x", "y", "z"], ["z x", "y", ""]).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_binary_targets_are_one_column():
    assert targets_of(BINARY, ["y"], ["1", "0"]).tolist() == [[1], [0]]
    assert targets_of(BINARY, ["y"], []).shape == (0, 1)


def test_label_constraints_name_only_known_labels():
    labels = Multilabel(csv="tags.csv", mutually_exclusive=("clear", "cloudy"), standalone=("cloudy",))
    assert labels.standalone == ("cloudy",)
    with pytest.raises(ValueError, match=r"Multilabel\.standalone: road is not among clear, cloudy"):
        Multilabel(csv="tags.csv", mutually_exclusive=("clear", "cloudy"), standalone=("road",))
    with pytest.raises(ValueError, match=r"Multilabel\.mutually_exclusive: snow is not among clear, road"):
        Multilabel(csv="tags.csv", classes=("clear", "road"), mutually_exclusive=("clear", "snow"))
