"""Files of every kind that pictures come in, against readers that share no code with Pillow: OpenCV and tifffile."""

from __future__ import annotations

import io
import itertools
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from memsweep.data.conversion import convert
from PIL import Image, TiffImagePlugin

SIZE = 8
ramp = np.arange(64, dtype=np.uint8).reshape(SIZE, SIZE) * 4
colour = np.stack([ramp, ramp.T, 255 - ramp], axis=-1)
alpha = np.where(np.arange(64).reshape(SIZE, SIZE) % 3 == 0, 0, 40 + 3 * ramp.T // 4).astype(np.uint8)
deep = ramp.astype(np.uint16) * 257 + np.arange(64, dtype=np.uint16).reshape(SIZE, SIZE)


def palette() -> Image.Image:
    picture = Image.fromarray((np.arange(64) % 4).astype(np.uint8).reshape(SIZE, SIZE)).convert("P")
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 255, 0, 0])
    return picture


SOURCES: dict[str, Image.Image] = {
    "1": Image.fromarray(np.where(ramp.T + ramp > 150, 255, 0).astype(np.uint8)).convert("1"),
    "L": Image.fromarray(ramp),
    "LA": Image.fromarray(np.dstack([ramp, alpha])),
    "P": palette(),
    "RGB": Image.fromarray(colour),
    "RGBA": Image.fromarray(np.dstack([colour, alpha])),
    "CMYK": Image.fromarray(np.dstack([colour, ramp // 4]), mode="CMYK"),
    "I;16": Image.fromarray(deep),
}

# The eight orientations of EXIF, as what is done to a stored picture to see it upright
TURNS: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda x: x,
    2: np.fliplr,
    3: lambda x: np.rot90(x, 2),
    4: np.flipud,
    5: lambda x: np.swapaxes(x, 0, 1),
    6: lambda x: np.rot90(x, -1),
    7: lambda x: np.swapaxes(np.rot90(x, 2), 0, 1),
    8: np.rot90,
}


def written(picture: Image.Image, file_format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    return file.getvalue()


def laid_on_white(samples: np.ndarray) -> np.ndarray:
    """Samples (H, W[, 1 to 4]), the last of an even number being opacity, as RGB on 0 ... 255."""
    largest = np.iinfo(samples.dtype).max
    values = np.atleast_3d(samples) / largest
    if values.shape[-1] in (2, 4):
        values = values[..., :-1] * values[..., -1:] + 1 - values[..., -1:]
    return 255 * np.broadcast_to(values, (*values.shape[:2], 3))


def by_opencv(content: bytes) -> np.ndarray:
    """RGB on 0 ... 255, as stored."""
    samples = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert samples is not None
    if samples.ndim == 3:
        samples = samples[..., [2, 1, 0, *range(3, samples.shape[-1])]]
    return laid_on_white(samples)


def by_tifffile(content: bytes) -> np.ndarray:
    """RGB on 0 ... 255, as stored."""
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        (page,) = file.pages
        samples, photometric = page.asarray(), page.photometric.name
        if samples.dtype == bool:
            samples = samples.astype(np.uint8) * 255
        if photometric == "MINISWHITE":
            samples = np.iinfo(samples.dtype).max - samples
        elif photometric == "PALETTE":
            samples = (page.colormap.T >> 8).astype(np.uint8)[samples]
        elif photometric == "SEPARATED":
            inks = 1 - samples / 255
            return 255 * inks[..., :3] * inks[..., 3:]
        return laid_on_white(samples)


def orientation(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


Reader = Callable[[bytes], np.ndarray]


def files() -> Iterator[tuple[str, bytes, Reader, int, float]]:
    """A name, a file, who else reads it, its orientation, and how far readers may be apart."""
    for mode, turn in itertools.product(("1", "L", "LA", "P", "RGB", "RGBA", "I;16"), TURNS):
        yield f"png {mode} {turn}", written(SOURCES[mode], "PNG", exif=orientation(turn)), by_opencv, turn, 1
    for bits in (1, 2, 4, 8):
        few = Image.fromarray(np.asarray(SOURCES["P"]) & (2**bits - 1)).convert("P")
        few.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 255, 0, 0])
        for name, options in (("opaque", {}), ("one", {"transparency": 1}), ("bytes", {"transparency": b"\x00\x80"})):
            content = written(few, "PNG", bits=bits, **options)
            yield f"png P of {bits} bits {name}", content, by_opencv, 1, 1
    for mode, suffix in (("1", "bmp"), ("L", "bmp"), ("P", "bmp"), ("RGB", "bmp"), ("RGBA", "bmp")):
        yield f"bmp {mode}", written(SOURCES[mode], suffix), by_opencv, 1, 1
    for mode in ("1", "L", "RGB", "I;16"):
        yield f"ppm {mode}", written(SOURCES[mode], "PPM"), by_opencv, 1, 1
    for mode, turn in itertools.product(("RGB", "RGBA"), TURNS):
        content = written(SOURCES[mode], "WEBP", lossless=True, exact=True, exif=orientation(turn))
        yield f"webp {mode} {turn}", content, by_opencv, turn, 1
    for mode, turn in itertools.product(("L", "RGB"), TURNS):
        content = written(SOURCES[mode], "JPEG", quality=95, subsampling=0, exif=orientation(turn))
        yield f"jpeg {mode} {turn}", content, by_opencv, turn, 3
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"):
        for compression, turn in itertools.product(("raw", "tiff_adobe_deflate"), TURNS):
            info = TiffImagePlugin.ImageFileDirectory_v2()
            info[0x0112] = turn
            content = written(SOURCES[mode], "TIFF", compression=compression, tiffinfo=info)
            yield f"tiff {mode} {compression} {turn}", content, by_tifffile, turn, 1
    for mode, turn in itertools.product(("1", "L", "I;16"), TURNS):
        yield f"tiff {mode} white is zero {turn}", white_is_zero(mode, turn), by_tifffile, turn, 1
    for photometric, kind in itertools.product(("minisblack", "miniswhite"), (np.uint8, np.uint16)):
        for order, compression in itertools.product("<>", (None, "zlib")):
            if (photometric, kind, order) == ("miniswhite", np.uint16, ">"):
                continue  # which Pillow does not open
            file = io.BytesIO()
            samples = deep if kind is np.uint16 else ramp
            tifffile.imwrite(file, samples, photometric=photometric, byteorder=order, compression=compression)
            name = f"tiff of others, {photometric} {samples.dtype} {order} {compression}"
            yield name, file.getvalue(), by_tifffile, 1, 1
    for kind, extra in itertools.product((np.uint8, np.uint16), (None, "unassalpha")):
        file = io.BytesIO()
        samples = np.dstack([colour, alpha] if extra else [colour]).astype(kind) * (257 if kind is np.uint16 else 1)
        tifffile.imwrite(file, samples, photometric="rgb", extrasamples=extra)
        yield f"tiff of others, rgb {samples.dtype} {extra}", file.getvalue(), by_tifffile, 1, 1


def white_is_zero(mode: str, turn: int) -> bytes:
    """A TIFF of inverted samples. Pillow inverts what it writes, but for 16 bits; each reader says what it finds."""
    info = TiffImagePlugin.ImageFileDirectory_v2()
    info[0x0112], info[0x0106] = turn, 0
    return written(SOURCES[mode], "TIFF", tiffinfo=info)


FILES = {name: rest for name, *rest in files()}


@pytest.mark.parametrize("name", FILES)
def test_a_picture_is_what_another_reader_sees(name: str) -> None:
    content, reader, turn, apart = FILES[name]
    with Image.open(io.BytesIO(content)) as picture:
        pixels, _ = convert(picture, SIZE, "rgb")
    np.testing.assert_allclose(pixels, TURNS[turn](reader(content)), rtol=0, atol=apart + 1e-6)


def png(samples: np.ndarray, depth: int, kind: int, transparent: tuple[int, ...] = ()) -> bytes:
    """A PNG of any bit depth: samples (H, W) of kind 0, grey, or (H, W, 3) of kind 2, colour."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = samples.reshape(len(samples), -1)
    if depth == 16:
        packed = [row.astype(">u2").tobytes() for row in rows]
    else:
        bits = (rows[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        packed = [np.packbits(row.astype(np.uint8).ravel()).tobytes() for row in bits]
    head = struct.pack(">IIBBBBB", samples.shape[1], samples.shape[0], depth, kind, 0, 0, 0)
    parts = [chunk(b"IHDR", head)]
    if transparent:
        parts.append(chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)))
    parts.append(chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in packed))))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


@pytest.mark.parametrize("is_transparent", [False, True])
@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
def test_a_grey_png_of_any_depth_with_one_transparent_value(depth: int, is_transparent: bool) -> None:
    largest = 2**depth - 1
    samples = np.arange(64).reshape(SIZE, SIZE) * largest // 63
    value = int(samples[3, 3])
    content = png(samples, depth, 0, (value,) if is_transparent else ())
    expected = np.where(is_transparent & (samples == value), 255, np.round(samples * 255 / largest))
    for mode in ("grey", "rgb"):
        pixels, changes = convert(Image.open(io.BytesIO(content)), SIZE, mode)
        np.testing.assert_allclose(pixels, np.broadcast_to(expected[..., None], pixels.shape), atol=0)
        assert ("transparent parts laid on white" in changes) == is_transparent
    if not is_transparent:
        np.testing.assert_allclose(by_opencv(content)[..., 0], expected, atol=0.5)


@pytest.mark.parametrize("is_transparent", [False, True])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_colour_png_of_either_depth_with_one_transparent_colour(depth: int, is_transparent: bool) -> None:
    samples = colour.astype(int) * (257 if depth == 16 else 1)
    chosen = tuple(int(value) for value in samples[3, 3])
    content = png(samples, depth, 2, chosen if is_transparent else ())
    is_chosen = is_transparent & (samples == chosen).all(axis=-1, keepdims=True)
    pixels, _ = convert(Image.open(io.BytesIO(content)), SIZE, "rgb")
    np.testing.assert_array_equal(pixels, np.where(is_chosen, 255, colour))


def test_twelve_bits_of_grey_become_eight() -> None:
    samples = (np.arange(64) * 65).reshape(SIZE, SIZE)  # 0 ... 4095
    bits = ((samples[..., None] >> np.arange(11, -1, -1)) & 1).astype(np.uint8)
    strip = np.packbits(bits.ravel()).tobytes()
    tags = [(256, 3, 8), (257, 3, 8), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 8), (277, 3, 1), (278, 3, 8)]
    tags.append((279, 4, len(strip)))
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    place = 8 + len(strip)
    content = b"II*\0" + struct.pack("<I", place) + strip + struct.pack("<H", len(tags)) + entries + bytes(4)
    pixels, _ = convert(Image.open(io.BytesIO(content)), SIZE, "grey")
    np.testing.assert_array_equal(pixels[..., 0], np.round(samples * 255 / 4095))


def several(file_format: str) -> bytes:
    pictures = [Image.fromarray(colour), Image.fromarray(255 - colour), Image.fromarray(colour[::-1].copy())]
    return written(pictures[0], file_format, save_all=True, append_images=pictures[1:])


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF", "GIF"])
def test_a_file_of_several_pictures_is_refused(file_format: str) -> None:
    with pytest.raises(ValueError, match="holds 3 pictures, frames or pages; accepted is one a file"):
        convert(Image.open(io.BytesIO(several(file_format))), SIZE, "rgb")


def test_of_a_photograph_with_smaller_versions_of_itself_the_first_is_taken() -> None:
    picture = Image.open(io.BytesIO(several("MPO")))
    assert picture.format == "MPO"
    pixels, changes = convert(picture, SIZE, "rgb")
    assert np.abs(pixels.astype(int) - colour).mean() < 20
    assert changes == ["the first of several in a file"]


@pytest.mark.parametrize("kind", [np.int16, np.uint32, np.float32])
def test_pixels_without_an_agreed_white_are_refused(kind: type) -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, ramp.astype(kind), photometric="minisblack")
    with pytest.raises(ValueError, match="no agreed white"):
        convert(Image.open(file), SIZE, "grey")
