"""The time and memory that a training job asks of a cluster, from the cost of its runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .catalogue import describe
from .cost import Costs
from .run import Run

# Bytes of a row of the table of losses, and how often a sample is held, while tables are written
LOSS_ROW_BYTES = 100
SAMPLE_COPIES = 3
# Bytes of a row of that table on disk, as the cost counts it
STORED_ROW_BYTES = 5


@dataclass(frozen=True)
class Request:
    """What a job asks for at its first attempt. Units: 10^6 bytes, minutes."""

    megabytes: int
    minutes: int


class Requests:
    """Requests of packs.

    Time is that of all runs one after the other, at the rate and with the margin of the config's
    ``requests``. Memory is that of the largest run in float32, once for each core on which runs are
    trained side by side, of the images and of the pack's tables while they are written, with the same
    margin, on top of what Python and torch take.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        """config: resolved."""
        self.config = config
        self.settings = config["requests"]
        facts = describe(config["dataset"])
        self.images = facts.train + facts.test
        self.shape = (facts.channels, facts.height, facts.width)
        self.cost = Costs(config, self.shape, facts.classes)

    def hours(self, runs: Sequence[Run]) -> float:
        """Hours of one device at the config's rate."""
        return sum(self.cost(run).hours(self.settings["tflops"]) for run in runs)

    def __call__(self, runs: Sequence[Run], attempt: int = 1) -> Request:
        """What one job that trains these runs asks for: more at each attempt."""
        costs = [self.cost(run) for run in runs]
        values = self.images * math.prod(self.shape)
        tables = sum(LOSS_ROW_BYTES / STORED_ROW_BYTES * cost.loss_bytes / 2 for cost in costs)
        tables += sum(SAMPLE_COPIES * cost.sample_bytes / 2 for cost in costs)
        # uint8 images, and float32 ones for the network
        data = 5 * values
        side_by_side = min(len(runs), self.config["training"]["threads"])
        working = side_by_side * (max(cost.memory_bytes for cost in costs) + data) + tables
        megabytes = side_by_side * self.settings["base_mb"] + self.settings["margin"] * working / 1e6
        minutes = self.settings["base_minutes"] + self.settings["margin"] * 60 * self.hours(runs)
        longest = self.settings["longest_minutes"]
        return Request(math.ceil(attempt * megabytes), min(longest, math.ceil(attempt * minutes)))
