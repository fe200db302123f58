"""Precomputed activations: what the body would say, through every view, and never a stale one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from runner.contract import NO_FLIP, SIDE_ON, TOP_DOWN, Preset
from runner.images.decode import open_images
from runner.images.views import PLAIN, MultiView, View, default_views
from runner.training import distributed
from runner.training import features as activations_module
from runner.training.distributed import build_accelerator
from runner.training.features import cached_features
from runner.training.model import Network, build_network

Compute = Callable[..., tuple[np.ndarray, bool]]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for number in range(6):
        Image.fromarray(random.integers(0, 255, (40, 50, 3), dtype=np.uint8)).save(tmp_path / f"{number}.png")
    return tmp_path


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return build_network("test_resnet", classes=2, channels=3, pretrained=False, weights=None, dropout=0.0)


@pytest.fixture
def compute(images: Path, network: Network, monkeypatch: pytest.MonkeyPatch) -> Compute:
    """Activations of the images, and whether they were computed or found."""
    computed: list[int] = []
    really = activations_module._compute
    monkeypatch.setattr(activations_module, "_compute", lambda *a: (computed.append(1), really(*a)))

    def run(*, views: tuple[View, ...] = (PLAIN,), size: int = 32, preset: Preset = SIDE_ON) -> tuple[np.ndarray, bool]:
        computed.clear()
        names = sorted(path.name for path in images.glob("*.png"))
        array = cached_features(
            build_accelerator("cpu"),
            network,
            open_images(images, names),
            preset=preset,
            views=views,
            size=size,
            cache=images / "cache",
            batch_size=4,
            workers=0,
        )
        return array, bool(computed)

    return run


@pytest.mark.parametrize("preset", [SIDE_ON, TOP_DOWN, NO_FLIP], ids=lambda preset: preset.name)
def test_they_are_what_the_body_says_of_each_view(
    preset: Preset, compute: Compute, network: Network, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_by("no", monkeypatch)
    views = default_views(preset)
    array, _ = compute(views=views, preset=preset)
    assert array.shape == (6, len(views), 96)
    image = np.asarray(Image.open(images / "3.png"))
    for number, view in enumerate(views):
        look = MultiView(preset, (view,), 32)(image)[0]
        with torch.inference_mode():
            said = network.eval().features(torch.from_numpy(look.transpose(2, 0, 1)[None].copy()))
        assert np.allclose(array[3, number], said[0].numpy(), atol=1e-5)


def look_by(arithmetic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (distributed, activations_module):
        monkeypatch.setattr(module, "inference_dtype", lambda _accelerator: arithmetic)


def test_in_the_short_arithmetic_they_are_nearly_the_same_under_another_name(
    compute: Compute, monkeypatch: pytest.MonkeyPatch
) -> None:
    look_by("no", monkeypatch)
    exact, _ = compute()
    look_by("bf16", monkeypatch)
    short, computed = compute()
    assert computed
    assert short.dtype == np.float32
    assert 0 < np.abs(short - exact).max() < 0.03 * np.abs(exact).max()


def test_they_are_computed_once_and_read_by_memory_map(compute: Compute) -> None:
    first, computed = compute()
    again, computed_again = compute()
    assert (computed, computed_again) == (True, False)
    assert isinstance(again, np.memmap)
    assert np.array_equal(first, again)


def test_everything_that_changes_them_changes_their_name(compute: Compute, network: Network, images: Path) -> None:
    compute()
    assert compute(size=40)[1]
    assert compute(views=(PLAIN, View("mirror", hflip=True)))[1]
    assert compute(preset=replace(SIDE_ON, max_zoom=1.2))[1]
    assert not compute()[1]
    with torch.no_grad():
        next(network.backbone.parameters()).add_(1e-3)
    assert compute()[1]
    with torch.no_grad():
        network.mean.add_(1)
    assert compute()[1]
    Image.fromarray(np.zeros((40, 50, 3), dtype=np.uint8)).save(images / "2.png")
    assert compute()[1]


def test_a_image_changed_under_its_name_is_not_mistaken(compute: Compute, images: Path) -> None:
    before = np.array(compute()[0])
    Image.fromarray(np.full((40, 50, 3), 200, dtype=np.uint8)).save(images / "0.png")
    after, _ = compute()
    assert not np.allclose(before[0], after[0])
    assert np.allclose(before[1:], after[1:])
