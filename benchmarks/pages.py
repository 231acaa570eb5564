"""How long pages and figures of a finished study take, and how long their commands take to begin.

    python benchmarks/pages.py                                # of results/digits, half a minute on one core
    python benchmarks/pages.py --study my.yaml --results /scratch/results

Each round starts every process once, one after the other, so that a machine whose speed drifts meets all alike: what
the stages `figure`, `pages` and `summarise` import, in a process each, beside numpy with pandas and pyarrow, which they
read tables with, and beside torch, which none of them loads; and the stage `summarise` as the workflow calls it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from memsweep.study.kinds import open_sweep
from memsweep.tables.parquet import read_table
from record import RESULTS, commit, machine, save, spread

IMPORTS = {
    "numpy, pandas and pyarrow": "import numpy, pandas, pyarrow.parquet",
    "torch": "import torch",
    "figure": "import memsweep.figures.draw, memsweep.figures.sweep.dynamics",
    "pages": "import memsweep.report.pages",
    "summarise": "import memsweep.report.summary.page",
}
CHECK = "; import sys; sys.exit('torch' in sys.modules)"


def seconds(command: list[str], settings: str | None = None) -> float:
    """Wall time of a process."""
    started = time.perf_counter()
    subprocess.run(command, input=settings, text=True, check=True)
    return time.perf_counter() - started


def imported(code: str) -> float:
    """Seconds from the start of a process to its end, in which it imports and does nothing else."""
    return seconds([sys.executable, "-c", code + (CHECK if "torch" not in code else "")])


def summarised(file: Path, results: Path, page: Path) -> float:
    """Seconds of the stage `summarise` of a finished study."""
    study = open_sweep(file, "which has such a page here")
    folder = results / study.place
    tables = sorted(path.stem for path in (folder / "tables").glob("*.parquet"))
    settings = json.dumps({"config": study.config, "asked": {}, "tables": tables})
    command = [sys.executable, "-m", "memsweep", "summarise", "--study", str(results / study.name)]
    return seconds([*command, "--output", str(page)], settings)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", type=Path, default=Path("config/config.yaml"), help="its YAML file")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS / "pages.json")
    arguments = parser.parse_args()
    study = open_sweep(arguments.study, "which has such a page here")
    runs = len(read_table(arguments.results / study.place / "tables" / "runs.parquet", "runs"))
    taken: dict[str, list[float]] = {name: [] for name in (*IMPORTS, "summary")}
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "summary.html"
        for _ in range(arguments.rounds):
            for name, code in IMPORTS.items():
                taken[name].append(imported(code))
            taken["summary"].append(summarised(arguments.study, arguments.results, page))
        size = page.stat().st_size
    found: dict[str, Any] = {name: spread(each) for name, each in taken.items()}
    for name, each in found.items():
        what = f"the summary of {runs} runs" if name == "summary" else f"import {name}"
        print(f"{what:36} {each['median']:6.2f} s [{each['min']:.2f}, {each['max']:.2f}]")
    about = {**machine("cpu", "pandas", "matplotlib", "altair"), "commit": commit(), "rounds": arguments.rounds}
    save({**about, "runs": runs, "bytes": size, "seconds": found}, arguments.output)


if __name__ == "__main__":
    main()
