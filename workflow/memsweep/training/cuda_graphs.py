"""Work that a GPU does again and again, captured once as a CUDA graph and replayed by one call.

A small network's step is some nine hundred kernels that each run for a few microseconds: launched
one by one, they keep the host busy and the device waiting.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..diffusion.denoiser import Denoiser

# Runs before a capture, in which libraries allocate their workspaces and choose their kernels.
WARM_UPS = 3
# Replays that are handed to the device between two looks at how far it is.
STRIDE = 16


class CaptureFailed(RuntimeError):
    """Work could not be captured as a graph; what failed is the cause. Often it is memory, whatever the cause says."""


def _captured(work: Callable[[], Tensor | None], pool: Any = None) -> tuple[torch.cuda.CUDAGraph, Tensor | None]:
    """The work as a graph on the current stream, and what it returns, which each replay writes again.

    Args:
        work: launches kernels that read and write tensors which stay where they are.
        pool: memory that graphs share of which only one is replayed at a time.

    Raises:
        CaptureFailed: the work or the end of the capture raised.
    """
    stream = torch.cuda.current_stream()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph, pool=pool, stream=stream):
            output = work()
    except Exception as error:
        raise CaptureFailed(f"a CUDA graph could not be captured: {error}") from error
    return graph, output


class StepGraph:
    """A training step as one CUDA graph, on the current stream."""

    def __init__(self, step: Callable[[], None], state: Sequence[Tensor]) -> None:
        """Capture.

        Args:
            step: takes one step; reads and writes tensors that stay where they are.
            state: the tensors that it changes, which are as they were afterwards.

        Raises:
            CaptureFailed: the step cannot be captured.
        """
        kept = [tensor.cpu() for tensor in state]  # on the host, where there is room for 16 bytes a parameter
        for _ in range(WARM_UPS):
            step()
        for tensor, value in zip(state, kept, strict=True):
            tensor.copy_(value)
        self._graph, _ = _captured(step)
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
    """A denoiser whose every call is a replay: one graph for each shape of its images.

    All calls must be on one stream, on which nothing else is captured: a graph keeps using the workspace that
    cuBLAS has for the stream of its capture.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        self._denoiser = denoiser
        self._pool = torch.cuda.graph_pool_handle()  # one graph is replayed at a time, and its output copied
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
        graph, output = _captured(lambda: self._denoiser(*inputs), self._pool)
        assert output is not None
        return graph, inputs, output
