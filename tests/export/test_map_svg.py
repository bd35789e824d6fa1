"""The drawing of a map: well-formed, a mark a point in its class's colour, and the same in pixels."""

from __future__ import annotations

import io
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

from engine.export.map_figures import COLOURS, NOBODY
from engine.export.map_svg import BOX, SCALE, write_png, write_svg
from tests.export.map_runs import HOSTILE, NAMES, coloured_set, map_of, map_run, places

SVG = "{http://www.w3.org/2000/svg}"


def drawn(run: str) -> tuple[ElementTree.Element, list[ElementTree.Element]]:
    """(the document, the group of marks of each panel)."""
    file = io.BytesIO()
    write_svg(map_of(run), file)
    root = ElementTree.fromstring(file.getvalue())
    return root, [group for group in root.iter(f"{SVG}g") if group.get("data-panel")]


def words(root: ElementTree.Element) -> list[str]:
    return [element.text or "" for element in root.iter(f"{SVG}text")]


def centres(panel: ElementTree.Element) -> np.ndarray:
    """(n, 3) x, y and radius of a panel's circles."""
    found = [[float(mark.get(key, "nan")) for key in ("cx", "cy", "r")] for mark in panel]
    return np.array(found)


def test_every_panel_has_a_circle_a_point_in_the_colour_of_its_class(workspace: Path) -> None:
    run = map_run(coloured_set(24))
    root, panels = drawn(run)
    assert [panel.get("data-panel") for panel in panels] == ["PCA", "Isomap"]
    for panel in panels:
        fills = [mark.get("fill") for mark in panel]
        assert {mark.tag for mark in panel} == {f"{SVG}circle"}
        assert sorted(fills) == sorted(COLOURS[int(code)] for code in map_of(run).label)
    told = words(root)
    assert [f"{name}  8" in told for name in NAMES] == [True] * 3
    assert "trust 0.92   hit 0.25" in told and "pixels · 24 of 24 images of Colours" in told


def test_places_keep_their_proportions_upright_and_inside_their_box(workspace: Path) -> None:
    run = map_run(coloured_set(24), ["pca"])
    root, (panel,) = drawn(run)
    marks, truth = centres(panel), places("pca", 24)
    box = next(rect for rect in root.iter(f"{SVG}rect") if rect.get("rx"))
    left, top = float(box.get("x", "nan")), float(box.get("y", "nan"))
    unit = BOX / (5 * 1.1)  # the wider axis spans 5, and a margin
    x = left + BOX / 2 + (truth[:, 0] - 2.5) * unit
    y = top + BOX / 2 - (truth[:, 1] - 1.5) * unit
    away = np.hypot(marks[:, :1] - x, marks[:, 1:2] - y)
    nearest = away.argmin(axis=1)
    assert sorted(nearest) == list(range(24)) and away.min(axis=1).max() < 0.02
    label = map_of(run).label
    assert [mark.get("fill") for mark in panel] == [COLOURS[label[row]] for row in nearest]


def test_panels_are_turned_onto_the_first(workspace: Path) -> None:
    _, (first, second) = drawn(map_run(coloured_set(24)))
    a, b = centres(first)[:, :2], centres(second)[:, :2]
    turned_back = centres(first)[:, :2] - a.mean(0) + b.mean(0)
    order = np.lexsort(turned_back.round(0).T), np.lexsort(b.round(0).T)
    np.testing.assert_allclose(turned_back[order[0]], b[order[1]], atol=0.6)


def test_the_picture_has_colour_where_the_points_are(workspace: Path) -> None:
    run = map_run(coloured_set(24))
    root, panels = drawn(run)
    file = io.BytesIO()
    write_png(map_of(run), file)
    picture = Image.open(file)
    assert picture.size == (SCALE * int(root.get("width", "0")), SCALE * int(root.get("height", "0")))
    pixels = np.asarray(picture.convert("RGB"))
    for panel in panels:
        for mark, (x, y, radius) in zip(panel, centres(panel), strict=True):
            wanted = [int(mark.get("fill", "")[i : i + 2], 16) for i in (1, 3, 5)]
            found = pixels[round(y * SCALE), round(x * SCALE)]
            assert np.abs(found.astype(int) - wanted).max() <= 2
            beside = pixels[round(y * SCALE), round((x + radius + 3) * SCALE)]
            assert beside.tolist() == [255, 255, 255]
    coloured = (np.ptp(pixels.astype(int), axis=2) > 60).sum()
    area = sum(np.pi * (radius * SCALE) ** 2 for panel in panels for *_, radius in centres(panel))
    assert area < coloured < 1.6 * area  # the legend's marks are the rest


def test_hostile_names_stay_text(workspace: Path) -> None:
    root, panels = drawn(map_run(coloured_set(24, HOSTILE)))
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg",
        "g",
        "rect",
        "circle",
        "text",
    }
    assert any(text.startswith("</script><img src=x") for text in words(root))
    assert "tab here line end  8" in words(root)
    assert len(panels) == 2


def test_colours_that_begin_anew_come_with_another_shape(workspace: Path) -> None:
    classes = [f"c{i:02d}" for i in range(23)]
    _, (panel, _) = drawn(map_run(coloured_set(46, classes)))
    looks = {(mark.get("fill"), outline(mark)) for mark in panel}
    assert len(looks) == 23 and len({shape for _, shape in looks}) == 3
    assert sum(mark.tag == f"{SVG}circle" for mark in panel) == 2 * len(COLOURS)


def outline(mark: ElementTree.Element) -> tuple[int, ...]:
    """The corners around their middle, in tenths of a unit; none of a circle."""
    corners = np.array([corner.split(",") for corner in (mark.get("points") or "").split()], float)
    return tuple((10 * (corners - corners.mean(axis=0))).round().astype(int).ravel()) if len(corners) else ()


def test_points_without_a_class_are_coloured_by_cluster(workspace: Path) -> None:
    root, (panel, _) = drawn(map_run(coloured_set(24, [])))
    fills = [mark.get("fill") for mark in panel]
    assert (fills.count(COLOURS[0]), fills.count(COLOURS[1]), fills.count(NOBODY)) == (11, 12, 1)
    assert "no cluster  1" in words(root)


def test_a_panel_that_failed_says_why(workspace: Path) -> None:
    root, panels = drawn(map_run(coloured_set(24), failed="isomap"))
    assert [panel.get("data-panel") for panel in panels] == ["PCA"]
    assert "Too few <points>." in words(root) and "Isomap" in words(root)


def test_three_axes_are_seen_along_the_third(workspace: Path) -> None:
    root, (panel,) = drawn(map_run(coloured_set(24), ["pca"], dimensions=3))
    flat = drawn(map_run(coloured_set(24), ["pca"]))[1][0]
    assert "Seen along its third axis." in words(root)
    np.testing.assert_array_equal(centres(panel), centres(flat))
