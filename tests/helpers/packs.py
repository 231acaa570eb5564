"""Settings of a pack that trains in a second, and jobs that train one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

FORMULATIONS: dict[str, dict[str, Any]] = {
    "rectified_flow": {"name": "rectified_flow", "sampling_steps": 3, "label_dropout": 0, "guidance": 0},
    "guided_flow": {"name": "rectified_flow", "sampling_steps": 3, "label_dropout": 0.2, "guidance": 1.5},
    "ddpm": {"name": "ddpm", "sampling_steps": 3, "label_dropout": 0, "guidance": 0},
    "guided_ddpm": {"name": "ddpm", "sampling_steps": 3, "label_dropout": 0.2, "guidance": 1.5},
    "unconditional_ddpm": {"name": "ddpm", "sampling_steps": 3, "label_dropout": 1, "guidance": 0},
}


def start_training(
    settings: dict[str, Any], images: Path, folder: Path, *options: str, until: Sequence[Path]
) -> subprocess.Popen[str]:
    """A training job of its own, on its way: all the files of ``until`` are there.

    Its checkpoints and tables are below ``folder``, as ``checkpoints`` and ``tables``.
    """
    command = [sys.executable, "-m", "memsweep", "train", "--images", str(images), "--device", "cpu", *options]
    command += ["--checkpoints", str(folder / "checkpoints"), "--output", str(folder / "tables")]
    job = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert job.stdin is not None
    job.stdin.write(json.dumps(settings))
    job.stdin.close()
    deadline = time.monotonic() + 120
    while not all(path.exists() for path in until):
        assert job.poll() is None, job.stderr.read() if job.stderr else ""
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return job


def pack_settings(**changes: Any) -> dict[str, Any]:
    """Settings of a pack of three short runs of a tiny network; ``changes`` replace whole sections."""
    axes = {"train_size": 8, "base_channels": 4, "batch_size": 4, "max_steps": 32}
    settings: dict[str, Any] = {
        "runs": [
            {"run_id": "first", "learning_rate": 1e-3, "seed": 0, **axes},
            {"run_id": "second", "learning_rate": 5e-3, "seed": 0, **axes},
            {"run_id": "third", "learning_rate": 1e-3, "seed": 1, **axes},
        ],
        "dataset": {"name": "digits"},
        "network": {
            "channel_multipliers": [1, 2],
            "blocks": 1,
            "attention_levels": [1],
            "head_channels": 8,
            "embedding": 8,
            "dropout": 0.0,
        },
        "formulation": FORMULATIONS["rectified_flow"],
        "training": {"budget": {"steps": 32}, "ema_decay": 0.9},
        "evaluation": {"first": 2, "per_decade": 4, "images": 12, "samples": 6},
    }
    return {**settings, **changes}
