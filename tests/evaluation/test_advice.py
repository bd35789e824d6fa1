"""The advice: only what intervals that do not touch allow, in words that say where."""

from __future__ import annotations

import itertools

import pytest

from engine.evaluation.advice import (
    NO_FLOOR,
    Contender,
    Curve,
    Interval,
    Number,
    backbone_advice,
    few_label_advice,
)

NUMBERS: tuple[Number, ...] = (1, 5, 10, None)
FLAT = Curve("Raw pixels", "pixels", {number: (0.2, 0.3) for number in NUMBERS})
RANDOM = Curve("Compact CNN, random weights", "random", {number: (0.1, 0.4) for number in NUMBERS})
FLOORS = [FLAT, RANDOM]
ABOVE: Interval = (0.41, 0.5)
LEVEL: Interval = (0.39, 0.5)


def curve(above: str, title: str = "SimCLR", kind: str = "self-supervised") -> Curve:
    """A curve that is above the floors where `above` has an x, place by place of NUMBERS."""
    return Curve(title, kind, {n: ABOVE if x == "x" else LEVEL for n, x in zip(NUMBERS, above, strict=True)})


@pytest.mark.parametrize(
    ("above", "where"),
    [
        ("xx..", "below 10 labels a class:"),
        ("x...", "below 5 labels a class:"),
        ("xxx.", "up to 10 labels a class, and is not told apart with all of them:"),
        ("xxxx", "at every number of labels a class, from 1 to all:"),
        ("..xx", "from 10 labels a class on:"),
        (".xxx", "from 5 labels a class on:"),
        ("...x", "only with all labels:"),
        (".x..", "with 5 labels a class:"),
        (".xx.", "with 5 and 10 labels a class:"),
        ("x..x", "with 1 and all labels a class:"),
    ],
)
def test_it_says_where_the_intervals_are_apart(above: str, where: str) -> None:
    told = few_label_advice([curve(above)], FLOORS)
    assert told.startswith(f"Self-supervised learning pays here {where}")
    assert told.endswith(" SimCLR is above raw pixels and random weights there.")


def test_no_pattern_of_overlaps_is_told_as_an_advantage() -> None:
    for above in itertools.product("x.", repeat=len(NUMBERS)):
        told = few_label_advice([curve("".join(above))], FLOORS)
        assert ("pays here" in told) == ("x" in above)
    assert few_label_advice([curve("....")], FLOORS).startswith("No advice: at every number of labels")


def test_touching_is_overlapping() -> None:
    touching = Curve("X", "pretrained", {number: (0.4, 0.6) for number in NUMBERS})
    assert few_label_advice([touching], FLOORS).startswith("No advice")


def test_it_must_be_above_all_floors_and_not_above_one() -> None:
    between = Curve("X", "supervised", {number: (0.31, 0.39) for number in NUMBERS})  # above pixels alone
    assert few_label_advice([between], FLOORS).startswith("No advice")
    assert "A supervised encoder pays here" in few_label_advice([between], [FLAT])


def test_the_encoder_that_pays_most_often_is_named() -> None:
    curves = [curve("x...", "BYOL"), curve("xx..", "SimCLR"), curve("....", "MoCo")]
    assert "SimCLR is above" in few_label_advice(curves, FLOORS)


def test_what_kind_it_is_gets_its_words() -> None:
    words = {
        "pretrained": "A pretrained backbone pays",
        "autoencoder": "An autoencoder pays",
        "vectors": "An encoder that was made elsewhere pays",
    }
    for kind, begin in words.items():
        assert few_label_advice([curve("xxxx", kind=kind)], FLOORS).startswith(begin)


def test_a_floor_that_beats_every_encoder_is_told() -> None:
    low = Curve("SimCLR", "self-supervised", {number: (0.05, 0.15) for number in NUMBERS})
    told = few_label_advice([low], FLOORS)
    better = "with all labels, raw pixels are above every encoder that learned"
    assert told == f"Learning beforehand does not pay here: {better}."
    level = Curve("BYOL", "self-supervised", {number: (0.1, 0.2) for number in NUMBERS})
    assert few_label_advice([low, level], FLOORS).startswith("No advice"), "one of them is level"


def test_only_numbers_that_every_floor_has_count() -> None:
    alone = Curve("X", "pretrained", {number: ABOVE for number in NUMBERS})
    told = few_label_advice([alone], [Curve("Raw pixels", "pixels", {None: (0.2, 0.3)})])
    assert told.startswith("A pretrained backbone pays here with all labels:")


def test_without_anything_to_hold_against_there_is_no_advice() -> None:
    told = "No advice: no encoder that learned beforehand could be measured beside"
    assert few_label_advice([], FLOORS) == f"{told} raw pixels and random weights."
    assert few_label_advice([], [RANDOM]) == f"{told} random weights."
    assert few_label_advice([curve("xxxx")], []) == NO_FLOOR
    assert few_label_advice([curve("xxxx")], [Curve("Raw pixels", "pixels")]) == NO_FLOOR, "it has no figures"


@pytest.mark.parametrize(("floor", "name"), [(FLAT, "raw pixels"), (RANDOM, "random weights")])
def test_only_floors_that_were_measured_are_named(floor: Curve, name: str) -> None:
    assert few_label_advice([curve("xxxx")], [floor]).endswith(f" SimCLR is above {name} there.")
    level = Curve("X", "pretrained", {number: (0.0, 1.0) for number in NUMBERS})
    assert few_label_advice([level], [floor]).endswith(f" overlap with those of {name}.")


def contender(title: str, middle: float, ms: float | None = 1.0, kind: str = "pretrained") -> Contender:
    return Contender(title, middle, middle - 0.02, middle + 0.02, ms, kind)


PIXELS = contender("Raw pixels", 0.4, None, "pixels")
NOISE = contender("Compact CNN, random weights", 0.3, 1.0, "random")


def test_one_that_stands_alone_is_taken() -> None:
    told = backbone_advice([contender("A", 0.8), contender("B", 0.7), PIXELS])
    assert told == "Take A: it is above all others, with 80.0% of the judging images right."
    alone = backbone_advice([contender("A", 0.8), PIXELS, NOISE])
    assert "it is above raw pixels and random weights, with" in alone


def test_a_backbone_is_above_no_floor_that_was_not_measured() -> None:
    assert "it is above raw pixels, with" in backbone_advice([contender("A", 0.8), PIXELS])
    assert "it is above random weights, with" in backbone_advice([contender("A", 0.8), NOISE])
    assert backbone_advice([contender("A", 0.8), contender("B", 0.6)]) == NO_FLOOR
    assert backbone_advice([NOISE]) == "No advice: no backbone could be measured, only random weights."


def test_of_those_not_told_apart_the_quickest_is_taken() -> None:
    told = backbone_advice([contender("A", 0.80, 9), contender("B", 0.78, 2), contender("C", 0.7, 1), PIXELS])
    assert told == "A and B lead and are not told apart: take the quickest, B, with 2 ms an image."
    many = [contender(name, 0.8, 5 - i) for i, name in enumerate("ABCDE")]
    assert backbone_advice([*many, PIXELS]).startswith("A, B, C and 2 more lead and are not told apart")
    unknown = backbone_advice([contender("A", 0.8, None), contender("B", 0.78, 2), PIXELS])
    assert unknown == "A and B lead and are not told apart: take whichever is at hand."


def test_level_with_a_floor_nothing_is_advised() -> None:
    told = backbone_advice([contender("A", 0.42), contender("B", 0.41), PIXELS])
    assert told == "No advice: the best of them, A, is not told apart from raw pixels."
    assert backbone_advice([PIXELS]).startswith("No advice: no backbone could be measured")
    below = backbone_advice([contender("A", 0.2), PIXELS])
    assert below == "None of them: the best, A, stays below raw pixels."
