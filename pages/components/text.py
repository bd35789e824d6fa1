"""Words: user text made literal, and one way to say times, lengths, bytes and counts."""

from __future__ import annotations

import re
import time
import unicodedata
from datetime import datetime

JOINER = "\u2060"  # invisible; breaks shortcodes and bare links, for display only, never for a key
_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-!|$~<>&^=])")
_LIST_START = re.compile(r"^(\s*\d+)([.)])")
_WEB = re.compile(r"(www|ftp|mailto)(?=\.|\\)", re.IGNORECASE)


def md(text: object, limit: int = 240) -> str:
    """User text that Streamlit's Markdown shows letter by letter.

    HTML, links, pictures, LaTeX, emoji and icon shortcodes, colours, lists and badges lose their meaning;
    line breaks and control characters become spaces; what is longer than `limit` ends in an ellipsis.
    """
    plain = one_line(text, limit)
    escaped = _SPECIAL.sub(r"\\\1", plain)
    escaped = escaped.replace(":", f"\\:{JOINER}").replace("@", f"@{JOINER}")
    escaped = _WEB.sub(rf"\1{JOINER}", escaped)
    return _LIST_START.sub(rf"\1{JOINER}\\\2", escaped)


def one_line(text: object, limit: int = 240) -> str:
    """Text without control, format and line-breaking characters, cut to `limit` characters."""
    kept = "".join(
        " " if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in BIDI else c for c in str(text)
    )
    kept = " ".join(kept.split())
    return kept if len(kept) <= limit else kept[: limit - 1].rstrip() + "…"


BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f")


def count_text(n: int, one: str, many: str | None = None) -> str:
    """'1 image', '2,000 images'."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def size_text(count: float) -> str:
    """Bytes for reading: '812 B', '4.1 MB'."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 999.5 or unit == "TB":
            return f"{count:.0f} {unit}" if unit == "B" or count >= 99.95 else f"{count:.1f} {unit}"
        count /= 1000
    return ""


def duration(seconds: float | None) -> str:
    """A length of time for reading: '0.4 s', '48 s', '12 min', '3.2 h'."""
    if seconds is None:
        return "–"
    seconds = max(0.0, seconds)
    if seconds < 9.5:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def ago(timestamp: float | None, now: float | None = None) -> str:
    """When something happened, as one would say it: 'just now', '5 min ago', 'Tue 14:02', '3 Mar 2026'."""
    if not timestamp:
        return ""
    seconds = (time.time() if now is None else now) - timestamp
    if seconds < 60:
        return "just now"
    if seconds < 3600:
        return f"{int(seconds // 60)} min ago"
    when = datetime.fromtimestamp(timestamp)
    if seconds < 20 * 3600:
        return f"at {when:%H:%M}"
    return f"{when:%a %H:%M}" if seconds < 6 * 86400 else f"{when.day} {when:%b %Y}"
