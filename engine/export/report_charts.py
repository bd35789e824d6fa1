"""Curves and bars of a report as SVG inside the page: no script, no font, colours that follow the theme."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 460, 230
LEFT, RIGHT, TOP, BOTTOM = 52, 12, 12, 30
TICKS = 5
MOST_POINTS = 400  # of a line; of more, so many are drawn


@dataclass(frozen=True)
class Line:
    """One curve.

    Attributes:
        name: In the legend.
        xs: Ascending.
        ys: As many.
        mark: "solid" or "dashed", which is also its colour.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    mark: str = "solid"


def curves(title: str, lines: Sequence[Line], share: bool = False) -> str:
    """A figure of curves over epochs.

    Args:
        title: Above it, plain text.
        lines: One or several, none of them empty.
        share: Values are shares, told in per cent.
    """
    xs = [x for line in lines for x in line.xs]
    ys = [y for line in lines for y in line.ys]
    left, right = min(xs), max(xs)
    marks = ticks(min(ys), max(ys))
    low, high = min(marks[0], min(ys)), max(marks[-1], max(ys))

    def x(value: float) -> float:
        return LEFT + (value - left) / ((right - left) or 1) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM)

    parts = [_level(y(mark), _tick_text(mark, share)) for mark in marks]
    for mark in _whole_ticks(left, right):
        parts.append(f'<text x="{x(mark):.1f}" y="{HEIGHT - 10}" text-anchor="middle">{mark:,}</text>')
    for line in lines:
        at = [(x(a), y(b)) for a, b in _thinned(line)]
        parts.append(_path(at, line.mark))
    legend = "".join(f'<span class="{line.mark}">{escape(line.name)}</span>' for line in lines)
    label = escape(f"{title} per epoch", quote=True)
    return (
        f'<figure><figcaption>{escape(title)} <small>per epoch</small></figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
        f'<p class="legend">{legend}</p></figure>'
    )  # fmt: skip


def _level(at: float, text: str) -> str:
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" class="grid"/>'
        f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{text}</text>'
    )


def _path(at: Sequence[tuple[float, float]], mark: str) -> str:
    if len(at) == 1:
        return f'<circle cx="{at[0][0]:.1f}" cy="{at[0][1]:.1f}" r="4" class="{mark}"/>'
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in at)
    return f'<polyline points="{points}" class="{mark}"/>'


def _thinned(line: Line) -> list[tuple[float, float]]:
    pairs = list(zip(line.xs, line.ys, strict=True))
    step = math.ceil(len(pairs) / MOST_POINTS)
    return pairs[::step] + ([] if (len(pairs) - 1) % step == 0 else pairs[-1:])


def ticks(low: float, high: float) -> list[float]:
    """Round values from just below `low` to just above `high`, about `TICKS` of them."""
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    rough = (high - low) / (TICKS - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _whole_ticks(left: float, right: float) -> list[int]:
    step = max(1, math.ceil((right - left) / 6))
    return list(range(math.ceil(left), math.floor(right) + 1, step))


def _tick_text(value: float, share: bool) -> str:
    return f"{100 * value:.3g} %" if share else f"{value:.4g}"


def interval(low: float, value: float, high: float) -> str:
    """A share with its interval on a scale from 0 to 1."""
    return (
        '<svg class="interval" viewBox="0 0 200 14" role="img" aria-hidden="true">'
        '<line x1="2" x2="198" y1="7" y2="7" class="grid"/>'
        f'<line x1="{2 + 196 * low:.1f}" x2="{2 + 196 * high:.1f}" y1="7" y2="7" class="range"/>'
        f'<circle cx="{2 + 196 * value:.1f}" cy="7" r="4" class="solid"/></svg>'
    )
