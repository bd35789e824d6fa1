"""What goes into logs: one line an entry, whatever letters a name from outside holds, and an id a fault."""

from __future__ import annotations

import logging
import traceback

from engine.files import new_id

NAME = "replab"
MARK_LETTERS = 8
MOST_LETTERS = 2000  # of one message: a log is no place for a file's contents


def escaped(text: object) -> str:
    """Text on one line: line breaks, control, direction and format characters as Python writes them."""
    plain = str(text)
    plain = plain if len(plain) <= MOST_LETTERS else plain[: MOST_LETTERS - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in plain)


def told(error: BaseException) -> str:
    """The traceback of an error and of those behind it; each message, which may quote a name, on one line."""
    chain: list[BaseException] = []
    behind: BaseException | None = error
    while behind is not None and behind not in chain:
        chain.append(behind)
        behind = behind.__cause__ or (None if behind.__suppress_context__ else behind.__context__)
    parts = []
    for one in reversed(chain):
        parts += traceback.format_tb(one.__traceback__)
        parts.append(f"{type(one).__qualname__}: {escaped(one)}\n")
    return "".join(parts).rstrip("\n")


def mark() -> str:
    """A short id for the reader and the log, by which an operator finds what went wrong."""
    return new_id()[:MARK_LETTERS]


def fault(what: str, error: BaseException) -> str:
    """Log an error that nobody foresaw; gives the id under which the log has it.

    Args:
        what: What was being done.
        error: What came of it.
    """
    found = mark()
    logging.getLogger(NAME).error("fault %s: %s", found, what, exc_info=error)
    return found


class Lines(logging.Formatter):
    """Writes each message on one line, and tracebacks as `told` does."""

    def format(self, record: logging.LogRecord) -> str:
        record.exc_text = None  # another formatter may have left its own
        return super().format(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  the name is logging's
        return escaped(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802
        error = ei[1] if isinstance(ei, tuple) else None
        return told(error) if isinstance(error, BaseException) else ""


def set_up(*others: str) -> None:
    """Let the app's log go to standard error in lines of its own, and format what other loggers write so too.

    Args:
        *others: Names of loggers that have a handler already.
    """
    lines = Lines("%(asctime)s %(levelname)s %(message)s")
    log = logging.getLogger(NAME)
    if not log.handlers:
        log.addHandler(logging.StreamHandler())
    for name in (NAME, *others):
        for handler in logging.getLogger(name).handlers:
            handler.setFormatter(lines)
