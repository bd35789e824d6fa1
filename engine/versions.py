"""Which versions of Python and of the libraries are new enough, asked of what is installed and not loaded."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

Version = tuple[int, ...]

# package -> (least version, what older ones have wrong); requirements.txt pins newer ones
LEAST: dict[str, tuple[Version, str]] = {
    "torch": ((2, 10), "reading a hostile .pth file could run code (CVE-2026-24747)"),
    "streamlit": ((1, 54), "paths from outside reached the disk (CVE-2026-33682)"),
    "starlette": ((1, 1), "paths from outside reached the disk (CVE-2026-48818)"),
    "pillow": ((12, 3), "damaged images could write beyond their memory"),
}
# Python 3.x -> the least 3.x.y without the three faults of FAULTS
MENDED = {11: 14, 12: 12, 13: 6, 14: 0}
FAULTS = (
    "tarfile and zipfile have known faults (CVE-2024-0450, CVE-2025-4517, CVE-2025-8194), which this "
    "program's own readers of archives do not meet, but other programs of this Python may"
)


def numbers(text: str) -> Version:
    """The leading whole numbers of a version: "2.14.1+cpu" is (2, 14, 1)."""
    found = re.match(r"[0-9]+(?:\.[0-9]+)*", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def outdated(python: Version | None = None) -> Iterator[str]:
    """What an operator should bring up to date, a sentence each.

    Args:
        python: Asked about; the one that runs this, if None.
    """
    python = tuple(sys.version_info[:3]) if python is None else python
    shown = ".".join(map(str, python))
    if python[:2] < (3, 11):
        yield f"Python {shown} is too old: install 3.11 or newer."
    elif python[0] == 3 and len(python) > 2 and python[2] < MENDED.get(python[1], 0):
        least = f"3.{python[1]}.{MENDED[python[1]]}"
        yield f"Python {shown} is older than {least}: {FAULTS}. Update it when you can."
    for package, (least_version, wrong) in LEAST.items():
        try:
            installed = version(package)
        except PackageNotFoundError:
            yield f"{package} is not installed: install what requirements.txt names."
            continue
        if numbers(installed) < least_version:
            wanted = ".".join(map(str, least_version))
            yield f"{package} {installed} is older than {wanted}: {wrong}. Install requirements.txt anew."
