"""Which device a job trains on, and how much of it is free.

Snakemake counts GPUs but does not say which one a job may use. Each job therefore takes one for
itself by a lock on a file that is named after the GPU, which the operating system gives back when
the job ends, however it ends.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from .errors import UserError
from .interruption import Interrupted, StopRequest

# Seconds between two looks for a GPU that has become free.
PATIENCE = 1.0
# Streams that can run side by side: torch has so many, and hands them out again in a circle.
STREAMS = 32


def set_up_cuda() -> None:
    """Settings that CUDA reads when it starts, so before anything asks for a GPU; what the environment says holds.

    Each stream of a pack gets a connection of its own to the device, of which there are 8 otherwise; cuBLAS's
    workspace has one size for each stream, in which products add up in one order.
    """
    os.environ.setdefault("CUDA_DEVICE_MAX_CONNECTIONS", str(STREAMS))
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def choose_device(wanted: str) -> str:
    """The kind of device to train on: ``cuda`` when asked for or, under ``auto``, when there is one.

    Raises:
        UserError: ``cuda`` is asked for and there is none.
    """
    set_up_cuda()
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        hidden = "" if visible is None else f" (CUDA_VISIBLE_DEVICES is {visible!r})"
        raise UserError(
            f"training.device: found cuda, but this machine has no usable GPU{hidden}; accepted here is auto or cpu"
        )
    return "cuda" if wanted != "cpu" and available else "cpu"


@contextmanager
def claimed_device(wanted: str, say: Callable[[str], None], stop: StopRequest | None = None) -> Iterator[torch.device]:
    """The CPU, or a GPU that no other job uses, for as long as the context lasts.

    Of the GPUs that CUDA_VISIBLE_DEVICES leaves visible it is the first free one; while there is
    none, it waits.

    Args:
        wanted: ``auto``, ``cpu`` or ``cuda``.
        say: is told which one it is, and when it waits.
        stop: ends the wait.

    Raises:
        UserError: as `choose_device`.
        Interrupted: it was asked to stop while it waited.
    """
    if choose_device(wanted) == "cpu":
        yield torch.device("cpu")
        return
    gpus = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
    with claimed(gpus, say, stop) as index:
        device = torch.device("cuda", index)
        torch.cuda.set_device(device)
        say(f"on GPU {index}, {torch.cuda.get_device_name(device)}, {gpus[index]}")
        yield device


def set_up_gpu(deterministic: bool, precision: str = "float32") -> None:
    """Decide which kernels this process uses on a GPU.

    Args:
        deterministic: use only those that give the same bits every time. Otherwise they are those that cuDNN
            proposes; it does not try several, which took an H100 some eight seconds for each run of a small network.
        precision: under ``tf32`` products of float32 numbers round their factors to ten bits; under any
            other float32 is float32.
    """
    set_up_cuda()
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    torch.backends.cudnn.benchmark = False
    torch.use_deterministic_algorithms(deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # which costs a kernel for each new tensor


class Streams:
    """Streams of a device, lent to runs: a run that has ended gives its own to the next one.

    Each run needs one of its own, as libraries keep a workspace for each stream, which a captured graph goes on
    using; streams that are made anew for each run would repeat after `STREAMS` of them.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._free: list[torch.cuda.Stream] = []

    def take(self) -> torch.cuda.Stream | None:
        """One that nobody else has; on a CPU there is none."""
        if self._device.type == "cpu":
            return None
        return self._free.pop() if self._free else torch.cuda.Stream(self._device)

    def give_back(self, stream: torch.cuda.Stream | None) -> None:
        """Once all work on it is done."""
        if stream is not None:
            self._free.append(stream)


@contextmanager
def claimed(names: Sequence[str], say: Callable[[str], None], stop: StopRequest | None = None) -> Iterator[int]:
    """The position of one of these names that no other process holds, waiting until there is one.

    Args:
        names: what is shared by the processes of this machine, such as GPUs.
        say: is told when it waits.
        stop: ends the wait.

    Raises:
        Interrupted: it was asked to stop while it waited.
    """
    folder = Path(tempfile.gettempdir()) / f"memsweep-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    locks = [FileLock(folder / f"{name}.lock") for name in names]
    waited = False
    while True:
        for position, lock in enumerate(locks):
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            try:
                yield position
            finally:
                lock.release()
            return
        if not waited:
            say(f"waiting for one of {len(names)} GPUs, each in use by another job")
            waited = True
        if stop and stop.received:
            raise Interrupted
        time.sleep(PATIENCE)


def free_memory(device: torch.device) -> int:
    """Bytes that can still be allocated: of the GPU, or of the machine."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    for line in Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").exists() else []:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


# torch has no class of its own for a CPU's memory, nor for what CUDA and its libraries refuse outside of its allocator
_WANT_OF_MEMORY = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception, or one that led to it, says that memory did not suffice, of the GPU or of the machine."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, RuntimeError) and any(words in str(error) for words in _WANT_OF_MEMORY):
        return True
    before = error.__cause__ or error.__context__
    return before is not None and is_out_of_memory(before)
