"""The network: what is frozen, what is trained, weight decay, and the errors of weights that do not load."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import Conv2dSame

from runner.contract import Recipe, Stage, TrainMode
from runner.contract.backbone_args import Argument
from runner.errors import TrainingError, UsageError
from runner.training.model import Network, build_network, check_backbone
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
NO_TABULAR = torch.zeros(4, 0)
UNFROZEN = Stage(32, TrainMode.UNFROZEN)


def network(backbone: str = TINY, channels: int = 3, weights: Path | None = None, pretrained: bool = False) -> Network:
    settings = {"classes": 4, "channels": channels, "pretrained": pretrained, "weights": weights, "dropout": 0.0}
    return build_network(backbone, **settings, normalisation=([0.0] * channels, [1.0] * channels))  # type: ignore[arg-type]


def images(channels: int = 3) -> torch.Tensor:
    return torch.randint(0, 255, (4, channels, 32, 32), dtype=torch.uint8)


@pytest.mark.parametrize("mode", list(TrainMode))
def test_a_step_changes_only_what_its_mode_trains(mode: TrainMode) -> None:
    torch.manual_seed(0)
    net = network()
    apply_freezing(net, recipe(), Stage(32, mode))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    optimizer = build_optimizer(net, recipe())
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    net.train()
    net(images(), NO_TABULAR).sum().backward()
    optimizer.step()
    changed = {name.split(".")[0] for name, tensor in net.state_dict().items() if not torch.equal(before[name], tensor)}
    assert changed == ({"head", "backbone"} if mode is TrainMode.UNFROZEN else {"head"})


def test_the_batchnorms_of_a_frozen_backbone_keep_their_statistics() -> None:
    net = network()
    apply_freezing(net, recipe(), Stage(32, TrainMode.FROZEN))
    net.train()
    assert not any(module.training for module in net.backbone.modules())
    assert net.head.training


def test_every_parameter_is_in_one_of_three_groups_by_depth() -> None:
    net = network()
    groups = group_of_parameter(net)
    assert set(groups) == {name for name, _ in net.named_parameters()}
    assert set(groups.values()) == {EARLY, LATE, HEAD}
    assert (
        groups["backbone.conv1.0.weight" if "backbone.conv1.0.weight" in groups else "backbone.conv1.weight"] == EARLY
    )
    assert {group for name, group in groups.items() if name.startswith("backbone.layer4")} == {LATE}


@pytest.mark.parametrize("backbone", ["test_efficientnet", "test_convnext", "test_vit", "mobilenetv2_100", "resnet18"])
def test_every_model_family_has_three_groups(backbone: str) -> None:
    net = build_network(backbone, classes=2, channels=3, pretrained=False, weights=None, dropout=0.0)
    assert set(group_of_parameter(net).values()) == {EARLY, LATE, HEAD}


def recipe(**changes: object) -> Recipe:
    return replace(Recipe(TINY, (UNFROZEN,), lr=1.0, layer_decay=0.1), **changes)  # type: ignore[arg-type]


def test_layer_decay_lowers_the_lr_of_earlier_groups() -> None:
    assert group_lrs_for(recipe(), UNFROZEN) == pytest.approx((0.01, 0.1, 1.0))
    assert group_lrs_for(recipe(layer_decay=1 / 3), UNFROZEN) == (1.0 / 9, 1.0 / 3, 1.0)


def test_group_lrs_override_layer_decay_and_a_found_lr_the_recipes() -> None:
    assert group_lrs_for(recipe(group_lrs=(0.1, 0.2, 0.3)), UNFROZEN) == (0.1, 0.2, 0.3)
    assert group_lrs_for(recipe(), UNFROZEN, found=0.5) == pytest.approx((0.005, 0.05, 0.5))
    assert group_lrs_for(recipe(), replace(UNFROZEN, lr_scale=0.5)) == pytest.approx((0.005, 0.05, 0.5))


def test_freeze_to_freezes_the_groups_below_it() -> None:
    net = network()
    apply_freezing(net, recipe(), replace(UNFROZEN, freeze_to=1))
    groups = group_of_parameter(net)
    assert all(parameter.requires_grad == (groups[name] >= LATE) for name, parameter in net.named_parameters())
    net.train()
    norms = {name: one for name, one in net.backbone.named_modules() if isinstance(one, torch.nn.BatchNorm2d)}
    assert {one.training for name, one in norms.items() if name.startswith("layer4")} == {True}
    assert {one.training for name, one in norms.items() if name.startswith(("conv1", "bn1"))} == {False}


def test_freeze_bn_keeps_statistics_while_weights_train() -> None:
    net = network()
    apply_freezing(net, recipe(freeze_bn=True), UNFROZEN)
    net.train()
    before = {name: tensor.clone() for name, tensor in net.backbone.state_dict().items() if "running" in name}
    net(images(), NO_TABULAR).sum().backward()
    assert all(torch.equal(before[name], net.backbone.state_dict()[name]) for name in before)
    assert all(parameter.grad is not None for parameter in net.backbone.parameters())
    assert net.head.training


@pytest.mark.parametrize(
    ("start", "kept"),
    [({"pretrained": False}, False), ({"pretrained": False, "from_run": "other"}, True), ({"weights": "a file"}, True)],
)
def test_freeze_bn_has_no_effect_on_a_backbone_from_scratch(start: dict[str, object], kept: bool) -> None:
    net = network()
    apply_freezing(net, recipe(freeze_bn=True, **start), UNFROZEN)
    net.train()
    norms = [one for one in net.backbone.modules() if isinstance(one, torch.nn.BatchNorm2d)]
    assert {one.training for one in norms} == {not kept}


def test_a_backbone_of_fixed_input_size_keeps_its_weights_when_resized() -> None:
    net = build_network("test_vit", classes=2, channels=3, pretrained=False, weights=None, dropout=0.0)
    before = net.backbone.state_dict()["blocks.0.attn.qkv.weight"].clone()
    for size in (64, 96):
        net.set_size(size)
        assert net(torch.zeros(2, 3, size, size, dtype=torch.uint8), NO_TABULAR[:2]).shape == (2, 2)
    assert torch.equal(net.backbone.state_dict()["blocks.0.attn.qkv.weight"], before)


def test_tabular_values_change_the_logits() -> None:
    net = build_network(TINY, classes=2, channels=3, tabular=1, pretrained=False, weights=None, dropout=0.0).eval()
    low, high = (net(torch.zeros(1, 3, 32, 32), torch.full((1, 1), value)) for value in (0.0, 5.0))
    assert not torch.equal(low, high)


def test_weights_fit_two_channels_and_any_number_of_classes(tmp_path: Path) -> None:
    donor = timm.create_model(TINY, num_classes=11)
    path = tmp_path / "weights.safetensors"
    save_file(donor.state_dict(), path)
    three, two = network(weights=path), network(weights=path, channels=2)
    assert torch.equal(
        three.backbone.state_dict()["layer1.0.conv1.weight"], donor.state_dict()["layer1.0.conv1.weight"]
    )
    assert two(images(2), NO_TABULAR).shape == (4, 4)


def test_an_unknown_backbone_is_an_error_with_the_nearest_names() -> None:
    with pytest.raises(UsageError, match="resnet34"):
        network("resnet_34")


def test_a_weights_file_that_is_missing_or_a_folder_is_named(tmp_path: Path) -> None:
    for path, message in (
        (tmp_path / "none.pt", "the weights file is missing"),
        (tmp_path, "the weights file is a folder"),
    ):
        with pytest.raises(UsageError) as caught:
            network(weights=path)
        assert (caught.value.message, caught.value.where) == (message, str(path))


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"wrong.weight": torch.zeros(3)}, path)
    with pytest.raises(TrainingError, match="the weights do not fit test_resnet") as caught:
        network(weights=path)
    assert caught.value.where == str(path)


def test_weights_of_another_shape_are_refused_with_the_first_mismatch(tmp_path: Path) -> None:
    state = timm.create_model(TINY).state_dict()
    state["layer1.0.conv1.weight"] = torch.zeros(3, 3)
    path = tmp_path / "shape.safetensors"
    save_file(state, path)
    with pytest.raises(TrainingError, match=r"size mismatch for layer1\.0\.conv1\.weight"):
        network(weights=path)


KINDS = [
    (b"id,label\n1,2\n", "a CSV"),
    (b"\xff\xd8\xff\xe0JFIF", "a JPEG image"),
    (b"\x89PNG\r\n", "a PNG image"),
    (b"<!doctype html>", "an HTML page"),
    (b'{"a": 1}', "JSON"),
    (b"version https://git-lfs.github.com/spec/v1", "a pointer of git-lfs"),
    (b"some notes\n", "a text file"),
    (b"", "empty"),
]


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "a.csv"])
@pytest.mark.parametrize(("content", "kind"), KINDS, ids=[kind for _, kind in KINDS])
def test_a_file_that_holds_no_weights_is_named_for_what_it_is(
    name: str, content: bytes, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UsageError, match=f"the weights file is {kind}") as caught:
        network(weights=path)
    assert "--weights" in str(caught.value.fix)


@pytest.mark.parametrize("content", [b"PK\x03\x04 no zip", b"\x80\x04 no pickle", b"\0\1\2\3"])
def test_what_only_begins_like_weights_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(TrainingError, match="the weights do not fit test_resnet") as caught:
        network(weights=path)
    assert "weights_only" not in caught.value.message


def test_the_weights_that_another_model_lacks_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save(timm.create_model("test_vit").state_dict(), path)
    with pytest.raises(TrainingError) as caught:
        network(weights=path)
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("offline", [True, False])
def test_a_hub_that_cannot_be_reached_is_asked_once(
    offline: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail(f"waited {seconds} s"))
    with pytest.raises(TrainingError, match="could not be downloaded") as caught:
        network("resnet18", pretrained=True)
    assert "--weights" in str(caught.value.fix)
    assert "`... --no-pretrained`" in str(caught.value.fix)
    assert caplog.records == []
    assert len(caught.value.message.splitlines()) == 1


def decayed(backbone: str) -> dict[str, bool]:
    """Whether weight decay shrinks each parameter of an unfrozen network."""
    net = build_network(backbone, classes=2, channels=3, pretrained=False, weights=None, dropout=0.0)
    apply_freezing(net, recipe(), UNFROZEN)
    names = {id(parameter): name for name, parameter in net.named_parameters()}
    groups = build_optimizer(net, recipe()).param_groups
    return {names[id(parameter)]: group["weight_decay"] > 0 for group in groups for parameter in group["params"]}


def test_weight_decay_spares_class_tokens_and_position_embeddings() -> None:
    decays = decayed("vit_tiny_patch16_224")
    assert not decays["backbone.cls_token"]
    assert not decays["backbone.pos_embed"]
    assert not decays["backbone.blocks.0.norm1.weight"]
    assert decays["backbone.blocks.0.attn.qkv.weight"]
    assert decays["head.linear.weight"]
    assert not decays["head.linear.bias"]


@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet", "test_convnext"])
def test_weight_decay_of_a_cnn_depends_on_dimensions_alone(backbone: str) -> None:
    net = build_network(backbone, classes=2, channels=3, pretrained=False, weights=None, dropout=0.0)
    assert decayed(backbone) == {name: parameter.ndim > 1 for name, parameter in net.named_parameters()}


def test_optimizer_groups_are_ordered_by_depth_then_decay() -> None:
    net = network()
    apply_freezing(net, recipe(), UNFROZEN)
    groups = build_optimizer(net, recipe()).param_groups
    assert [(group["group"], group["weight_decay"]) for group in groups] == [
        (group, decay) for group in (EARLY, LATE, HEAD) for decay in (0.0, 0.01)
    ]


def padded(weights: Path | None = None, **arguments: Any) -> Network:
    settings: dict[str, Any] = {"classes": 2, "channels": 3, "pretrained": False, "dropout": 0.0}
    return build_network("test_efficientnet", weights=weights, backbone_args=arguments, **settings)


def test_arguments_of_the_backbone_reach_timm() -> None:
    assert any(isinstance(module, Conv2dSame) for module in padded(pad_type="same").modules())
    assert not any(isinstance(module, Conv2dSame) for module in padded().modules())


def test_a_pooling_that_doubles_the_features_doubles_the_head() -> None:
    net = padded(global_pool="catavgmax").eval()
    assert net.head.linear.in_features == 2 * padded().head.linear.in_features
    assert net(images(), NO_TABULAR).shape == (4, 2)


@pytest.mark.parametrize("arguments", [{"global_pool": ""}, {"pad_typ": "same"}, {"drop_path_rate": "a lot"}])
def test_arguments_that_make_no_backbone_are_refused(arguments: dict[str, Argument]) -> None:
    with pytest.raises(UsageError):
        check_backbone(recipe(backbone="test_efficientnet", backbone_args=arguments))


def weights_of(folder: Path, name: str, metadata: dict[str, str] | None = None) -> Path:
    path = folder / name
    save_file(timm.create_model("test_efficientnet").state_dict(), path, metadata=metadata)
    return path


def test_a_weights_file_that_tells_of_padding_and_normalisation_is_heard(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    by_name = weights_of(tmp_path, "net.same_pad.safetensors")
    by_metadata = weights_of(tmp_path, "net.safetensors", {"pad_type": "same", "mean": "[0.5, 0.5, 0.5]"})
    for weights in (by_name, by_metadata):
        net = padded(weights)
        assert "trained with pad_type=same" in capsys.readouterr().err
    assert net.mean.flatten().tolist() == [127.5] * 3
    padded(by_name, pad_type="same")
    assert capsys.readouterr().err == ""


def test_the_configuration_beside_the_weights_names_their_model(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = weights_of(tmp_path, "model.safetensors")
    config = {"architecture": "test_efficientnet_ln", "pretrained_cfg": {"std": [0.5, 0.25, 0.5]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert padded(weights).std.flatten().tolist() == [127.5, 63.75, 127.5]
    assert "holds test_efficientnet_ln, not test_efficientnet" in capsys.readouterr().err
