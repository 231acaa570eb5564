"""The figures of a study on its page: images of few colours, captions as HTML, and texts in their place."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from docutils.core import publish_parts
from jinja2 import Environment
from PIL import Image

from ...base.errors import UserError
from ...study.figures import Figure

# Colours of an image on the page: a third of the bytes, and no difference to the eye
COLOURS = 128


@dataclass(frozen=True)
class Picture:
    """A figure on the page.

    Attributes:
        name: of its file, without a suffix.
        title: what it is called.
        source: the image as a data URL.
        width, height: in pixels.
        alt: what it shows, for those who do not see it.
        caption: HTML.
    """

    name: str
    title: str
    source: str
    width: int
    height: int
    alt: str
    caption: str


def pictures(study: Any, folder: Path, captions: Path) -> list[Picture]:
    """The figures of a study that are drawn, in the order in which they are read.

    Args:
        study: as `kinds.open_study` gives it.
        folder: of the figures.
        captions: folder of the captions of figures.
    """
    drawn = [
        (figure, axis, file)
        for figure in study.figures
        if figure.when(study)
        for axis in (study.axes if "{axis}" in figure.path else [""])
        if (file := folder / f"{figure.path.format(axis=axis)}.png").is_file()
    ]
    with ThreadPoolExecutor(2) as pool:
        images = list(pool.map(_embedded, (file for _, _, file in drawn)))
    return [
        _picture(figure, axis, file.stem, image, _text(captions / f"{figure.name}.rst"), study.config)
        for (figure, axis, file), image in zip(drawn, images, strict=True)
    ]


def _picture(
    figure: Figure, axis: str, name: str, image: tuple[str, tuple[int, int]], caption: str, config: Mapping[str, Any]
) -> Picture:
    """A figure with its caption; ``image``: as `_embedded` gives it."""
    (source, size), written = image, caption_html(caption, config, axis)
    title = f"{figure.shows} along {axis.replace('_', ' ')}" if axis else figure.shows
    alt = f"Figure of {title}. {first_sentence(written)}"
    return Picture(name, title[0].upper() + title[1:], source, *size, alt, written)


def _text(file: Path) -> str:
    """A caption; none where the package is installed without the workflow."""
    return file.read_text() if file.is_file() else ""


def _embedded(file: Path) -> tuple[str, tuple[int, int]]:
    try:
        with Image.open(file) as image:
            full = image.convert("RGB")
    except OSError as error:
        raise UserError(f"{file}: no whole image ({error}); delete it to have it drawn again") from None
    few = full.quantize(COLOURS, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    return png_url(few), few.size


def png_url(image: Image.Image) -> str:
    """An image as a data URL."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def caption_html(text: str, config: Mapping[str, Any], axis: str = "") -> str:
    """A caption, reStructuredText with Jinja as Snakemake has it, as HTML.

    Args:
        text: the caption.
        config: the study's configuration, ``snakemake.config`` of the caption.
        axis: the figure's axis, ``snakemake.wildcards.axis``.
    """
    known = SimpleNamespace(config=config, wildcards=SimpleNamespace(axis=axis))
    filled = Environment().from_string(text).render(snakemake=known)
    quiet = {"report_level": 5, "file_insertion_enabled": False, "raw_enabled": False, "doctitle_xform": False}
    return str(publish_parts(filled, writer="html5", settings_overrides=quiet)["body"]).strip()


def first_sentence(markup: str) -> str:
    """The first sentence of some HTML, without its tags."""
    words = " ".join(html.unescape(re.sub(r"<[^>]+>", "", markup)).split())
    return re.split(r"(?<=[.:])\s", words, maxsplit=1)[0]
