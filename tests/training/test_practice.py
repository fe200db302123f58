"""The fields of a recipe that are off by default: what each does, and that a resumed run ends as an unbroken one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from torch import nn

from runner.contract import (
    OPTIMIZERS,
    Activation,
    Augment,
    Block,
    HeadRecipe,
    Labels,
    Loss,
    LossKind,
    Multiclass,
    Optimizer,
    Outputs,
    Policy,
    Pool,
    Recipe,
    Regression,
    Regularize,
    Stage,
    TrainMode,
)
from runner.contract.backbones import CURRENT_BACKBONES, current_backbone
from runner.contract.outputs import loss_error
from runner.errors import UsageError
from runner.images.layout import Layout
from runner.options import TrainOptions
from runner.training.ema import WeightEMA
from runner.training.fold import FoldRun
from runner.training.learner import Learner, step_parts
from runner.training.loaders import Batch
from runner.training.log import read_log
from runner.training.losses import TrainLoss, build_train_loss, label_loss
from runner.training.lr_finder import find_stage_lr
from runner.training.mixing import mix
from runner.training.model import GeM, Network, build_network, check_backbone, tell_licence
from runner.training.optimizer import build_optimizer, group_lrs_for, scaled_lrs
from runner.training.snapshots import (
    load_network_checkpoint,
    load_optimizer_checkpoint,
    read_snapshots,
    read_weights,
    weights_file,
    write_checkpoint,
)
from runner.training.trainer import train_fold
from tests.competitions import competition_of

CLASSES = Outputs((Block(Activation.SOFTMAX, 3),))
TAGS = Outputs((Block(Activation.SIGMOID, 3),))

# Everything that has a state or draws at random.
BUSY = Augment(Policy.TRIVIAL, erase=0.5, mixup=0.2, cutmix=1.0)


def busy(recipe: Recipe) -> Recipe:
    """The recipe with every practice in it, of a frozen and an unfrozen stage."""
    return replace(
        recipe,
        stages=(
            Stage(24, TrainMode.FROZEN, augment=Augment(mixup=0.4)),
            Stage(32, TrainMode.UNFROZEN, cycle_len=2, augment=BUSY),
        ),
        warmup=0.3,
        dropout=0.2,
        optimizer=Optimizer(accumulate=3, clip_grad=1.0),
        loss=Loss(LossKind.FOCAL, gamma=1, label_smoothing=0.1, class_weights=0.5),
        regularize=Regularize(drop_path=0.2, ema=0.9),
        head=HeadRecipe(Pool.GEM, zero_init=True),
        grad_checkpointing=True,
    )


def weights_of(fold: FoldRun) -> list[dict[str, torch.Tensor]]:
    return [read_weights(weights_file(fold.folder, one), one.sha256) for one in read_snapshots(fold.folder)]


@pytest.fixture(scope="module")
def trained(
    make_fold: Callable[..., FoldRun], tiny_recipe: Recipe, tmp_path_factory: pytest.TempPathFactory
) -> FoldRun:
    fold = make_fold(tmp_path_factory.mktemp("busy"), busy(tiny_recipe))
    train_fold(fold)
    return fold


def test_a_run_with_every_practice_resumes_to_the_same_weights(
    make_fold: Callable[..., FoldRun], trained: FoldRun, tmp_path: Path, interrupt: Callable[..., None]
) -> None:
    fold = make_fold(tmp_path, trained.recipe)
    for epoch in (1, 2):  # at the start of the second stage, and within it
        interrupt(epoch, lambda: train_fold(fold))
    train_fold(fold)
    for resumed, unbroken in zip(weights_of(fold), weights_of(trained), strict=True):
        assert resumed.keys() == unbroken.keys()
        assert all(torch.equal(resumed[name], unbroken[name]) for name in unbroken)


def test_a_stage_of_mixed_images_says_so(trained: FoldRun) -> None:
    lines = read_log(trained.run.log_file)
    assert all(line["mixed"] for line in lines)
    assert all(np.isfinite(line["train_loss"]) for line in lines)


def test_the_validation_loss_is_plain_whatever_the_training_loss(trained: FoldRun) -> None:
    line = read_log(trained.run.log_file)[0]
    # All classes are equally likely before the first step, and the focal loss would be a fraction of that.
    assert line["losses"][0] == pytest.approx(np.log(len(trained.session.index.classes)), abs=1e-4)
    assert line["valid_loss"] > 0.5 * line["prior_loss"]


@pytest.mark.slow
def test_the_lr_finder_takes_the_same_steps_and_leaves_everything_as_it_was(
    make_fold: Callable[..., FoldRun], tiny_recipe: Recipe, tmp_path: Path
) -> None:
    fold = make_fold(tmp_path, busy(tiny_recipe))
    result = find_stage_lr(fold, fold.recipe.stages[1], TrainOptions()).result
    assert len(result.curve.lrs) > 20


def test_a_policy_needs_red_green_and_blue(make_fold: Callable[..., FoldRun], tmp_path: Path) -> None:
    fold = make_fold(tmp_path)
    vars(fold)["full_images"] = type("Grey", (), {"layout": Layout(1, "uint8")})()
    with pytest.raises(UsageError, match="changes colours"):
        fold.augmentation(Stage(32, TrainMode.UNFROZEN, augment=Augment(Policy.RAND)))


# --- losses -------------------------------------------------------------------------------------


def test_without_a_recipe_the_training_loss_is_the_plain_one() -> None:
    logits, targets = torch.randn(5, 3), torch.tensor([0, 1, 2, 1, 0])
    assert torch.equal(TrainLoss(CLASSES)(logits, targets), label_loss(CLASSES, logits, targets))


@pytest.mark.parametrize(("outputs", "targets"), [(CLASSES, torch.tensor([0, 2])), (TAGS, torch.eye(3)[:2])])
def test_focal_loss_with_exponent_zero_is_the_plain_one(outputs: Outputs, targets: torch.Tensor) -> None:
    logits = torch.randn(2, 3)
    focal = TrainLoss(outputs, Loss(LossKind.FOCAL, gamma=0))
    torch.testing.assert_close(focal(logits, targets), label_loss(outputs, logits, targets))


def test_the_asymmetric_loss_with_equal_exponents_and_no_margin_is_the_plain_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("runner.training.losses._ASL_MARGIN", 0.0)
    logits, targets = torch.randn(4, 3), torch.eye(3)[[0, 1, 2, 0]]
    loss = TrainLoss(TAGS, Loss(LossKind.ASYMMETRIC, gamma=0))
    torch.testing.assert_close(loss(logits, targets), label_loss(TAGS, logits, targets))


def test_smoothing_of_class_numbers_and_of_their_shares_is_the_same() -> None:
    logits, numbers = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    loss = TrainLoss(CLASSES, Loss(label_smoothing=0.1))
    torch.testing.assert_close(loss(logits, numbers), loss(logits, torch.eye(3)[numbers]))


def test_class_weights_make_rare_classes_as_heavy_as_common_ones() -> None:
    numbers = np.array([0] * 8 + [1] * 2)
    loss = build_train_loss(Outputs((Block(Activation.SOFTMAX, 2),)), Loss(class_weights=1), numbers)
    assert loss.weights is not None
    totals = np.bincount(numbers, loss.weights.numpy()[numbers])
    assert totals[0] == pytest.approx(totals[1])


@pytest.mark.parametrize(
    ("labels", "loss"),
    [
        (Multiclass("a.csv", label="x"), Loss(LossKind.ASYMMETRIC)),
        (Regression("a.csv", columns=("x",)), Loss(LossKind.FOCAL)),
        (Regression("a.csv", columns=("x",)), Loss(label_smoothing=0.1)),
    ],
)
def test_a_loss_of_other_labels_is_refused(labels: Labels, loss: Loss) -> None:
    assert loss_error(labels, Loss()) is None
    assert "tags" in str(loss_error(labels, loss))
    with pytest.raises(ValueError, match=r"Competition\.recipe: .*tags"):
        competition_of(labels, recipe=recipe(loss=loss))


# --- mixing -------------------------------------------------------------------------------------


def batch_of(rows: int, inputs: torch.Tensor | None = None) -> Batch:
    images = torch.arange(rows, dtype=torch.uint8).view(-1, 1, 1, 1).expand(rows, 3, 8, 8).contiguous()
    return Batch(np.arange(rows), images if inputs is None else inputs, torch.zeros(rows, 0), torch.arange(rows))


def test_mixup_mixes_images_by_the_share_of_their_targets() -> None:
    mixed = mix(batch_of(4), Augment(mixup=1.0), seed=3)
    own = torch.arange(4).float()
    expected = mixed.share * own + (1 - mixed.share) * own.roll(1)
    torch.testing.assert_close(mixed.batch.inputs[:, 0, 0, 0], expected)
    assert mixed.partners is not None and mixed.partners.tolist() == [3, 0, 1, 2]


@pytest.mark.parametrize("seed", range(5))
def test_cutmix_shares_the_area(seed: int) -> None:
    mixed = mix(batch_of(4), Augment(cutmix=1.0), seed=seed)
    assert mixed.batch.inputs.dtype == torch.uint8
    own = mixed.batch.inputs == torch.arange(4).view(-1, 1, 1, 1)
    assert own.float().mean().item() == pytest.approx(mixed.share)


def test_the_same_seed_mixes_the_same_and_another_does_not() -> None:
    one, same, other = (mix(batch_of(4), Augment(mixup=0.4), seed=seed).share for seed in (1, 1, 2))
    assert one == same != other


def test_a_batch_of_one_row_and_a_share_of_batches_stay_plain() -> None:
    assert not mix(batch_of(1), Augment(mixup=1.0), seed=1).is_mixed
    augment = Augment(mixup=1.0, mix_share=0.5)
    mixed = sum(mix(batch_of(2), augment, seed=seed).is_mixed for seed in range(100))
    assert 30 < mixed < 70


@pytest.mark.parametrize("augment", [Augment(cutmix=1.0), Augment(Policy.RAND), Augment(erase=0.5), Augment(mixup=1.0)])
def test_a_features_stage_refuses_what_needs_images(augment: Augment) -> None:
    with pytest.raises(ValueError, match=r"Stage\.augment"):
        Stage(32, TrainMode.FEATURES, augment=augment)


# --- steps, averages, optimizers ----------------------------------------------------------------


def test_mini_batches_share_a_step_by_their_rows_and_the_last_step_may_be_short() -> None:
    parts = step_parts([4, 4, 3, 3], 3)
    assert [part.step for part in parts] == [0, 0, 0, 1]
    assert [part.last for part in parts] == [False, False, True, True]
    assert [part.share for part in parts] == [4 / 11, 4 / 11, 3 / 11, 1.0]


def test_gradients_are_clipped_once_a_step_and_before_the_optimizer_sees_them() -> None:
    """accelerate's `clip_grad_norm_` divides fp16 gradients by the scale first: clipped before, they would vanish."""
    calls: list[str] = []

    class Recorder:
        device = torch.device("cpu")

        def backward(self, loss: torch.Tensor) -> None:
            calls.append("backward")
            loss.backward()  # type: ignore[no-untyped-call]

        def clip_grad_norm_(self, parameters: Any, limit: float) -> None:
            calls.append(f"clip to {limit:g}")
            nn.utils.clip_grad_norm_(parameters, limit)

    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    optimizer.register_step_pre_hook(lambda *_: calls.append("step"))
    loss = TrainLoss(Outputs((Block(Activation.SOFTMAX, 2),)))
    learner = Learner(Recorder(), model, optimizer, loss, clip_grad=2.0)  # type: ignore[arg-type]
    batch = replace(batch_of(4, torch.zeros(4, 3, 32, 32)), targets=torch.tensor([0, 1, 0, 1]))
    for last in (False, True):
        learner.step(batch, 1.0, share=0.5, last=last)
    assert calls == ["backward", "backward", "clip to 2", "step"]


def test_two_halves_of_a_batch_make_the_gradients_of_the_whole() -> None:
    images, targets = torch.rand(4, 3, 32, 32) * 255, torch.tensor([0, 1, 1, 0])
    gradients = []
    for parts in ([slice(0, 4)], [slice(0, 1), slice(1, 4)]):
        model = network().eval()  # BatchNorm would see other batches
        for rows in parts:
            loss = nn.functional.cross_entropy(model(images[rows], torch.zeros(4, 0)[rows]), targets[rows])
            (loss * step_parts([len(range(4)[one]) for one in parts], 2)[parts.index(rows)].share).backward()
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in model.parameters()]))
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


def test_an_average_follows_the_weights_and_is_put_aside_again() -> None:
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    ema = WeightEMA(module, 0.5)
    nn.init.ones_(module.weight)
    ema.update()  # of one step: (1 + 1) / (10 + 1) of the old average
    with ema.applied():
        assert module.weight.item() == pytest.approx(1 - 2 / 11)
    assert module.weight.item() == 1.0


def network(**changes: Any) -> Network:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"classes": 2, "channels": 3, "pretrained": False, "weights": None, "dropout": 0.0}
    return build_network("test_resnet", **settings | changes)


def recipe(**changes: Any) -> Recipe:
    return replace(Recipe("test_resnet", (Stage(32, TrainMode.UNFROZEN),), lr=0.01), **changes)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_goes_on_from_a_checkpoint_as_if_it_had_not_stopped(name: str, tmp_path: Path) -> None:
    def step(model: Network, optimizer: torch.optim.Optimizer, number: int) -> None:
        for group in optimizer.param_groups:
            group["lr"] = 0.01
        images = torch.randint(0, 255, (4, 3, 32, 32), generator=torch.Generator().manual_seed(number))
        model(images.to(torch.uint8), torch.zeros(4, 0)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()

    one, plan = network().train(), recipe(optimizer=Optimizer(name))
    optimizer = build_optimizer(one, plan)
    step(one, optimizer, 0)
    path = tmp_path / "checkpoint.safetensors"
    write_checkpoint(path, one, optimizer, {"epoch": 0, "stage": 0, "batch_size": 4})
    two = network().train()
    load_network_checkpoint(path, two)
    resumed = build_optimizer(two, plan)
    load_optimizer_checkpoint(path, resumed)
    for model, its in ((one, optimizer), (two, resumed)):
        step(model, its, 1)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))


def test_with_layerwise_decay_each_layer_has_the_lr_of_the_next_one_times_it() -> None:
    plan = recipe(layer_decay=0.5, optimizer=Optimizer(layerwise=True))
    optimizer = build_optimizer(network(), plan)
    lrs = scaled_lrs(optimizer, group_lrs_for(plan, plan.stages[0]), 1.0)
    assert sorted({lr / 0.01 for lr in lrs}, reverse=True)[:3] == [1.0, 0.5, 0.25]
    assert len(set(lrs)) > 3


# --- heads --------------------------------------------------------------------------------------


def test_gem_of_equal_values_is_that_value_and_leans_to_large_ones() -> None:
    maps = torch.tensor([[[[2.0, 2.0]], [[0.0, 4.0]]]])
    assert GeM()(maps)[0].tolist() == pytest.approx([2.0, (64 / 2) ** (1 / 3)])


@pytest.mark.parametrize("pool", Pool)
def test_a_head_is_as_wide_as_its_pooling(pool: Pool) -> None:
    logits = network(head=HeadRecipe(pool, zero_init=True)).eval()(torch.rand(1, 3, 32, 32) * 255, torch.zeros(1, 0))
    assert logits.tolist() == [[0.0, 0.0]]


def test_what_a_backbone_cannot_do_is_said_before_it_trains() -> None:
    check_backbone(recipe(head=HeadRecipe(Pool.GEM)))
    with pytest.raises(UsageError, match="does not give one map an image"):
        check_backbone(recipe(backbone="test_vit", head=HeadRecipe(Pool.GEM)))
    with pytest.raises(UsageError, match="drop_path_rate"):
        check_backbone(recipe(backbone="vgg11", regularize=Regularize(drop_path=0.1)))


# --- backbones ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CURRENT_BACKBONES.values())
def test_a_current_backbone_is_known_to_timm_and_free_to_use(name: str) -> None:
    check_backbone(recipe(backbone=name))
    settings = timm.models.get_pretrained_cfg(name)
    assert settings is not None and settings.license == "apache-2.0"
    assert current_backbone(name) == name


def test_a_backbone_without_a_counterpart_is_named_with_those_that_have_one() -> None:
    assert current_backbone("resnet34.a1_in1k") == CURRENT_BACKBONES["resnet34"]
    with pytest.raises(ValueError, match=r"no counterpart of vgg11 .*resnet34 \(convnext_tiny"):
        current_backbone("vgg11")


def test_the_licence_of_pretrained_weights_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        tell_licence(recipe(backbone="resnet34", pretrained=False))
        assert not caplog.messages
        tell_licence(recipe(backbone="resnet34"))
        tell_licence(recipe(backbone="convnextv2_tiny.fcmae_ft_in22k_in1k"))
    assert caplog.messages[0] == "pretrained weights resnet34.a1_in1k: licence apache-2.0"
    assert "licence cc-by-nc-4.0; read it first" in caplog.messages[1]
