"""The command ``compare``: whether a model trained elsewhere copies its training images, and since when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.given import follow
from ..base.errors import UserError
from ..data.given import Given, alike, read_given
from ..data.given_losses import read_losses
from ..data.given_steps import check_no_steps, find_steps, read_steps
from ..metrics.calibration import RATE
from ..metrics.comparison import SPACES, references
from ..study.config import section
from ..study.listing import local
from . import comparison_words as words
from . import course_words
from .comparison_files import write_comparison
from .comparison_result import Comparison

Source = str | Path | np.ndarray


def compare(
    generated: Source,
    train: Source,
    held_out: Source | None = None,
    *,
    losses: str | Path | None = None,
    onset: Mapping[str, Any] | None = None,
    space: str = "pixels",
    output: str | Path | None = None,
    size: int | None = None,
    rate: float = RATE,
    confidence: float = 0.95,
    weights: str | Path | None = None,
) -> Comparison:
    """Compare generated images with the images that a model was trained on, and with others that were held out.

    Args:
        generated, train, held_out: folders or zip files of pictures, ``.npy`` or ``.npz`` files, or arrays of images:
            uint8, or floats from 0 to 1 or from -1 to 1, as (n, H, W), (n, H, W, C) or (n, C, H, W). Held-out images
            are drawn like the training images and were not trained on; without them no false-positive rate is known.
            Of a training, ``generated`` is a folder with such a folder or file for each step, called ``step=1000``,
            ``step=1000.npz`` and so on.
        losses: of a training, a CSV file with columns ``step``, ``train_loss`` and ``test_loss``, and perhaps
            ``train_loss_se`` and ``test_loss_se``.
        onset: of a training, keys of a study's section ``onset``, such as ``f_mem``; others are a study's defaults.
        space: in which images are compared: ``pixels``, ``inception``, ``sscd`` or ``dinov2``.
        output: folder that receives tables, answer and the sheet of the nearest pairs; None to write nothing.
        size: height and width to which the central square of each picture is resized; None where they are of one size.
        rate: share of held-out images that the calibrated rule may call copies.
        confidence: level of all intervals.
        weights: file of the weights of the network of ``space``, where it is not to be fetched.

    Raises:
        UserError: an argument is wrong, files are missing or damaged, or images of the sets are not alike; its text is
            a sentence.
    """
    _check(space, size, rate, confidence)
    places = {} if isinstance(generated, np.ndarray) else find_steps(generated, "GENERATED")
    _check_steps(places, {"losses": losses, "onset": onset})
    chosen, means = _onset(onset or {}), None if losses is None else read_losses(losses, "--losses")
    given, steps = _read(generated, places, {"TRAIN": train, "HELD_OUT": held_out}, size)
    own_weights = None if weights is None else {space: str(weights)}
    sets = given["TRAIN"], given.get("HELD_OUT")
    with _named_as_options(space), references(*sets, space, own_weights, rate, confidence) as known:
        name = local(str(generated)).resolve().name if steps else ""
        course = follow(name, steps, known, means, chosen) if steps else None
        found = known.compare(given["GENERATED"], known.placed(given["GENERATED"]))
    answer = words.answer(found, rate, confidence)
    remarks = [remark for each in sets if each for remark in each.remarks]
    if course:
        answer = "\n".join([*course_words.answer(course, found), f"At the last step, {max(steps):,}:", answer])
        remarks = [*course_words.remarks(course, found, steps, means), *remarks]
    else:
        remarks = [*given["GENERATED"].remarks, *remarks]
    remarks += words.remarks(found, rate, given)
    result = Comparison(answer, tuple(remarks), found.copy_shares, found.battery, found.nearest_pairs, course)
    if output is None:
        return result
    settings = {"space": space, "rate": found.rate, "confidence": confidence, **({"onset": chosen} if course else {})}
    return replace(result, files=write_comparison(Path(output), result, found, given, settings))


def _check_steps(places: Mapping[int, Path], options: Mapping[str, Any]) -> None:
    """That options of a training are not given without one."""
    for name, value in options.items():
        if value and not places:
            raise UserError(
                f"--{name}: found beside GENERATED without steps; accepted beside a folder of steps, called step=1000 "
                f"and so on"
            )


@contextmanager
def _named_as_options(space: str) -> Iterator[None]:
    """What is wrong with a space is said of the keys of a study, which are options here."""
    try:
        yield
    except UserError as error:
        said = str(error).replace(f"metrics.weights.{space}", "--weights").replace("metrics.spaces:", "--space:")
        raise UserError(said) from None


def _check(space: str, size: int | None, rate: float, confidence: float) -> None:
    if space not in SPACES:
        raise UserError(f"--space: found {space!r}; accepted is one of {', '.join(SPACES)}")
    for name, value in (("rate", rate), ("confidence", confidence)):
        if not 0 < value < 1:
            raise UserError(f"--{name}: found {value}; accepted is a number between 0 and 1")
    if size is not None and size < 1:
        raise UserError(f"--size: found {size}; accepted is a number of pixels, at least 1")


def _onset(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """A study's section ``onset``."""
    try:
        return section("onset", given)
    except UserError as error:
        raise UserError(str(error).replace("onset.", "--onset ")) from None


def _read(
    generated: Source, places: Mapping[int, Path], references: Mapping[str, Source | None], size: int | None
) -> tuple[dict[str, Given], dict[int, Given]]:
    """The sets by role, all alike, of a training with those of its last step; and those of its steps."""
    sets = read_steps(places, "GENERATED", size) or {0: read_given(generated, "GENERATED", size)}
    if not places:
        check_no_steps(sets[0], generated)
    others = [read_given(source, role, size) for role, source in references.items() if source is not None]
    equal = alike([*sets.values(), *others])
    steps = dict(zip(sets, equal, strict=False))
    given = {"GENERATED": equal[len(sets) - 1], **{each.role: each for each in equal[len(sets) :]}}
    return given, steps if places else {}
