"""A backbone whose frozen BatchNorms are fused into the convolutions before them: the same function, one pass less.

A BatchNorm in eval mode multiplies and adds constants. That can be done to the few weights of the convolution before
it, instead of to every pixel of its output: in the forward pass, and in the backward pass if they are trained. For
inference on a CPU the convolution also applies the activation function, while the pixel is still in the cache. The
fused backbone has no weights of its own: it uses the current weights of the backbone that it was built from.
"""

from __future__ import annotations

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, fx, nn

from runner.training.distributed import supports_bf16_conv

_NORMS = (nn.BatchNorm2d, BatchNormAct2d)

# Activation functions that oneDNN applies within a convolution, by its names for them.
_ACTIVATIONS: dict[type, tuple[str, list[float]]] = {
    nn.Identity: ("none", []),
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
    nn.SiLU: ("swish", []),
    nn.Hardswish: ("hardswish", []),
}

# Large enough for every backbone that takes any size; the others have their own.
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

    def forward(self, images: Tensor) -> Tensor:
        """Convolution, BatchNorm and activation; in one pass if the BatchNorm is in eval mode."""
        conv, norm = self.conv, self.norm
        if norm.training:
            return norm(conv(images))  # type: ignore[no-any-return]
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        if conv.bias is not None:
            shift = shift + conv.bias * scale
        weight = conv.weight * scale.view(-1, 1, 1, 1)
        if self.onednn_activation and not torch.is_grad_enabled() and _onednn_convolves(images):
            return self._in_onednn(images, weight, shift, *self.onednn_activation)
        return self.activation(conv._conv_forward(images, weight, shift))  # type: ignore[no-any-return]

    def _in_onednn(self, images: Tensor, weight: Tensor, shift: Tensor, name: str, bounds: list[float]) -> Tensor:
        """By the private operator of torch's own compiler, which autocast does not cover."""
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            images, weight, shift = images.to(dtype), weight.to(dtype), shift.to(dtype)
        conv = self.conv
        settings = (conv.padding, conv.stride, conv.dilation, conv.groups, name, bounds, "")
        return torch.ops.mkldnn._convolution_pointwise(images, weight, shift, *settings)  # type: ignore[no-any-return]


def _onednn_convolves(images: Tensor) -> bool:
    """Whether oneDNN has the convolution for this device and autocast dtype."""
    return images.device.type == "cpu" and (not torch.is_autocast_enabled("cpu") or supports_bf16_conv())


class _Tracer(fx.Tracer):
    """Traces each BatchNorm as one call; timm's has several."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, nn.BatchNorm2d) or super().is_leaf_module(module, name)


def fuse_batchnorm(backbone: nn.Module, channels: int) -> nn.Module:
    """The fused backbone, or the backbone itself if there is nothing to fuse or it cannot be traced."""
    if not any(type(module) in _NORMS for module in backbone.modules()):
        return backbone
    modes = [(module, module.training) for module in backbone.modules()]
    try:
        fused = _fused(backbone)
        return fused if _same_outputs(backbone, fused, channels) else backbone
    except Exception:  # a backbone may run any Python code, and tracing follows only some of it
        return backbone
    finally:
        for module, training in modes:  # one by one: some BatchNorms may train while others are frozen
            module.training = training


def _fused(backbone: nn.Module) -> nn.Module:
    graph = _Tracer().trace(backbone)
    if str(graph) != str(_Tracer().trace(backbone.eval())):
        return backbone  # it behaves differently in training, and a trace has one of both only
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
            and _calls(before, modules, (nn.Conv2d,))
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
    settings = getattr(backbone, "pretrained_cfg", {})
    fixed = settings.get("fixed_input_size")
    size = settings.get("input_size", (0, _TEST_SIZE, _TEST_SIZE))[-1] if fixed else _TEST_SIZE
    device = next(backbone.parameters()).device
    image = torch.rand(1, channels, size, size, generator=torch.Generator().manual_seed(0)).to(device)
    # In single precision, whatever is asked for: in bf16 no two outputs agree so well.
    with torch.autocast(device.type, enabled=False):
        expected, output = backbone.eval()(image), fused(image)
    return bool((expected - output).abs().max() <= _TOLERANCE * expected.abs().max())
