"""Images made to do harm, or full of secrets, or odd: never run, never telling, upright and visible."""

from __future__ import annotations

import io
import os
import random
import struct
import subprocess
import zipfile
import zlib
from functools import partial
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageFile, PngImagePlugin

from engine.data.dataset import Dataset, export_zip
from engine.data.decode import FORMATS, inspect, open_image
from engine.data.duplicates import exact_duplicates
from engine.data.pixels import pixels
from engine.errors import UserError
from pages.components import data_routes
from tests.data.conftest import PLAIN, Add, Files, handmade_zip, members


def saved(pixels: np.ndarray | Image.Image, form: str, **told: Any) -> bytes:
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.ascontiguousarray(pixels))
    image.save(file, form, **told)
    return file.getvalue()


def decoded(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int)


def exported(dataset: Dataset) -> list[bytes]:
    file = io.BytesIO()
    export_zip(dataset, file)
    with zipfile.ZipFile(file) as archive:
        return [archive.read(name) for name in sorted(archive.namelist(), key=os.path.basename)]


def served(dataset: Dataset, i: int, size: int) -> bytes:
    return data_routes.picture(dataset.id, dataset.fingerprint, i, size)[0]


CARDS = ("SIMPLE  =                    T", "BITPIX  = 8", "NAXIS   = 2", "NAXIS1  = 4", "NAXIS2  = 4", "END")
PLACEABLE = b"\xd7\xcd\xc6\x9a\0\0" + struct.pack("<4hH", 0, 0, 100, 100, 96) + bytes(6) + b"\1\0\t\0"
PROGRAMS: dict[str, tuple[str, bytes]] = {  # what other decoders would read, and which
    "eps": ("EPS", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"),
    "pdf": ("", b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n%%EOF"),
    "svg": (
        "",
        b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    ),
    "fits": ("FITS", "".join(card.ljust(80) for card in CARDS).ljust(2880).encode() + b"\x80" * 16),
    "psd": ("PSD", b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 4, 4, 8, 3) + bytes(14) + b"\x80" * 48),
    "wmf": ("WMF", PLACEABLE + bytes(30)),
    "emf": ("WMF", struct.pack("<II8i", 1, 108, 0, 0, 9, 9, 0, 0, 99, 99) + b" EMF" + bytes(99)),
    "ico": ("ICO", saved(np.zeros((16, 16, 3), np.uint8), "ICO")),
    "jp2": ("JPEG2000", saved(np.zeros((16, 16, 3), np.uint8), "JPEG2000")),
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_b11_nothing_but_the_listed_formats_reaches_a_decoder(
    added: Add, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached: list[str] = []
    Image.init()

    def reach(form: str, *told: Any, **more: Any) -> None:
        reached.append(form)
        raise SyntaxError

    for other in set(Image.OPEN) - set(FORMATS):
        monkeypatch.setitem(Image.OPEN, other, (partial(reach, other), Image.OPEN[other][1]))
    for module, name in ((subprocess, "Popen"), (os, "system"), (os, "posix_spawn")):
        monkeypatch.setattr(module, name, partial(reach, "a program"))
    form, data = PROGRAMS[kind]
    files = {f"ant/x.{ending}": data for ending in (kind, "png", "jpg")}
    dataset = added(handmade_zip(members(PLAIN | files)))
    assert reached == [] and dataset.n == len(PLAIN)
    assert {entry["name"] for entry in dataset.report["skipped"]} == set(files)
    with pytest.raises(OSError):
        Image.open(io.BytesIO(data))  # without the list, the trap snaps
    assert not form or form in reached


SCENE = np.zeros((64, 96, 3), np.uint8)
SCENE[:32, :48], SCENE[:32, 48:] = (220, 30, 30), (30, 200, 40)
SCENE[32:, :48], SCENE[32:, 48:] = (40, 60, 210), (230, 220, 50)
LYING = {  # how a scene lies in the file, by the orientation that sets it upright
    1: lambda scene: scene,
    2: lambda scene: scene[:, ::-1],
    3: lambda scene: scene[::-1, ::-1],
    4: lambda scene: scene[::-1],
    5: lambda scene: scene.transpose(1, 0, 2),
    6: lambda scene: np.rot90(scene, 1),
    7: lambda scene: scene[::-1, ::-1].transpose(1, 0, 2),
    8: lambda scene: np.rot90(scene, -1),
}
ENCODINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    "png": ("PNG", {}),
    "webp": ("WEBP", {"lossless": True}),
    "tif": ("TIFF", {}),
    "lzw.tif": ("TIFF", {"compression": "tiff_lzw"}),
}


@pytest.mark.parametrize("ending", ENCODINGS)
def test_b13_an_image_is_upright_wherever_it_is_read(added: Add, ending: str) -> None:
    form, told = ENCODINGS[ending]
    files = {}
    for turn, lie in LYING.items():
        exif = Image.Exif()
        exif[0x0112] = turn
        files[f"ant/{turn}.{ending}"] = saved(lie(SCENE), form, exif=exif, **told)
    dataset = added(handmade_zip(members(files)))
    assert dataset.n == 8 and dataset.sizes.tolist() == [[96, 64]] * 8
    small = np.asarray(Image.fromarray(SCENE).resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
    squashed, copies = pixels(dataset, 32, fit="squash"), exported(dataset)
    for i in range(8):
        shown = np.asarray(dataset.image(i)).astype(int)
        for seen in (shown, decoded(copies[i]), decoded(served(dataset, i, 96))):
            assert seen.shape == (64, 96, 3) and np.abs(seen - SCENE).mean() < 4
        assert np.abs(squashed[i] - small).mean() < 4


def telling() -> Files:
    """Images that tell SECRETs in every place a file has for words."""
    noise = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "SECRET maker", 1
    exif.get_ifd(0x8825)[1], exif.get_ifd(0x8825)[29] = "N", "SECRET place"
    xmp = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>SECRET place</x:xmpmeta>"
    words = PngImagePlugin.PngInfo()
    words.add_text("Comment", "SECRET text")
    words.add_itxt("XML:com.adobe.xmp", xmp.decode())
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() + b"SECRET colours"
    told = {"exif": exif, "icc_profile": profile}
    photo = {**told, "xmp": xmp, "comment": b"SECRET words"}
    grey, cmyk, palette = (Image.fromarray(noise).convert(mode) for mode in ("L", "CMYK", "P"))
    return {
        "ant/a.jpg": saved(noise, "JPEG", **photo),
        "ant/b.jpg": saved(grey, "JPEG", **photo),
        "ant/c.jpg": saved(cmyk, "JPEG", **photo),
        "ant/d.jpg": saved(noise, "MPO", save_all=True, append_images=[grey], **photo),
        "ant/e.png": saved(noise, "PNG", pnginfo=words, **told),
        "ant/f.webp": saved(noise, "WEBP", lossless=True, xmp=xmp, **told),
        "ant/g.tif": saved(noise, "TIFF", description="SECRET words", **told),
        "ant/h.gif": saved(palette, "GIF", comment=b"SECRET words"),
    }


def test_b14_no_image_that_leaves_tells_more_than_its_pixels(added: Add) -> None:
    files = telling()
    assert all(b"SECRET" in data for data in files.values())
    dataset = added(handmade_zip(members(files)))
    assert dataset.n == len(files)
    leaving = exported(dataset) + [served(dataset, i, size) for i in range(8) for size in (48, 96, 224, 960)]
    for data in leaving:
        image = Image.open(io.BytesIO(data))
        assert not image.getexif() and not {"exif", "icc_profile", "xmp", "comment"} & set(image.info)
        assert not [word for word in (b"SECRET", b"Exif", b"eXIf", b"xmp", b"iCCP", b"Text") if word in data]


def test_b10_equal_pixels_are_one_image_whatever_their_files(added: Add) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (20, 30, 3), np.uint8)
    exif = Image.Exif()
    exif[0x010F] = "another camera"
    copies = {
        "train/ant/a.png": saved(noise, "PNG"),
        "train/ant/b.bmp": saved(noise, "BMP"),
        "train/bee/c.tif": saved(noise, "TIFF", compression="tiff_lzw"),
        "val/ant/d.webp": saved(noise, "WEBP", lossless=True),
        "val/bee/e.png": saved(noise, "PNG", exif=exif, compress_level=1),
        "val/bee/f.png": saved(noise ^ 1, "PNG"),
    }
    (group,) = exact_duplicates(added(handmade_zip(members(copies))))
    assert len(group.indices) == 5 and group.splits and group.classes


def png(values: np.ndarray, colour: int, bits: int = 8, key: bytes = b"", side: int = 0) -> bytes:
    """A PNG written by hand, for what Pillow does not write; `side` is said instead of the true ones."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(f">u{bits // 8}").tobytes() for row in values)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", side or width, side or height, bits, colour, 0, 0, 0))
    head += chunk(b"tRNS", key) if key else b""
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def whole(values: np.ndarray, most: int = 255, kind: Any = np.uint8) -> np.ndarray:
    return np.rint(values * most).astype(kind)


H, W = 24, 32
GREY = np.linspace(0.05, 0.95, W)[None] * np.linspace(0.5, 1, H)[:, None]  # as fractions of white
RGB = np.stack([GREY, GREY / 2, 1 - GREY], -1)
ALPHA = np.repeat(np.linspace(0, 1, H)[:, None], W, 1)
GREYS, BLACK = np.stack([GREY] * 3, -1), Image.new("RGB", (W, H))
CMYK = Image.frombytes("CMYK", (W, H), whole(np.dstack([1 - RGB, 0 * GREY])).tobytes())
SPOTS = (np.arange(H)[:, None] + np.arange(W)) % 4  # a palette's numbers
COLOURS = np.array([[200, 30, 30], [20, 160, 60], [90, 90, 250], [10, 10, 10]], np.uint8)
PALETTE = Image.fromarray(SPOTS.astype(np.uint8), "P")
PALETTE.putpalette(COLOURS.tobytes())
CLEAR = np.where(SPOTS == 0, 1, SPOTS / 3)[..., None]
HOLES = np.where((SPOTS == 3)[..., None], 1, COLOURS[SPOTS] / 255)


def on_white(values: np.ndarray) -> np.ndarray:
    return values * ALPHA[..., None] + (1 - ALPHA[..., None])


FIRST = {"save_all": True, "append_images": [BLACK]}  # of two frames
MODES: dict[str, tuple[bytes, np.ndarray]] = {
    "16-bit grey PNG": (png(whole(GREY, 65535, int), 0, 16), GREYS),
    "12-bit grey in a 16-bit PNG": (png(whole(GREY, 4095, int), 0, 16), GREYS),
    "16-bit colour PNG": (png(whole(RGB, 65535, int), 2, 16), RGB),
    "16-bit grey PNG with alpha": (png(whole(np.dstack([GREY, ALPHA]), 65535, int), 4, 16), on_white(GREYS)),
    "16-bit PNG with alpha": (png(whole(np.dstack([RGB, ALPHA]), 65535, int), 6, 16), on_white(RGB)),
    "grey PNG": (saved(whole(GREY), "PNG"), GREYS),
    "grey PNG with alpha": (png(whole(np.dstack([GREY, ALPHA])), 4), on_white(GREYS)),
    "PNG with alpha": (saved(whole(np.dstack([RGB, ALPHA])), "PNG"), on_white(RGB)),
    "palette PNG": (saved(PALETTE, "PNG"), COLOURS[SPOTS] / 255),
    "palette PNG with a clear colour": (saved(PALETTE, "PNG", transparency=3), HOLES),
    "palette PNG with alpha": (saved(PALETTE, "PNG", transparency=b"\xff\xff\xff\0"), HOLES),
    "GIF with a clear colour": (saved(PALETTE, "GIF", transparency=3), HOLES),
    "grey PNG with a clear value": (png(SPOTS * 85, 0, key=b"\0\0"), CLEAR),
    "animated GIF": (saved(PALETTE, "GIF", **FIRST), COLOURS[SPOTS] / 255),
    "animated PNG": (saved(whole(RGB), "PNG", **FIRST), RGB),
    "animated WebP": (saved(whole(RGB), "WEBP", lossless=True, **FIRST), RGB),
    "WebP with alpha": (saved(whole(np.dstack([RGB, ALPHA])), "WEBP", lossless=True), on_white(RGB)),
    "CMYK JPEG": (saved(CMYK, "JPEG", quality=95), RGB),
    "CMYK TIFF": (saved(CMYK, "TIFF"), RGB),
    "16-bit TIFF": (saved(whole(GREY, 65535, np.uint16), "TIFF", compression="tiff_lzw"), GREYS),
    "TIFF of fractions": (saved(GREY.astype(np.float32), "TIFF"), GREYS),
    "TIFF of values below 0": (saved(whole(GREY - 1, 9000, np.int32), "TIFF"), GREYS),
    "16-bit PGM": (b"P5 32 24 65535\n" + whole(GREY, 65535, ">u2").tobytes(), GREYS),
}


@pytest.mark.parametrize("mode", MODES)
def test_b15_every_kind_of_pixel_is_as_bright_as_it_should_be(added: Add, mode: str) -> None:
    data, expected = MODES[mode]
    if "below 0" in mode:  # shown from the least to the greatest value
        expected = (expected - expected.min()) / np.ptp(expected)
    dataset = added(handmade_zip(members({"ant/odd": data, **PLAIN})))
    seen = np.asarray(dataset.image(dataset.names.index("ant/odd"))).astype(float)
    assert seen.shape == (H, W, 3) and 20 < seen.mean() < 235
    assert abs(seen.mean() - np.broadcast_to(expected, seen.shape).mean() * 255) < 1
    assert np.abs(seen - expected * 255).max() < 4


SIDE = 60_000
VAST: Files = {
    "png": png(np.zeros((2, 2)), 0, side=SIDE),
    "gif": saved(PALETTE, "GIF").replace(struct.pack("<HH", W, H), struct.pack("<HH", SIDE, SIDE)),
    "bmp": saved(BLACK, "BMP").replace(struct.pack("<ii", W, H), struct.pack("<ii", SIDE, SIDE)),
    "jpeg": saved(BLACK, "JPEG").replace(struct.pack(">HH", H, W), struct.pack(">HH", SIDE, SIDE)),
    "ppm": b"P6 %d %d 255\n" % (SIDE, SIDE),
}


@pytest.mark.parametrize("kind", VAST)
def test_b12_a_vast_image_is_refused_by_its_header(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("it was decoded"))
    for look in (inspect, open_image):
        with pytest.raises(UserError, match="over the limit of 60,000,000 pixels"):
            look(VAST[kind])


@pytest.mark.filterwarnings("ignore")  # Pillow's, on damaged tags
@pytest.mark.parametrize("ending", [*ENCODINGS, "gif"])
def test_an_image_with_a_few_wrong_bytes_is_read_alike_or_refused(ending: str) -> None:
    form, told = ENCODINGS.get(ending, ("GIF", {}))
    draw, whole_file, endings = random.Random(ending), saved(SCENE, form, **told), set()
    for _ in range(60):
        data = bytearray(whole_file)
        for _ in range(draw.randint(1, 3)):
            place = draw.choice([draw.randrange(len(data)), draw.randrange(100)])
            length = draw.choice([0, 1, 4])
            data[place : place + length] = draw.choice([b"", b"\xff" * length, draw.randbytes(length or 9)])
        try:
            seen = inspect(bytes(data))
        except UserError as refused:
            endings.add("refused")
            assert len(str(refused)) <= 300
            continue
        endings.add("read")
        assert open_image(bytes(data)).size == (seen.width, seen.height)
    assert endings == {"read", "refused"}
