"""Images without what their files tell besides: the picture stays, the rest goes."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from engine.data.bare import bare_image
from engine.data.decode import inspect, open_image
from engine.errors import UserError

SECRET = b"51.4779N 0.0015W"
ORIENTATION, PLACE = 0x0112, 0x010E


def picture(mode: str = "RGB") -> Image.Image:
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (20, 31, 4 if mode == "RGBA" else 3), np.uint8)
    return Image.fromarray(noise).convert(mode)


def noted(turn: int = 1) -> Image.Exif:
    exif = Image.Exif()
    exif[PLACE] = SECRET.decode()
    if turn != 1:
        exif[ORIENTATION] = turn
    return exif


def saved(image: Image.Image, kind: str, **how: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def texts() -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", SECRET.decode())
    info.add_itxt("More", SECRET.decode())
    return info


FILES: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: saved(picture(), "JPEG", exif=noted(), comment=SECRET),
    "jpeg on its side": lambda: saved(picture(), "JPEG", exif=noted(6)),
    "jpeg in steps": lambda: saved(picture(), "JPEG", progressive=True, exif=noted(), icc_profile=SECRET * 9),
    "jpeg for print": lambda: saved(picture("CMYK"), "JPEG", comment=SECRET),
    "jpeg of grey": lambda: saved(picture("L"), "JPEG", comment=SECRET),
    "jpeg with restarts": lambda: saved(picture(), "JPEG", restart_marker_blocks=1, comment=SECRET),
    "jpeg with more behind it": lambda: saved(picture(), "JPEG") + SECRET,
    "two jpegs in one": lambda: saved(
        picture(), "MPO", save_all=True, append_images=[picture()], exif=noted()
    ),
    "png": lambda: saved(picture(), "PNG", pnginfo=texts(), exif=noted()),
    "png on its head": lambda: saved(picture(), "PNG", exif=noted(3)),
    "png of few colours": lambda: saved(picture().quantize(8), "PNG", transparency=2, pnginfo=texts()),
    "clear png": lambda: saved(picture("RGBA"), "PNG", pnginfo=texts()) + SECRET,
    "deep png": lambda: saved(
        Image.fromarray((np.arange(600, dtype=np.uint16) * 100).reshape(20, 30)), "PNG", pnginfo=texts()
    ),
    "webp on its side": lambda: saved(picture(), "WEBP", exif=noted(8), lossless=True),
    "gif": lambda: saved(picture().quantize(8), "GIF", comment=SECRET),
    "tiff": lambda: saved(picture(), "TIFF", description=SECRET.decode()),
    "bmp": lambda: saved(picture(), "BMP") + SECRET,
}


@pytest.mark.parametrize("kind", FILES)
def test_the_picture_stays_and_the_rest_goes(kind: str) -> None:
    data = FILES[kind]()
    assert SECRET in data or kind.startswith(("jpeg in steps", "webp"))
    found, seen = bare_image(data)
    assert SECRET not in found and inspect(found) == inspect(data) == seen
    assert open_image(found).tobytes() == open_image(data).tobytes()
    with Image.open(io.BytesIO(found)) as image:
        image.load()
        assert set(image.getexif()) <= {ORIENTATION} and not {"comment", "icc_profile"} & image.info.keys()


@pytest.mark.parametrize("kind", ["jpeg", "jpeg on its side", "jpeg in steps", "png", "png on its head"])
def test_what_is_compressed_is_not_compressed_again(kind: str) -> None:
    data = FILES[kind]()
    found, _ = bare_image(data)
    assert found[:4] == data[:4] or found[:2] == data[:2] == b"\xff\xd8"
    part = data[-200:-20]  # of the compressed pixels
    assert part in found and len(found) < len(data)
    assert bare_image(found)[0] == found, "a second time changes nothing"


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe1\x00", b"\x89PNG\r\n\x1a\n\0\0", b"hello"]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(UserError):
        bare_image(data)


def test_a_picture_that_is_cut_short_is_refused() -> None:
    data = FILES["jpeg"]()
    with pytest.raises(UserError):
        bare_image(data[: len(data) // 2])
