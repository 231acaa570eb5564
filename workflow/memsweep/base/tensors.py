"""Named tensors in a file that says what it is: safetensors, with metadata, sealed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from .files import replacing
from .sealed import KEY, UNSEALED, Damaged, seal, sealed_digest

if TYPE_CHECKING:  # whoever only names files should not wait for torch
    from torch import Tensor


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], before: Path | None = None
) -> None:
    """Write tensors under their names, whole or not at all.

    Args:
        path: the file.
        tensors: on any device.
        metadata: what the file says of itself.
        before: receives what was in the file before.

    Raises:
        OSError: as of any file, a full disk among them.
    """
    from safetensors.torch import save

    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    content = _in_order(save(whole, {**metadata, KEY: UNSEALED}))
    with replacing(path) as temporary:
        temporary.write_bytes(content)
        seal(temporary)
        if before is not None and path.exists():
            before.unlink(missing_ok=True)
            try:
                before.hardlink_to(path)  # so that there is a file at any moment
            except OSError:  # a file system without links
                path.replace(before)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a file, on the CPU, and its metadata.

    Raises:
        FileNotFoundError: there is no such file.
        Damaged: it is not what `save_tensors` wrote.
    """
    from safetensors import SafetensorError, safe_open

    sealed_digest(path)
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except SafetensorError as error:
        raise Damaged(f"{path}: not a file of tensors ({error})") from None


def tensors_metadata(path: Path) -> dict[str, str]:
    """The metadata of a file of tensors that has been found whole; errors as of `load_tensors`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except SafetensorError as error:
        raise Damaged(f"{path}: not a file of tensors ({error})") from None


def _in_order(content: bytes) -> bytes:
    """The same file with its metadata in order, which the library leaves to chance, so that it has the same bits."""
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[8 + length :]
