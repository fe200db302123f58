"""Weights of two tiny networks, and a climb whose steps are told: what a machine's speed would choose is no matter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from runner.climb import climb as climb_module
from runner.climb import plan
from runner.climb.plan import Offer, Situation, all_offers
from runner.climb_record import StepKind

Scripted = Callable[[Sequence[StepKind]], object]


@pytest.fixture(scope="session")
def weights_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two families of random weights, named as timm's models, and one that is none."""
    folder = tmp_path_factory.mktemp("weights")
    for seed, name in enumerate(("test_resnet", "test_efficientnet")):
        torch.manual_seed(seed)
        save_file(timm.create_model(name, num_classes=5).state_dict(), folder / f"{name}.mine.safetensors")
    (folder / "notes.bin").write_bytes(b"\x80abc")
    return folder


@contextmanager
def scripted(kinds: Sequence[StepKind]) -> Iterator[None]:
    """Every climb in the block takes these steps, at small sizes, as far as they are offered; then it ends."""
    left = list(kinds)

    def choose(situation: Situation) -> Offer | None:
        offers = all_offers(situation)
        while left:
            kind = left.pop(0)
            if offer := next((offer for offer in offers if offer.kind is kind), None):
                if offer.epochs and situation.record.speeds[offer.candidate].training is None:
                    left.insert(0, kind)  # the speed of training is measured, and the step priced again
                return offer
        return None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(climb_module, "choose", choose)
        patch.setattr(plan, "first_size", lambda *_: 32)
        patch.setattr(climb_module, "_MEASURED_SIZE", 32)
        yield
