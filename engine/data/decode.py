"""The one way from the bytes of an image file to pixels: few formats, and limits before decoding."""

from __future__ import annotations

import hashlib
import io
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError

from engine.errors import UserError
from engine.settings import settings

FORMATS = ["JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF", "PPM"]
READABLE = "JPEG, PNG, WEBP, BMP, GIF, TIFF or PPM"
THUMB = 16  # side of the grey thumbnail kept of each image to find near duplicates
BIG = 8_000_000  # pixels; larger images are decoded one at a time to bound memory
STRIP = 1_000_000  # pixels converted at a time where a whole image would cost too much memory

ORIENTATION_TAG = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What people often have instead of an image we read: first bytes (at an offset) and what to say.
OTHER_KINDS = (
    (0, b"PK\x03\x04", "an archive inside the archive is not opened"),
    (0, b"PK\x05\x06", "an archive inside the archive is not opened"),
    (0, b"\x1f\x8b", "an archive inside the archive is not opened"),
    (0, b"BZh", "an archive inside the archive is not opened"),
    (0, b"\xfd7zXZ\x00", "an archive inside the archive is not opened"),
    (257, b"ustar", "an archive inside the archive is not opened"),
    (0, b"7z\xbc\xaf\x27\x1c", "an archive inside the archive is not opened"),
    (0, b"Rar!", "an archive inside the archive is not opened"),
    (4, b"ftyphei", "HEIC images cannot be read: save it as JPEG"),
    (4, b"ftypmif1", "HEIC images cannot be read: save it as JPEG"),
    (4, b"ftypavif", "AVIF images cannot be read: save it as JPEG"),
    (0, b"%PDF", "a PDF is not an image: save its pages as JPEG"),
    (0, b"8BPS", "Photoshop files cannot be read: save it as PNG"),
)
BIG_GATE = threading.Lock()

# Our own limit is checked right after the header is read, so Pillow's warning adds nothing.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


@dataclass(frozen=True)
class Inspected:
    """What is known of an image after decoding it once.

    Attributes:
        width: Pixels, after turning it upright.
        height: Likewise.
        digest: 16 bytes; equal for images with equal pixels, whatever their files.
        thumb: THUMB * THUMB grey values, upright.
        turn: The EXIF orientation, 1 to 8.
    """

    width: int
    height: int
    digest: bytes
    thumb: bytes
    turn: int = 1


def open_image(data: bytes, at_least: int | None = None) -> Image.Image:
    """Decode an image file to RGB, upright, transparency laid on white; pixels and nothing else.

    Args:
        data: The file's bytes.
        at_least: If only a small version is needed, the least length of its shorter side; the image may then
            come back smaller than it is, but never below this.

    Raises:
        UserError: It is no image of a known format, is damaged, or is over the pixel limit.
    """
    with _guarded():
        image = _open_header(data)
        if image.width * image.height <= BIG:
            return _bare(_upright(_decode_rgb(image, at_least), image))
        with BIG_GATE:
            return _bare(_upright(_decode_rgb(image, at_least), image))


def inspect(data: bytes) -> Inspected:
    """Decode an image file completely, to know that it can be, and measure it in bounded memory.

    Raises:
        UserError: As `open_image`.
    """
    with _guarded():
        image = _open_header(data)
        if image.width * image.height <= BIG:
            return _measure(image)
        with BIG_GATE:
            return _measure(image)


class _guarded:
    """Turn whatever a decoder raises on bad bytes into one reason; Pillow's plugins raise many kinds."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, UserError) or not isinstance(error, Exception):
            return
        if isinstance(error, Image.DecompressionBombError):
            raise UserError(_too_large()) from None
        if isinstance(error, MemoryError):
            raise UserError("there was not enough memory to decode it") from None
        if isinstance(error, OSError) and "truncated" in str(error):
            raise UserError("the file is cut short") from None
        raise UserError("the file is damaged") from None


def _open_header(data: bytes) -> Image.Image:
    limit = settings().max_pixels
    Image.MAX_IMAGE_PIXELS = limit  # for the checks inside Pillow's own plugins
    if not data:
        raise UserError("the file is empty")
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError:
        raise UserError(_why_not(data)) from None
    if image.width * image.height > limit:
        raise UserError(_too_large(image.size))
    if image.width < 1 or image.height < 1:
        raise UserError("the image has no pixels")
    return image


def _why_not(data: bytes) -> str:
    for offset, magic, reason in OTHER_KINDS:
        if data[offset : offset + len(magic)] == magic:
            return reason
    if b"<svg" in data[:1024].lower():
        return "SVG drawings cannot be read: save it as PNG"
    known = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*")
    if data.startswith(known) or (data[:4] == b"RIFF" and data[8:12] == b"WEBP"):
        return "the file is damaged"
    return f"not an image ({READABLE})"


def _too_large(size: tuple[int, int] | None = None) -> str:
    shown = f"{size[0]:,} × {size[1]:,} pixels" if size else "the image"
    return f"{shown} is over the limit of {settings().max_pixels:,} pixels"


def _decode_rgb(image: Image.Image, at_least: int | None) -> Image.Image:
    if at_least:
        # JPEG decodes straight to 1/2, 1/4 or 1/8; a factor 2 is left for the resize that follows.
        shrink = min(image.size) / (2 * at_least)
        if image.format in ("JPEG", "MPO") and shrink >= 2:
            image.draft(image.mode, (int(image.width / shrink), int(image.height / shrink)))
    image.load()
    if at_least and image.mode in ("L", "RGB", "RGBA", "CMYK") and "transparency" not in image.info:
        factor = int(min(image.size) / (2 * at_least))
        if factor >= 2 and image.width * image.height > BIG:
            return to_rgb(image.reduce(factor))
    if image.width * image.height <= BIG or image.mode == "RGB":
        return to_rgb(image)
    whole = Image.new("RGB", image.size)
    top = 0
    for strip in _strips(image):
        whole.paste(strip, (0, top))
        top += strip.height
    return whole


def to_rgb(image: Image.Image, scale: tuple[float, float] | None = None) -> Image.Image:
    """An RGB version of a decoded image of any mode.

    Args:
        image: A decoded image.
        scale: For 16-bit, integer and float modes: the values shown as black and white; measured if None.
    """
    mode = image.mode
    if mode == "RGB" and "transparency" not in image.info:
        return image
    if mode[0] in "IF":
        low, high = scale or value_range(image) or (0.0, 255.0)
        values = np.nan_to_num(np.asarray(image).astype(np.float32), nan=low, posinf=high, neginf=low)
        values = (np.clip(values, low, high) - low) * np.float32(255.0 / (high - low))
        return Image.fromarray(np.rint(values).astype(np.uint8)).convert("RGB")
    if "A" in mode[1:] or mode in ("La", "RGBa") or "transparency" in image.info:
        clear = image.convert("RGBA")
        white = Image.new("RGBA", clear.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, clear).convert("RGB")
    return image.convert("RGB")


def value_range(image: Image.Image) -> tuple[float, float] | None:
    """The values of a 16-bit, integer or float image shown as black and white; None for 8-bit modes.

    Whole numbers are read as the smallest of 8, 10, 12 or 16 bits that holds the largest of them (scientific
    cameras keep 10 or 12 bits in 16); floats as 0 to 1 or 0 to 255 if they fit. Others, and whole numbers
    below 0, are read from least to greatest.
    """
    if image.mode[0] not in "IF":
        return None
    values = np.asarray(image)
    if image.mode[0] == "I":
        least, top = int(values.min()), int(values.max())
        if least < 0:
            return float(least), float(max(top, least + 1))
        for bits in (8, 10, 12, 16):
            if top < 1 << bits:
                return 0.0, float((1 << bits) - 1)
        return 0.0, float(top)
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise UserError("the image holds no finite values")
    low, high = float(finite.min()), float(finite.max())
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    if low >= 0 and high <= 255:
        return 0.0, 255.0
    return low, high if high > low else low + 1.0


def _strips(image: Image.Image) -> Iterator[Image.Image]:
    """A decoded image as RGB strips of whole rows, from the top."""
    rows = max(1, STRIP // image.width)
    if rows >= image.height:
        yield to_rgb(image)
        return
    scale = value_range(image)
    for top in range(0, image.height, rows):
        yield to_rgb(image.crop((0, top, image.width, min(top + rows, image.height))), scale)


def _measure(image: Image.Image) -> Inspected:
    image.load()
    turn = _orientation(image)
    digest = hashlib.blake2b(f"{image.width} {image.height} {turn}".encode(), digest_size=16)
    small = []
    for strip in _strips(image):
        digest.update(strip.tobytes())
        if strip.height < image.height:  # shrunk at once, so that the whole is never held twice
            rows = max(1, round(256 * strip.height / image.height))
            strip = strip.resize((min(image.width, 256), rows), Image.Resampling.BOX)
        small.append(strip)
    thumb = _upright(_grey_thumb(small), image)
    width, height = (image.height, image.width) if turn >= 5 else image.size
    return Inspected(width, height, digest.digest(), thumb.tobytes(), turn)


def _grey_thumb(strips: list[Image.Image]) -> Image.Image:
    whole = strips[0]
    if len(strips) > 1:
        whole = Image.new("RGB", (whole.width, sum(strip.height for strip in strips)))
        top = 0
        for strip in strips:
            whole.paste(strip, (0, top))
            top += strip.height
    return whole.convert("L").resize((THUMB, THUMB), Image.Resampling.BOX)


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; Pillow turns TIFF files by itself."""
    if image.format == "TIFF" or not ("exif" in image.info or "Raw profile type exif" in image.info):
        return 1
    try:
        turn = image.getexif().get(ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001  damaged metadata must not cost the image
        return 1
    return turn if turn in TURNS else 1


def _upright(pixels: Image.Image, source: Image.Image) -> Image.Image:
    turn = _orientation(source)
    return pixels.transpose(TURNS[turn]) if turn in TURNS else pixels


def _bare(pixels: Image.Image) -> Image.Image:
    """Without comment, colour profile or place: Pillow's save would write some of them into the next file."""
    pixels.info = {}
    return pixels
