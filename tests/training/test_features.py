"""Precomputed features: the backbone's outputs for every view, and never stale ones."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from runner.contract import NO_FLIP, SIDE_ON, TOP_DOWN, Preset
from runner.images.readers import open_images
from runner.images.views import PLAIN, MultiView, View, default_views
from runner.training import distributed
from runner.training import features as features_module
from runner.training.distributed import get_accelerator
from runner.training.features import FeatureSpec, cached_features
from runner.training.model import ALL_SINGLE, Network, build_network
from tests.training.conftest import CPU

Cached = Callable[..., tuple[np.ndarray, bool]]


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
def cached(images: Path, network: Network, monkeypatch: pytest.MonkeyPatch) -> Cached:
    """Features of the images, and whether they were computed now."""
    computed: list[int] = []
    compute = features_module._compute
    monkeypatch.setattr(features_module, "_compute", lambda *arguments: (computed.append(1), compute(*arguments)))
    get_accelerator(CPU)

    def run(*, views: tuple[View, ...] = (PLAIN,), size: int = 32, preset: Preset = SIDE_ON) -> tuple[np.ndarray, bool]:
        computed.clear()
        names = sorted(path.name for path in images.glob("*.png"))
        spec = FeatureSpec(network, open_images(images, names), preset, views, size)
        return cached_features(spec, images / "cache", batch_size=4, workers=0), bool(computed)

    return run


def use_precision(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (distributed, features_module):
        monkeypatch.setattr(module, "inference_precision", lambda: precision)


@pytest.mark.parametrize("preset", [SIDE_ON, TOP_DOWN, NO_FLIP], ids=lambda preset: preset.name)
def test_features_are_the_backbones_outputs_for_each_view(
    preset: Preset, cached: Cached, network: Network, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_precision("no", monkeypatch)
    views = default_views(preset)
    array, _ = cached(views=views, preset=preset)
    assert array.shape == (6, len(views), 96)
    image = np.asarray(Image.open(images / "3.png"))
    for number, view in enumerate(views):
        pixels = MultiView(preset, (view,), 32)(image)[0]
        with torch.inference_mode():
            expected = network.eval().forward_features(torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy()))
        assert np.allclose(array[3, number], expected[0].numpy(), atol=1e-5)


def test_features_in_bf16_are_nearly_the_same_under_another_name(
    cached: Cached, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_precision("no", monkeypatch)
    network.set_single_convs(0)
    exact, _ = cached()
    use_precision("bf16", monkeypatch)
    rounded, computed = cached()
    assert computed
    assert rounded.dtype == np.float32
    assert 0 < np.abs(rounded - exact).max() < 0.03 * np.abs(exact).max()


def test_what_stays_in_single_precision_changes_the_features_and_their_name(
    cached: Cached, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_precision("no", monkeypatch)
    exact, _ = cached()
    use_precision("bf16", monkeypatch)
    errors = []
    for count in (0, 5, ALL_SINGLE):
        network.set_single_convs(count)
        features, computed = cached()
        assert computed
        errors.append(float(np.abs(features - exact).mean()))
    assert errors[0] > errors[1] > errors[2] == 0


def test_features_are_computed_once_and_read_by_memory_map(cached: Cached) -> None:
    first, computed = cached()
    second, computed_again = cached()
    assert (computed, computed_again) == (True, False)
    assert isinstance(second, np.memmap)
    assert np.array_equal(first, second)


def test_everything_that_changes_the_features_changes_their_name(
    cached: Cached, network: Network, images: Path
) -> None:
    cached()
    assert cached(size=40)[1]
    assert cached(views=(PLAIN, View("mirror", hflip=True)))[1]
    assert cached(preset=replace(SIDE_ON, max_zoom=1.2))[1]
    assert not cached()[1]
    network.backbone_args = {"pad_type": "same"}
    assert cached()[1]
    network.backbone_args = {}
    with torch.no_grad():
        next(network.backbone.parameters()).add_(1e-3)
    assert cached()[1]
    with torch.no_grad():
        network.mean.add_(1)
    assert cached()[1]
    Image.fromarray(np.zeros((40, 50, 3), dtype=np.uint8)).save(images / "2.png")
    assert cached()[1]


def test_an_image_changed_under_its_name_gets_new_features(cached: Cached, images: Path) -> None:
    before = np.array(cached()[0])
    Image.fromarray(np.full((40, 50, 3), 200, dtype=np.uint8)).save(images / "0.png")
    after, _ = cached()
    assert not np.allclose(before[0], after[0])
    assert np.allclose(before[1:], after[1:])


@pytest.mark.parametrize("place", ["values", "header", "digest", "end", "most", "all"])
def test_damaged_features_are_computed_again(place: str, cached: Cached, images: Path) -> None:
    expected = np.array(cached()[0])
    (path,) = (images / "cache" / "features").glob("*.npy")
    intact = path.read_bytes()
    damaged = bytearray(intact)
    kept = {"end": len(intact) - 5, "most": 5, "all": 0}
    if place in kept:
        del damaged[kept[place] :]
    else:
        damaged[{"values": len(intact) // 2, "header": 20, "digest": len(intact) - 1}[place]] ^= 1
    path.write_bytes(damaged)
    again, computed = cached()
    assert computed
    assert np.array_equal(again, expected)
    assert path.read_bytes() == intact
