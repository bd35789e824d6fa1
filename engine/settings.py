"""Where the workspace is and how much anybody may use: read from REPLAB_* environment variables."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path

from engine.errors import UserError

PROJECT_ROOT = Path(__file__).resolve().parents[1]
MIB = 1024**2
GIB = 1024**3


@dataclass(frozen=True)
class Settings:
    """Everything an operator can change; field `slots` is read from `REPLAB_SLOTS`, and so on.

    Sizes are bytes. The defaults are those of a laptop used by one person.
    """

    workspace: Path = PROJECT_ROOT / "workspace"
    mode: str = "laptop"
    executor: str = "local"
    slots: int = 1
    device: str = "auto"
    threads: int = 0  # per run; 0 = every core
    max_upload_bytes: int = 200 * MIB
    max_unpacked_bytes: int = 2 * GIB
    max_entries: int = 40_000
    max_file_bytes: int = 64 * MIB
    max_pixels: int = 60_000_000
    max_classes: int = 300
    max_ratio: int = 200  # unpacked bytes to packed bytes of one archive member, beyond its first MiB
    min_free_bytes: int = 2 * GIB
    model_cache_bytes: int = 1 * GIB  # networks that pages keep ready to answer at once

    @property
    def datasets(self) -> Path:
        return self.workspace / "datasets"

    @property
    def runs(self) -> Path:
        return self.workspace / "runs"

    @property
    def weights(self) -> Path:
        return self.workspace / "weights"

    @property
    def imports(self) -> Path:
        return self.workspace / "imports"

    @property
    def uploads(self) -> Path:
        return self.workspace / "uploads"

    @property
    def cache(self) -> Path:
        return self.workspace / "cache"

    @property
    def tmp(self) -> Path:
        return self.workspace / "tmp"


CHOICES = {
    "mode": ("laptop", "class"),
    "executor": ("local", "inline", "ray"),
    "device": ("auto", "cpu", "cuda"),
}


def settings() -> Settings:
    """The settings of this moment; reads the environment at each call, so tests and pages may change it.

    Raises:
        UserError: A variable holds a value that cannot be used.
    """
    values: dict[str, object] = {}
    for field in fields(Settings):
        text = os.environ.get(f"REPLAB_{field.name.upper()}", "").strip()
        if text:
            values[field.name] = _parse(field.name, text)
    return Settings(**values)  # type: ignore[arg-type]


def _parse(name: str, text: str) -> object:
    if name == "workspace":
        return Path(text).expanduser().absolute()
    if name in CHOICES:
        if text not in CHOICES[name]:
            raise UserError(
                f"REPLAB_{name.upper()} must be one of {', '.join(CHOICES[name])}, got {text[:40]}."
            )
        return text
    lowest = 0 if name in ("threads", "min_free_bytes") else 1
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < lowest:
        raise UserError(
            f"REPLAB_{name.upper()} must be a whole number of at least {lowest}, got {text[:40]}."
        )
    return number
