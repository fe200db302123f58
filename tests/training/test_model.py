"""The network: what is frozen, what learns, and what is said when it cannot be made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from runner.contract import Recipe, Stage, TrainMode
from runner.errors import TrainingError, UsageError
from runner.training.model import Network, build_network
from runner.training.optimizer import (
    EARLY,
    HEAD,
    LATE,
    apply_freezing,
    build_optimizer,
    group_lrs_for,
    group_of_parameter,
)

TINY = "test_resnet"
NOTHING = torch.zeros(4, 0)
UNFROZEN = Stage(32, TrainMode.UNFROZEN)


def network(backbone: str = TINY, channels: int = 3, weights: Path | None = None, pretrained: bool = False) -> Network:
    settings = {"classes": 4, "channels": channels, "pretrained": pretrained, "weights": weights, "dropout": 0.0}
    return build_network(backbone, **settings, normalisation=([0.0] * channels, [1.0] * channels))  # type: ignore[arg-type]


def images(channels: int = 3) -> torch.Tensor:
    return torch.randint(0, 255, (4, channels, 32, 32), dtype=torch.uint8)


@pytest.mark.parametrize("state", list(TrainMode))
def test_only_what_learns_in_a_state_changes(state: TrainMode) -> None:
    torch.manual_seed(0)
    net = network()
    apply_freezing(net, recipe(), Stage(32, state))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    optimizer = build_optimizer(net, 0.01)
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    net.train()
    net(images(), NOTHING).sum().backward()
    optimizer.step()
    changed = {name.split(".")[0] for name, tensor in net.state_dict().items() if not torch.equal(before[name], tensor)}
    assert changed == ({"head", "backbone"} if state is TrainMode.UNFROZEN else {"head"})


def test_the_batchnorm_of_a_frozen_body_keeps_its_statistics() -> None:
    net = network()
    apply_freezing(net, recipe(), Stage(32, TrainMode.FROZEN))
    net.train()
    assert not any(module.training for module in net.backbone.modules())
    assert net.head.training


def test_three_groups_hold_every_parameter_once_and_the_early_ones_come_first() -> None:
    net = network()
    depths = group_of_parameter(net)
    assert set(depths) == {name for name, _ in net.named_parameters()}
    assert set(depths.values()) == {EARLY, LATE, HEAD}
    assert (
        depths["backbone.conv1.0.weight" if "backbone.conv1.0.weight" in depths else "backbone.conv1.weight"] == EARLY
    )
    assert {depth for name, depth in depths.items() if name.startswith("backbone.layer4")} == {LATE}


@pytest.mark.parametrize("backbone", ["test_efficientnet", "test_convnext", "test_vit", "mobilenetv2_100", "resnet18"])
def test_every_family_of_models_has_three_groups(backbone: str) -> None:
    net = build_network(backbone, classes=2, channels=3, pretrained=False, weights=None, dropout=0.0)
    assert set(group_of_parameter(net).values()) == {EARLY, LATE, HEAD}


def recipe(**changes: object) -> Recipe:
    return replace(Recipe(TINY, (UNFROZEN,), lr=1.0, layer_decay=0.1), **changes)  # type: ignore[arg-type]


def test_earlier_groups_learn_slower_by_the_divisor() -> None:
    assert group_lrs_for(recipe(), UNFROZEN) == pytest.approx((0.01, 0.1, 1.0))
    assert group_lrs_for(recipe(layer_decay=1 / 3), UNFROZEN) == (1.0 / 9, 1.0 / 3, 1.0)


def test_a_list_of_rates_overrides_the_divisor_and_a_found_rate_the_declared() -> None:
    assert group_lrs_for(recipe(group_lrs=(0.1, 0.2, 0.3)), UNFROZEN) == (0.1, 0.2, 0.3)
    assert group_lrs_for(recipe(), UNFROZEN, found=0.5) == pytest.approx((0.005, 0.05, 0.5))
    assert group_lrs_for(recipe(), replace(UNFROZEN, lr_scale=0.5)) == pytest.approx((0.005, 0.05, 0.5))


def test_freeze_to_keeps_the_groups_below_it_as_they_are() -> None:
    net = network()
    apply_freezing(net, recipe(), replace(UNFROZEN, freeze_to=1))
    depths = group_of_parameter(net)
    assert all(parameter.requires_grad == (depths[name] >= LATE) for name, parameter in net.named_parameters())
    net.train()
    norms = {name: one for name, one in net.backbone.named_modules() if isinstance(one, torch.nn.BatchNorm2d)}
    assert {one.training for name, one in norms.items() if name.startswith("layer4")} == {True}
    assert {one.training for name, one in norms.items() if name.startswith(("conv1", "bn1"))} == {False}


def test_kept_norms_keep_their_statistics_while_their_weights_learn() -> None:
    net = network()
    apply_freezing(net, recipe(freeze_bn=True), UNFROZEN)
    net.train()
    before = {name: tensor.clone() for name, tensor in net.backbone.state_dict().items() if "running" in name}
    net(images(), NOTHING).sum().backward()
    assert all(torch.equal(before[name], net.backbone.state_dict()[name]) for name in before)
    assert all(parameter.grad is not None for parameter in net.backbone.parameters())
    assert net.head.training


@pytest.mark.parametrize(
    ("start", "kept"),
    [({"pretrained": False}, False), ({"pretrained": False, "from_run": "other"}, True), ({"weights": "a file"}, True)],
)
def test_norms_are_kept_only_where_they_have_learned_something(start: dict[str, object], kept: bool) -> None:
    net = network()
    apply_freezing(net, recipe(freeze_bn=True, **start), UNFROZEN)
    net.train()
    norms = [one for one in net.backbone.modules() if isinstance(one, torch.nn.BatchNorm2d)]
    assert {one.training for one in norms} == {not kept}


def test_a_body_of_fixed_input_size_is_resized_and_keeps_what_it_learned() -> None:
    net = build_network("test_vit", classes=2, channels=3, pretrained=False, weights=None, dropout=0.0)
    before = net.backbone.state_dict()["blocks.0.attn.qkv.weight"].clone()
    for size in (64, 96):
        net.set_size(size)
        assert net(torch.zeros(2, 3, size, size, dtype=torch.uint8), NOTHING[:2]).shape == (2, 2)
    assert torch.equal(net.backbone.state_dict()["blocks.0.attn.qkv.weight"], before)


def test_scalars_join_the_head() -> None:
    net = build_network(TINY, classes=2, channels=3, tabular=1, pretrained=False, weights=None, dropout=0.0).eval()
    one, other = (net(torch.zeros(1, 3, 32, 32), torch.full((1, 1), value)) for value in (0.0, 5.0))
    assert not torch.equal(one, other)


def test_two_bands_and_weights_of_any_number_of_classes_fit(tmp_path: Path) -> None:
    import timm

    donor = timm.create_model(TINY, num_classes=11)
    path = tmp_path / "weights.safetensors"
    save_file(donor.state_dict(), path)
    three, two = network(weights=path), network(weights=path, channels=2)
    assert torch.equal(
        three.backbone.state_dict()["layer1.0.conv1.weight"], donor.state_dict()["layer1.0.conv1.weight"]
    )
    assert two(images(2), NOTHING).shape == (4, 4)


def test_an_unknown_model_is_answered_with_the_nearest_names() -> None:
    with pytest.raises(UsageError, match="resnet34"):
        network("resnet_34")


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no weights file"):
        network(weights=tmp_path / "none.safetensors")


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"wrong.weight": torch.zeros(3)}, path)
    with pytest.raises(TrainingError, match="do not fit test_resnet"):
        network(weights=path)


def test_a_file_that_holds_no_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "page.safetensors"
    path.write_text("<html>not found</html>")
    with pytest.raises(TrainingError, match="do not fit test_resnet"):
        network(weights=path)


def test_a_hub_that_cannot_be_reached_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # else the hub's client tries for a while
    with pytest.raises(TrainingError, match="--weights FILE") as caught:
        network("resnet18", pretrained=True)
    assert "--no-pretrained" in str(caught.value)
