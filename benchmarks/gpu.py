"""One visit to a GPU: what must be right first, then timings, and a study last.

    python benchmarks/gpu.py --device cuda --output DIR [--seconds 540] [--study FOLDER] [--only ITEM ...]

Each item is saved in DIR/gpu.json as soon as it is done, no item begins that would end after `--seconds`, and items
that need another environment, or may leave the GPU unusable to their process, run in one of their own. Where something
is wrong, nothing is timed, unless `--regardless`. `--device cpu` executes all of it in miniature, which says
nothing but that it runs.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from memsweep.base.devices import set_up_cuda
from record import commit, machine, save

Found = dict[str, Any]
# Seconds in which a study that is stopped is saved and its tables are written
FOR_TABLES = 45


@dataclass(frozen=True)
class Item:
    """One thing to find out.

    Attributes:
        find: finds it, or yields what it has found so far each time that there is more.
        seconds: that it takes on an H100, about.
        timing: whether it is a timing, which waits for everything to be right.
        apart: whether it runs in a process of its own.
        environment: of that process.
    """

    find: Callable[[Any], Found | Iterator[Found]]
    seconds: float
    timing: bool = False
    apart: bool = False
    environment: tuple[tuple[str, str], ...] = ()


def items() -> dict[str, Item]:
    """All of them, in the order in which they are done."""
    import gpu_correctness as correct
    import gpu_timings as timings

    few, many = ((("CUDA_DEVICE_MAX_CONNECTIONS", count),) for count in ("8", "32"))
    return {
        "ceilings": Item(timings.ceilings, 6),
        "draws": Item(correct.draws, 2),
        "attention": Item(correct.attention, 2),
        "step": Item(correct.step, 12),
        "graph": Item(correct.graph, 15),
        "pack": Item(correct.pack, 12),
        "resume": Item(correct.resume, 10),
        "precisions": Item(correct.precisions, 8),
        "neighbours": Item(correct.neighbours, 6),
        "evaluation_beside": Item(correct.evaluation_beside, 20, apart=True),
        "evaluation_after_end": Item(correct.evaluation_after_end, 15, apart=True),
        "out_of_memory": Item(correct.out_of_memory, 25, apart=True),
        "after_failed_capture": Item(correct.step_after_failed_capture, 15, apart=True),
        "capture_fails": Item(correct.capture_fails, 30, apart=True),
        **{
            f"start_up, {way}": Item(partial(timings.start_up, way=way), 20, timing=True, apart=True)
            for way in timings.WAYS
        },
        "packs": Item(timings.packs, 40, timing=True, apart=True, environment=many),
        "packs_of_few_connections": Item(
            partial(timings.packs, sizes=(1, 16), networks=1), 20, timing=True, apart=True, environment=few
        ),
        "evaluation": Item(timings.evaluation, 25, timing=True),
        "census": Item(timings.census, 20, timing=True),
        **{
            f"convolutions, {way}": Item(partial(timings.convolutions, way=way), 20, timing=True, apart=True)
            for way in timings.WAYS
        },
    }


def apart(name: str, item: Item, arguments: argparse.Namespace, left: float) -> Found:
    """An item in a process of its own; where it does not end in time, what it had found by then."""
    command = [sys.executable, __file__, "--device", arguments.device, "--alone", name]
    environment = os.environ | dict(item.environment)
    with tempfile.TemporaryFile("w+") as said:
        done = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, text=True, env=environment)
        try:
            status: int | str = done.wait(left)
        except subprocess.TimeoutExpired:
            done.kill()
            done.wait()
            status = f"not done after {left:.0f} s"
        said.seek(0)
        lines = said.read()
    results = [json.loads(line[2:]) for line in lines.splitlines() if line.startswith("@@")]
    if status == 0:
        found: Found = results[-1]
        return found
    return (results[-1] if results else {}) | {"passed": False, "status": status, "said": lines[-3000:]}


def stages(found: Found | Iterator[Found]) -> Iterator[Found]:
    """What an item has found so far, each time that there is more."""
    yield from [found] if isinstance(found, dict) else found


class Visit:
    """What was found so far, and how much time is left."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.until = time.monotonic() + arguments.seconds
        described = {"commit": arguments.commit or commit(), "machine": machine(arguments.device)}
        if arguments.device == "cuda":
            described["driver"] = _driver()
            described["capability"] = list(torch.cuda.get_device_capability())
        self.result: dict[str, Any] = {**described, "items": {}}

    @property
    def left(self) -> float:
        return self.until - time.monotonic()

    @property
    def right(self) -> bool:
        return all(found.get("passed", True) for found in self.result["items"].values())

    def find(self, name: str, seconds: float, find: Callable[[], Found | Iterator[Found]]) -> None:
        """Do one item, whatever becomes of it, and save."""
        if self.left < seconds * (1 if self.arguments.device == "cuda" else 0):
            self.keep(name, {"skipped": f"{self.left:.0f} s were left"})
            return
        started = time.monotonic()
        try:
            for found in stages(find()):
                self.keep(name, found)
        except Exception:
            found = {"passed": False, "raised": traceback.format_exc()[-3000:]}
        self.keep(name, {**found, "seconds": round(time.monotonic() - started, 1)})
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()

    def keep(self, name: str, found: Found) -> None:
        self.result["items"][name] = found
        print(f"{name}: {json.dumps(found, default=str)[:1200]}", flush=True)
        save(json.loads(json.dumps(self.result, default=str)), self.arguments.output / "gpu.json")


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=20).stdout.strip()
    except OSError:
        return "unknown"


def visit(arguments: argparse.Namespace) -> dict[str, Any]:
    """Do all items, and return what was found."""
    import gpu_timings as timings
    from gpu_correctness import Runs
    from gpu_reference import train

    runs, here = Runs(arguments.device), Visit(arguments)
    chosen = arguments.only
    study_seconds = arguments.study_seconds if arguments.study else 0.0
    for name, item in items().items():
        if chosen and name not in chosen:
            continue
        if item.timing and not (here.right or arguments.regardless):
            here.keep(name, {"skipped": "something is wrong"})
            continue
        if item.timing:
            here.until -= study_seconds
        # No item leaves a CPU unusable
        own = item.apart and (runs.on_gpu or bool(item.environment))
        work = partial(apart, name, item, arguments, max(10.0, here.left)) if own else partial(item.find, runs)
        here.find(name, item.seconds, work)
        if item.timing:
            here.until += study_seconds
    for many, one, find in (
        ("tiles", "tiles", partial(timings.variants, chosen=timings.OF_TILES_CHOSEN)),
        ("variants", "variant", timings.variants),
        ("steps", "step", partial(timings.steps, chosen=arguments.points)),
    ):
        if (not chosen or many in chosen) and (here.right or arguments.regardless):
            for point, found in find(runs, here.until - study_seconds):
                here.keep(f"{one}, {point}", found)
    if arguments.study:
        seconds = max(5.0, here.left - FOR_TABLES)
        here.find("study", 60, lambda: train(arguments.study, arguments.output / "study", arguments.device, seconds))
    print(table(here.result))
    return here.result


def table(result: dict[str, Any]) -> str:
    """What was found, in a few lines."""
    lines = [f"{result['machine']['device']}, torch {result['machine']['torch']}, commit {result['commit']}"]
    for name, found in result["items"].items():
        word = "skipped" if "skipped" in found else {True: "right", False: "WRONG"}.get(found.get("passed"), "measured")
        lines.append(f"{name:45} {word:9} {found.get('seconds', '')}")
        if name.startswith("step, "):
            for precision in ("float32", "tf32", "bfloat16"):
                if precision in found and "images_a_second" in found[precision]:
                    here = found[precision]
                    rate, share = here["images_a_second"]["median"], here["share_of_peak"]["median"]
                    gain = here["speed_against_eager_loop,_images_on_the_device"]["median"]
                    lines.append(f"    {precision:10} {rate:10.0f} images/s  {share:7.1%} of peak  {gain:5.2f} x eager")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument("--output", type=Path, default=Path())
    parser.add_argument("--seconds", type=float, default=540)
    parser.add_argument("--study", type=Path, help="folder that gpu_reference.py wrote")
    parser.add_argument("--study-seconds", type=float, default=250, help="kept for the study")
    parser.add_argument("--only", nargs="+", help="of the items, and 'tiles', 'variants' and 'steps'")
    parser.add_argument("--points", nargs="+", default=[], help="at which steps are timed")
    parser.add_argument("--regardless", action="store_true", help="time although something is wrong")
    parser.add_argument("--commit", help="what is measured, where there is no git")
    parser.add_argument("--alone", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    set_up_cuda()
    torch.set_num_threads(1)
    if arguments.alone:
        from gpu_correctness import Runs

        for found in stages(items()[arguments.alone].find(Runs(arguments.device))):
            print("\n@@" + json.dumps(found, default=str), flush=True)
        return
    arguments.output.mkdir(parents=True, exist_ok=True)
    sys.exit(0 if all(f.get("passed", True) for f in visit(arguments)["items"].values()) else 1)


if __name__ == "__main__":
    main()
