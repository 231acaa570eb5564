"""What a comparison found, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd

from ..data.given import Given
from ..metrics.comparison import Compared

Row = Mapping[Any, Any]

# What is less probable is as good as impossible
_LEAST = 1e-6


def answer(found: Compared, rate: float, confidence: float) -> str:
    """Whether generated images are copies, a sentence a line, the most important one first.

    Args:
        found: the comparison.
        rate: false-positive rate that was asked for.
        confidence: level of intervals; what would be seen with less than the rest without copying is called copying.
    """
    shares = by("rule", found.copy_shares)
    lines = []
    if exact := _exact(found):
        lines.append(f"It copies: {exact}.")
    field = shares["field"]
    by_field = f"{share(field)} of {count(field['generated'])} generated images are copies"
    if "calibrated" in shares:
        lines += _calibrated(shares["calibrated"], by("metric", found.battery)["nearer"], confidence, bool(exact))
        lines.append(
            f"By the field's rule (d1/d2 < 1/3), {by_field}, and {share(field, 'held_out_')} of the held-out images."
        )
    else:
        lines.append(f"By the field's rule (d1/d2 < 1/3), {by_field}.")
        lines.append(
            "How many images that copy nothing this rule would call copies cannot be said without held-out images."
        )
    if "sscd" in shares:
        lines.append(_sscd(shares["sscd"]))
    return "\n".join(lines)


def _exact(found: Compared) -> str:
    """That more generated than held-out images equal training images, as a clause; nothing where it is not so."""
    equal, generated = found.duplicates.generated_train, len(found.nearest_pairs)
    also = found.duplicates.held_out_train
    held_out = int(found.copy_shares["held_out"].max()) + also + found.duplicates.held_out_near
    if not equal or (also and also / held_out >= equal / generated):
        return ""
    beside = f", and {also:,} of {held_out:,} held-out images do" if also else ""
    return f"{equal:,} of {generated:,} generated images equal a training image in every pixel{beside}"


def _calibrated(row: Row, nearer: Row, confidence: float, is_known: bool) -> Iterator[str]:
    """What the calibrated rule says; ``is_known`` is whether copying is beyond doubt anyway."""
    copies = f"{share(row)} of {count(row['generated'])} generated images are copies at {calibrated_rule(row)}"
    closer = (
        f"a generated image is nearer to the training images than a held-out image is with probability "
        f"{_interval(nearer)}, which is 0.5 for a model that knows nothing of its own training images"
    )
    chance = f"{row['chance']:.1g}" if row["chance"] >= _LEAST else f"below {_LEAST:g}"
    by_chance = f"without copying, so many would be seen with probability {chance}"
    if row["chance"] < 1 - confidence:
        yield f"{'' if is_known else 'It copies: '}{copies}; {by_chance}."
    elif is_known:
        yield f"{copies}; {by_chance}."
    elif nearer["ci_low"] > 0.5:
        yield f"No image can be told from chance to be a copy, but the images lean towards the training set: {closer}."
        yield f"{copies}; {by_chance}. Blurred or averaged images lean so, too."
        return
    else:
        yield f"No sign of copying: {copies}; {by_chance}."
    yield f"{closer[0].upper()}{closer[1:]}."
    if nearer["ci_high"] < 0.5:
        yield "Generated images are farther off than real ones: samples of low quality would hide copies."


def calibrated_rule(row: Row) -> str:
    """What the calibrated rule is."""
    rate = f"{share(row, 'held_out_')} of {count(row['held_out'])}"
    return f"a rule that calls {rate} held-out images copies (d1/d2 < {row['threshold']:.2g})"


def _sscd(row: Row) -> str:
    beside = f", and {share(row, 'held_out_')} of the held-out images" if row["held_out"] else ""
    return f"By the SSCD score (similarity > {row['threshold']:g}), {share(row)} of them are copies{beside}."


def copy_rule(found: Compared) -> str:
    """What makes a pair of the sheet a copy."""
    shares = by("rule", found.copy_shares)
    if "calibrated" not in shares:
        return "framed: a copy by the field's rule, $d_1 / d_2$ < 1/3"
    row = shares["calibrated"]
    return (
        f"framed: a copy, $d_1 / d_2$ < {row['threshold']:.2g}, as {percent(row['held_out_value'])} of held-out images"
    )


def remarks(found: Compared, rate: float, given: Mapping[str, Given]) -> Iterator[str]:
    """What of the images is to be known beside the answer."""
    duplicates, generated = found.duplicates, given["GENERATED"].role
    if "HELD_OUT" not in given:
        yield "Without HELD_OUT there is no false-positive rate, and no value of a perfect sampler to compare with."
    elif found.rate > rate:
        images = int(found.copy_shares["held_out"].max())
        instead = f"{percent(found.rate)} stands for {percent(rate)}"
        yield f"{images} held-out images set no rate below 1 in {images + 1}: {instead}."
    for images, sentence in (
        (duplicates.train, "TRAIN: left out, as they equal others of the set: {}"),
        (duplicates.generated, f"{generated}: equal to others of the set: {{}}"),
        (duplicates.generated_held_out, f"{generated}: equal to a held-out image in every pixel: {{}}"),
        (duplicates.held_out_train, "HELD_OUT: left out, as they equal a training image in every pixel: {}"),
        (duplicates.held_out_near, "HELD_OUT: left out, as they nearly equal a training image: {}"),
    ):
        if images:
            yield sentence.format(f"{images:,} images" if images > 1 else "1 image")


def percent(share: float) -> str:
    """A share in percent, in as many digits as say something."""
    return f"{100 * share:.1f} %" if share >= 0.01 else f"{100 * share:.2g} %"


def share(row: Row, of: str = "") -> str:
    """A share with its interval."""
    low, high = (percent(row[f"{of}{end}"]).removesuffix(" %") for end in ("ci_low", "ci_high"))
    return f"{percent(row[f'{of}value'])} [{low}, {high}]"


def _interval(row: Row) -> str:
    return f"{row['value']:.2f} [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"


def count(number: float) -> str:
    """A whole number, its thousands divided."""
    return f"{int(number):,}"


def by(column: str, table: pd.DataFrame) -> dict[str, Row]:
    """The rows of a table by a column; of several, the last."""
    return {row[column]: row for row in table.to_dict("records")}
