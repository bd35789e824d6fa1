"""What a comparison will cost: the arithmetic against numbers by hand, and what nobody can know."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.data.dataset import Dataset
from engine.evaluation import comparison_cost
from engine.evaluation.comparison_cost import Costs, comparison_costs
from engine.runs.store import RunStore
from engine.training import cost
from engine.training.cost import estimate
from tests.evaluation import comparing
from tests.evaluation.comparing import QUICK, SIDE, compared, comparison_recipe, finished

# 80 training images of 10 classes and 40 that judge, of 150
IMAGE, BATCH = 0.01, 4.0
PROBE = {"few": 2.0, "some": 7.0, "knn": 1e-4, "structure": 1e-3}  # 5 seconds for 500 more rows


@pytest.fixture
def shapes(workspace: Path) -> Dataset:
    return comparing.shapes()


def costs(recipe: Any, asked: list[str] | None = None) -> Costs:
    def timing(name: str, take: Callable[[], dict[str, float]]) -> dict[str, float]:
        if asked is not None:
            asked.append(name)
        return PROBE if name.startswith("probe") else {"image": IMAGE, "batch": BATCH}

    return comparison_costs(recipe, timing, lambda dataset, side: float(side))


def test_seconds_add_up_as_by_hand(shapes: Dataset) -> None:
    asked: list[str] = []
    found = costs(comparison_recipe(shapes, "random:resnet20,random:cnn-small", draws=3, few_most=2), asked)
    # the two named, of which the first is the floor of random weights, and pixels
    assert sorted(set(asked)) == [
        f"embed/cnn-small/{SIDE}", f"embed/resnet20/{SIDE}", "probe/10/128", "probe/10/64", "probe/10/768"
    ]  # fmt: skip
    fixed, fitted = dict(found.fixed), dict(found.fitted)
    assert fixed["Reading images"] == SIDE, "all of them read the same stored images"
    assert fixed["Features"] == pytest.approx(2 * 150 * IMAGE), "most of the set takes part, so all is kept"
    assert fixed["Timing the encoders"] == pytest.approx(2 * 6 * BATCH * IMAGE)
    assert fitted["Linear probes"] == pytest.approx(3 * 2.0), "80 rows cost what the fewest timed do"
    assert fitted["Probes with few labels"] == pytest.approx(3 * 3 * (2.0 + 2.0)), "3 draws of 10 and of 20"
    assert fitted["Neighbours"] == pytest.approx(3 * 80 * 40 * 1e-4)
    assert fitted["Shape of the features"] == pytest.approx(3 * 40 * 40 * 1e-3)
    assert (found.known, found.unknown) == (0, [])
    best, low, high = found.seconds
    assert best == pytest.approx(sum(fixed.values()) + sum(fitted.values()))
    assert low == pytest.approx(0.7 * sum(fixed.values()) + 0.4 * sum(fitted.values()))
    assert high == pytest.approx(1.6 * sum(fixed.values()) + 2.5 * sum(fitted.values()))


def test_more_rows_lie_on_the_line_through_the_timed_ones() -> None:
    assert comparison_cost._probe(PROBE, comparison_cost.FEW) == 2.0
    assert comparison_cost._probe(PROBE, comparison_cost.SOME) == pytest.approx(7.0)
    assert comparison_cost._probe(PROBE, 1600) == pytest.approx(2.0 + 1500 * 5 / 500)
    falling = {**PROBE, "some": 1.0}
    assert comparison_cost._probe(falling, 1600) == 2.0, "chance in a timing makes no probe free"


def test_what_is_switched_off_costs_nothing(shapes: Dataset) -> None:
    off = {**QUICK, "knn": False}
    found = costs(comparison_recipe(shapes, "random:cnn-small", **off))
    assert [what for what, _ in found.fitted] == ["Linear probes"]


def test_features_that_are_kept_are_not_computed_again(shapes: Dataset) -> None:
    recipe = comparison_recipe(shapes, "random:cnn-small", **QUICK)
    assert dict(costs(recipe).fixed)["Features"] == pytest.approx(150 * IMAGE)
    compared(recipe)
    found = costs(recipe)
    assert dict(found.fixed)["Features"] == 0 and found.known == 1


def test_encoders_that_are_gone_are_named_and_not_counted(shapes: Dataset) -> None:
    run = finished(shapes)
    recipe = comparison_recipe(shapes, f"run:{run},random:resnet20", **QUICK)
    assert len(dict(costs(recipe).fixed)) == 3 and not costs(recipe).unknown
    RunStore().remove(run)
    found = costs(recipe)
    assert found.unknown == ["A run that was deleted"]
    assert dict(found.fixed)["Features"] == pytest.approx(150 * IMAGE)


def test_the_estimate_says_what_it_does_not_know_and_is_remembered(
    shapes: Dataset, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison_cost, "SOME", 120)
    monkeypatch.setattr(comparison_cost, "JUDGES", 40)
    run = finished(shapes)
    recipe = comparison_recipe(shapes, f"run:{run},random:cnn-small", draws=2, few_most=2)
    first = estimate(recipe)
    assert first.seconds == pytest.approx(sum(seconds for _, seconds in first.parts))
    assert 0 < first.low < first.seconds < first.high and first.peak_bytes == 0
    assert "made-up features" in first.basis and "memory is not foreseen" in first.basis
    kept = (workspace / "cache" / "timings.json").read_bytes()
    RunStore().remove(run)
    more = estimate(comparison_recipe(shapes, f"run:{run},random:cnn-small", draws=20, few_most=2))
    assert (workspace / "cache" / "timings.json").read_bytes() == kept, "nothing is timed twice"
    assert more.seconds > first.seconds and "cannot be built here: A run that was deleted" in more.basis
    assert cost.STARTING == dict(first.parts)["Starting and saving"]


@pytest.mark.parametrize("classes", [2, 300])
def test_probes_are_timed_with_any_number_of_classes(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison_cost, "SOME", 120)
    monkeypatch.setattr(comparison_cost, "JUDGES", 40)
    took = comparison_cost._timed(8, classes)
    assert took.keys() == PROBE.keys() and all(seconds > 0 for seconds in took.values())
