"""A data set as a zip of class folders: pixels kept, metadata dropped, names in plain ASCII."""

from __future__ import annotations

import io
import re
import unicodedata
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import IO

import numpy as np
from PIL import Image

from engine.data.dataset import Dataset
from engine.data.decode import FORMATS, open_image

MAX_STEM = 60
RESERVED = {
    "CON",
    "PRN",
    "AUX",
    "NUL",
    *(f"{port}{n}" for port in ("COM", "LPT") for n in range(1, 10)),
}  # Windows


def write_zip(
    dataset: Dataset, target: Path | IO[bytes], chosen: Sequence[int] | np.ndarray | None = None
) -> None:
    """Write split/class/image; images are stored, since they are compressed already.

    Args:
        dataset: Whose images.
        target: A path, or a file to write to.
        chosen: Places of the images wanted; all, if None.
    """
    folders = ascii_names(dataset.classes, "class")
    names = dataset.names
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for i in range(len(dataset)) if chosen is None else map(int, chosen):
            split, label = dataset.splits[i], int(dataset.labels[i])
            data, suffix = without_metadata(dataset.raw_bytes(i))
            stem = ascii_name(PurePosixPath(names[i]).stem) or "image"
            folder = f"{split}/{folders[label]}" if label >= 0 else str(split)
            entry = zipfile.ZipInfo(f"{folder}/{i:06d}-{stem}{suffix}")
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)


def without_metadata(data: bytes) -> tuple[bytes, str]:
    """The same picture, encoded anew: (bytes, suffix).

    A JPEG that needs no turning keeps its own quantisation tables; a turned one is saved at quality 95; all
    else becomes PNG.
    """
    upright = open_image(data)
    source = Image.open(io.BytesIO(data), formats=FORMATS)
    file = io.BytesIO()
    if source.format not in ("JPEG", "MPO"):
        upright.save(file, "PNG")
        return file.getvalue(), ".png"
    tables = getattr(source, "quantization", None)
    turned = upright.size != source.size or upright.tobytes() != source.convert("RGB").tobytes()
    if turned or not tables or source.mode not in ("RGB", "L"):
        upright.save(file, "JPEG", quality=95)
    else:
        source.info.clear()
        source.save(
            file, "JPEG", qtables=tables, subsampling=_subsampling(source), exif=b"", icc_profile=None
        )
    return file.getvalue(), ".jpg"


def _subsampling(source: Image.Image) -> int:
    from PIL import JpegImagePlugin

    return JpegImagePlugin.get_sampling(source) if source.mode == "RGB" else -1


def ascii_name(text: str) -> str:
    """Letters, digits, dots and hyphens of a name; accents dropped, all else an underscore; may be empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9.-]+", "_", plain).strip("._-")[:MAX_STEM].strip("._-")


def ascii_names(texts: Sequence[str], fallback: str) -> list[str]:
    """One distinct ASCII name for each text, also on a disk that does not tell A from a."""
    taken: set[str] = set()
    names = []
    for number, text in enumerate(texts, 1):
        name = ascii_name(text) or f"{fallback}-{number}"
        if name.split(".")[0].upper() in RESERVED:
            name = f"{fallback}-{name}"
        while name.lower() in taken:
            name = f"{name}-{number}"
        taken.add(name.lower())
        names.append(name)
    return names
