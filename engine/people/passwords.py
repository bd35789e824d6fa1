"""Passwords: scrypt with a salt each, few at once so that a class that signs in does not eat the memory.

scrypt: C. Percival, 2009, "Stronger key derivation via sequential memory-hard functions"; RFC 7914.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import unicodedata
from collections.abc import Mapping
from typing import Any

from engine.errors import UserError
from engine.people.store import folded

SHORTEST, LONGEST = 8, 200
N, R, P = 2**15, 8, 3  # 32 MiB a hashing, a few tenths of a second
MAX_MEMORY = 2**27
AT_ONCE = 2
_turns = threading.BoundedSemaphore(AT_ONCE)


def digest(password: str) -> dict[str, Any]:
    """What is kept of a password; its parameters are kept too, so that later ones may be harder."""
    salt = secrets.token_bytes(16)
    return {"n": N, "r": R, "p": P, "salt": salt.hex(), "hash": _scrypt(password, salt, N, R, P).hex()}


def matches(password: str, kept: Mapping[str, Any] | None) -> bool:
    """Whether this is the password; it takes as long where there is none to compare with."""
    try:
        assert kept is not None
        n, r, p = (int(kept[name]) for name in "nrp")
        salt, wanted = bytes.fromhex(kept["salt"]), bytes.fromhex(kept["hash"])
        assert len(wanted) == 64
    except (AssertionError, TypeError, KeyError, ValueError):
        _scrypt(password, bytes(16), N, R, P)
        return False
    try:
        return hmac.compare_digest(_scrypt(password, salt, n, r, p), wanted)
    except ValueError:  # parameters that scrypt cannot use: the file is damaged
        return False


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    text = unicodedata.normalize("NFKC", password[: LONGEST + 1]).encode("utf-8", "replace")
    with _turns:
        return hashlib.scrypt(text, salt=salt, n=n, r=r, p=p, maxmem=MAX_MEMORY)


def check(password: str, name: str) -> None:
    """Refuse a password that is no good.

    Raises:
        UserError: It is too short, too long, or the name.
    """
    if len(password) < SHORTEST:
        raise UserError(f"A password needs at least {SHORTEST} letters; 12 or more are better.")
    if len(password) > LONGEST:
        raise UserError(f"A password has at most {LONGEST} letters.")
    if folded(password) == folded(name):
        raise UserError("The password is the name, which anybody can guess: choose another.")
