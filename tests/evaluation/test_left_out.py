"""Maps of features of which some are no finite numbers: those images are left out and told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.cli.main import main
from engine.data.dataset import Dataset
from engine.data.vectors import add_vectors
from engine.errors import UserError
from engine.evaluation import latent_map
from engine.evaluation.latent_map import carry_out, space_of
from engine.evaluation.map_result import read_map
from engine.export.map_figures import headline
from engine.projections.make import project
from engine.projections.points import Points
from engine.runs import layout
from engine.runs.store import RunStore
from tests.evaluation.test_latent_map import drawn, map_recipe, shapes

__all__ = ["shapes"]

N, BAD = 120, [3, 50, 119]
GOOD = np.setdiff1d(np.arange(N), BAD)


def broken(bad: list[int] = BAD) -> np.ndarray:
    """(N, 6) of which some rows have one value or all that are none."""
    x = np.random.default_rng(0).normal(size=(N, 6)).astype(np.float32)
    for number, row in enumerate(bad):
        x[row, slice(None) if number == 0 else number % 6] = (np.nan, np.inf, -np.inf)[number % 3]
    return x


def test_images_of_a_diverged_encoder_are_left_out_and_the_others_drawn(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = broken()
    monkeypatch.setattr(latent_map, "encode", lambda name, data, side, rows, **rest: x[rows])
    run, found, results = drawn(map_recipe(shapes, "pca", "isomap"))
    assert found.index.tolist() == GOOD.tolist() and found.left_out.tolist() == BAD
    assert (results["points"], results["left_out"], results["of"]) == (N - 3, 3, N)
    assert np.array_equal(found.label, np.asarray(shapes.labels)[GOOD])
    for panel in found.panels:
        assert panel.quality and panel.kept is not None
        alone = project(panel.method, Points(x[GOOD]), found.settings.of(panel.method))
        assert np.asarray(panel.positions) == pytest.approx(alone.positions, abs=1e-5)
    assert np.array_equal(space_of(found.recipe, found.index).x, x[GOOD])
    assert found.lacking == (
        "3 of 120 images left out: their features hold values that are no finite numbers"
    )
    assert headline(found, shapes).endswith("3 left out: no finite numbers")


def test_noise_of_their_size_leaves_the_same_ones_out(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(latent_map, "encode", lambda name, data, side, rows, **rest: broken()[rows])
    _, found, _ = drawn(map_recipe(shapes, "pca", noise=True))
    assert found.index.tolist() == GOOD.tolist() and found.done


def test_vectors_with_such_rows_are_mapped_without_them(
    shapes: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "x.npy", broken())
    vectors = add_vectors(tmp_path / "x.npy", shapes.id)
    _, found, results = drawn(map_recipe(shapes, "pca", backbone=f"vectors:{vectors}", points=60))
    assert len(found.index) + len(found.left_out) == 60 and set(found.left_out) <= set(BAD)
    assert results["left_out"] == len(found.left_out) > 0, "of those that were drawn"
    assert found.lacking.startswith(f"{len(found.left_out)} of 60 images left out: their vectors")
    capsys.readouterr()
    assert main(["vectors", "add", str(tmp_path / "x.npy"), "--data", shapes.id]) == 0
    assert "3 of them hold values that are no finite numbers" in capsys.readouterr().out
    assert main(["project", f"vectors:{vectors}", "--data", shapes.id, "--method", "pca"]) == 0
    assert "3 others left out: their vectors hold values" in capsys.readouterr().out


@pytest.mark.parametrize("left", [0, 4])
def test_where_next_to_none_is_left_one_sentence_says_so(
    shapes: Dataset, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    x = np.full((N, 6), np.nan, np.float32)
    x[:left] = broken([])[:left]
    monkeypatch.setattr(latent_map, "encode", lambda name, data, side, rows, **rest: x[rows])
    recipe, store = map_recipe(shapes, "pca"), RunStore()
    run = store.create(recipe).id
    with pytest.raises(UserError, match=f"features of {N - left} of 120 images .* these weights are broken"):
        carry_out(recipe, store.writer(run))
    assert read_map(run) is None
    x[:5] = broken([])[:5]
    assert len(carry_out(recipe, store.writer(run))["maps"]) == 1, "five are a map"


def test_a_map_of_before_has_left_nothing_out(shapes: Dataset) -> None:
    run, found, _ = drawn(map_recipe(shapes, "pca"))
    assert found.lacking == "" and not len(found.left_out)
    path = layout.map_path(RunStore().folder(run), layout.MAP_POINTS)
    arrays = dict(np.load(path))
    del arrays["left_out"]
    np.savez(path, **arrays)  # type: ignore[arg-type]
    again = read_map(run)
    assert again is not None and again.lacking == "" and "left out" not in headline(again, shapes)
