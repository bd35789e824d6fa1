"""The one exception whose message a person may read."""

from __future__ import annotations

MAX_MESSAGE = 300


class UserError(ValueError):
    """A problem the reader can act on.

    The message is one plain sentence: what is wrong, where, what to do. Pages and the command line show it
    as it is, so it never holds an absolute path or a word of the implementation.
    """

    def __init__(self, message: str) -> None:
        if len(message) > MAX_MESSAGE:
            message = message[: MAX_MESSAGE - 1].rstrip() + "…"
        super().__init__(message)
