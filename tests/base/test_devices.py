"""Which GPU a job takes, shown with names in place of GPUs where there is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
import torch
from memsweep.base import devices
from memsweep.base.devices import (
    STREAMS,
    Streams,
    choose_device,
    claimed,
    claimed_device,
    free_memory,
    is_out_of_memory,
    set_up_cuda,
    set_up_gpu,
)
from memsweep.base.errors import UserError
from memsweep.base.interruption import Interrupted, StopRequest
from memsweep.base.machine import gpu_count

HOLDER = """
import sys
from memsweep.base.devices import (
    STREAMS,
    Streams,
    choose_device,
    claimed,
    claimed_device,
    free_memory,
    is_out_of_memory,
    set_up_cuda,
    set_up_gpu,
)
with claimed(sys.argv[1:], lambda text: print(text, flush=True)) as position:
    print(position, flush=True)
    sys.stdin.read()
"""


def holder(names: list[str]) -> subprocess.Popen[str]:
    """A process that holds one of these names until its input ends."""
    command = [sys.executable, "-c", HOLDER, *names]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_each_job_takes_a_gpu_of_its_own_and_one_too_many_waits() -> None:
    names = [f"test-{uuid.uuid4()}" for _ in range(2)]
    first, second = holder(names), holder(names)
    try:
        assert {line(first), line(second)} == {"0", "1"}
        third = holder(names)
        assert line(third) == "waiting for one of 2 GPUs, each in use by another job"
        second.kill()  # however a job ends, its GPU is free
        assert line(third) in ("0", "1")
        third.communicate()
        first.communicate()
        with claimed(names, print) as position:
            assert position == 0
    finally:
        for process in (first, second):
            process.kill()


def test_who_waits_for_a_gpu_can_be_told_to_stop() -> None:
    names = [f"test-{uuid.uuid4()}"]
    stop = StopRequest()
    holding = holder(names)
    try:
        assert line(holding) == "0"
        stop.receive(signal.SIGTERM, None)
        with pytest.raises(Interrupted), claimed(names, print, stop):
            raise AssertionError("claimed what another process holds")
    finally:
        holding.kill()


def test_a_gpu_is_given_back_when_training_fails() -> None:
    names = [f"test-{uuid.uuid4()}"]
    with pytest.raises(UserError), claimed(names, print):
        raise UserError("failed")
    with claimed(names, print) as position:
        assert position == 0


def test_a_gpu_that_is_asked_for_and_missing_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == choose_device("cpu") == "cpu"
    with pytest.raises(UserError, match=r"training.device: found cuda, but this machine has no usable GPU; accepted"):
        choose_device("cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    with pytest.raises(UserError, match=r"no usable GPU \(CUDA_VISIBLE_DEVICES is '7'\); accepted"):
        choose_device("cuda")


def test_on_a_cpu_nothing_is_claimed() -> None:
    said: list[str] = []
    with claimed_device("cpu", said.append) as one, claimed_device("cpu", said.append) as other:
        assert one == other == torch.device("cpu")
    assert not said


@pytest.mark.gpu
def test_a_job_says_which_gpu_it_took() -> None:
    said: list[str] = []
    with claimed_device("cuda", said.append) as device:
        assert device.type == "cuda"
        assert torch.cuda.get_device_name(device) in said[-1]


@pytest.mark.parametrize(
    ("visible", "count"), [("", 0), ("-1", 0), ("0", 1), ("2,5", 2), ("0,-1,1", 1), ("GPU-1a2b, GPU-3c4d", 2)]
)
def test_visible_gpus_are_counted_as_cuda_reads_the_list(
    visible: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpu_count() == count


@pytest.mark.parametrize(
    ("script", "count"),
    [
        ("printf 'GPU 0: NVIDIA H200 (UUID: GPU-1)\\nGPU 1: NVIDIA H200 (UUID: GPU-2)\\n'", 2),
        ("echo 'No devices were found'; exit 6", 0),
    ],
)
def test_all_gpus_are_counted_by_the_driver_s_own_tool(
    script: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert gpu_count() == count


def test_without_a_driver_there_is_no_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu_count() == 0


def test_want_of_memory_is_told_from_other_errors() -> None:
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**62, dtype=torch.uint8)
    assert is_out_of_memory(error.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    assert not is_out_of_memory(UserError("out of memory"))


@pytest.mark.parametrize("library", ["CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"])
def test_libraries_have_names_of_their_own_for_want_of_memory(library: str) -> None:
    assert is_out_of_memory(RuntimeError(f"CUDA error: {library} when calling `cublasCreate(handle)`"))


def test_want_of_memory_is_found_behind_the_error_that_it_led_to() -> None:
    """As when a capture ends: what surfaces is the capture's end, with the want of memory as its context."""

    def raised(first: Exception, *, chained: bool) -> BaseException:
        try:
            try:
                raise first
            except type(first) as error:
                if chained:
                    raise RuntimeError("operation failed due to a previous error during capture") from error
                raise RuntimeError("operation failed due to a previous error during capture")  # noqa: B904
        except RuntimeError as last:
            return last

    for chained in (True, False):
        assert is_out_of_memory(raised(torch.OutOfMemoryError("CUDA out of memory"), chained=chained))
        assert not is_out_of_memory(raised(ValueError("shapes do not match"), chained=chained))


def test_cuda_is_set_up_before_it_starts_and_the_environment_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_DEVICE_MAX_CONNECTIONS", "CUBLAS_WORKSPACE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    choose_device("auto")
    assert os.environ["CUDA_DEVICE_MAX_CONNECTIONS"] == "32"
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    monkeypatch.setenv("CUDA_DEVICE_MAX_CONNECTIONS", "8")
    set_up_cuda()
    assert os.environ["CUDA_DEVICE_MAX_CONNECTIONS"] == "8"


@pytest.mark.parametrize(("precision", "rounds"), [("float32", False), ("tf32", True), ("bfloat16", False)])
@pytest.mark.parametrize("deterministic", [True, False])
def test_a_job_says_which_kernels_it_wants(precision: str, rounds: bool, deterministic: bool) -> None:
    settings = torch.utils.deterministic
    before = torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark, settings.fill_uninitialized_memory
    try:
        set_up_gpu(deterministic, precision)
        assert torch.backends.cudnn.allow_tf32 == torch.backends.cuda.matmul.allow_tf32 == rounds
        assert not torch.backends.cudnn.benchmark
        assert torch.are_deterministic_algorithms_enabled() == deterministic
        assert not settings.fill_uninitialized_memory
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark, settings.fill_uninitialized_memory = before


@pytest.mark.gpu
def test_a_stream_that_is_given_back_is_the_next_one() -> None:
    streams = Streams(torch.device("cuda", 0))
    lent = [streams.take() for _ in range(STREAMS)]
    assert len({stream.cuda_stream for stream in lent if stream}) == STREAMS
    streams.give_back(lent[7])
    assert streams.take() is lent[7]


def test_a_cpu_has_no_streams() -> None:
    streams = Streams(torch.device("cpu"))
    assert streams.take() is None
    streams.give_back(None)
    assert streams.take() is None


def test_free_memory_is_below_what_the_machine_has() -> None:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < free_memory(torch.device("cpu")) <= total
    assert devices.PATIENCE > 0
