"""A backbone whose frozen BatchNorms are fused into the convolutions before them: the same function, one pass less.

A BatchNorm in eval mode multiplies and adds constants. That can be done to the few weights of the convolution before
it, instead of to every pixel of its output: in the forward pass, and in the backward pass if they are trained. For
inference on a CPU the convolution also applies the activation function, while the pixel is still in the cache. The
fused backbone has no weights of its own: it uses the current weights of the backbone that it was built from.

TensorFlow's "same" padding depends on the size of the image, and may have one row or column more at the end than at
the beginning. It becomes padding of the convolution itself, where need be with a kernel whose first row is zero.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from timm.layers._fx import get_notrace_functions, get_notrace_modules
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.drop import DropPath
from timm.layers.norm_act import BatchNormAct2d
from timm.layers.padding import pad_same_arg
from torch import Tensor, fx, nn
from torch.nn import functional as F

from runner.console import log
from runner.training.distributed import supports_bf16_conv

_NORMS = (nn.BatchNorm2d, BatchNormAct2d)
_CONVS = (nn.Conv2d, Conv2dSame)

# Activation functions that oneDNN applies within a convolution, by its names for them.
_ACTIVATIONS: dict[type, tuple[str, list[float]]] = {
    nn.Identity: ("none", []),
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
    nn.SiLU: ("swish", []),
    nn.Hardswish: ("hardswish", []),
}

# Large enough for most backbones that take any size; the others are tried at their own.
_TEST_SIZE = 64

# How far the outputs of a fused backbone may differ, relative to the largest: by rounding alone, also on a GPU that
# computes single precision with ten bits.
_TOLERANCE = 1e-2


class ConvNorm(nn.Module):
    """A convolution and the BatchNorm that is the only reader of its output."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d):
        super().__init__()
        self.conv, self.norm = conv, norm
        self.activation = norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity()
        self.onednn_activation = _ACTIVATIONS.get(type(self.activation)) if isinstance(conv.padding, tuple) else None
        self.single = False  # in inference, in single precision under autocast too

    def forward(self, images: Tensor) -> Tensor:
        """Convolution, BatchNorm and activation; in one pass if the BatchNorm is in eval mode."""
        if self.single and not torch.is_grad_enabled():
            with torch.autocast(images.device.type, enabled=False):
                return self._convolve(images.float())
        return self._convolve(images)

    def _convolve(self, images: Tensor) -> Tensor:
        conv, norm = self.conv, self.norm
        if norm.training:
            return norm(conv(images))  # type: ignore[no-any-return]
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        if conv.bias is not None:
            shift = shift + conv.bias * scale
        weight = conv.weight * scale.view(-1, 1, 1, 1)
        padding: Any = conv.padding
        if isinstance(conv, Conv2dSame):
            images, weight, padding = _with_same_padding(conv, images, weight)
        if self.onednn_activation and not torch.is_grad_enabled() and _onednn_convolves(images):
            return _in_onednn(images, weight, shift, conv, padding, *self.onednn_activation)
        if conv.padding_mode != "zeros":
            return self.activation(conv._conv_forward(images, weight, shift))  # type: ignore[no-any-return]
        output = F.conv2d(images, weight, shift, conv.stride, padding, conv.dilation, conv.groups)
        return self.activation(output)  # type: ignore[no-any-return]


def set_single(fused: nn.Module, count: int) -> None:
    """Let the first `count` fused convolutions of a backbone infer in single precision, and the others as they will."""
    for number, module in enumerate(fused_convolutions(fused)):
        module.single = number < count


def fused_convolutions(backbone: nn.Module) -> list[ConvNorm]:
    """The fused convolutions of a backbone in their order; none if it is not fused."""
    return [module for module in backbone.children() if isinstance(module, ConvNorm)]


def _with_same_padding(conv: nn.Conv2d, images: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """Images, weight and padding of a convolution that pads images of this size as TensorFlow does."""
    kernel, stride, dilation = list(conv.kernel_size), list(conv.stride), list(conv.dilation)
    left, right, top, bottom = pad_same_arg(list(images.shape[-2:]), kernel, stride, dilation)
    if (left, top) == (right, bottom):
        return images, weight, (top, left)
    if images.device.type == "cpu" and conv.dilation == (1, 1):
        # Padding is at most one pixel longer at the end. Zeros before the kernel take the pixel that symmetric
        # padding adds at the beginning: they are few, and a padded copy of the images took three times as long.
        return images, F.pad(weight, (right - left, 0, bottom - top, 0)), (bottom, right)
    return F.pad(images, (left, right, top, bottom)), weight, (0, 0)


def _in_onednn(
    images: Tensor,
    weight: Tensor,
    shift: Tensor,
    conv: nn.Conv2d,
    padding: Any,
    activation: str,
    bounds: list[float],
) -> Tensor:
    """By the private operator of torch's own compiler, which autocast does not cover."""
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        images, weight, shift = images.to(dtype), weight.to(dtype), shift.to(dtype)
    settings = (padding, conv.stride, conv.dilation, conv.groups, activation, bounds, "")
    return torch.ops.mkldnn._convolution_pointwise(images, weight, shift, *settings)  # type: ignore[no-any-return]


def _onednn_convolves(images: Tensor) -> bool:
    """Whether oneDNN has the convolution for this device and autocast dtype."""
    return images.device.type == "cpu" and (not torch.is_autocast_enabled("cpu") or supports_bf16_conv())


class _Tracer(fx.Tracer):
    """Traces as one call each BatchNorm, drop path, and what timm knows that no trace can follow."""

    def __init__(self) -> None:
        super().__init__(autowrap_functions=tuple(get_notrace_functions()))  # type: ignore[no-untyped-call]
        self._leaves = (nn.BatchNorm2d, DropPath, *get_notrace_modules())  # type: ignore[no-untyped-call]

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, self._leaves) or super().is_leaf_module(module, name)


def fuse_batchnorm(backbone: nn.Module, channels: int) -> nn.Module:
    """The fused backbone, or the backbone itself if there is nothing to fuse or it cannot be traced."""
    norms = sum(type(module) in _NORMS for module in backbone.modules())
    if not norms:
        return backbone
    modes = [(module, module.training) for module in backbone.modules()]
    try:
        fused = _fused(backbone)
        pairs = len(fused_convolutions(fused))
        if not _same_outputs(backbone, fused, channels):
            raise ValueError("its outputs would differ")
    except Exception as error:  # a backbone may run any Python code, and tracing follows only some of it
        reason = (str(error) or type(error).__name__).splitlines()[0]
        _tell_once(f"{_name_of(backbone)}: no BatchNorm is fused: {reason}")
        return backbone
    finally:
        for module, training in modes:  # one by one: some BatchNorms may train while others are frozen
            module.training = training
    if pairs < norms:
        unfused = f"{norms - pairs} of {norms} BatchNorms are not fused: they do not follow a convolution"
        _tell_once(f"{_name_of(backbone)}: {unfused}")
    return fused


@cache
def _tell_once(text: str) -> None:
    """Show a message with -v, the first time that there is reason to."""
    log.debug(text)


def _name_of(backbone: nn.Module) -> str:
    return str(getattr(backbone, "pretrained_cfg", {}).get("architecture") or type(backbone).__name__)


def _fused(backbone: nn.Module) -> nn.Module:
    graph = _Tracer().trace(backbone)
    if str(graph) != str(_Tracer().trace(backbone.eval())):
        raise ValueError("it computes something else in training, and a trace has one of both only")
    # The modules stay those of the backbone: moved, frozen and trained with it.
    fused = fx.GraphModule(backbone, graph)
    modules = dict(backbone.named_modules())
    for number, (conv, norm) in enumerate(_pairs(graph, modules)):
        name = f"conv_norm_{number}"
        fused.add_submodule(name, ConvNorm(modules[str(conv.target)], modules[str(norm.target)]))
        with graph.inserting_after(norm):
            call = graph.call_module(name, conv.args, conv.kwargs)
        norm.replace_all_uses_with(call)
        graph.erase_node(norm)
        graph.erase_node(conv)
    fused.recompile()
    return fused


def _pairs(graph: fx.Graph, modules: dict[str, nn.Module]) -> list[tuple[fx.Node, fx.Node]]:
    """Each convolution whose output a BatchNorm alone reads, with that BatchNorm."""
    pairs = []
    for node in graph.nodes:
        before = node.args[0] if node.args else None
        if (
            _calls(node, modules, _NORMS)
            and isinstance(before, fx.Node)
            and _calls(before, modules, _CONVS)
            and len(before.users) == 1
            and modules[str(node.target)].affine
            and modules[str(node.target)].track_running_stats
            and isinstance(getattr(modules[str(node.target)], "drop", nn.Identity()), nn.Identity)
        ):
            pairs.append((before, node))
    return pairs


def _calls(node: fx.Node, modules: dict[str, nn.Module], types: tuple[type, ...]) -> bool:
    """Whether the node calls a module of exactly one of these types: a subclass may do anything."""
    return node.op == "call_module" and type(modules[str(node.target)]) in types


@torch.no_grad()
def _same_outputs(backbone: nn.Module, fused: nn.Module, channels: int) -> bool:
    """Whether both have the same output for one image, up to rounding."""
    backbone.eval()
    device = next(backbone.parameters()).device
    # In single precision, whatever is asked for: in bf16 no two outputs agree so well.
    with torch.autocast(device.type, enabled=False):
        image, expected = example_output(backbone, channels)
        output = fused(image)
    return bool((expected - output).abs().max() <= _TOLERANCE * expected.abs().max())


def example_output(backbone: nn.Module, channels: int) -> tuple[Tensor, Tensor]:
    """An image and the backbone's output for it: a small one, or one of the size that the backbone is made for."""
    device = next(backbone.parameters()).device
    settings = getattr(backbone, "pretrained_cfg", {})
    native = settings.get("input_size", (0, _TEST_SIZE, _TEST_SIZE))[-1]
    for size in (native,) if settings.get("fixed_input_size") else (_TEST_SIZE, native):
        image = torch.rand(1, channels, size, size, generator=torch.Generator().manual_seed(0)).to(device)
        try:
            return image, backbone(image)
        except (RuntimeError, AssertionError):  # too small, or no multiple of what it divides by
            if size == native:
                raise
    raise AssertionError("the last size returns or raises")
