"""Networks of the user's own: what they have to be, how they are loaded, and how training sees them."""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..base.errors import UserError
from ..base.files import content_name
from .network import Network


class OwnNetwork(Protocol):
    """What a network of the user's own is: a `torch.nn.Module` with this forward pass.

    It is called with a batch at a time and must treat each item alike, whatever is beside it. All that it learns is in
    its parameters, each of which has a gradient; buffers are constants. In training it may drop values by modules such
    as `torch.nn.Dropout`, and draws nothing else. On a GPU it is captured as a CUDA graph: no value of a tensor may
    decide what is done next.
    """

    def forward(self, x: Tensor, time: Tensor, label: Tensor, /) -> Tensor:
        """Predict a field from noisy images.

        Args:
            x: (B, C, H, W), pixels from -1 to 1 with noise, of the type of the weights: float32, or bfloat16 under
                ``training.precision: bfloat16``.
            time: (B,), from 0, the clean image, to 1, pure noise; float32.
            label: (B,), int64, from 0 to classes - 1.

        Returns:
            (B, C, H, W), of the type of ``x``.
        """
        ...


class OwnNetworks(Protocol):
    """What makes one, mostly its class; called once for each run, with torch's generator set to the run's seed."""

    def __call__(self, image_shape: tuple[int, int, int], classes: int, base_channels: int, **own: Any) -> nn.Module:
        """A new network.

        Args:
            image_shape: (C, H, W).
            classes: number of labels, the null label among them where labels are dropped.
            base_channels: the run's model size.
            own: the keys of the config's ``network.own``.
        """
        ...


class Adapted(Network):
    """A network of the user's own, as training sees it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(max((module.p for module in network.modules() if isinstance(module, _DROPOUTS)), default=0.0))
        self.network = network

    def forward(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """As `OwnNetwork.forward`; ``x`` may be of any type."""
        weight = next(self.network.parameters(), x)
        return self.network(x.to(weight.dtype), time, label)


_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def own_network(
    image_shape: tuple[int, int, int], classes: int, base_channels: int, network: Mapping[str, Any]
) -> Adapted:
    """A new network of the user's own.

    Raises:
        UserError: it cannot be loaded, or cannot be made; the traceback of the user's code goes to standard error.
    """
    name, own = network["kind"], network["own"]
    make = load(name, network["source"], network.get("file"))
    try:
        made = make(image_shape, classes, base_channels, **own)
    except Exception as error:
        raise _said(f"{name}{(image_shape, classes, base_channels)} with network.own {own}", error) from None
    if not isinstance(made, nn.Module):
        raise UserError(f"network.kind: {name} makes a {type(made).__name__}; accepted is a torch.nn.Module")
    return Adapted(made)


@functools.cache
def load(name: str, source: str, file: str | None) -> OwnNetworks:
    """Load the class of a file, or an entry point, which runs its code.

    Args:
        name: of the class, or of the entry point.
        source: what the file is known by, which may have changed since it was found.
        file: where it lies; None of an entry point.

    Raises:
        UserError: it has changed, does not import, or there is no such class.
    """
    code = Path(file).read_bytes() if file else b""
    if file and content_name(code) != source:
        raise UserError(f"network.kind: {file} has changed since training began; accepted is the one of {source}")
    try:
        found = _of_file(name, file, code) if file else _of_entry_point(name)
    except Exception as error:
        raise _said(f"importing {file or name}", error) from None
    if not callable(found):
        raise UserError(f"network.kind: {file or 'the entry point'} has no class {name!r}; accepted is one that it has")
    made: OwnNetworks = found
    return made


def _of_file(name: str, file: str, code: bytes) -> Any:
    """What a file defines; by its text, as bytecode that Python keeps is known by time and size, and may be older."""
    module = ModuleType(f"memsweep_own_{Path(file).stem}")
    module.__file__ = file
    sys.modules[module.__name__] = module  # dataclasses, and pickles of what is defined there, look it up
    exec(compile(code, file, "exec"), module.__dict__)
    return getattr(module, name, None)


def _of_entry_point(name: str) -> Any:
    return next(iter(metadata.entry_points(group="memsweep.networks", name=name))).load()


def _said(what: str, error: Exception) -> UserError:
    """What the user's code raised, as a sentence; where, is in the traceback that is printed."""
    traceback.print_exception(error, file=sys.stderr)
    return UserError(f"network.kind: {what} raised {type(error).__name__}: {' '.join(str(error).split())}")


# Images of a check, and how far two results of the same may differ, relative to the largest
_BATCH, _CLOSE = 3, 1e-3


def check(
    image_shape: tuple[int, int, int],
    classes: int,
    base_channels: int,
    network: Mapping[str, Any],
    precisions: tuple[torch.dtype, ...] = (torch.float32,),
    labelled: bool = True,
) -> None:
    """Hold a network of the user's own against what it has to be, on the CPU and on a few images.

    Args:
        image_shape: (channels, height, width).
        classes: number of labels.
        base_channels: the model size.
        network: as of `registry.build`.
        precisions: the types in which it is to compute.
        labelled: whether it is to heed labels.

    Raises:
        UserError: a sentence for what is wrong.
    """
    with torch.random.fork_rng(devices=[]):
        problem = _problem(image_shape, classes, base_channels, network, precisions, labelled and classes > 1)
    if problem:
        raise UserError(f"network.kind: {network['kind']} {problem}")


def _problem(
    image_shape: tuple[int, int, int],
    classes: int,
    base_channels: int,
    network: Mapping[str, Any],
    precisions: tuple[torch.dtype, ...],
    labelled: bool,
) -> str:
    """What is wrong first, if anything."""

    def made() -> Adapted:
        torch.manual_seed(0)
        return own_network(image_shape, classes, base_channels, network)

    built = made()
    if not list(built.parameters()):
        return "has no parameters; accepted is a network that can learn"
    torch.manual_seed(1)
    x, time = torch.randn(_BATCH, *image_shape), torch.linspace(0.1, 0.9, _BATCH)
    inputs = x, time, torch.arange(_BATCH) % classes
    others = made().parameters()
    if any(not torch.equal(one, other) for one, other in zip(built.parameters(), others, strict=True)):
        return "has other weights each time it is made under one seed; accepted are weights that torch draws"
    for dtype in precisions:
        if wrong := _of_output(built.in_precision(dtype), inputs, dtype):
            return wrong
    return _of_gradients(built, inputs) or _of_draws(built, inputs) or _of_what_it_heeds(built, inputs, labelled)


Inputs = tuple[Tensor, Tensor, Tensor]


def _of_output(network: Adapted, inputs: Inputs, dtype: torch.dtype) -> str:
    """Whether what it returns is a field of the images' shape."""
    name = str(dtype).removeprefix("torch.")
    try:
        found = network(*inputs)
    except Exception as error:
        raise _said(f"a forward pass of {tuple(inputs[0].shape)} {name} images", error) from None
    if not isinstance(found, Tensor):
        return f"returns a {type(found).__name__}; accepted is a tensor of the images' shape"
    if found.shape != inputs[0].shape:
        return f"returns shape {tuple(found.shape)} for images of {tuple(inputs[0].shape)}; accepted is the same shape"
    if found.dtype != dtype:
        return f"returns {str(found.dtype).removeprefix('torch.')} where its weights are {name}; accepted is {name}"
    if not found.isfinite().all():
        return "returns values that are no finite numbers, before any training"
    return ""


def _of_gradients(network: Adapted, inputs: Inputs) -> str:
    """Whether every parameter learns, and nothing else changes."""
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    output = network(*inputs)
    if output.requires_grad:
        output.square().sum().backward()
    lost = [name.removeprefix("network.") for name, weight in network.named_parameters() if weight.grad is None]
    network.zero_grad()
    if lost:
        return f"has parameters without a gradient, {', '.join(lost[:5])}; accepted are parameters that are all used"
    changed = [name for name, buffer in network.named_buffers() if not torch.equal(buffer, before[name])]
    if changed:
        return f"changes its buffer {changed[0].removeprefix('network.')}; accepted are buffers that are constants"
    return ""


@torch.no_grad()
def _of_draws(network: Adapted, inputs: Inputs) -> str:
    """Whether the same inputs give the same field, dropout modules aside."""
    stirred = _stirred(network)
    for training in (False, True) if network.dropout == 0 else (False,):
        stirred.train(training)
        if not torch.equal(stirred(*inputs), stirred(*inputs)):
            return (
                "is not deterministic: the same images, times and labels give another field; accepted are draws by "
                "torch.nn.Dropout alone"
            )
    return ""


@torch.no_grad()
def _of_what_it_heeds(network: Adapted, inputs: Inputs, labelled: bool) -> str:
    """Whether an item's field depends on its time and its label, and on no other item."""
    stirred = _stirred(network).eval()
    x, time, label = inputs
    whole = stirred(x, time, label)
    if not whole.isfinite().all():
        return ""  # weights that were never trained; what training makes of them, it says itself
    scale = float(whole.abs().max())
    for item in range(_BATCH):
        part = slice(item, item + 1)
        if float((stirred(x[part], time[part], label[part]) - whole[part]).abs().max()) > _CLOSE * scale:
            return "mixes the items of a batch: an image's field depends on what is beside it"
    if torch.equal(stirred(x, 1 - time, label), whole):
        return "ignores the time; accepted is a network that is told how much noise there is"
    if labelled and torch.equal(stirred(x, time, label.roll(1)), whole):
        return "ignores the labels; accepted is a network that heeds them, or formulation.label_dropout: 1"
    return ""


def _stirred(network: Adapted) -> Adapted:
    """A copy whose weights are a little moved: of a new network most may be 0, and hide what others do."""
    copied = network.in_precision(torch.float32)
    generator = torch.Generator().manual_seed(2)
    for weight in copied.parameters():
        weight.add_(0.05 * torch.randn(weight.shape, generator=generator))
    return copied
