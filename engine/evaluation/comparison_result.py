"""What a comparison left behind, or has so far: a row an encoder, the floors, the ceiling, and the advice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.errors import UserError
from engine.evaluation.advice import FLOORS, Contender, Curve, Number, backbone_advice, few_label_advice
from engine.fields import checked
from engine.methods.comparison_config import ComparisonConfig
from engine.runs.layout import number
from engine.runs.reading import read_rows
from engine.runs.recipe import Recipe
from engine.runs.store import RunStore

SPLIT_WORDS = {"test": "test", "val": "validation"}
MOST_SEEN = 0.01  # share of judging images that an encoder may have met and still be advised
ALL_MET = (
    f"No advice: every measured encoder that learned beforehand has met more than {MOST_SEEN:.0%} of the "
    "judging images, so its figures are no test."
)


@dataclass(frozen=True)
class EncoderRow:
    """One encoder.

    Attributes:
        encoder: Its name.
        title: What people call it; titles of a comparison differ.
        kind: What made its weights, as `engine.evaluation.ancestry.kind_of` says.
        floor: It took part without being named.
        image_size: Side of the images it reads; 0 where it is not known.
        row: What was measured; empty while it waits.
    """

    encoder: str
    title: str
    kind: str
    floor: bool
    image_size: int
    row: dict[str, Any] = field(default_factory=dict)

    @property
    def error(self) -> str | None:
        """Why it could not be measured."""
        return str(self.row["error"]) if self.row.get("error") else None

    @property
    def measured(self) -> bool:
        """Whether there are figures."""
        return bool(self.row) and self.error is None

    @property
    def learned(self) -> bool:
        """Whether it learned anything beforehand; nobody knows of vectors, so they count."""
        return self.kind not in FLOORS

    def figure(self, name: str) -> dict[str, Any] | None:
        """The figures of "linear", "knn", "fine_tuned" or "structure", where they were measured.

        Those of "linear" are also the few-label curve's, whose last point is the same probe with all labels.
        """
        found = self.row.get(name)
        if name == "linear" and not isinstance(found, dict):
            found = next((_as_figure(point) for point in self.few if point.get("labels") is None), None)
        return found if isinstance(found, dict) else None

    @property
    def few(self) -> list[dict[str, Any]]:
        """The points of the few-label curve, the one with all labels last."""
        found = self.row.get("few")
        return [point for point in found if isinstance(point, dict)] if isinstance(found, list) else []

    @property
    def milliseconds(self) -> float | None:
        """Of an image on the machine that measured; None where nothing was computed."""
        return number(self.row.get("milliseconds")) or None

    @property
    def parameters(self) -> int | None:
        """Of the encoder; None where nobody knows."""
        found = self.row.get("parameters")
        return found if isinstance(found, int) else None

    @property
    def seen(self) -> int:
        """Judging images that it learned from."""
        return int(number((self.figure("taught") or {}).get("seen")))

    def met_many(self, n: int) -> bool:
        """Whether it learned from more of the n judging images than its figures can bear."""
        return self.seen > MOST_SEEN * n

    @property
    def knows_labels(self) -> bool:
        """Whether it has learned from all labels of this set, so that few of them are none of its merit."""
        return bool((self.figure("taught") or {}).get("labels"))

    def notes(self, n: int) -> list[str]:
        """What a reader should know before believing its figures, for n judging images."""
        told, taught = [], self.figure("taught") or {}
        if self.seen:
            met = f"It learned from {self.seen:,} of the {n:,} judging images"
            share = f" ({100 * self.seen / n:.3g} %)" if n else ""
            bars = ": its figures are no test." if self.met_many(n) else ", too few to keep it out of advice."
            told.append(f"{met}{share}{bars}")
        if taught.get("labels"):
            told.append(
                "It learned from this set's training images and all their labels, whatever a probe gets."
            )
        elif taught.get("images"):
            told.append("It learned from this set's training images, without their labels.")
        if taught.get("unknown"):
            told.append("A set that it learned from is gone, so nobody can tell whether it met these images.")
        if wanted := int(number(self.row.get("wanted_size"))):
            side = self.image_size
            told.append(f"It reads the images at {side} px: at {wanted} px so many do not fit in memory.")
        return told


@dataclass(frozen=True)
class Comparison:
    """A comparison as far as it is made.

    Attributes:
        recipe: What was asked for.
        setup: Which images took part, the commonest class's share of the judging ones as "chance", notes, the
            ceiling, the machine.
        rows: The encoders named, then the floors.
    """

    recipe: Recipe
    setup: dict[str, Any]
    rows: tuple[EncoderRow, ...]

    @property
    def settings(self) -> ComparisonConfig:
        """Its settings."""
        return checked(ComparisonConfig, self.recipe.config)

    @property
    def measured(self) -> tuple[EncoderRow, ...]:
        """Rows that have figures."""
        return tuple(row for row in self.rows if row.measured)

    @property
    def n(self) -> int:
        """Judging images."""
        return int(number(self.setup.get("n")))

    @property
    def ceiling(self) -> dict[str, Any] | None:
        """The supervised run that did best on validation images, where there is one."""
        found = self.setup.get("ceiling")
        return found if isinstance(found, dict) else None

    def advice(self) -> str:
        """At how many labels learning beforehand pays.

        Encoders that met more than 1 % of the judging images are left out; those that learned from this set's
        labels have used all of them, so only their figure with all labels counts.
        """
        if self._all_met:
            return ALL_MET
        learned = [_curve(row) for row in self._fair if row.learned]
        return few_label_advice(learned, [_curve(row) for row in self.measured if row.floor])

    def best(self) -> str:
        """Which encoder to build on."""
        if self._all_met:
            return ALL_MET
        found = [(row, row.figure("linear") or row.figure("knn")) for row in self._fair]
        return backbone_advice(
            [
                Contender(row.title, told["accuracy"], told["low"], told["high"], row.milliseconds, row.kind)
                for row, told in found
                if told
            ]
        )

    @property
    def _fair(self) -> list[EncoderRow]:
        """Measured rows whose figures are a test."""
        return [row for row in self.measured if not row.met_many(self.n)]

    @property
    def _all_met(self) -> bool:
        """Whether encoders that learned were measured, and all of them met too many judging images."""
        return any(row.learned for row in self.measured) and not any(row.learned for row in self._fair)


def _as_figure(point: dict[str, Any]) -> dict[str, Any]:
    """The point of a few-label curve that has all labels, as the figures of a linear probe."""
    shares = {"accuracy": "mean", "low": "low", "high": "high"}
    counts = {name: int(number(point.get(name))) for name in ("n", "train_n")}
    return {**{name: number(point.get(key)) for name, key in shares.items()}, **counts}


def _curve(row: EncoderRow) -> Curve:
    points: dict[Number, tuple[float, float]] = {
        point.get("labels"): (number(point.get("low")), number(point.get("high")))
        for point in row.few
        if point.get("labels") is None or not row.knows_labels
    }
    whole = row.figure("linear") or row.figure("knn")
    if whole and None not in points:
        points[None] = number(whole.get("low")), number(whole.get("high"))
    return Curve(row.title, row.kind, points)


def read_comparison(run_id: str, store: RunStore | None = None) -> Comparison | None:
    """The comparison of a run; None while nothing is known of it.

    Raises:
        UserError: There is no such run, or it is no comparison.
    """
    store = store or RunStore()
    recipe = store.recipe(run_id)
    if recipe.method != "comparison":
        raise UserError("This run compares nothing: choose one that the Compare page made.")
    rows, _, _ = read_rows(store.folder(run_id))
    setups = [row for row in rows if row["kind"] == "setup" and isinstance(row.get("subjects"), list)]
    if not setups:
        return None
    told = {str(row.get("encoder")): row for row in rows if row["kind"] == "encoder"}
    found, titles = [], set()
    for subject in setups[-1]["subjects"]:
        name, title = str(subject.get("encoder")), str(subject.get("title"))
        title = title if title not in titles else f"{title} ({name.rpartition(':')[2][:6]})"
        titles.add(title)
        side = int(number(subject.get("side")))
        row = told.get(name, {})
        found.append(EncoderRow(name, title, str(subject.get("kind")), bool(subject.get("floor")), side, row))
    return Comparison(recipe, setups[-1], tuple(found))
