"""The latent map in a real browser: hover, lasso, legend, search, reruns, new panels, 3-D, dark, a phone."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser.map_driver import (
    MARGIN,
    Map,
    bright_everywhere,
    circle,
    film_shows,
    lonely,
    map_server,
    mean_colour,
    mean_of,
    point_somewhere,
    ringed,
    wait_until,
)
from tests.browser.map_points import CLASSES, IMAGES, TITLES, colour, labels, positions


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with map_server(tmp_path_factory.mktemp("map")) as url:
        yield url


def test_hovering_a_point_shows_its_own_image_class_and_name(address: str, page: Any) -> None:
    view = Map(page, address)
    for panel in (0, 2):
        at = view.where(panel)
        for row in lonely(at)[:3]:
            view.page.mouse.move(*at[row] + [60, -60], steps=2)
            view.page.mouse.move(*at[row], steps=3)
            card = view.page.locator(".lm-card")
            card.filter(has_text=f"colour-{row:03d}-{row}.png").wait_for(timeout=5000)
            view.page.locator(".lm-frame img:not([hidden])").wait_for()
            assert CLASSES[row % 4] in card.inner_text()
            assert np.abs(mean_colour(view.page.locator(".lm-frame")) - colour(row)).max() <= 6
    page.clean()


def test_each_point_is_drawn_where_the_map_says_and_in_the_colour_of_its_class(
    address: str, page: Any
) -> None:
    view = Map(page, address)
    swatches = [
        mean_of(view.page.locator(".lm-legend i").nth(k).evaluate("e => getComputedStyle(e).backgroundColor"))
        for k in range(4)
    ]
    for panel in range(6):
        if panel == 3:  # the lower three were outside the window when they were drawn
            view.page.locator(".lm-lines").nth(5).scroll_into_view_if_needed()
        shot = np.asarray(Image.open(io.BytesIO(view.page.screenshot())).convert("RGB")).astype(float)
        at = view.where(panel)
        rows = lonely(at, clear=9)
        assert len(rows) > 10
        for row in rows:
            x, y = np.round(at[row]).astype(int)
            seen = shot[y - 1 : y + 2, x - 1 : x + 2].mean(axis=(0, 1))
            nearest = int(np.argmin([np.abs(seen - swatch).sum() for swatch in swatches]))
            assert nearest == row % 4, f"row {row} of panel {panel} looks like class {nearest}"


def test_a_lasso_selects_the_same_rows_everywhere_and_tells_python_exactly_those(
    address: str, page: Any
) -> None:
    view = Map(page, address)
    at = view.where(1)
    middle = np.median(at[labels(view.n) == 0], axis=0)
    ring = circle(middle, 45.0)
    wanted = np.flatnonzero(np.linalg.norm(at - middle, axis=1) < 45).tolist()
    edge = np.abs(np.linalg.norm(at - middle, axis=1) - 45)
    assert 10 < len(wanted) < 100
    view.drag(ring)
    wait_until(lambda: view.told()["chosen"] is not None)
    chosen = view.told()["chosen"]
    sure = {row for row in wanted if edge[row] > 1.5}
    assert sure <= set(chosen) <= set(wanted) | set(np.flatnonzero(edge <= 1.5).tolist())
    assert chosen == sorted(chosen) and view.selected() == len(chosen)
    tiles = view.page.locator(".lm-tiles button")
    assert [int(tile.get_attribute("data-row")) for tile in tiles.all()] == chosen
    assert (
        view.page.locator(".lm-strip p").inner_text()
        == f"{len(chosen)} of {len(chosen)} selected images shown"
    )
    cats = sum(row % 4 == 0 for row in chosen)
    assert view.count("cat") == f"{cats} / 60"
    bright_everywhere(view, chosen)
    tiles.first.scroll_into_view_if_needed()
    view.page.wait_for_timeout(700)
    for place in (0, len(chosen) - 1):
        assert np.abs(mean_colour(tiles.nth(place).locator("i")) - colour(chosen[place])).max() <= 8
    page.shot("map-lasso")
    page.clean()


def test_a_selection_of_2000_points_in_six_panels_is_drawn_within_three_tenths_of_a_second(
    address: str, page: Any
) -> None:
    view = Map(page, address, n=2000)
    view.page.get_by_role("button", name="Box").click()
    box = view.page.locator(".lm-box").nth(4).bounding_box()
    view.page.mouse.move(box["x"] + 5, box["y"] + 5)
    view.page.mouse.down()
    view.page.mouse.move(box["x"] + box["width"] - 5, box["y"] + box["height"] / 2, steps=5)
    view.page.mouse.up()
    wait_until(lambda: view.selected() > 200)
    assert int(view.root.get_attribute("data-took")) < 300
    assert view.page.locator(".lm-tiles button").count() == min(300, view.selected())
    wait_until(lambda: len(view.told()["chosen"] or []) == view.selected())


def test_pictures_stand_at_their_points_and_none_covers_another(address: str, page: Any) -> None:
    view = Map(page, address)
    view.page.get_by_role("button", name="Pictures").click()
    view.page.wait_for_timeout(1200)  # the sheet
    shot = np.asarray(Image.open(io.BytesIO(view.page.screenshot())).convert("RGB")).astype(float)
    at = np.round(view.where(0)).astype(int)
    alone = lonely(view.where(0), clear=38)
    assert len(alone) >= 2, "points far enough apart for every one to have its picture"
    for row in alone:
        x, y = at[row]
        seen = shot[y - 6 : y + 6, x - 6 : x + 6].mean(axis=(0, 1))
        assert np.abs(seen - colour(row)).max() <= 8, f"row {row}"


def test_moving_and_the_wheel_change_one_panel_only_and_a_double_click_shows_all_again(
    address: str, page: Any
) -> None:
    view = Map(page, address)
    home = view.ranges(0), view.ranges(1)
    box = view.page.locator(".lm-box").first.bounding_box()
    middle = np.array([box["x"] + box["width"] / 2, box["y"] + box["height"] / 2])
    view.page.mouse.move(*middle)
    view.page.mouse.wheel(0, -300)
    view.page.wait_for_timeout(300)
    assert view.ranges(0) == home[0], "while selecting, the wheel scrolls the page"
    view.page.get_by_role("button", name="Move", exact=True).click()
    view.drag(np.array([middle, middle + [50, 30]]))
    wait_until(lambda: view.ranges(0) != home[0])
    unit = (home[0][1] - home[0][0]) / box["width"]
    wait_until(lambda: abs(view.ranges(0)[0] - (home[0][0] - 50 * unit)) < 1e-3)
    assert view.ranges(0)[2] == pytest.approx(home[0][2] + 30 * unit, abs=1e-3)
    view.page.mouse.wheel(0, -500)
    wait_until(lambda: view.ranges(0)[1] - view.ranges(0)[0] < 0.6 * (home[0][1] - home[0][0]))
    assert view.ranges(1) == home[1] and not view.selected()
    view.page.mouse.dblclick(*middle)
    wait_until(lambda: view.ranges(0) == pytest.approx(home[0]))


def test_an_enlarged_panel_comes_first_and_takes_the_whole_width(address: str, page: Any) -> None:
    view = Map(page, address)
    panel = view.page.locator(".lm-panel").nth(3)
    small = panel.bounding_box()
    view.after_drawing(lambda: panel.get_by_role("button", name="Enlarge").click())
    large, first = panel.bounding_box(), view.page.locator(".lm-panel").first.bounding_box()
    assert large["width"] > 2.8 * small["width"] and large["y"] < first["y"]
    at = view.where(3)
    row = lonely(at)[0]
    view.page.mouse.move(*at[row] + [40, -40])
    view.page.mouse.move(*at[row], steps=3)
    view.page.locator(".lm-card").filter(has_text=f"-{row}.png").wait_for(timeout=5000)
    view.after_drawing(lambda: panel.get_by_role("button", name="Show beside").click())
    assert panel.bounding_box()["width"] == pytest.approx(small["width"], abs=1)


def test_a_change_of_theme_recolours_the_scale(address: str, page: Any) -> None:
    view = Map(page, address)
    view.page.get_by_label("Colour by").select_option("loss")
    ramp = view.page.locator(".lm-ramp")
    light = ramp.evaluate("e => e.style.background")
    view.page.emulate_media(color_scheme="dark")
    wait_until(lambda: ramp.evaluate("e => e.style.background") != light)
    page.clean()


def test_a_pack_that_cannot_be_read_is_told_in_a_sentence(address: str, page: Any) -> None:
    page.open(f"{address}/?step=six&n=60001")
    page.page.locator(".lm-notice").filter(has_text="could not be drawn").wait_for(timeout=30_000)
    page.clean()


def test_a_click_rings_the_point_and_tells_python_its_row(address: str, page: Any) -> None:
    view = Map(page, address)
    at = view.where(0)
    row = lonely(at)[4]
    view.page.mouse.click(*at[row])
    wait_until(lambda: view.told()["clicked"] == row and view.told()["chosen"] == [row])
    view.search("dog")
    wait_until(lambda: view.selected() == 60)
    view.page.locator(".lm-tiles button").nth(3).focus()
    view.page.keyboard.press("Enter")
    wait_until(lambda: view.told()["clicked"] == 13)
    assert view.selected() == 60, "looking at one of many leaves the selection alone"
    view.page.keyboard.press("Escape")
    wait_until(lambda: view.told()["chosen"] == [])
    assert view.selected() == 0


def test_the_legend_hides_and_solos_by_mouse_and_keyboard_and_hidden_points_cannot_be_selected(
    address: str, page: Any
) -> None:
    view = Map(page, address)
    view.after_drawing(lambda: view.class_button("cat").click())
    assert view.class_button("cat").get_attribute("aria-pressed") == "false"
    view.page.get_by_role("button", name="Select all visible").click()
    wait_until(lambda: view.told()["chosen"] == [row for row in range(IMAGES) if row % 4])
    view.after_drawing(lambda: view.class_button("cat").press("Enter"))
    assert view.class_button("cat").get_attribute("aria-pressed") == "true"
    assert view.class_button("cat").evaluate("e => e === document.activeElement"), "the keyboard stays there"
    view.page.get_by_role("button", name="Invert").click()
    wait_until(lambda: view.told()["chosen"] == list(range(0, IMAGES, 4)))
    view.after_drawing(lambda: view.class_button("owl").dblclick())
    pressed = [view.class_button(name).get_attribute("aria-pressed") for name in CLASSES]
    assert pressed == ["false", "false", "false", "true"]
    assert "180 hidden" in view.page.locator(".lm-told").inner_text()
    view.after_drawing(lambda: view.class_button("owl").press("Shift+Enter"))
    assert view.class_button("cat").get_attribute("aria-pressed") == "true"


def test_search_finds_names_and_classes_and_says_when_there_are_none(address: str, page: Any) -> None:
    view = Map(page, address)
    view.search("colour-01")
    wait_until(lambda: view.told()["chosen"] == list(range(10, 20)))
    view.search("ONERROR")
    wait_until(lambda: view.told()["chosen"] == list(range(2, IMAGES, 4)))
    view.search("no such thing")
    wait_until(lambda: view.told()["chosen"] == [])
    assert "No visible point" in view.page.locator(".lm-told").inner_text()
    page.clean()


def test_what_was_set_up_outlives_a_rerun_a_new_pack_and_a_remount(address: str, page: Any) -> None:
    view = Map(page, address, step="early")
    states = view.page.locator(".lm-panel")
    assert [states.nth(k).get_attribute("data-state") for k in range(3)] == ["done", "working", "waiting"]
    assert "iteration 120 of 750" in states.nth(1).inner_text()
    view.search("dog")
    wait_until(lambda: len(view.told()["chosen"] or []) == 60)
    view.page.locator(".lm-box").first.focus()
    for _ in range(4):
        view.page.keyboard.press("+")
    view.page.get_by_label("Colour by").select_option("loss")
    view.page.wait_for_timeout(500)
    runs = view.told()["runs"]
    view.page.get_by_role("button", name="Rerun").click()
    wait_until(lambda: view.told()["runs"] > runs)
    kept(view)
    view.after_drawing(lambda: view.page.get_by_text("More panels").click())
    wait_until(lambda: states.count() == 4)
    assert "raise the neighbours to 15" in states.nth(3).inner_text()
    kept(view)
    for _ in range(2):
        view.page.get_by_text("Away").click()
        view.watched.ready()
        view.page.wait_for_timeout(300)
    view.page.locator(".latent-map[data-drawn]").wait_for(timeout=20_000)
    kept(view)
    wait_until(lambda: len(view.told()["chosen"] or []) == 60)
    page.shot("map-more-panels")
    page.clean()


def kept(view: Map) -> None:
    wait_until(lambda: "60 of 240 selected" in view.page.locator(".lm-told").inner_text())
    assert view.page.get_by_label("Colour by").input_value() == "loss"
    zoomed = view.ranges(0)[1] - view.ranges(0)[0]
    at = positions(0, view.n)
    box = view.page.locator(".lm-box").first.bounding_box()
    whole = max((at.max(axis=0) - at.min(axis=0)) / [box["width"], box["height"]]) * MARGIN * box["width"]
    assert zoomed == pytest.approx(whole / 1.4**4, rel=1e-3)


def test_rows_that_the_page_wants_are_selected_once_and_the_person_goes_on_from_there(
    address: str, page: Any
) -> None:
    view = Map(page, address)
    view.search("dog")
    wait_until(lambda: len(view.told()["chosen"] or []) == 60)
    view.page.get_by_role("button", name="Select", exact=True).click()
    wait_until(lambda: view.told()["chosen"] == [2, 5, 90])
    bright_everywhere(view, [2, 5, 90])
    tiles = view.page.locator(".lm-tiles button").all()
    assert [int(tile.get_attribute("data-row")) for tile in tiles] == [2, 5, 90]
    assert view.page.get_by_role("searchbox").input_value() == ""
    view.search("owl")
    wait_until(lambda: len(view.told()["chosen"]) == 60)
    runs = view.told()["runs"]
    view.page.get_by_role("button", name="Rerun").click()
    wait_until(lambda: view.told()["runs"] > runs)
    for _ in range(2):  # and away and back
        view.page.get_by_text("Away").click()
        view.watched.ready()
        view.page.wait_for_timeout(300)
    view.page.locator(".latent-map[data-drawn]").wait_for(timeout=20_000)
    assert view.selected() == 60, "a wish that was fulfilled is not one any more"
    view.page.get_by_role("button", name="Select", exact=True).click()
    wait_until(lambda: view.told()["chosen"] == [2, 5, 90])
    page.clean()


def test_a_point_without_a_label_is_not_called_by_the_colours_class(address: str, page: Any) -> None:
    view = Map(page, address, step="plain")
    at = view.where(0)
    row = lonely(at)[2]
    view.page.mouse.move(*at[row] + [60, -60], steps=2)
    view.page.mouse.move(*at[row], steps=3)
    card = view.page.locator(".lm-card")
    card.filter(has_text=f"-{row}.png").wait_for(timeout=5000)
    assert card.locator("b").inner_text() == "no label"
    assert f"prediction: {CLASSES[row % 4]}" in card.inner_text(), "which is told as what it is"
    page.shot("map-no-label")
    view.search("dog")
    wait_until(lambda: "No visible point" in view.page.locator(".lm-told").inner_text())
    page.clean()


def test_rows_that_the_page_marks_are_lit_and_ringed(address: str, page: Any) -> None:
    view = Map(page, address)
    view.page.get_by_text("Mark", exact=True).click()
    view.page.locator(".lm-strip").wait_for()
    rows = [int(tile.get_attribute("data-row")) for tile in view.page.locator(".lm-tiles button").all()]
    assert rows == [3, 7, 11]
    bright_everywhere(view, [7, 11])
    assert view.told()["chosen"] is None, "what the page marks is not the person's selection"


def test_a_picture_in_a_list_rings_its_point_on_every_panel_while_it_is_pointed_at(
    address: str, page: Any
) -> None:
    view = Map(page, address)
    view.page.get_by_text("List", exact=True).click()
    figures = view.page.locator(".gallery figure")
    figures.first.wait_for(timeout=20_000)
    view.watched.ready()
    runs, rows = view.told()["runs"], [5, 8, 13]
    assert ringed(view, rows) == [set()] * 6
    figures.nth(1).hover()
    wait_until(lambda: ringed(view, rows) == [{8}] * 6)
    figures.nth(2).hover()
    wait_until(lambda: ringed(view, rows) == [{13}] * 6)
    page.shot("map-list")
    view.page.mouse.move(2, 2)
    wait_until(lambda: ringed(view, rows) == [set()] * 6)
    figures.first.locator("button").focus()
    view.page.keyboard.press("Tab")  # only the keyboard's focus counts
    wait_until(lambda: ringed(view, rows) == [{8}] * 6)
    assert view.told()["runs"] == runs, "nothing of this runs the page again"
    view.page.keyboard.press("Enter")
    wait_until(lambda: view.told()["clicked"] == 8 and view.told()["runs"] == runs + 1)
    view.watched.ready()
    assert figures.nth(1).locator("button").evaluate("e => e.getRootNode().activeElement === e")
    view.page.get_by_text("List", exact=True).click()
    wait_until(lambda: not figures.count() and ringed(view, rows) == [set()] * 6)
    page.clean()


def film_of(view: Map) -> Any:
    """The film below the map, drawn."""
    view.page.get_by_text("Film", exact=True).click()
    film = view.page.locator(".latent-map").nth(1)
    view.page.locator(".latent-map[data-drawn]").nth(1).wait_for(timeout=20_000)
    film.locator(".lm-box").scroll_into_view_if_needed()
    return film


def test_a_film_moves_the_points_from_map_to_map(address: str, page: Any) -> None:
    view = Map(page, address)
    film = film_of(view)
    assert film.locator(".lm-box").count() == 1
    maps = [positions(panel, view.n) for panel in range(6)]
    heading, slider = film.locator("h4"), film.get_by_role("slider", name="Which map of the film")
    for panel in (0, 1, 2):
        wait_until(lambda panel=panel: np.allclose(film_shows(film), maps[panel]))
        assert heading.inner_text() == slider.get_attribute("aria-valuetext") == TITLES[panel]
        assert film.locator(".lm-figures").inner_text().startswith("trust")
        slider.press("ArrowRight")
    slider.fill("1.25")
    wait_until(lambda: np.allclose(film_shows(film), 0.75 * maps[1] + 0.25 * maps[2], atol=1e-4))
    assert heading.inner_text() == "t-SNE → UMAP"
    assert not film.locator(".lm-figures").inner_text(), "on the way it is no map that has figures"
    film.get_by_role("button", name="Kernel PCA").click()
    wait_until(lambda: np.allclose(film_shows(film), maps[5]))
    film.get_by_role("button", name="UMAP").click()
    film.get_by_role("button", name="Play").click()
    wait_until(
        lambda: film.get_attribute("data-film") == "5" and film.get_by_text("Play", exact=True).count()
    )
    assert np.allclose(film_shows(film), maps[5])
    page.shot("map-film")
    page.clean()


def test_a_film_and_the_map_beside_it_share_what_is_selected_and_pointed_at(address: str, page: Any) -> None:
    view = Map(page, address)
    view.search("dog")
    wait_until(lambda: view.selected() == 60)
    film = film_of(view)
    assert film.get_attribute("data-selected") == "60", "it begins with what is selected"
    film.get_by_role("searchbox").fill("owl")
    wait_until(lambda: view.told()["chosen"] == list(range(3, IMAGES, 4)))
    assert view.page.locator(".latent-map").first.get_attribute("data-selected") == "60"
    film.get_by_role("button", name="LLE").click()
    assert film.get_attribute("data-selected") == "60", "and keeps it from map to map"
    tile = film.locator(".lm-tiles button").nth(2)
    tile.hover()
    wait_until(lambda: view.page.locator(".latent-map").first.get_attribute("data-pointed") == "11")
    film.get_by_role("button", name="Clear").click()
    wait_until(lambda: view.told()["chosen"] == [])
    page.clean()


def test_a_film_stands_still_for_those_who_want_no_motion(address: str, page: Any) -> None:
    page.page.emulate_media(reduced_motion="reduce")
    film = film_of(Map(page, address))
    page.page.evaluate(
        "() => { window.seen = [];"
        " new MutationObserver(([{ target }]) => window.seen.push(target.dataset.film))"
        ".observe(document.querySelectorAll('.latent-map')[1], { attributeFilter: ['data-film'] }); }"
    )
    film.get_by_role("button", name="Isomap").click()
    film.get_by_role("button", name="Play").click()
    wait_until(lambda: film.get_attribute("data-film") == "5")
    assert set(page.page.evaluate("window.seen")) == {"3", "4", "5"}


def under_way(film: Any) -> None:
    """Play a film from its first map until its points are between two maps."""
    film.get_by_role("button", name=TITLES[0], exact=True).click()
    film.get_by_role("button", name="Play").click()
    wait_until(lambda: " → " in film.locator("h4").first.inner_text())


def test_a_film_that_is_left_for_its_maps_beside_each_other_moves_none_of_them(
    address: str, page: Any
) -> None:
    view = Map(page, address)
    film = film_of(view)
    under_way(film)
    view.page.get_by_text("Beside", exact=True).click()
    wait_until(lambda: film.locator(".lm-box").count() == 6)
    stood = film.get_attribute("data-film")
    view.page.wait_for_timeout(2500)  # longer than from one map to the next
    assert film.get_attribute("data-film") == stood, "it has stopped"
    for panel in range(6):
        wait_until(lambda panel=panel: np.allclose(film_shows(film, panel), positions(panel, view.n)))
        assert film.locator("h4").nth(panel).inner_text() == TITLES[panel]
    view.page.get_by_text("Beside", exact=True).click()
    wait_until(lambda: film.locator(".lm-box").count() == 1)
    assert film.get_by_role("button", name="Play").count() == 1, "it waits until somebody plays it again"
    page.clean()


def test_a_film_that_is_taken_off_the_page_while_it_plays_moves_nothing_afterwards(
    address: str, page: Any
) -> None:
    view = Map(page, address)
    film = film_of(view)
    under_way(film)
    view.page.get_by_text("Film", exact=True).click()
    wait_until(lambda: view.page.locator(".latent-map").count() == 1)
    where = "() => window.__replabMaps.get('film').film"  # what outlives the film, for when it comes back
    drawn, stood = view.drawn(), view.page.evaluate(where)
    view.page.wait_for_timeout(2500)
    assert view.drawn() == drawn and view.page.evaluate(where) == stood > 0
    for panel in range(6):
        assert np.allclose(film_shows(view.root, panel), positions(panel, view.n))
    film_of(view)
    assert film.get_by_role("button", name="Play").count() == 1
    page.clean()


def test_three_axes_turn_and_take_part_in_the_selection_in_the_dark(
    address: str, visit: Callable[..., Any]
) -> None:
    page = visit(dark=True)
    view = Map(page, address, step="deep")
    view.search("owl")
    wait_until(lambda: view.selected() == 60)
    sizes = "() => document.querySelector('.lm-figure').data.map(trace => trace.x.length)"
    wait_until(lambda: view.page.evaluate(sizes) == [240, 240, 60, 0])
    box = view.page.locator(".lm-box").nth(1).bounding_box()
    eye = "() => JSON.stringify(document.querySelector('.lm-figure')._fullLayout.scene2.camera.eye)"
    before = view.page.evaluate(eye)
    view.drag(np.array([[box["x"] + 200 + 20 * k, box["y"] + 200] for k in range(6)]))
    wait_until(lambda: view.page.evaluate(eye) != before)
    row = point_somewhere(view, box)
    view.page.mouse.down()
    view.page.mouse.up()
    wait_until(lambda: view.told()["clicked"] == row)
    wait_until(lambda: view.page.evaluate(sizes) == [240, 240, 60, 1])
    page.shot("map-three-axes-dark")
    page.clean()


def test_without_webgl_the_points_are_drawn_as_shapes_and_a_note_says_so(address: str, page: Any) -> None:
    page.page.add_init_script(
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {"
        " return kind.includes('webgl') ? null : get.call(this, kind, ...rest); };"
    )
    view = Map(page, address, step="deep")
    assert "no WebGL" in view.page.locator(".lm-head").inner_text()
    assert "first two are shown" in view.page.locator(".lm-panel").nth(1).inner_text()
    assert view.page.locator(".lm-figure .scatterlayer path.point").count() == 2 * IMAGES
    page.clean()


def test_on_a_phone_panels_stand_below_each_other(address: str, visit: Callable[..., Any]) -> None:
    page = visit(width=400, height=860, dark=True)
    view = Map(page, address, step="late")
    boxes = [view.page.locator(".lm-box").nth(k).bounding_box() for k in range(4)]
    assert len({round(box["x"]) for box in boxes}) == 1 and boxes[0]["y"] < boxes[1]["y"]
    assert view.page.evaluate("document.documentElement.scrollWidth") <= 400
    page.shot("map-phone-dark")
    page.clean()


def test_a_finger_taps_a_point_and_scrolls_until_a_tool_is_chosen(
    address: str, chromium: Any, page: Any
) -> None:
    context = chromium.new_context(viewport={"width": 400, "height": 860}, has_touch=True, is_mobile=True)
    try:
        watched = type(page)(context.new_page())
        view = Map(watched, address, step="late")
        box = view.page.locator(".lm-box").first
        assert box.evaluate("e => getComputedStyle(e).touchAction") != "none"
        at = view.where(0)
        row = next(row for row in lonely(at, clear=24) if at[row][1] < 850)
        view.page.touchscreen.tap(*at[row])
        view.page.locator(".lm-card").filter(has_text=f"-{row}.png").wait_for(timeout=5000)
        wait_until(lambda: view.told()["clicked"] == row)
        view.page.get_by_role("button", name="Lasso").tap()
        assert box.evaluate("e => getComputedStyle(e).touchAction") == "none"
        watched.clean()
    finally:
        context.close()
