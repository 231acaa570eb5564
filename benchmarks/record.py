"""What every benchmark's result says of itself: machine, versions, commit, median and spread."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"


def machine(device: str, *packages: str) -> dict[str, Any]:
    """The machine and the versions of torch, numpy and further packages.

    Args:
        device: ``cpu`` or ``cuda``.
        packages: distributions that the benchmark rests on.
    """
    cpu = [line.split(":")[1].strip() for line in lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "cpu": cpu[0] if cpu else platform.processor(),
        "cpu_count": os.cpu_count(),
        "load_average": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in ("torch", "numpy", *packages)},
    }


def lines(path: str) -> list[str]:
    """Lines of a file of the system; none where there is no such file."""
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def commit() -> str:
    """The commit that was measured; ``dirty`` where files had changed since."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    described = subprocess.run(command, capture_output=True, text=True, check=False)
    return described.stdout.strip() or "unknown"


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and greatest, in four digits."""
    summary = {"median": statistics.median(values), "min": min(values), "max": max(values)}
    return {key: float(f"{value:.4g}") for key, value in summary.items()}


def ratios(times: Sequence[float], others: Sequence[float]) -> list[float]:
    """Pair by pair, so that a machine whose speed drifts meets both sides alike."""
    return [a / b for a, b in zip(times, others, strict=True)]


def save(result: dict[str, Any], path: Path) -> None:
    """Write a result as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
