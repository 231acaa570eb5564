from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from memsweep.base.errors import UserError
from memsweep.data.conversion import convert, convert_arrays, read_pictures
from memsweep.study.folders import find_images
from PIL import EpsImagePlugin, Image

SQUARE = (8, 8)
ramp = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
colour = np.stack([ramp, ramp.T, 255 - ramp], axis=-1)


def stored(picture: Image.Image, file_format: str, **options: object) -> Image.Image:
    """The picture after a file."""
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    file.seek(0)
    return Image.open(file)


images = hnp.arrays(np.uint8, st.tuples(st.just(5), st.just(5), st.sampled_from([1, 3])))


@given(images)
def test_what_has_the_size_and_mode_keeps_its_pixels(image: np.ndarray) -> None:
    mode = "grey" if image.shape[-1] == 1 else "rgb"
    picture = stored(Image.fromarray(image.squeeze()), "PNG")
    pixels, changes = convert(picture, 5, mode)
    np.testing.assert_array_equal(pixels, image)
    assert changes == []


def test_transparent_parts_are_laid_on_white() -> None:
    alpha = np.full(SQUARE, 255, np.uint8)
    alpha[:4], alpha[4] = 0, 128
    picture = stored(Image.fromarray(np.dstack([colour, alpha])), "PNG")
    pixels, changes = convert(picture, 8, "rgb")
    share = alpha[..., None] / 255
    assert np.abs(pixels - (share * colour + (1 - share) * 255)).max() <= 1
    assert changes == ["from mode RGBA", "transparent parts laid on white"]
    opaque = stored(Image.fromarray(np.dstack([colour, np.full(SQUARE, 255, np.uint8)])), "PNG")
    pixels, changes = convert(opaque, 8, "rgb")
    np.testing.assert_array_equal(pixels, colour)
    assert changes == ["from mode RGBA"]


def test_a_palette_becomes_its_colours() -> None:
    palette = Image.fromarray((np.arange(64) % 4).astype(np.uint8).reshape(SQUARE), mode="L").convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90, 255, 0, 0])
    pixels, _ = convert(stored(palette, "PNG"), 8, "rgb")
    assert {tuple(pixel) for pixel in pixels.reshape(-1, 3)} == {(10, 20, 30), (40, 50, 60), (70, 80, 90), (255, 0, 0)}
    transparent, changes = convert(stored(palette, "PNG", transparency=3), 8, "rgb")
    assert tuple(transparent[0, 3]) == (255, 255, 255)
    assert changes == ["from mode P", "transparent parts laid on white"]


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_of_grey_become_eight(file_format: str) -> None:
    deep = ramp.astype(np.uint16) * 257 + 100
    pixels, changes = convert(stored(Image.fromarray(deep), file_format), 8, "grey")
    np.testing.assert_array_equal(pixels[..., 0], ramp)
    assert changes[0].startswith("from mode I")


def test_cmyk_becomes_rgb() -> None:
    flat = Image.new("CMYK", SQUARE, (0, 255, 255, 0))  # red
    pixels, changes = convert(stored(flat, "JPEG", quality=100), 8, "rgb")
    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() <= 4
    assert changes == ["from mode CMYK"]


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [(2, np.fliplr), (3, lambda x: np.rot90(x, 2)), (4, np.flipud), (6, lambda x: np.rot90(x, -1)), (8, np.rot90)],
)
def test_a_photograph_is_turned_upright(orientation: int, turned: Callable[[np.ndarray], np.ndarray]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels, changes = convert(stored(Image.fromarray(colour), "PNG", exif=exif), 8, "rgb")
    np.testing.assert_array_equal(pixels, turned(colour))
    assert changes == ["turned upright"]


def test_colour_becomes_luma() -> None:
    pixels, _ = convert(Image.fromarray(colour), 8, "grey")
    luma = colour @ np.array([0.299, 0.587, 0.114])  # ITU-R 601-2
    assert np.abs(pixels[..., 0] - luma).max() <= 1


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 16))
def test_any_size_is_cropped_to_its_central_square_and_resized(width: int, height: int, size: int) -> None:
    side = min(width, height)
    picture = Image.new("RGB", (width, height), (200, 100, 50))
    pixels, changes = convert(picture, size, "rgb")
    assert pixels.shape == (size, size, 3)
    assert (pixels == (200, 100, 50)).all()
    assert ("cropped to the central square" in changes) == (width != height)
    assert [change for change in changes if change in ("reduced", "enlarged")] == (
        [] if side == size else ["reduced"] if side > size else ["enlarged"]
    )


def test_the_crop_is_central_and_the_reduction_a_mean() -> None:
    wide = np.zeros((4, 12), np.uint8)
    wide[:, 4:8] = ramp[:4, :4]
    pixels, changes = convert(Image.fromarray(wide), 4, "grey")
    np.testing.assert_array_equal(pixels[..., 0], ramp[:4, :4])
    assert changes == ["cropped to the central square"]
    coarse, _ = convert(Image.fromarray(np.kron(ramp, np.ones((16, 16), np.uint8))), 8, "grey")
    assert np.abs(coarse[2:-2, 2:-2, 0].astype(int) - ramp[2:-2, 2:-2]).max() <= 2


def test_arrays_are_converted_as_pictures_are() -> None:
    grey, report = convert_arrays(np.stack([colour, colour]), 4, "grey")
    expected, _ = convert(Image.fromarray(colour), 4, "grey")
    np.testing.assert_array_equal(grey, [expected, expected])
    assert str(report) == "2 images converted (from mode RGB: 2, reduced: 2)"
    back, _ = convert_arrays(grey, 4, "rgb")
    np.testing.assert_array_equal(back, grey.repeat(3, axis=-1))


def folder_of(path: Path, **files: bytes) -> Path:
    path.mkdir(parents=True)
    for name, content in files.items():
        (path / name.replace("_", ".")).write_bytes(content)
    return path


def encoded(file_format: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.kron(colour, np.ones((8, 8, 1), np.uint8))).save(file, file_format)
    return file.getvalue()


def png_with_a_flipped_bit() -> bytes:
    content = bytearray(encoded("PNG"))
    (length,) = struct.unpack(">I", content[33:37])
    content[41 + length // 2] ^= 1
    return bytes(content)


@pytest.mark.parametrize("as_zip", [False, True])
def test_every_damaged_file_is_named(tmp_path: Path, as_zip: bool) -> None:
    jpeg = encoded("JPEG")
    folder = folder_of(
        tmp_path / "images" / "a",
        good_jpg=jpeg,
        text_png=b"hello",
        short_jpg=jpeg[:-99],
        empty_png=b"",
        flipped_png=png_with_a_flipped_bit(),
    ).parent
    Image.fromarray(ramp.astype(np.float32)).save(folder / "a" / "float.tiff")
    if as_zip:
        with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
            for file in folder.rglob("*.*"):
                archive.write(file, file.relative_to(folder))
        folder = tmp_path / "images.zip"
    with pytest.raises(UserError) as error:
        read_pictures(find_images(str(folder), "dataset.path"), 8, "rgb")
    *lines, last = str(error.value).splitlines()
    assert last == f"{folder}: 5 of 6 images cannot be used"
    assert [line.split(": ")[1] for line in lines] == [
        "a/empty.png",
        "a/flipped.png",
        "a/float.tiff",
        "a/short.jpg",
        "a/text.png",
    ]
    assert "not an image that Pillow can read; replace it or remove it" in lines[0]
    assert "truncated" in lines[3]
    assert "accepted are 8 or 16 bits a channel" in lines[2]


def test_damage_inside_a_zip_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "images.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a/1.png", encoded("PNG"))
    content = bytearray(path.read_bytes())
    content[200] ^= 255
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"images\.zip: a/1\.png: cannot be read as an image \(Bad CRC-32"):
        read_pictures(find_images(str(path), "dataset.path"), 8, "rgb")


def test_many_damaged_files_are_counted(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "images", **{f"{number}_png": b"x" for number in range(103)})
    with pytest.raises(UserError) as error:
        read_pictures(find_images(str(folder), "dataset.path"), 8, "rgb")
    last = ["... and 3 other files", f"{folder}: 103 of 103 images cannot be used"]
    assert str(error.value).splitlines()[100:] == last


def test_no_program_is_run_that_is_called_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_of(tmp_path / "images", good_png=encoded("PNG"), program_png=encoded("EPS"))
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *_: pytest.fail("it was run"))
    with pytest.raises(UserError, match=r"images: program\.png: not an image that Pillow can read"):
        read_pictures(find_images(str(folder), "dataset.path"), 8, "rgb")
