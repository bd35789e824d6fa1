"""Features that were computed before, found again by their encoder's name: no network is built to ask.

The cache of `engine.evaluation.features` goes by the weights themselves, which only a network has, and torch
takes longer to load than a map to draw. So a note beside it says which of its files a name led to.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from engine import models
from engine.errors import UserError
from engine.files import write_bytes
from engine.models.encoder import check_encoder, parse_encoder
from engine.settings import settings

STEM = re.compile(r"[0-9a-f]{40}")  # of a file in the cache of features


def note_of(name: str, side: int, seed: int, fingerprint: str, rows: np.ndarray | None) -> Path:
    """Where it is noted which features a name led to; another place if anything they depend on has changed.

    Args:
        name: As `engine.models.encoder.parse_encoder` reads it.
        side: Of the images that are read.
        seed: Of random weights.
        fingerprint: The data set's.
        rows: (n,) the images wanted; all, if None.

    Raises:
        UserError: There is no such encoder, or it cannot read images of this side.
    """
    info, kind, value = check_encoder(name, side), parse_encoder(name).kind, parse_encoder(name).value
    question = {
        "encoder": [name, info.arch, side, _weights(kind, value, info.weights_file, seed)],
        "data": fingerprint,
        "rows": None if rows is None else hashlib.sha256(rows.tobytes()).hexdigest(),
        "code": _code(),
    }
    key = hashlib.sha256(json.dumps(question, sort_keys=True).encode()).hexdigest()[:40]
    return features_folder(fingerprint) / f"{key}.note"


def features_folder(fingerprint: str) -> Path:
    """Where the features of a data set's images are kept, so that they can go with it."""
    return settings().cache / "features" / hashlib.sha256(fingerprint.encode()).hexdigest()[:32]


def known_features(note: Path, n: int) -> np.ndarray | None:
    """The features of n images that a note leads to, mapped from disk; None where there are none."""
    with suppress(OSError, ValueError):
        stem = note.read_text("ascii")
        if STEM.fullmatch(stem):
            found = np.load(note.with_name(f"{stem}.npy"), mmap_mode="r", allow_pickle=False)
            return found if len(found) == n else None
    return None


def keep_note(note: Path, found: np.ndarray) -> None:
    """Note where features lie that `engine.evaluation.features.cached_features` gave; never fails."""
    if isinstance(found, np.memmap) and found.filename is not None:
        with suppress(OSError, UserError):
            write_bytes(note, Path(found.filename).stem.encode())


def _weights(kind: str, value: str, weights_file: str, seed: int) -> list[Any]:
    """What tells these weights from any others, without reading them."""
    from engine.models.pretrained import cache_folder
    from engine.models.weights import weights_path
    from engine.runs.store import RunStore

    if kind == "random":
        return [seed, version("torch")]
    path, told = cache_folder() / weights_file, {}
    if kind == "file":
        path = weights_path(value)
    elif kind == "run":
        path, told = RunStore().encoder_path(value), RunStore().encoder_info(value)
    with suppress(OSError):
        found = path.stat()
        return [found.st_size, found.st_mtime_ns, told]
    return []  # they are gone: whoever builds the network says so


def _code() -> str:
    """Hash of the code that makes networks and features: another version may make others of the same name."""
    digest = hashlib.sha256()
    for path in [*sorted(Path(models.__file__).parent.glob("*.py")), Path(__file__).with_name("features.py")]:
        digest.update(path.read_bytes())
    return digest.hexdigest()
