"""Backbones that a climb can start from: the competition's own, and those whose weights are on this machine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import timm
from huggingface_hub import scan_cache_dir
from huggingface_hub.errors import CacheNotFound
from timm.models import PretrainedCfg

from runner.commands import again
from runner.console import log
from runner.contract import Recipe
from runner.errors import RunnerError, UsageError
from runner.options import TrainOptions
from runner.session import Session
from runner.training.model import check_backbone
from runner.training.weights_files import fingerprint, resolve_weights
from runner.training.weights_hints import read_hints
from runner.training.weights_kind import check_weights_file

_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
_HUB_ORGANISATION = "timm/"
_MAX_BYTES = 600_000_000  # a larger network of the hub's cache is tried only if it is declared


@dataclass(frozen=True)
class Candidate:
    """A backbone with the weights that it starts from."""

    recipe: Recipe  # the competition's, with this backbone, its arguments and its weights
    weights: Path | None  # the file; None: those of the hub, or the recipe's own
    bytes: int = 0  # of the weights

    @property
    def key(self) -> str:
        """What tells it from the others, on any machine: the backbone, its arguments and a digest of its weights."""
        arguments = "".join(f" {name}={value}" for name, value in sorted(self.recipe.backbone_args.items()))
        return f"{self.recipe.backbone}{arguments} {self.recipe.weights or 'hub'}"

    @property
    def name(self) -> str:
        """A short name for messages: the weights file tells two of one backbone apart."""
        return self.weights.name.removesuffix(self.weights.suffix) if self.weights else self.recipe.backbone

    @property
    def native_size(self) -> int:
        """The image size of the pretraining."""
        settings = _settings(self.recipe.backbone)
        return int(settings.input_size[-1]) if settings else 224

    @property
    def has_fixed_size(self) -> bool:
        """Whether the network takes images of one size alone."""
        settings = _settings(self.recipe.backbone)
        return bool(settings and settings.fixed_input_size)


def _settings(backbone: str) -> PretrainedCfg | None:
    """What timm knows of the backbone's pretraining."""
    try:
        return timm.get_pretrained_cfg(backbone, allow_unregistered=True)
    except RuntimeError:  # an unknown tag
        return timm.get_pretrained_cfg(backbone.partition(".")[0], allow_unregistered=True)


def find_candidates(session: Session, weights: Sequence[Path]) -> tuple[Candidate, ...]:
    """The declared backbone first, then others, the smallest first; a UsageError if a path holds no weights."""
    files = [file for path in weights for file in _files_in(path)]
    given = [candidate for file in files if (candidate := _candidate_of(session, file)) is not None]
    if weights and not given:
        raise UsageError(
            "none of these weights belongs to a model that timm knows",
            where=", ".join(map(str, weights)),
            fix="name each file as its model: resnet34.safetensors, or resnet34.a1_in1k.safetensors",
        )
    declared = _declared(session, given)
    others = sorted((*given, *_in_hub_cache(session)), key=lambda each: each.bytes)
    # Of one backbone and weights there is one candidate.
    found = {each.key: each for each in (*declared, *others)}
    return tuple(found.values())


def _declared(session: Session, given: Sequence[Candidate]) -> list[Candidate]:
    """The declared backbone: with its weights among the given ones, else with those of its recipe or the hub."""
    recipe = session.competition.recipe
    of_backbone = [each for each in given if each.recipe.backbone == recipe.backbone.partition(".")[0]]
    if of_backbone or (given and recipe.weights is None):
        return of_backbone
    if recipe.from_scratch:
        return [Candidate(recipe, None)]
    resolved, options = resolve_weights(session, recipe, TrainOptions())
    return [Candidate(resolved, options.weights)]


def _files_in(path: Path) -> list[Path]:
    """The weights in a folder, the smallest first, or the file itself."""
    if not path.is_dir():
        return [check_weights_file(path)]
    files = [each for each in path.iterdir() if each.suffix in _SUFFIXES and each.is_file()]
    if not files:
        raise UsageError(
            "the folder holds no weights",
            where=path,
            fix=f"name a folder with files such as resnet34.safetensors: `{again('--weights', 'DIR')}`",
        )
    return sorted(files, key=lambda each: (each.stat().st_size, each.name))


def _candidate_of(session: Session, file: Path) -> Candidate | None:
    """The candidate in a file that is named as its model, or tells it; None with a warning for any other."""
    hints = read_hints(check_weights_file(file))
    backbone = hints.architecture or _model_in_name(file)
    if backbone is None or not timm.is_model(backbone):
        log.warning(f"{file.name} is left out: its name is not that of a model that timm knows")
        return None
    recipe = _with_backbone(session.competition.recipe, backbone)
    recipe = replace(recipe, backbone_args={**recipe.backbone_args, **hints.arguments})
    try:
        check_backbone(recipe)
    except RunnerError as error:
        log.warning(f"{file.name} is left out: {error.message}")
        return None
    return Candidate(replace(recipe, weights=fingerprint(file)), file, file.stat().st_size)


def _with_backbone(recipe: Recipe, backbone: str) -> Recipe:
    """The recipe with another backbone, and none of what belongs to its own."""
    same = recipe.backbone.partition(".")[0] == backbone.partition(".")[0]
    arguments = recipe.backbone_args if same else {}
    return replace(
        recipe, backbone=backbone, backbone_args=arguments, weights=None, from_run=None, pretrained=True, find_lr=False
    )


def _model_in_name(file: Path) -> str | None:
    """The timm model that a file is named after, with its tag if timm knows that; None if it is named after none."""
    name = file.name.removesuffix(file.suffix)
    if timm.is_model_pretrained(name):
        return name
    for length in range(len(name), 0, -1):
        model, rest = name[:length], name[length:]
        if rest[:1] in ("", ".", "-", "_") and "." not in model and timm.is_model(model):
            return model
    return None


def _in_hub_cache(session: Session) -> Iterator[Candidate]:
    """The timm models whose weights the hub's cache holds."""
    try:
        repositories = scan_cache_dir().repos
    except (CacheNotFound, OSError, ValueError):
        return
    for repository in repositories:
        name = repository.repo_id.removeprefix(_HUB_ORGANISATION)
        is_timm = repository.repo_id.startswith(_HUB_ORGANISATION) and timm.is_model(name.partition(".")[0])
        files = [file for revision in repository.revisions for file in revision.files]
        largest = max((file.size_on_disk for file in files if Path(file.file_name).suffix in _SUFFIXES), default=0)
        if is_timm and 0 < largest <= _MAX_BYTES:
            yield Candidate(_with_backbone(session.competition.recipe, name), None, largest)
