"""Work that a GPU does again and again, captured once as a CUDA graph and replayed by one call.

A small network's step is some nine hundred kernels that each run for a few microseconds: launched
one by one, they keep the host busy and the device waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from ..diffusion.denoiser import Denoiser

# Runs before a capture, in which libraries allocate their workspaces and choose their kernels.
WARM_UPS = 3
# Replays that are handed to the device between two looks at how far it is.
STRIDE = 16


class StepGraph:
    """A training step as one CUDA graph, on the current stream."""

    def __init__(self, step: Callable[[], None], state: Mapping[str, Sequence[Tensor]]) -> None:
        """Capture.

        Args:
            step: takes one step; reads and writes tensors that stay where they are.
            state: the tensors that it changes, which are as they were afterwards.
        """
        tensors = [tensor for each in state.values() for tensor in each]
        kept = [tensor.clone() for tensor in tensors]
        for _ in range(WARM_UPS):
            step()
        for tensor, value in zip(tensors, kept, strict=True):
            tensor.copy_(value)
        stream = torch.cuda.current_stream()
        stream.synchronize()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, stream=stream):
            step()
        self._replays = 0
        # The stream is at most two strides behind: one runs while the next one waits
        self._marks = [torch.cuda.Event(), torch.cuda.Event()]

    def replay(self) -> None:
        """Hand one step to the device."""
        self._graph.replay()
        self._replays += 1
        if self._replays % STRIDE == 0:
            self._marks.reverse()
            self._marks[1].record()

    @property
    def ready(self) -> bool:
        """Whether the device has passed the mark before the last one."""
        return bool(self._marks[0].query())


class GraphedDenoiser:
    """A denoiser whose every call is a replay: one graph for each shape of its images."""

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self._graphs: dict[torch.Size, tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...], Tensor]] = {}

    def __call__(self, x: Tensor, time: Tensor, label: Tensor, /) -> Tensor:
        """As the denoiser; (B, C, H, W), (B,), (B,) to (B, C, H, W)."""
        if x.shape not in self._graphs:
            self._graphs[x.shape] = self._capture(x, time, label)
        graph, inputs, output = self._graphs[x.shape]
        for place, value in zip(inputs, (x, time, label), strict=True):
            place.copy_(value)
        graph.replay()
        return output.clone()

    def _capture(self, *arguments: Tensor) -> tuple[torch.cuda.CUDAGraph, tuple[Tensor, ...], Tensor]:
        inputs = tuple(argument.clone() for argument in arguments)
        for _ in range(WARM_UPS):
            self._denoiser(*inputs)
        stream = torch.cuda.current_stream()
        stream.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            output = self._denoiser(*inputs)
        return graph, inputs, output
