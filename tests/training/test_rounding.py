"""What half precision rounds off the features, and which convolutions stay in single precision for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from runner.contract import Recipe, Stage, TrainMode
from runner.training import distributed, rounding
from runner.training.distributed import get_accelerator, inference_context
from runner.training.fold import FoldRun, load_snapshot
from runner.training.fuse import ConvNorm
from runner.training.model import ALL_SINGLE, Head, Network, build_network
from runner.training.rounding import LIMIT, keep_precise, needed_single_convs, rounded_off
from runner.training.trainer import train_fold
from tests.training.conftest import CPU

MakeFold = Callable[..., FoldRun]
OFFSET = 100.0


@pytest.fixture(autouse=True)
def bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inference in bf16, on machines too where it is emulated."""
    for module in (distributed, rounding):
        monkeypatch.setattr(module, "inference_precision", lambda: "bf16")
    monkeypatch.setattr(rounding, "_known", {})
    get_accelerator(CPU)


def network(backbone: str = "test_resnet") -> Network:
    torch.manual_seed(0)
    built = build_network(backbone, classes=2, channels=3, pretrained=False, weights=None, dropout=0.0)
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):  # statistics of nobody would hide what is fused
            module.weight.data.uniform_(0.5, 1.5)
    return built.eval()


def layer(inputs: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, 8, kernel, bias=False), nn.BatchNorm2d(8), nn.ReLU())


def with_offset() -> Network:
    """A network with a second convolution of which a large constant is taken away again by the third."""
    torch.manual_seed(0)
    layers = [layer(inputs, kernel) for inputs, kernel in ((3, 3), (8, 1), (8, 1), (8, 1))]
    built = Network(
        nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), Head(8, 0, 2, 0.0), [127] * 3, [60] * 3
    ).eval()
    (_, second, _), (third, norm, _) = layers[1], layers[2]
    with torch.no_grad():
        second.bias += OFFSET
        norm.running_mean += third(torch.full((1, 8, 1, 1), OFFSET)).flatten()
    return built


def images(count: int = 8) -> Tensor:
    return torch.randint(0, 256, (count, 3, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def features(built: Network) -> Tensor:
    with inference_context():
        return built.forward_features(images()).float()


def test_a_network_that_loses_little_computes_all_in_half_precision() -> None:
    built = network()
    assert needed_single_convs(built, images()) == 0
    assert built.single_convs == ALL_SINGLE  # nothing is changed by asking


def test_a_network_with_large_constant_outputs_keeps_its_first_convolutions_in_single_precision() -> None:
    built = with_offset()
    exact = features(built)
    built.set_single_convs(0)
    assert rounded_off(features(built), exact, 1e-5) > LIMIT
    needed = needed_single_convs(built, images())
    assert needed == 3
    built.set_single_convs(needed)
    assert 0 < rounded_off(features(built), exact, 1e-5) <= LIMIT


def test_where_no_first_convolutions_are_enough_all_stays_in_single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounding, "LIMIT", 1e-6)
    assert needed_single_convs(network(), images()) == ALL_SINGLE


def test_a_network_that_is_not_fused_has_no_first_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    built = network("test_vit")
    tried: list[int] = []
    keep = built.set_single_convs
    monkeypatch.setattr(built, "set_single_convs", lambda count: (tried.append(count), keep(count)))
    monkeypatch.setattr(rounding, "LIMIT", -1)
    built.set_size(64)
    assert needed_single_convs(built, images()) == ALL_SINGLE
    assert set(tried) == {ALL_SINGLE, 0}


def test_training_is_left_alone() -> None:
    built = network()
    built.set_single_convs(3)
    with torch.autocast("cpu", torch.bfloat16):
        assert built.train().forward_features(images()).dtype == torch.bfloat16
        with torch.no_grad():
            assert built.eval().forward_features(images()).dtype == torch.bfloat16
            built.set_single_convs(ALL_SINGLE)
            assert built.forward_features(images()).dtype == torch.float32


def test_constant_features_count_as_exact_ones() -> None:
    exact = torch.zeros(4, 3)
    assert rounded_off(exact, exact, 1e-5) == 0


def test_it_is_kept_with_the_weights_and_earlier_weights_are_in_single_precision() -> None:
    built = network()
    built.set_single_convs(3)
    state = built.state_dict()
    assert int(state["single_convs"]) == 3
    other = network()
    other.load_state_dict(state)
    assert other.single_convs == 3
    assert [each.single for each in other.fused_backbone().children() if isinstance(each, ConvNorm)][:4] == [
        *[True] * 3,
        False,
    ]
    del state["single_convs"]
    other.load_state_dict(state)
    assert other.single_convs == ALL_SINGLE


def test_all_folds_choose_by_the_same_images(
    make_fold: MakeFold, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []

    def choose(_: Network, batch: Tensor) -> int:
        seen.append(batch)
        return 3

    monkeypatch.setattr(rounding, "needed_single_convs", choose)
    recipe = replace(tiny_recipe, stages=(Stage(24, TrainMode.FEATURES),))
    for number in (0, 1):  # else each would have features of its own
        train_fold(make_fold(tmp_path, recipe, number))
    assert torch.equal(seen[0], seen[1])


def test_every_stage_chooses_anew_and_its_snapshot_predicts_as_it_was_validated(
    make_fold: MakeFold, tiny_recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([8, 3])
    monkeypatch.setattr(rounding, "needed_single_convs", lambda *_: next(counts))
    recipe = replace(tiny_recipe, stages=(Stage(24, TrainMode.FEATURES), Stage(32, TrainMode.UNFROZEN)))
    fold = make_fold(tmp_path, recipe)
    snapshots = train_fold(fold)
    assert [load_snapshot(fold, snapshot).single_convs for snapshot in snapshots] == [8, 3]


def test_folds_that_begin_with_the_same_network_measure_once(
    make_fold: MakeFold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([3, 8])
    monkeypatch.setattr(rounding, "needed_single_convs", lambda *_: next(counts))
    built, other = network(), network()
    for each, number in ((built, 0), (other, 1)):
        keep_precise(make_fold(tmp_path, number=number), each, 24)
    assert (built.single_convs, other.single_convs) == (3, 3)
    with torch.no_grad():
        next(other.backbone.parameters()).add_(1)
    keep_precise(make_fold(tmp_path, number=1), other, 24)
    assert other.single_convs == 8


def test_a_machine_without_half_precision_chooses_nothing(
    make_fold: MakeFold, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounding, "inference_precision", lambda: "no")
    built = network()
    keep_precise(make_fold(tmp_path), built, 24)
    assert built.single_convs == ALL_SINGLE
