"""Every entry of PROJECTIONS: a map of ordinary points, and a map or a sentence of every other kind."""

from __future__ import annotations

import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from engine.errors import MAX_MESSAGE, UserError
from engine.projections import PROJECTIONS, parse_projection, projection_class
from engine.projections.make import distinct_positions, fit_projection, place, project
from engine.projections.points import Points
from engine.projections.projection import Embedding, Projection, ProjectionConfig, Stopped, Watch
from tests.projections.shapes import apart, cloud, distance_correlation, groups, roll

NAMES = list(PROJECTIONS)
PLACING = [name for name in NAMES if PROJECTIONS[name].transforms]
N = 120
ROUND = cloud(100, 10)
ROWS: dict[str, np.ndarray] = {
    "identical rows": np.ones((50, 10)),
    "no number": np.where(np.arange(1000).reshape(100, 10) == 7, np.nan, ROUND),
    "infinite": np.where(np.arange(1000).reshape(100, 10) == 7, np.inf, ROUND),
    "huge": ROUND * 1e20,
    "large": ROUND * 1e12,
    "tiny": ROUND * 1e-12,
    **{f"{n} points": ROUND[:n] for n in range(1, 9)},
    "20 points": ROUND[:20],
    "every row twice": np.repeat(ROUND, 2, 0),
    "half duplicates": np.concatenate([ROUND, np.repeat(ROUND[:1], 100, 0)]),
    "5 different": np.repeat(ROUND[:5], 20, 0),
    "3 different": np.repeat(ROUND[:3], 20, 0),
    "two far blobs": np.concatenate([ROUND, ROUND + 1000]),
    "five far blobs": np.concatenate([ROUND[:40] + 1000 * i for i in range(5)]),
    "one far point": np.concatenate([ROUND, np.full((1, 10), 1e9)]),
    "constant feature": np.column_stack([ROUND, np.ones(100)]),
    "rank 1": np.outer(ROUND[:, 0], np.arange(1, 11)),
    "one feature": ROUND[:, :1],
    "wider than long": cloud(30, 200),
    "whole numbers": np.arange(300).reshape(100, 3) % 7,
}


@cache
def fitted(name: str, dimensions: int = 2) -> tuple[Projection, Embedding]:
    return fit_projection(name, Points(groups(N)), dimensions=dimensions)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("name", NAMES)
def test_ordinary_points_get_a_map(name: str, dimensions: int) -> None:
    found = fitted(name, dimensions)[1]
    assert found.positions.shape == (N, dimensions) and found.positions.dtype == np.float32
    assert np.isfinite(found.positions).all()
    assert distinct_positions(found.positions) == N
    assert (found.positions.std(0) > 0.01 * found.positions.std(0).max()).all()
    assert found.landmarks == 0 and found.notes == ()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_identical_map_and_the_points_stay(name: str) -> None:
    x = groups(N)
    again = project(name, Points(x)).positions
    assert np.array_equal(again, fitted(name)[1].positions)
    assert np.array_equal(x, groups(N))


@pytest.mark.parametrize("name", [name for name in NAMES if name in ("kernel_pca", "isomap", "lle", "mds")])
def test_the_same_seed_draws_the_same_landmarks(name: str) -> None:
    x = groups(2100)
    one, other, third = (project(name, Points(x), seed=seed) for seed in (4, 4, 5))
    assert np.array_equal(one.positions, other.positions)
    assert (one.landmarks > 0) != np.allclose(one.positions, third.positions, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", list(ROWS))
def test_every_other_kind_of_points_gets_a_map_or_a_sentence(name: str, kind: str) -> None:
    x = ROWS[kind]
    before = x.copy()
    try:
        points = Points(x)
        found = project(name, points)
    except UserError as error:
        assert 20 < len(str(error)) <= MAX_MESSAGE and str(error).endswith(".")
        assert "error" not in str(error).lower() and "numpy" not in str(error).lower()
    else:
        assert found.positions.shape == (len(x), 2)
        assert np.isfinite(found.positions).all()
        different = len(points.distinct)
        spots = distinct_positions(found.positions)
        assert spots >= min(different, max(5, different / 10))
        assert kind not in ("identical rows", "no number", "infinite", "huge", "4 points", "1 points")
    assert np.array_equal(x, before, equal_nan=True)


@pytest.mark.parametrize(
    "kind", ["20 points", "every row twice", "half duplicates", "constant feature", "tiny"]
)
@pytest.mark.parametrize("name", NAMES)
def test_points_that_are_only_unusual_get_a_map(name: str, kind: str) -> None:
    assert len(project(name, Points(ROWS[kind])).positions) == len(ROWS[kind])


@pytest.mark.parametrize("form", ["standard", "modified", "hessian", "ltsa"])
@pytest.mark.parametrize("kind", list(ROWS))
def test_every_form_of_lle_gets_a_map_or_a_sentence(form: str, kind: str) -> None:
    config = parse_projection("lle", {"method": form})
    for dimensions in (2, 3):
        try:
            found = project("lle", Points(ROWS[kind]), config, dimensions=dimensions)
        except UserError as error:
            assert len(str(error)) <= MAX_MESSAGE
        else:
            assert np.isfinite(found.positions).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_has_a_default_bounds_and_help(name: str) -> None:
    config = projection_class(name).Config
    assert issubclass(config, ProjectionConfig)
    parse_projection(name, {})
    properties = config.model_json_schema()["properties"]
    for field, info in config.model_fields.items():
        assert info.description and info.description.endswith("."), f"{name}.{field}: one sentence of help"
        schema = properties[field]
        if schema.get("type") in ("integer", "number"):
            assert {"minimum", "exclusiveMinimum"} & set(schema), f"{name}.{field}: no lower bound"
            assert {"maximum", "exclusiveMaximum"} & set(schema), f"{name}.{field}: no upper bound"
    with pytest.raises(UserError, match="no setting 'gama'"):
        parse_projection(name, {"gama": 1})


@pytest.mark.parametrize("name", NAMES)
def test_every_entry_has_its_words(name: str) -> None:
    entry = PROJECTIONS[name]
    assert entry.title and all(text.endswith(".") for text in (entry.line, entry.seen, entry.beware))
    assert max(map(len, (entry.line, entry.seen, entry.beware))) <= 110


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_neighbours_are_clamped_with_a_note(name: str) -> None:
    fields = projection_class(name).Config.model_fields
    if "n_neighbors" not in fields:
        pytest.skip("it asks for no neighbours")
    few = project(name, Points(cloud(9)), parse_projection(name, {"n_neighbors": 50}))
    assert any("50" in note for note in few.notes)


@pytest.mark.parametrize("name", NAMES)
def test_a_stop_is_obeyed(name: str) -> None:
    if name == "pca":
        pytest.skip("it is over before one could ask")
    told: list[float] = []
    with pytest.raises(Stopped):
        project(name, Points(groups(N)), watch=Watch(stopped=lambda: True))
    project(name, Points(groups(N)), watch=Watch(progress=told.append, stopped=lambda: False))
    assert told == sorted(told) and all(0 <= share <= 1 for share in told)


@pytest.mark.parametrize("name", PLACING)
def test_fitted_points_are_placed_near_where_they_are(name: str) -> None:
    projection, found = fitted(name)
    placed = place(name, projection, groups(N))
    away = np.linalg.norm(placed - found.positions, axis=1)
    # UMAP moves what it places; the spectral methods are held to far less in their own tests
    assert np.median(away) < 0.15 * np.ptp(found.positions, axis=0).max()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in PLACING])
def test_others_say_that_they_cannot_place_points(name: str) -> None:
    with pytest.raises(UserError, match="cannot place new points"):
        place(name, fitted(name)[0], groups(5))


def test_no_two_methods_draw_the_same_map() -> None:
    x, _ = roll(300)
    maps = {name: project(name, Points(x)).positions for name in NAMES}
    same = [(a, b) for a in NAMES for b in NAMES if a < b and apart(maps[a], maps[b]) < 0.01]
    assert not same


def test_isomap_unrolls_what_lle_bends() -> None:
    x, places = roll(600)
    isomap = project("isomap", Points(x)).positions
    lle = project("lle", Points(x)).positions
    assert distance_correlation(isomap, places) > 0.99
    assert distance_correlation(lle, places) < 0.95
    assert apart(isomap, lle) > 0.05


def test_reading_the_registry_loads_no_heavy_library() -> None:
    code = (
        "import sys, engine.projections.make\n"
        "for name in engine.projections.PROJECTIONS: engine.projections.projection_class(name)\n"
        "print([name for name in ('torch', 'sklearn', 'scipy', 'umap', 'openTSNE', 'pandas', 'streamlit') "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_order_of_the_registry_is_the_order_of_the_panels() -> None:
    order = ["pca", "kernel_pca", "lle", "isomap", "tsne", "umap", "mds", "laplacian_eigenmaps"]
    assert NAMES == [name for name in order if name in NAMES] and set(NAMES) <= set(order)


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_draws_another_map_exactly_where_the_entry_speaks_of_chance(name: str) -> None:
    x = cloud(520, 4)
    one, other = (project(name, Points(x), seed=seed) for seed in (0, 1))
    assert not one.landmarks
    same = np.abs(one.positions - other.positions).max() < 1e-3 * np.ptp(one.positions, axis=0).max()
    assert same == (not PROJECTIONS[name].chance)
    assert not PROJECTIONS[name].chance or "seed" in PROJECTIONS[name].chance
