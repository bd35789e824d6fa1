"""One sentence of advice from a comparison's intervals; where they overlap it advises nothing.

Two 95 % intervals that do not touch are told apart more strictly than a test at 5 % would, which leaves room
for looking at several encoders at once: N. Schenker & J. F. Gentleman 2001, On judging the significance of
differences by examining the overlap between confidence intervals, https://doi.org/10.1198/000313001317097960.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Interval = tuple[float, float]
Number = int | None  # labels a class; None for all of them
FLOORS = {"pixels": "raw pixels", "random": "random weights"}
NO_FLOOR = "No advice: neither raw pixels nor random weights could be measured, so nothing can be told."
OVERLAP = "at every number of labels the intervals overlap with those of"
NOUNS = {
    "self-supervised": "Self-supervised learning",
    "autoencoder": "An autoencoder",
    "pretrained": "A pretrained backbone",
    "supervised": "A supervised encoder",
}


@dataclass(frozen=True)
class Curve:
    """What is known of one encoder.

    Attributes:
        title: What it is called.
        kind: What made its weights; a name of NOUNS, or anything else.
        intervals: Of its accuracy, by labels a class.
    """

    title: str
    kind: str
    intervals: Mapping[Number, Interval] = field(default_factory=dict)


@dataclass(frozen=True)
class Contender:
    """One encoder in the search for a backbone.

    Attributes:
        title: What it is called.
        accuracy: With all labels.
        low: Lower end of its interval.
        high: Upper end.
        milliseconds: Of an image; None where nothing is computed.
        kind: What made its weights; a name of FLOORS, or anything else.
    """

    title: str
    accuracy: float
    low: float
    high: float
    milliseconds: float | None = None
    kind: str = ""

    @property
    def floor(self) -> bool:
        """Whether it is raw pixels or random weights."""
        return self.kind in FLOORS


def few_label_advice(curves: Sequence[Curve], floors: Sequence[Curve]) -> str:
    """At how many labels learning beforehand pays: where an interval lies above those of all floors.

    Args:
        curves: Encoders that learned something, and from no judging image.
        floors: Raw pixels and random weights, those of them that were measured; only these are named.
    """
    floors = [floor for floor in floors if floor.intervals]
    if not floors:
        return NO_FLOOR
    numbers, kinds = _shared(floors), [floor.kind for floor in floors]
    curves = [curve for curve in curves if any(n in curve.intervals for n in numbers)]
    if not curves:
        beside = _floors(kinds, "and")
        return f"No advice: no encoder that learned beforehand could be measured beside {beside}."
    ceiling = {number: max(floor.intervals[number][1] for floor in floors) for number in numbers}
    clear = {
        curve.title: [n for n in numbers if n in curve.intervals and curve.intervals[n][0] > ceiling[n]]
        for curve in curves
    }
    best = max(curves, key=lambda curve: (len(clear[curve.title]), _lowest(curve, numbers)))
    where = clear[best.title]
    if where:
        asked = [n for n in numbers if n in best.intervals]
        noun = NOUNS.get(best.kind, "An encoder that was made elsewhere")
        above = _floors(kinds, "and")
        return f"{noun} pays here {_range(where, asked)}: {best.title} is above {above} there."
    better = _better_floor(curves, floors, numbers)
    if better:
        return f"Learning beforehand does not pay here: {better}."
    return f"No advice: {OVERLAP} {_floors(kinds, 'or')}."


def _floors(kinds: Sequence[str], joint: str) -> str:
    """The floors of these kinds by name, each once."""
    return f" {joint} ".join(name for kind, name in FLOORS.items() if kind in kinds)


def _shared(curves: Sequence[Curve]) -> list[Number]:
    """Numbers of labels that all curves have, in ascending order, all of them last."""
    known = set.intersection(*(set(curve.intervals) for curve in curves)) if curves else set()
    return sorted(known, key=_place)


def _place(number: Number) -> float:
    return float("inf") if number is None else float(number)


def _lowest(curve: Curve, numbers: Sequence[Number]) -> float:
    lows = [curve.intervals[n][0] for n in numbers if n in curve.intervals]
    return sum(lows) / len(lows) if lows else 0.0


def _range(clear: Sequence[Number], asked: Sequence[Number]) -> str:
    """Where it pays in words: below, from, at; `clear` is a part of `asked`."""
    if list(clear) == list(asked):
        if len(asked) == 1:
            return _labels(asked[0])
        first, last = (_labels(number, short=True) for number in (asked[0], asked[-1]))
        return f"at every number of labels a class, from {first} to {last}"
    if list(clear) == list(asked[: len(clear)]):
        following = asked[len(clear)]
        if following is None:
            return f"up to {_labels(clear[-1])}, and is not told apart with all of them"
        return f"below {following} labels a class"
    if list(clear) == list(asked[-len(clear) :]):
        least = clear[0]
        return "only with all labels" if least is None else f"from {_labels(least)} on"
    told = [_labels(number, short=True) for number in clear]
    return f"with {', '.join(told[:-1])}{' and ' if len(told) > 1 else ''}{told[-1]} labels a class"


def _labels(number: Number, short: bool = False) -> str:
    if short:
        return "all" if number is None else f"{number}"
    if number is None:
        return "with all labels"
    return f"{number} label{'s' if number != 1 else ''} a class"


def _better_floor(curves: Sequence[Curve], floors: Sequence[Curve], numbers: Sequence[Number]) -> str:
    """A floor that is above every encoder with the most labels that were measured; empty where none is."""
    number = numbers[-1]
    highs = [curve.intervals[number][1] for curve in curves if number in curve.intervals]
    for floor in floors:
        if len(highs) == len(curves) and floor.intervals[number][0] > max(highs):
            name = floor.title[:1].lower() + floor.title[1:]
            how = "with all labels" if number is None else f"with {_labels(number)}"
            return f"{how}, {name} are above every encoder that learned"
    return ""


def backbone_advice(contenders: Sequence[Contender]) -> str:
    """Which encoder to build on: the one that stands alone, or the quickest of those not told apart."""
    candidates = [one for one in contenders if not one.floor]
    floors = _floors([one.kind for one in contenders], "and")
    if not floors:
        return NO_FLOOR
    if not candidates:
        return f"No advice: no backbone could be measured, only {floors}."
    best = max(candidates, key=lambda one: one.accuracy)
    level = [one for one in contenders if one is not best and one.high >= best.low]
    floor = max((one for one in level if one.floor), key=lambda one: one.low, default=None)
    if floor is not None and floor.low > best.high:
        return f"None of them: the best, {best.title}, stays below {_small(floor.title)}."
    if floor is not None:
        return f"No advice: the best of them, {best.title}, is not told apart from {_small(floor.title)}."
    if not level:
        alone = f"is above {floors}" if len(candidates) == 1 else "is above all others"
        return f"Take {best.title}: it {alone}, with {best.accuracy:.1%} of the judging images right."
    group = sorted([best, *level], key=lambda one: -one.accuracy)
    timed = [one for one in group if one.milliseconds is not None]
    told = _list([one.title for one in group])
    if len(timed) < len(group):
        return f"{told} lead and are not told apart: take whichever is at hand."
    quickest = min(timed, key=lambda one: one.milliseconds or 0.0)
    return (
        f"{told} lead and are not told apart: take the quickest, {quickest.title}, "
        f"with {quickest.milliseconds:.3g} ms an image."
    )


def _small(title: str) -> str:
    return title[:1].lower() + title[1:]


def _list(titles: Sequence[str], most: int = 3) -> str:
    if len(titles) > most:
        return f"{', '.join(titles[:most])} and {len(titles) - most} more"
    return f"{', '.join(titles[:-1])} and {titles[-1]}"
