"""Which network is trained: its kind, what of the config decides its numbers, and where the user's own one lies.

A network of the user's own is known by what it holds and not by where it lies: a file by its content, an entry point by
the distribution that brings it along, and its version. So a file that changes is another network, and one that moves is
the same.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from ..base.errors import UserError
from ..base.files import content_name, named_file

# The kinds that the library has. The keys of `unet` are those of `network` itself, others have a section each
KINDS = ("unet", "dit", "mlp")
# Of installed distributions, entry points that are networks
GROUP = "memsweep.networks"


@dataclass(frozen=True)
class OwnNetwork:
    """A network that is the user's own.

    Attributes:
        name: of its class, or of its entry point.
        source: what it is: its file's `files.content_name`; or distribution and version.
        file: where it lies; None of an entry point.
    """

    name: str
    source: str
    file: Path | None


def kind_of(network: Mapping[str, Any]) -> str:
    """The kind that a config's, or a job's, ``network`` names: the U-Net where it names none."""
    return str(network.get("kind", "unet"))


def options(network: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a network's own kind, without what names it."""
    kind = kind_of(network)
    if kind == "unet":
        return {key: value for key, value in network.items() if key not in ("kind", "own", *KINDS)}
    return dict(network.get(kind if is_built_in(network) else "own", {}))


def is_built_in(network: Mapping[str, Any]) -> bool:
    """Whether a network is one of the library's."""
    return kind_of(network) in KINDS and "source" not in network


def network_settings(network: Mapping[str, Any]) -> dict[str, Any]:
    """What of a config's ``network`` decides numbers: its kind and the keys of that kind alone.

    Of a U-Net these are its keys and nothing else, as when there was no other kind. Of what this returns, it returns
    the same.

    Raises:
        UserError: as `own_network`.
    """
    kind = kind_of(network)
    if kind == "unet" and is_built_in(network):
        return options(network)
    if is_built_in(network):
        return {"kind": kind, kind: options(network)}
    if "source" in network:
        return {key: network[key] for key in ("kind", "source", "own")}
    own = own_network(kind)
    return {"kind": own.name, "source": own.source, "own": options(network)}


def network_file(network: Mapping[str, Any]) -> Path | None:
    """The file of a network, if it is the user's own: where a config names it, or where a job has found it."""
    if is_built_in(network):
        return None
    return Path(network["file"]) if "file" in network else split_path(kind_of(network))[0]


def located(network: Mapping[str, Any], files: Iterable[Path]) -> dict[str, Any]:
    """What a job is told of a network, and where its file lies: the one of these with its content.

    Raises:
        UserError: none of them has it any more, or a distribution has another version.
    """
    if is_built_in(network):
        return dict(network)
    name, source = network["kind"], network["source"]
    for file in files:
        if content_name(file.read_bytes()) == source:
            return {**network, "file": str(file)}
    if installed().get(name) == source:
        return dict(network)
    found = ", ".join(map(str, files)) or installed().get(name, "nothing installed")
    raise UserError(f"network.kind: {name} was {source} when this was planned, and is not what is found in {found}")


def split_path(kind: str) -> tuple[Path | None, str]:
    """File and class of ``./my_net.py:MyNet``; of what names no file, None and the whole."""
    path, separator, name = kind.rpartition(":")
    return (Path(path), name) if separator and path.endswith(".py") else (None, kind)


def placed(kind: str, file: Path | None) -> str:
    """A kind whose own file is counted from the folder of a study's file, or from that in which one types."""
    path, name = split_path(kind)
    if path is None:
        return kind
    at_home = Path(os.path.expanduser(path))  # noqa: PTH111  # pathlib's raises where there is no such user
    return f"{at_home if file is None else named_file(file, at_home)}:{name}"


def own_network(kind: str) -> OwnNetwork:
    """The user's own network of this name.

    Raises:
        UserError: its file cannot be read, or no installed distribution has such an entry point.
    """
    path, name = split_path(kind)
    if path is None:
        return OwnNetwork(kind, _distribution(kind), None)
    try:
        found = path.stat()
        return OwnNetwork(name, _content(path, found.st_mtime_ns, found.st_size), path)
    except OSError as error:
        raise UserError(f"network.kind: found {kind!r}, and {path} cannot be read: {error.strerror}") from None


@functools.cache
def _content(path: Path, changed: int, size: int) -> str:
    """A file is read once in each state of it, as every run asks."""
    return content_name(path.read_bytes())


@functools.cache
def installed() -> dict[str, str]:
    """The networks that installed distributions bring along, each with distribution and version."""
    points = metadata.entry_points(group=GROUP)
    return {point.name: f"{point.dist.name} {point.dist.version}" if point.dist else "" for point in points}


def _distribution(name: str) -> str:
    if name not in installed():
        raise UserError(f"network.kind: found {name!r}; accepted is {accepted_kinds()}")
    return installed()[name]


def accepted_kinds() -> str:
    """What can be written as a kind, as a phrase."""
    beside = f", or {', '.join(sorted(installed()))}, which are installed" if installed() else ""
    return f"one of {', '.join(KINDS)}, a file and its class such as ./my_net.py:MyNet, or an entry point{beside}"
