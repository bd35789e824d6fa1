"""User text stays text, and times, lengths and sizes are said one way."""

from __future__ import annotations

import re

import pytest

from pages.components.text import JOINER, ago, count_text, duration, md, one_line, size_text

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "**bold** _it_ `code` ~~no~~",
    "# heading",
    "- item",
    "1. item",
    "12) item",
    "[link](http://evil.example)",
    "![beacon](http://evil.example/x.png)",
    "$x^2$ $$y$$",
    r"\href{http://evil.example}{x}",
    ":material/home: :red[x] :smile: :rainbow[y]",
    "http://evil.example www.evil.example a@evil.example",
    "a -> b <- c <= d",
    "| a | b |",
    "&lt; &amp; &#65;",
    "ants & bees",
    "crème brûlée 🐜 日本語",
]


def read_back(escaped: str) -> str:
    """What a Markdown reader shows of text in which every special character is escaped."""
    return re.sub(r"\\([\\`*_{}\[\]()#+\-!|$~<>&^=:.])", r"\1", escaped).replace(JOINER, "")


@pytest.mark.parametrize("text", HOSTILE)
def test_escaped_text_reads_as_it_was_typed(text: str) -> None:
    assert read_back(md(text)) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_no_special_character_is_left_unescaped(text: str) -> None:
    left = re.sub(r"\\.", "", md(text))
    assert not re.search(r"[`*_{}\[\]()#+!|$~<>&^=:\\]", left)


@pytest.mark.parametrize("text", [":material/home:", ":smile:", ":red[x]", "http://a.example", "a@b.example"])
def test_shortcodes_and_links_are_broken_by_an_invisible_joiner(text: str) -> None:
    assert JOINER in md(text)


@pytest.mark.parametrize("text", ["www.evil.example", "WWW.evil.example"])
def test_a_bare_web_name_does_not_become_a_link(text: str) -> None:
    assert re.match(rf"www{JOINER}", md(text), re.IGNORECASE)


def test_a_long_name_is_cut_with_an_ellipsis() -> None:
    assert one_line("n" * 240) == "n" * 240
    assert one_line("n" * 241) == "n" * 239 + "…"


def test_line_breaks_and_direction_marks_become_spaces() -> None:
    assert one_line("a\nb\r\n\tc\u202ed\u2028e\0f") == "a b c d e f"


def test_sizes_change_unit_before_they_reach_four_digits() -> None:
    assert [
        size_text(n) for n in (0, 812, 999, 1000, 99_940, 99_960, 999_400, 999_600, 47_286_322, 2.5e9)
    ] == [
        *("0 B", "812 B", "999 B", "1.0 kB", "99.9 kB", "100 kB", "999 kB", "1.0 MB", "47.3 MB", "2.5 GB"),
    ]


def test_durations_are_short_and_never_negative() -> None:
    assert [duration(s) for s in (None, -3, 0.44, 48, 89, 90, 3600, 11_520)] == [
        *("–", "0.0 s", "0.4 s", "48 s", "89 s", "2 min", "60 min", "3.2 h"),
    ]


def test_moments_are_told_relative_to_now() -> None:
    now = 1_800_000_000.0
    assert ago(None) == ""
    assert ago(now - 20, now) == "just now"
    assert ago(now - 340, now) == "5 min ago"
    assert ago(now - 7200, now).startswith("at ")
    assert ago(now + 3600, now) == "just now"  # a clock that was set back
    assert re.fullmatch(r"\d{1,2} [A-Z][a-z]{2} \d{4}", ago(now - 40 * 86400, now))


def test_counts_know_one_from_many() -> None:
    assert (count_text(1, "image"), count_text(2000, "image")) == ("1 image", "2,000 images")
    assert (count_text(1, "class", "classes"), count_text(2, "class", "classes")) == ("1 class", "2 classes")
