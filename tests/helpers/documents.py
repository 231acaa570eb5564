"""The blocks of documentation, done in a copy of the project as they are written."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

from helpers.projects import Project

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of an example: a language and its lines."""

    language: str
    text: str

    @property
    def written(self) -> list[str]:
        """What is to be written or typed; not where it goes, nor what stands there."""
        lines = self.text.splitlines()
        if self.language == "diff":
            return [line[1:] for line in lines[1:] if line.startswith("+")]
        return lines if self.language == "sh" else "\n".join(lines[1:]).strip().splitlines()

    def apply(self, project: Project) -> str:
        """Do what the block says. What is typed answers with what it prints, both streams together."""
        if self.language == "sh":
            done = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", self.text],
                cwd=project.folder,
                env=project.loaded_environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=600,
                check=False,
            )
            assert done.returncode == 0, f"{self.text}\n{done.stdout}"
            return done.stdout
        if self.language == "diff":
            name, _, changes = self.text.removeprefix("+++ ").partition("\n")
            file = project.folder / name
            content = file.read_text()
            for hunk in changes.split("@@\n"):
                lines = hunk.splitlines(keepends=True)
                before, after = (
                    "".join(line[1:] for line in lines if line[0] in kept) for kept in ((" ", "-"), (" ", "+"))
                )
                assert content.count(before) == 1, f"{name}: not there once:\n{before}"
                content = content.replace(before, after)
            file.write_text(content)
        else:
            marker, name = self.text.split(maxsplit=2)[:2]
            assert marker in ("#", "..")
            assert not (project.folder / name).exists(), f"{name} is there already"
            (project.folder / name).write_text(self.text)
        return ""


def sections(document: str, heading: str) -> dict[str, list[Block]]:
    """The blocks of a document's sections, by the titles of these; ``heading``: what such a title begins with."""
    parts = re.split(rf"^{heading} ", document, flags=re.MULTILINE)[1:]
    return {title: blocks(text) for title, _, text in (part.partition("\n") for part in parts)}


def blocks(text: str) -> list[Block]:
    """The blocks that name a language; those without are what is printed, or pictures."""
    return [Block(*block) for block in FENCE.findall(text)]
