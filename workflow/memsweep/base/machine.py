"""What the machine has, found out without loading torch: Snakemake asks at every start."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path


def gpu_count() -> int:
    """NVIDIA GPUs that a job on this machine can see: those that CUDA_VISIBLE_DEVICES leaves, or all."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        # CUDA reads the list up to the first entry that names no device
        names = [name.strip() for name in visible.split(",")]
        return next((place for place, name in enumerate(names) if name in ("", "-1")), len(names))
    if shutil.which("nvidia-smi") is None:
        return 0
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())


def available_cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_programs_first_in(folder: Path) -> None:
    """Have this process, and those that it starts, look for programs in a folder before all others."""
    paths = os.environ.get("PATH", os.defpath).split(os.pathsep)
    if paths[0] != str(folder):
        os.environ["PATH"] = os.pathsep.join([str(folder), *paths])
