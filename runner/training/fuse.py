"""A backbone whose resting BatchNorms are folded into the convolutions before them: the same function, one pass less.

A BatchNorm at rest multiplies and adds what it once measured. That can be done to the few weights of the
convolution before it, instead of to every pixel that comes out: forwards, and backwards where they learn. What only
looks, on a processor, also has the activation function done by the convolution, while the pixel is still at hand. The
folded backbone has no weights of its own; it uses those it was made of, as they are at the time.
"""

from __future__ import annotations

import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, fx, nn

_NORMS = (nn.BatchNorm2d, BatchNormAct2d)

# Activation functions that a convolution of oneDNN can do on its way out, by its names for them.
_IN_ONE: dict[type, tuple[str, list[float]]] = {
    nn.Identity: ("none", []),
    nn.ReLU: ("relu", []),
    nn.ReLU6: ("hardtanh", [0.0, 6.0]),
    nn.SiLU: ("swish", []),
    nn.Hardswish: ("hardswish", []),
}

# Large enough for every backbone that takes any size; the others say which one they take.
_SIDE = 64

# How far a folded backbone may differ from its original, in units of its largest output: rounding alone, also if
# a graphics card computes single precision with ten bits.
_TOLERANCE = 1e-2


class ConvNorm(nn.Module):
    """A convolution and the BatchNorm that alone reads it."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d):
        super().__init__()
        self.conv, self.norm = conv, norm
        self.then = norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity()
        self.in_one = _IN_ONE.get(type(self.then)) if isinstance(conv.padding, tuple) else None

    def forward(self, images: Tensor) -> Tensor:
        """As both in turn; in one pass where the norm is at rest."""
        conv, norm = self.conv, self.norm
        if norm.training:
            return norm(conv(images))  # type: ignore[no-any-return]
        assert norm.running_mean is not None and norm.running_var is not None
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        shift = norm.bias - norm.running_mean * scale
        if conv.bias is not None:
            shift = shift + conv.bias * scale
        weight = conv.weight * scale.view(-1, 1, 1, 1)
        if self.in_one and not torch.is_grad_enabled() and images.device.type == "cpu":
            return self._in_one_pass(images, weight, shift, *self.in_one)
        return self.then(conv._conv_forward(images, weight, shift))  # type: ignore[no-any-return]

    def _in_one_pass(self, images: Tensor, weight: Tensor, shift: Tensor, name: str, bounds: list[float]) -> Tensor:
        """By the operator that torch's own compiler uses, which autocast does not know of."""
        if torch.is_autocast_enabled("cpu"):
            short = torch.get_autocast_dtype("cpu")
            images, weight, shift = images.to(short), weight.to(short), shift.to(short)
        conv = self.conv
        how = (conv.padding, conv.stride, conv.dilation, conv.groups, name, bounds, "")
        return torch.ops.mkldnn._convolution_pointwise(images, weight, shift, *how)  # type: ignore[no-any-return]


class _Tracer(fx.Tracer):
    """Sees each BatchNorm as one step, where timm's has several."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, nn.BatchNorm2d) or super().is_leaf_module(module, name)


def fuse_batchnorm(backbone: nn.Module, channels: int) -> nn.Module:
    """The folded backbone; the backbone itself where there is nothing to fold, or where its steps cannot be traced."""
    if not any(type(module) in _NORMS for module in backbone.modules()):
        return backbone
    learning = [(module, module.training) for module in backbone.modules()]
    try:
        folded = _fused(backbone)
        return folded if _agree(backbone, folded, channels) else backbone
    except Exception:  # a backbone may do anything that Python can, and tracing follows only some of it
        return backbone
    finally:
        for module, was in learning:  # each on its own: some norms may learn while others rest
            module.training = was


def _fused(backbone: nn.Module) -> nn.Module:
    graph = _Tracer().trace(backbone)
    if str(graph) != str(_Tracer().trace(backbone.eval())):
        return backbone  # it does other things when it learns, and a trace has only one of both
    # The parts stay those of the backbone: moved, frozen and trained with it.
    whole = fx.GraphModule(backbone, graph)
    parts = dict(backbone.named_modules())
    for number, (conv, norm) in enumerate(_pairs(graph, parts)):
        name = f"conv_norm_{number}"
        whole.add_submodule(name, ConvNorm(parts[str(conv.target)], parts[str(norm.target)]))
        with graph.inserting_after(norm):
            one = graph.call_module(name, conv.args, conv.kwargs)
        norm.replace_all_uses_with(one)
        graph.erase_node(norm)
        graph.erase_node(conv)
    whole.recompile()
    return whole


def _pairs(graph: fx.Graph, parts: dict[str, nn.Module]) -> list[tuple[fx.Node, fx.Node]]:
    """Each convolution whose output goes to a BatchNorm and nowhere else, with that BatchNorm."""
    found = []
    for node in graph.nodes:
        before = node.args[0] if node.args else None
        if (
            _is_called(node, parts, _NORMS)
            and isinstance(before, fx.Node)
            and _is_called(before, parts, (nn.Conv2d,))
            and len(before.users) == 1
            and parts[str(node.target)].affine
            and parts[str(node.target)].track_running_stats
            and isinstance(getattr(parts[str(node.target)], "drop", nn.Identity()), nn.Identity)
        ):
            found.append((before, node))
    return found


def _is_called(node: fx.Node, parts: dict[str, nn.Module], kinds: tuple[type, ...]) -> bool:
    """Whether the node calls a part of exactly one of these kinds: a subclass may do anything."""
    return node.op == "call_module" and type(parts[str(node.target)]) in kinds


@torch.no_grad()
def _agree(backbone: nn.Module, folded: nn.Module, channels: int) -> bool:
    """Whether both say the same of an image."""
    told = getattr(backbone, "pretrained_cfg", {})
    side = told.get("input_size", (0, _SIDE, _SIDE))[-1] if told.get("fixed_input_size") else _SIDE
    device = next(backbone.parameters()).device
    image = torch.rand(1, channels, side, side, generator=torch.Generator().manual_seed(0)).to(device)
    # In single precision, whatever it was asked for in: in a shorter one nothing agrees so well.
    with torch.autocast(device.type, enabled=False):
        expected, found = backbone.eval()(image), folded(image)
    return bool((expected - found).abs().max() <= _TOLERANCE * expected.abs().max())
