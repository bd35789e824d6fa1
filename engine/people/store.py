"""Accounts on disk: one JSON file a person below `people/accounts/`, for the server's user alone to read."""

from __future__ import annotations

import hmac
import json
import os
import secrets
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine import files
from engine.access import STUDENT, TEACHER, Person
from engine.errors import UserError
from engine.lock import held
from engine.settings import settings

MAX_NAME = 60
SECRET_BYTES = 32
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600
WAIT_SECONDS = 10.0  # for another writer
BUSY = "Somebody else is changing accounts just now: try again in a moment."
clock: Callable[[], float] = time.time  # every time of this package; a test may set another


@dataclass(frozen=True)
class Account:
    """What is kept of a person.

    Attributes:
        id: Random; things are marked with it.
        name: As typed; data, never a path.
        role: TEACHER or STUDENT.
        created: Seconds since 1970.
        blocked: Cannot sign in.
        password: What `passwords.digest` gave; None for who signs in through a provider.
        subject: (issuer, subject) of the provider's account; None for who has a password.
    """

    id: str
    name: str
    role: str
    created: float
    blocked: bool = False
    password: Mapping[str, Any] | None = field(default=None, repr=False)
    subject: tuple[str, str] | None = None

    @property
    def person(self) -> Person:
        return Person(self.id, self.name, self.role)


def now() -> float:
    return clock()


def root() -> Path:
    return settings().workspace / "people"


def prepare() -> None:
    """Make the folders and the secret, once, for this user's eyes only.

    Raises:
        UserError: They cannot be made, or the secret is damaged.
    """
    _make_folders()
    secret()


def _make_folders() -> None:
    try:
        settings().workspace.mkdir(parents=True, exist_ok=True)
        for folder in (root(), root() / "accounts", root() / "sessions"):
            folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
            folder.chmod(PRIVATE_FOLDER)
        os.close(os.open(root() / "lock", os.O_CREAT | os.O_RDWR, PRIVATE_FILE))
    except OSError as error:
        raise UserError(
            f"The folder people in the workspace cannot be written ({error.strerror}): make it writable."
        ) from None


@contextmanager
def locked() -> Iterator[None]:
    """Be the only one who changes accounts, in whichever process."""
    _make_folders()
    with held(root() / "lock", WAIT_SECONDS, BUSY):
        yield


def secret() -> bytes:
    """The key that names sessions; random bytes made at the first start, which never leave this machine.

    Raises:
        UserError: Its file is damaged.
    """
    return _secret(root() / "secret")


@lru_cache(maxsize=16)
def _secret(path: Path) -> bytes:
    kept = path.read_bytes() if path.exists() else b""
    if len(kept) != SECRET_BYTES:
        with locked():
            if not path.exists():
                made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE_FILE)
                with open(made, "wb") as file:
                    file.write(secrets.token_bytes(SECRET_BYTES))
                    file.flush()
                    os.fsync(file.fileno())
            kept = path.read_bytes()
    if len(kept) != SECRET_BYTES:
        raise UserError("people/secret in the workspace is damaged: delete it, and everybody signs in anew.")
    return kept


def derived(purpose: str) -> str:
    """A key for another purpose, made from the secret; 64 hexadecimal digits."""
    return hmac.digest(secret(), purpose.encode(), "sha256").hex()


def write(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a private JSON file atomically."""
    data = json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    files.write_bytes(path, data, mode=PRIVATE_FILE)


def read(person_id: str) -> Account | None:
    """An account; None where there is none or its file is damaged."""
    if not isinstance(person_id, str) or not files.ID_PATTERN.fullmatch(person_id):
        return None
    return _account(person_id, files.read_json(root() / "accounts" / f"{person_id}.json"))


def _account(person_id: str, kept: Any) -> Account | None:
    try:
        subject = kept["subject"]
        account = Account(
            id=person_id,
            name=kept["name"],
            role=kept["role"],
            created=float(kept["created"]),
            blocked=kept["blocked"],
            password=kept["password"],
            subject=None if subject is None else (str(subject[0]), str(subject[1])),
        )
    except (TypeError, KeyError, ValueError, IndexError):
        return None
    sound = isinstance(account.name, str) and account.role in (TEACHER, STUDENT)
    sound = sound and isinstance(account.blocked, bool) and isinstance(account.password, dict | None)
    return account if sound else None


def read_all() -> list[Account]:
    """Every account, by name."""
    try:
        ids = [path.stem for path in (root() / "accounts").glob("*.json")]
    except OSError:
        return []
    found = [account for person_id in ids if (account := read(person_id)) is not None]
    return sorted(found, key=lambda account: (folded(account.name), account.id))


def keep(account: Account) -> None:
    """Write an account, new or changed; the caller holds the lock."""
    kept = {
        "name": account.name,
        "role": account.role,
        "created": account.created,
        "blocked": account.blocked,
        "password": account.password,
        "subject": account.subject,
    }
    write(root() / "accounts" / f"{account.id}.json", kept)


def drop(person_id: str) -> None:
    (root() / "accounts" / f"{person_id}.json").unlink(missing_ok=True)


def named(name: str) -> Account | None:
    """Whose name this is, however it is capitalised."""
    wanted = folded(name)
    return next((account for account in read_all() if folded(account.name) == wanted), None)


def folded(name: str) -> str:
    """A name as names are compared: one spelling for what looks the same."""
    plain = unicodedata.normalize("NFKC", " ".join(name.split())).casefold()
    return unicodedata.normalize("NFKC", plain)


TAKEN = frozenset({"you", "everybody", "nobody", "operator", "the server", "server", "teacher"})


def clean_name(name: str) -> str:
    """A name as it is kept.

    Raises:
        UserError: It is empty, too long, or holds what cannot be seen.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or not any(c.isalnum() for c in name):
        raise UserError(f"A name has 1 to {MAX_NAME} visible letters: choose another.")
    if folded(name) in TAKEN:
        raise UserError(f"'{name}' would be mistaken for what pages call somebody: choose another name.")
    return name
