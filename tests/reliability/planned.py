"""The jobs that Snakemake would run, run here one after the other in this process.

Snakemake plans them and says their commands, so that the rules are those of the workflow; what is saved is a process
for each job, which would load torch.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from helpers.projects import Project
from memsweep.__main__ import main


@dataclass(frozen=True)
class Job:
    """One job of a plan.

    Attributes:
        rule: its name.
        inputs, outputs: files, relative to the project.
        arguments: of the command `memsweep`.
        settings: on its standard input.
    """

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    arguments: tuple[str, ...]
    settings: str

    def mentions(self, file: str) -> bool:
        """Whether it reads a file, by its name or by that of a folder around it."""
        given = self.inputs + tuple(self.arguments[: self.arguments.index("--output")])
        return any(file == each or file.startswith(f"{each}/") for each in given if each.startswith("results/"))


def plan(project: Project, *arguments: str) -> list[Job] | str:
    """All jobs of the project's study, each after those whose files it reads; or what is said instead of a plan."""
    planned = project.snakemake("-n", "--forceall", "--printshellcmds", *arguments, check=False)
    if planned.returncode:
        return planned.stdout
    jobs = [_job(block) for block in planned.stdout.split("\n\n") if "Shell command: python" in block]
    made = {file for job in jobs for file in job.outputs}
    ordered: list[Job] = []
    while jobs:
        there = {file for job in ordered for file in job.outputs}
        ready = [job for job in jobs if all(file in there or file not in made for file in job.inputs)]
        assert ready, "the plan has a circle"
        ordered += ready
        jobs = [job for job in jobs if job not in ready]
    return ordered


def _job(block: str) -> Job:
    def files(name: str) -> tuple[str, ...]:
        found = re.search(rf"^    {name}: (.*)$", block, re.MULTILINE)
        return tuple(found[1].split(", ")) if found else ()

    words = shlex.split(block.split("Shell command: ", 1)[1].strip())
    assert words[:3] == ["python", "-m", "memsweep"]
    settings = words.index("<<<")
    rule = re.search(r"^(?:local)?rule (\w+):$", block, re.MULTILINE)
    assert rule
    return Job(rule[1], files("input"), files("output"), tuple(words[3:settings]), words[settings + 1])


def run(job: Job, folder: Path) -> tuple[int, str]:
    """Its exit status, and what it says; what it raises instead of saying it is raised here."""
    for output in job.outputs:
        (folder / output).parent.mkdir(parents=True, exist_ok=True)
    said = io.StringIO()
    with contextlib.chdir(folder), _input(job.settings), contextlib.redirect_stderr(said):
        return main(job.arguments), said.getvalue()


@contextlib.contextmanager
def _input(text: str) -> Iterator[None]:
    before, sys.stdin = sys.stdin, io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = before


def memsweep(*arguments: str, folder: Path) -> tuple[int, str]:
    """The exit status of a command for people, and all that it says."""
    said = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            status = main(arguments)
        except SystemExit as ended:
            status = int(ended.code or 0)
    return status, said.getvalue()
