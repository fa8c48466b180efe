"""Image files of every mode, as a person sees them."""

from __future__ import annotations

import io
import itertools
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from pipeline.data.image_files.decode import RESAMPLING, BadImageError, read_square

SIZE = 24
WHITE, RED = (255, 255, 255), (200, 10, 30)


def noise(*channels: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, *channels), np.uint8)


def with_transparent_color(mode: str) -> Image.Image:
    """Return an image whose format names one color as transparent."""
    image = Image.fromarray(noise(4)).convert("RGB").quantize(8)
    image = image if mode == "P" else image.convert(mode)
    pixel = image.getpixel((0, 0))
    image.info["transparency"] = pixel
    return image


MADE: dict[str, Callable[[], Image.Image]] = {
    "RGBA": lambda: Image.fromarray(noise(4)),
    "LA": lambda: Image.fromarray(noise(4)).convert("LA"),
    "PA": lambda: Image.fromarray(noise(4)).convert("PA"),
    "P with alpha": lambda: Image.fromarray(noise(4)).quantize(16),
    "P": lambda: with_transparent_color("P"),
    "L": lambda: with_transparent_color("L"),
    "RGB": lambda: with_transparent_color("RGB"),
}


@pytest.mark.parametrize("background", [WHITE, (0, 0, 0), RED])
@pytest.mark.parametrize(
    ("mode", "ending"),
    # PNG has no such mode.
    [pair for pair in itertools.product(MADE, ("png", "webp", "tif")) if pair != ("PA", "png")],
)
def test_transparent_pixels_show_the_background(
    mode: str, ending: str, background: tuple[int, int, int], tmp_path: Path
) -> None:
    path = tmp_path / f"image.{ending}"
    image = MADE[mode]()
    transparency = (
        {"transparency": image.info["transparency"]} if "transparency" in image.info else {}
    )
    options = {"webp": {"lossless": True, "exact": True}, "png": transparency}.get(ending, {})
    (image.convert("RGBA") if ending == "webp" else image).save(path, **options)
    with Image.open(path) as kept:
        behind = Image.new("RGBA", kept.size, background)
        expected = np.asarray(Image.alpha_composite(behind, kept.convert("RGBA")).convert("RGB"))
        transparent = kept.has_transparency_data
    found = read_square(path, SIZE, background)
    assert np.array_equal(found, expected)
    if transparent:
        assert not np.array_equal(found, read_square(path, SIZE, (1, 2, 3)))


def test_files_are_resized_as_pillow_does(tmp_path: Path) -> None:
    image = Image.fromarray(noise(3)).resize((61, 40), Image.Resampling.NEAREST)
    image.save(tmp_path / "image.png")
    for interpolation, method in RESAMPLING.items():
        found = read_square(tmp_path / "image.png", SIZE, WHITE, interpolation)
        expected = image.resize((SIZE, SIZE), method, box=(10, 0, 50, 40))
        assert np.array_equal(found, np.asarray(expected))
    assert len(RESAMPLING) == 2 and len(set(RESAMPLING.values())) == 2


def test_what_lies_under_transparent_pixels_is_not_seen(tmp_path: Path) -> None:
    pixels = noise(4)
    pixels[..., 3] = 0
    pixels[6:18, 6:18] = (*RED, 255)
    Image.fromarray(pixels).save(tmp_path / "streaks.png")
    found = read_square(tmp_path / "streaks.png", SIZE, WHITE)
    assert {tuple(map(int, color)) for color in found.reshape(-1, 3)} == {WHITE, RED}


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bits_keep_their_range(ending: str, tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, SIZE * SIZE).astype(np.uint16).reshape(SIZE, SIZE)
    Image.fromarray(deep).save(tmp_path / f"deep.{ending}")
    found = read_square(tmp_path / f"deep.{ending}", SIZE, WHITE)
    assert np.array_equal(found[..., 0], deep >> 8)
    assert (found.min(), found.max()) == (0, 255)


def test_a_transparent_value_of_16_bits_shows_the_background(tmp_path: Path) -> None:
    deep = np.full((SIZE, SIZE), 40_000, np.uint16)
    deep[:12] = 40_001  # the same 8 bits, and opaque
    Image.fromarray(deep).save(tmp_path / "deep.png", transparency=40_000)
    found = read_square(tmp_path / "deep.png", SIZE, RED)
    assert found[0, 0].tolist() == [40_001 >> 8] * 3
    assert found[-1, 0].tolist() == list(RED)


def test_values_without_a_known_range_are_refused(tmp_path: Path) -> None:
    Image.fromarray(noise(1)[..., 0].astype(np.float32)).save(tmp_path / "float.tif")
    Image.fromarray(noise(1)[..., 0].astype(np.int32) - 9).save(tmp_path / "signed.tif")
    for name in ("float.tif", "signed.tif"):
        with pytest.raises(BadImageError, match=r"range is not known; save it with 8 or 16 bits"):
            read_square(tmp_path / name, SIZE, WHITE)


@pytest.mark.parametrize("ending", ["webp", "bmp", "tif", "png", "jpg"])
def test_each_kind_of_file_is_read(ending: str, tmp_path: Path) -> None:
    smooth = np.linspace(0, 255, SIZE * SIZE * 3).astype(np.uint8).reshape(SIZE, SIZE, 3)
    Image.fromarray(smooth).save(tmp_path / f"image.{ending}")
    found = read_square(tmp_path / f"image.{ending}", SIZE, WHITE)
    assert np.abs(found.astype(int) - smooth).mean() < 12


def turned(way: str, path: Path) -> Path:
    """Write an image, red above blue, that a tag says is to be turned right by a quarter."""
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
    pixels[: SIZE // 2, :, 0] = pixels[SIZE // 2 :, :, 2] = 255
    image, exif = Image.fromarray(pixels), Image.Exif()
    exif[0x0112] = 6
    raw = exif.tobytes().removeprefix(b"Exif\0\0")
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/'
        '22-rdf-syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        'tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    texts = PngImagePlugin.PngInfo()
    if way == "late chunk":
        out = io.BytesIO()
        image.save(out, "PNG")
        whole, body = out.getvalue(), b"eXIf" + raw
        end = whole.rindex(b"IEND") - 4
        chunk = struct.pack(">I", len(raw)) + body + struct.pack(">I", zlib.crc32(body))
        path.write_bytes(whole[:end] + chunk + whole[end:])
    elif way == "ImageMagick":
        full = b"Exif\0\0" + raw
        texts.add_text("Raw profile type exif", f"\nexif\n{len(full):8}\n{full.hex()}\n", zip=True)
        image.save(path, pnginfo=texts)
    elif way == "XMP" and path.suffix == ".png":
        texts.add_itxt("XML:com.adobe.xmp", xmp)
        image.save(path, pnginfo=texts)
    elif way == "XMP":
        image.save(path, xmp=xmp.encode(), quality=95)
    else:
        image.save(path, exif=exif)
    return path


@pytest.mark.parametrize(
    ("way", "ending"),
    [
        ("EXIF", "jpg"),
        ("EXIF", "png"),
        ("EXIF", "webp"),
        ("EXIF", "tif"),
        ("XMP", "jpg"),
        ("XMP", "png"),
        ("late chunk", "png"),
        ("ImageMagick", "png"),
    ],
)
def test_an_image_is_turned_upright_wherever_its_orientation_stands(
    way: str, ending: str, tmp_path: Path
) -> None:
    found = read_square(turned(way, tmp_path / f"image.{ending}"), SIZE, WHITE)
    left, right = found[12, 2].astype(int), found[12, -3].astype(int)
    assert np.abs(left - (0, 0, 255)).max() < 40, "blue came to the left"
    assert np.abs(right - (255, 0, 0)).max() < 40


def test_an_orientation_that_cannot_be_read_counts_as_none(tmp_path: Path) -> None:
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Raw profile type exif", "\nexif\n       4\nzz!!\n")
    Image.fromarray(noise(3)).save(tmp_path / "image.png", pnginfo=texts)
    assert np.array_equal(read_square(tmp_path / "image.png", SIZE, WHITE), noise(3))


def test_pipes_and_devices_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    for name in ("pipe.png", "device.png"):
        with pytest.raises(BadImageError, match="no regular file"):
            read_square(tmp_path / name, SIZE, WHITE)


def test_an_image_with_a_tag_of_a_wrong_type_is_turned_upright(tmp_path: Path) -> None:
    entries = [(0x0112, 3, 1, b"\x06\0\0\0"), (0x011A, 7, 4, b"abcd")]  # a resolution as bytes
    body = b"".join(struct.pack("<HHI", *entry[:3]) + entry[3] for entry in entries)
    raw = b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + body + bytes(4)
    pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
    pixels[-1:, :] = 255
    Image.fromarray(pixels).save(tmp_path / "image.png", exif=raw)
    found = read_square(tmp_path / "image.png", SIZE, WHITE)
    assert np.array_equal(found, np.rot90(pixels, -1))


@pytest.mark.parametrize("kind", [TypeError, KeyError, AttributeError, ZeroDivisionError])
def test_whatever_pillow_raises_means_a_damaged_file(
    kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(image: Image.Image) -> None:
        raise kind("no such thing")

    Image.fromarray(noise(3)).save(tmp_path / "image.png")
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", fail)
    with pytest.raises(BadImageError, match=r"damaged or unreadable \('?no such thing'?\)"):
        read_square(tmp_path / "image.png", SIZE, WHITE)


def write_tiff(path: Path, bits: int, zero_is_white: bool, packed: bytes) -> None:
    """Write a grey TIFF file of one strip."""
    tags = [
        (256, 4, SIZE), (257, 4, SIZE), (258, 3, bits), (259, 3, 1), (262, 3, int(not zero_is_white)),
        (273, 4, 8), (277, 3, 1), (278, 4, SIZE), (279, 4, len(packed)),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(packed)) + packed + directory)


def test_values_of_32_bits_within_16_keep_their_range(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, SIZE * SIZE).astype(np.int32).reshape(SIZE, SIZE)
    Image.fromarray(values).save(tmp_path / "deep.tif")
    found = read_square(tmp_path / "deep.tif", SIZE, WHITE)
    assert np.array_equal(found[..., 0], values >> 8)


def test_12_bits_keep_their_range(tmp_path: Path) -> None:
    values = np.linspace(0, 4095, SIZE * SIZE).astype(np.uint16)
    bits = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(-1, 2), axis=1)[:, 4:]
    write_tiff(tmp_path / "deep.tif", 12, False, np.packbits(bits).tobytes())
    found = read_square(tmp_path / "deep.tif", SIZE, WHITE)
    assert np.array_equal(found[..., 0], values.reshape(SIZE, SIZE) >> 4)


def test_a_zero_that_is_white_is_white(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, SIZE * SIZE).astype("<u2").reshape(SIZE, SIZE)
    write_tiff(tmp_path / "deep.tif", 16, True, values.tobytes())
    write_tiff(tmp_path / "plain.tif", 8, True, (values >> 8).astype(np.uint8).tobytes())
    for name in ("deep.tif", "plain.tif"):
        found = read_square(tmp_path / name, SIZE, WHITE)
        assert np.array_equal(found[..., 0], 255 - (values >> 8)), name


def test_an_image_of_too_many_pixels_is_refused_with_their_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.fromarray(noise(3)).save(tmp_path / "image.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", SIZE)
    with pytest.raises(BadImageError, match=r"of too many pixels; 178,956,970 are allowed"):
        read_square(tmp_path / "image.png", SIZE, WHITE)
