"""Checkpoints: all that resuming needs, replaced whole, read back without running anything."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from torch import Tensor

from engine.errors import UserError
from engine.files import replace
from engine.models.loading import DIGEST, digest_of


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Replace the checkpoint atomically; a crash leaves the old one or the new one."""

    def write(temporary: Path) -> None:
        with open(temporary, "wb") as file:
            torch.save(dict(state), file)
            file.flush()
            os.fsync(file.fileno())

    _replaced(path, write)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """The last checkpoint, or None where there is none yet.

    Raises:
        UserError: It is damaged.
    """
    if not path.exists():
        return None
    with open(path, "rb") as file:
        try:
            with ZipFile(file) as parts:
                if parts.testzip():  # torch itself reads flipped bits as if they were weights
                    raise ValueError("flipped bits")
            file.seek(0)
            state = torch.load(file, map_location="cpu", weights_only=True)
            if not {"epoch", "model", "optimizer", "best"} <= set(state):
                raise ValueError("incomplete")
        except MemoryError:
            raise
        except Exception:  # torch and zipfile raise many kinds on a damaged file
            raise UserError(
                "The checkpoint of this run is damaged, so it cannot be resumed: run it again. "
                "What it had measured is kept."
            ) from None
    return dict(state)


def save_tensors(path: Path, state: Mapping[str, Tensor]) -> None:
    """Write tensors as safetensors, atomically, with a digest; each is copied first, so that it stays."""
    from safetensors.torch import save_file

    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}

    def write(temporary: Path) -> None:
        save_file(plain, temporary, metadata={DIGEST: digest_of(plain)})
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())

    _replaced(path, write)


def _replaced(path: Path, write: Any) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(3)}.tmp")
    try:
        write(temporary)
        replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
