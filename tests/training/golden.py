"""Golden trajectories: what tiny networks do in a few steps under every formulation, precision and option.

``python tests/training/golden.py`` writes their numbers beside the version of the training code. Where numbers have
moved and the version has not, it refuses: runs trained before and after would pass for the same.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from memsweep.data.images import ImageSet, Split, to_network
from memsweep.data.randomness import BatchOrder, generator, stratified_times
from memsweep.data.surrogates import surrogate
from memsweep.diffusion.formulation import Formulation, build_formulation
from memsweep.models.network import count_parameters
from memsweep.study.run import Run
from memsweep.study.schedule import evaluation_steps, sampled_steps
from memsweep.training.evaluation import Evaluator, InferenceNetwork
from memsweep.training.trainer import Trainer, TrainingOptions
from memsweep.training.version import TRAINING_VERSION

FILE = Path(__file__).with_suffix(".json")
Numbers = dict[str, float]

STEPS = 12
RUN = Run("golden", train_size=12, base_channels=8, batch_size=4, learning_rate=4e-3, seed=5, max_steps=STEPS)
NETWORK = {
    "channel_multipliers": [1, 2],
    "blocks": 1,
    "attention_levels": [1],
    "head_channels": 8,
    "embedding": 16,
    "dropout": 0.0,
}
EVALUATION = {"images": 24, "samples": 6, "surrogates": ["gaussian", "gaussian_mixture"]}
PLAIN = {"sampling_steps": 3, "label_dropout": 0, "guidance": 0}
GUIDED = {"sampling_steps": 3, "label_dropout": 0.3, "guidance": 1.5}
FORMULATIONS: dict[str, dict[str, Any]] = {
    "rectified_flow": {"name": "rectified_flow", **PLAIN},
    "guided_flow": {"name": "rectified_flow", **GUIDED},
    "unconditional_flow": {"name": "rectified_flow", **PLAIN, "label_dropout": 1},
    "ddpm": {"name": "ddpm", **PLAIN},
    "guided_ddpm": {"name": "ddpm", **GUIDED},
    "unconditional_ddpm": {"name": "ddpm", **PLAIN, "label_dropout": 1},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "gradient_clip": {"training": {"gradient_clip": 0.05}},
    "accumulate": {"training": {"accumulate": 3}},
    "ema_decay": {"training": {"ema_decay": 0.3}},
    "dropout": {"network": {"dropout": 0.3}},
    "adamw": {"training": {"optimizer": "adamw", "weight_decay": 0.5}},
    "sgd": {"training": {"optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.5}},
    "warm-up": {"training": {"warmup_steps": 5}},
    "cosine": {"training": {"schedule": "cosine", "schedule_floor": 0.1}},
    "flip": {"training": {"flip": True}},
    "logit_normal": {"training": {"time_sampling": "logit_normal", "time_location": -0.5, "time_scale": 1.5}},
    "no_attention": {"network": {"attention_levels": []}},
    "two_blocks": {"network": {"blocks": 2, "channel_multipliers": [1, 2, 2]}},
    "dit": {"network": {"kind": "dit", "dit": {"depth": 2}}},
    "mlp": {"network": {"kind": "mlp", "mlp": {"blocks": 2}}},
}


def images() -> ImageSet:
    """Thirty training and twelve held-out images of three classes, 8x8 RGB, the same wherever they are made."""

    def split(size: int, shift: int) -> Split:
        noise = np.frombuffer(hashlib.shake_256(b"%d" % shift).digest(size * 192), np.uint8).reshape(size, 8, 8, 3)
        labels = np.arange(size) % 3
        # Each class has its own brightness, so that labels tell something
        return Split((noise // 2 + (40 * labels)[:, None, None, None]).astype(np.uint8), labels)

    data = ImageSet(split(30, 1), split(12, 2), "golden", classes=3)
    drawn = {name: surrogate(data, name) for name in ("gaussian", "gaussian_mixture")}
    return ImageSet(data.train, data.test, data.data_hash, data.classes, drawn)


def trajectory(
    data: ImageSet, formulation: dict[str, Any], training: dict[str, Any], network: dict[str, Any]
) -> Numbers:
    """Losses, distances that the weights have gone, and samples of one run."""
    learnt: Formulation = build_formulation(formulation, data.classes)
    options = TrainingOptions.of({"ema_decay": 0.9, **training})
    trainer = Trainer(data, RUN, {**NETWORK, **network}, learnt, options)
    begun = _flat(trainer.network)
    trainer.advance(STEPS)
    denoiser = InferenceNetwork(trainer.average, options.dtype).load(trainer.average)
    found = Evaluator(data, RUN.training_set, EVALUATION, learnt)(denoiser)
    pixels = found.samples.astype(np.float64)
    return {
        "parameters": count_parameters(trainer.network),
        "weights at first": float(begun.square().mean().sqrt()),
        "weights moved": float((_flat(trainer.network) - begun).square().mean().sqrt()),
        "average moved": float((_flat(trainer.average) - begun).square().mean().sqrt()),
        "training loss": trainer.recent_loss(),
        **{f"loss on {name}": float(losses.mean(dtype=np.float64)) for name, losses in found.losses.items()},
        "mean of samples": float(pixels.mean()),
        "spread of samples": float(pixels.std()),
    }


def _flat(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([weight.detach().double().flatten() for weight in network.parameters()])


def draws(data: ImageSet) -> Numbers:
    """What is drawn for a step, and surrogates."""
    numbers: Numbers = {
        "order": float((torch.stack([BatchOrder(5, 12, 5)(k) for k in range(6)]) * torch.arange(30).view(6, 5)).sum()),
        "times": float(stratified_times(torch.rand(50, generator=generator("golden"))).square().mean()),
        "scaled": float(to_network(data.test.images).double().square().mean()),
    }
    for name, drawn in data.surrogates.items():
        numbers[name] = float((drawn.images.astype(np.float64) ** 2).mean())
    return numbers


def shares(formulation: dict[str, Any]) -> Numbers:
    """Image and noise in a noisy image."""
    time = torch.linspace(0, 1, 9)
    signal, noise = build_formulation(formulation, 3).process.shares(time)
    return {"signal": float((signal * time).sum()), "noise": float((noise * (1 - time)).sum())}


def schedule() -> Numbers:
    """Where evaluations lie in either unit of the budget."""
    evaluation = {"first": 2, "per_decade": 3, "sample_every": 2}
    numbers: Numbers = {}
    for unit, length in {"steps": 1000, "epochs": 40.0}.items():
        arguments = {unit: length}, evaluation, 12, 5
        numbers |= {f"{unit} {place}": step for place, step in enumerate(evaluation_steps(*arguments))}
        numbers[f"{unit} with samples"] = float(sum(sampled_steps(*arguments)))
    return numbers


def cases() -> Iterator[tuple[str, Callable[[], Numbers]]]:
    """Each case by name, and what computes its numbers."""
    data = images()
    flow = FORMULATIONS["rectified_flow"]
    for name, formulation in FORMULATIONS.items():
        yield f"{name}, float32", lambda of=formulation: trajectory(data, of, {}, {})
        yield f"{name}, bfloat16", lambda of=formulation: trajectory(data, of, {"precision": "bfloat16"}, {})
    for name, on in OPTIONS.items():
        yield name, lambda of=on: trajectory(data, flow, of.get("training", {}), of.get("network", {}))
    for name in ("rectified_flow", "ddpm"):
        yield f"shares, {name}", lambda of=FORMULATIONS[name]: shares(of)
    yield "draws", lambda: draws(data)
    yield "schedule", schedule


def tolerance(case: str) -> float:
    """By how much of itself a number may differ between machines, whose kernels add up in other orders.

    Of the kernels that one machine has (with and without AVX2, AVX-512 and oneDNN, on one and two threads) the numbers
    differ by at most 0.00001 in float32, and by 0.0024 in bfloat16.
    """
    return 0.01 if "bfloat16" in case else 1e-4


def moved(case: str, found: Numbers, golden: Numbers) -> list[str]:
    """The numbers of a case that are not what they were, each as a phrase."""
    return [
        f"{case}: {name} was {golden[name]:.6g}, is {found.get(name, np.nan):.6g}"
        for name in golden
        if not abs(found.get(name, np.nan) - golden[name]) <= tolerance(case) * abs(golden[name])
    ]


def main() -> None:
    """Write the numbers of this version."""
    found = {name: compute() for name, compute in cases()}
    if FILE.exists():
        kept = json.loads(FILE.read_text())
        if kept["version"] == TRAINING_VERSION:
            changed = [
                text for case, golden in kept["cases"].items() for text in moved(case, found.get(case, {}), golden)
            ]
            if changed:
                sys.exit("\n".join([*changed, f"numbers moved: raise TRAINING_VERSION, which is {TRAINING_VERSION}"]))
            found |= kept["cases"]
    FILE.write_text(json.dumps({"version": TRAINING_VERSION, "cases": found}, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
