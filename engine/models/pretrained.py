"""torchvision's pretrained weights: are they here, and fetch them when somebody asks."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from engine.environment import torch_home
from engine.errors import UserError
from engine.files import replace
from engine.models.backbones import BackboneInfo, backbone_info

if TYPE_CHECKING:
    from torch import Tensor

ADDRESS = "https://download.pytorch.org/models/"
WAIT_SECONDS = 15
CHUNK = 1024 * 1024

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all where known


def cache_folder() -> Path:
    """Where torch keeps downloaded weights."""
    return torch_home() / "hub" / "checkpoints"


def weights_available(arch: str) -> bool:
    """Whether torchvision's weights for `arch` are on this machine; asks no network, loads no torch."""
    info = backbone_info(arch)
    return bool(info.weights_file) and (cache_folder() / info.weights_file).is_file()


def missing_sentence(info: BackboneInfo) -> str:
    """What to tell somebody who chose pretrained weights that are not here."""
    if not info.weights_file:
        return f"{info.title} has no pretrained weights: use random:{info.arch}."
    return (
        f"The pretrained weights of {info.title} are not on this machine: download them "
        f"({info.weights_mb} MB), add a weights file, or start from random weights."
    )


def ensure_pretrained(
    arch: str, progress: Progress | None = None, stop: Callable[[], bool] | None = None
) -> None:
    """Download torchvision's weights for `arch` unless they are here; only ever called on request.

    Raises:
        UserError: There are none, there is no network, too little disk is free, or what came was not what
            was asked for.
    """
    info = backbone_info(arch)
    if weights_available(arch):
        return
    if not info.weights_file:
        raise UserError(missing_sentence(info))
    from engine.runs.store import check_space

    folder = cache_folder()
    check_space(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{info.weights_file}.{secrets.token_hex(4)}.part"
        try:
            _download(info, part, progress or (lambda done, total: None), stop or (lambda: False))
            if not _is_the_file(part, info.weights_file):
                raise UserError(f"The download of {info.title}'s weights arrived damaged: try again.")
            replace(part, folder / info.weights_file)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        if error.errno is not None and not isinstance(error, (ConnectionError, TimeoutError)):
            raise UserError(
                "The downloaded weights could not be stored: free some disk space, or let this app write to "
                "torch's cache (TORCH_HOME)."
            ) from None
        raise UserError(
            f"The weights of {info.title} could not be downloaded: there is no way to the network from here. "
            "Add a weights file, or start from random weights."
        ) from None


def _download(info: BackboneInfo, part: Path, progress: Progress, stop: Callable[[], bool]) -> None:
    import http.client
    import urllib.error
    import urllib.request

    try:
        answer = urllib.request.urlopen(ADDRESS + info.weights_file, timeout=WAIT_SECONDS)  # noqa: S310
    except (urllib.error.URLError, http.client.HTTPException, OSError):
        raise ConnectionError from None
    with answer, open(part, "wb") as file:
        length = answer.headers.get("Content-Length", "")
        total, done = (int(length) if length.isdigit() else None), 0
        while True:
            try:
                block = answer.read(CHUNK)
            except (http.client.HTTPException, OSError):
                raise ConnectionError from None
            if not block:
                return
            file.write(block)
            done += len(block)
            progress(done, total)
            if stop():
                raise UserError(f"The download of {info.title}'s weights was stopped.")


def _is_the_file(path: Path, name: str) -> bool:
    """Library file names carry the first eight or more digits of the file's sha256."""
    wanted = re.search(r"-([0-9a-f]{8,})\.pth$", name)
    if not wanted:
        return False
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(wanted[1])


def pretrained_state(arch: str) -> dict[str, Tensor]:
    """Library weights from the local cache, checked against the hash in their name.

    Raises:
        UserError: They are not here, or not what their name says.
    """
    import torch

    info = backbone_info(arch)
    path = cache_folder() / info.weights_file
    if not weights_available(arch):
        raise UserError(missing_sentence(info))
    if not _is_the_file(path, info.weights_file):
        raise UserError(
            f"The pretrained weights of {info.title} on this machine are damaged: download them again."
        )
    return torch.load(path, map_location="cpu", weights_only=True)
