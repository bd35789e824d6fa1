"""The class code: whoever knows it may join as a student; a teacher makes a new one or closes the door."""

from __future__ import annotations

import secrets
import unicodedata
from pathlib import Path

from engine import files
from engine.people import passwords, store

LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # without those that are hard to tell apart
LENGTH = 8


def is_open() -> bool:
    """Whether people may join."""
    return isinstance(files.read_json(_path()), dict)


def new() -> str:
    """A new code, which replaces the old one; it is told this once and kept as a digest only."""
    code = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    with store.locked():
        store.write(_path(), {**passwords.digest(code), "created": store.now()})
    return f"{code[:4]}-{code[4:]}"


def close() -> None:
    """Let nobody join until there is a new code."""
    with store.locked():
        _path().unlink(missing_ok=True)


def is_right(typed: str) -> bool:
    """Whether this is the class code, with or without its hyphen and however it is capitalised."""
    kept = files.read_json(_path())
    return passwords.matches(plain(typed), kept if isinstance(kept, dict) else None)


def could_be(text: str) -> bool:
    """Whether a text has the form of a class code."""
    letters = plain(text)
    return len(letters) == LENGTH and set(letters) <= set(LETTERS)


def plain(typed: str) -> str:
    folded = unicodedata.normalize("NFKC", typed).casefold()
    return "".join(letter for letter in folded if letter not in "-‐‑–— \t")


def _path() -> Path:
    return store.root() / "code.json"
