"""Where the workspace is and how much anybody may use: read from REPLAB_* environment variables."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields
from pathlib import Path

from engine.errors import UserError

PROJECT_ROOT = Path(__file__).resolve().parents[1]
MIB = 1024**2
GIB = 1024**3
GB = 1000**3


@dataclass(frozen=True)
class Settings:
    """Everything an operator can change; field `slots` is read from `REPLAB_SLOTS`, and so on.

    Sizes are bytes. The defaults are those of a laptop used by one person; `CLASS_DEFAULTS` are others.
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
    max_person_running: int = 0  # runs of one student; these four and the next two: 0 = no limit
    max_person_queued: int = 0
    max_person_bytes: int = 0  # of a student's runs, data sets, vectors, weights and uploads together
    max_person_sets: int = 0
    max_run_seconds: int = 0  # on the clock, from start to end; waiting does not count
    max_run_bytes: int = 0  # resident memory of a run's processes; watched where there is /proc
    https: str = "0"  # 1: people reach the server by https, whatever the proxy in front of it says
    oidc_allow: str = ""  # whom a provider may let in: domains and addresses with commas between, or *

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


# defaults of REPLAB_MODE=class where they are others
CLASS_DEFAULTS: dict[str, object] = {
    "max_upload_bytes": 100 * MIB,
    "max_person_running": 1,
    "max_person_queued": 5,
    "max_person_bytes": 5 * GB,
    "max_person_sets": 20,
    "max_run_seconds": 2 * 3600,
}
MAY_BE_0 = ("threads", "min_free_bytes", "max_run_seconds", "max_run_bytes")
CHOICES = {
    "mode": ("laptop", "class"),
    "executor": ("local", "inline", "ray"),
    "device": ("auto", "cpu", "cuda"),
    "https": ("0", "1"),
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
    if values.get("mode") == "class":
        values = {**CLASS_DEFAULTS, **values}
    return Settings(**values)  # type: ignore[arg-type]


def _parse(name: str, text: str) -> object:
    if name == "workspace":
        path = os.path.expanduser(text)
        if path.startswith("~"):
            raise UserError("REPLAB_WORKSPACE begins with a home that is unknown here: write the whole path.")
        return Path(path).absolute()
    if name == "oidc_allow":
        return text
    if name in CHOICES:
        if text not in CHOICES[name]:
            raise UserError(
                f"REPLAB_{name.upper()} must be one of {', '.join(CHOICES[name])}, got {text[:40]}."
            )
        return text
    lowest = 0 if name in MAY_BE_0 or name.startswith("max_person_") else 1
    try:
        number = int(text)
    except ValueError:
        number = -1
    if number < lowest:
        raise UserError(
            f"REPLAB_{name.upper()} must be a whole number of at least {lowest}, got {text[:40]}."
        )
    return number
