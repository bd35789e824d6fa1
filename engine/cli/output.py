"""What commands print: tables for people, JSON for programs, progress and problems on standard error."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from typing import Any

from engine.errors import UserError
from engine.runs.writer import clean

Commands = Any  # argparse keeps the type of add_subparsers' result private


def command(commands: Commands, name: str, help: str, run: Any) -> argparse.ArgumentParser:
    """Add a command that is carried out by `run(args)` and knows --json."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=help, description=f"{help[:1].upper()}{help[1:]}.", allow_abbrev=False
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.set_defaults(run_command=run)
    return parser


def group(commands: Commands, name: str, help: str) -> Commands:
    """Add a command that has commands of its own."""
    parser = commands.add_parser(name, help=help, description=f"{help[:1].upper()}{help[1:]}.")
    return parser.add_subparsers(
        title="commands", metavar="COMMAND", required=True, parser_class=type(parser)
    )


def say(sentence: str) -> None:
    """One line on standard error."""
    print(plain(sentence), file=sys.stderr, flush=True)


@contextmanager
def about(path: str | None) -> Iterator[None]:
    """Begin a refusal with the name of the file it is about, where it does not name the file itself."""
    try:
        yield
    except UserError as error:
        name = plain(os.path.basename((path or "").rstrip("/\\")) or path or "")
        if name[:20] in str(error):
            raise
        raise UserError(f"{name if len(name) <= 40 else name[:39] + '…'}: {error}") from None


def plain(value: object) -> str:
    """A text from outside on one line, without what could steer a terminal."""
    return "".join(letter if letter.isprintable() else " " for letter in str(value))


def print_json(value: Any) -> None:
    """One JSON object on one line."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    print(json.dumps(clean(value), ensure_ascii=False, allow_nan=False), flush=True)


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Columns as wide as they need to be; `empty` where there is no row."""
    wide = len(header) - 1  # the last column may take the rest of the line
    lines = [
        [plain("" if cell is None else cell)[: 110 if i == wide else 50] for i, cell in enumerate(row)]
        for row in rows
    ]
    if not lines:
        print(empty)
        return
    widths = [max(len(line[i]) for line in [list(header), *lines]) for i in range(len(header))]
    for line in [list(header), *lines]:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def print_fields(fields: dict[str, object]) -> None:
    """Names and values below each other; those without a value are left out."""
    width = max((len(name) for name in fields), default=0)
    for name, value in fields.items():
        if value not in (None, "", [], {}):
            print(f"{name.ljust(width)}  {plain(value)}")


class ProgressLine:
    """Tells how far something is: one line that changes on a terminal, now and then a line elsewhere."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self._said, self._when = "", float("-inf")

    def show(self, text: str) -> None:
        now, text = time.monotonic(), plain(text)
        if text == self._said or now - self._when < (0.1 if self.terminal else 5.0):
            return
        self._said, self._when = text, now
        if self.terminal:
            print(f"\r\033[K{text[:110]}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)

    def end(self) -> None:
        if self.terminal and self._said:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        self._said = ""


def size(count: float | None) -> str:
    """Bytes as a person reads them."""
    if count is None:
        return ""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def moment(seconds: float | None) -> str:
    """A time as a local date."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else ""
