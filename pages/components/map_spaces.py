"""Same images, every space: one method's maps of several encoders, with pinned images ringed in all."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import streamlit as st
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.data.dataset import Dataset, open_dataset
from engine.errors import UserError
from engine.evaluation.map_result import LatentMap, read_map
from engine.evaluation.spaces import Spaces, shared_spaces
from engine.files import check_id
from engine.methods import config_class
from engine.projections import PROJECTIONS, projection_entry
from engine.runs.summary import RunSummary
from pages.components import map_pack as pack
from pages.components.forms import settings_of
from pages.components.gallery import gallery
from pages.components.images import item
from pages.components.map_panels import figures, known_classes
from pages.components.map_view import map_view
from pages.components.recipe_card import backbone_facts
from pages.components.run_routes import NO_STORE
from pages.components.sprites import pictures_of
from pages.components.store import run_store
from pages.components.text import one_line

MOST_PINS = 10
PINS = "maps.pins.{}"  # of a data set: places of pinned images
KEY = "maps.spaces.{}"


def routes() -> list[Route]:
    return [Route("/lab/maps/spaces.bin", spaces_bin)]


def spaces_bin(request: Request) -> Response:
    """The pack of one method's panel of several runs; its address names the runs, which never change."""
    try:
        runs = [check_id(run, "run id") for run in request.query_params.get("runs", "")[:400].split(",")]
        method, by = (request.query_params.get(name, "")[:60] for name in ("method", "by"))
        film = request.query_params.get("film") == "1"
        for run in runs:
            run_store().folder(run)  # what is remembered was perhaps asked for by somebody who may see more
        data = _packed(tuple(runs[: pack.MOST_PANELS]), method, by, film)
    except UserError as error:
        return JSONResponse({"error": str(error)}, status_code=404, headers=NO_STORE)
    except (IndexError, ValueError):  # an address made by hand: runs of other images, or one of them twice
        words = "These maps do not show the same images: choose others."
        return JSONResponse({"error": words}, status_code=404, headers=NO_STORE)
    return Response(data, media_type="application/octet-stream", headers=NO_STORE)


@lru_cache(maxsize=8)
def _packed(runs: tuple[str, ...], method: str, by: str, film: bool = False) -> bytes:
    """The pack of these runs' panels, called by the setting `by`, or by their encoders if that is empty."""
    maps = read_maps(runs)
    found = shared_spaces(maps, method, film)
    dataset = open_dataset(next(iter(maps.values())).recipe.dataset)
    panels = []
    named = [f"{_title(by)} {_shown(one.recipe.config.get(by))}" for one in maps.values()]
    for (run, one), title in zip(maps.items(), named if by else titles(list(maps.values())), strict=True):
        panel = next(panel for panel in one.done if panel.method == method)
        entry = projection_entry(method)
        lines = [entry.seen, entry.beware, *panel.row.get("notes", [])]
        figured = list(figures(panel, one))
        panels.append(pack.Panel(title, found.positions[run], lines=lines, figures=figured))
    names = dataset.names
    captions = [names[int(place)] for place in found.index]
    labels = known_classes("class", found.label, list(dataset.classes))
    return pack.pack(panels, [labels], captions, pictures_of(dataset, found.index), len(found.index), labels)


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _title(by: str) -> str:
    """What people call a setting of maps."""
    return next((s.title for s in settings_of(config_class("latent_map")) if s.name == by), by)


def read_maps(runs: Sequence[str]) -> dict[str, LatentMap]:
    """Maps by run.

    Raises:
        UserError: One of the runs has no points.
    """
    maps = {run: read_map(run, run_store()) for run in runs}
    missing = [run for run, one in maps.items() if one is None]
    if missing:
        raise UserError("One of these maps has no points: choose finished maps.")
    return {run: one for run, one in maps.items() if one is not None}


def titles(maps: list[LatentMap]) -> list[str]:
    """What each space is called: its encoder; numbered where two are called alike."""
    found: list[str] = []
    for one in maps:
        facts = dict(backbone_facts(one.recipe.backbone or "pixels"))
        name = facts.get("Encoder") or f"{facts.get('Backbone', '')}, {facts.get('Weights', '')}"
        if one.settings.noise:
            name = f"noise like {name}"
        name, number = one_line(name, 70), 2
        while (name if number == 2 else f"{name} {number - 1}") in found:
            number += 1
        found.append(name if number == 2 else f"{name} {number - 1}")
    return found


def every_space(dataset: Dataset) -> None:
    """Choose maps and a method, and look at the same images in all of them."""
    runs = _finished(dataset)
    if len(runs) < 2:
        st.info(
            "Draw maps of at least two encoders of this data set first, such as raw pixels and a trained "
            "run, with the same seed and number of points; here they are laid side by side.",
            icon=":material/scatter_plot:",
        )
        return
    names = {run.id: run.name for run in runs}
    chosen = st.multiselect(
        "Maps", list(names), default=_one_an_encoder(runs), format_func=lambda run: names[run],
        max_selections=pack.MOST_PANELS, key=f"maps.spaces.runs.{dataset.id}",
        help="Finished maps of this data set; the first is where the others are turned to.",
    )  # fmt: skip
    maps = read_maps(chosen)
    shared = [
        name for name in PROJECTIONS if all(any(p.method == name for p in m.done) for m in maps.values())
    ]
    if not maps or not shared:
        st.caption("Choose maps that have a method in common.")
        return
    method = st.segmented_control(
        "Method", shared, default=shared[-1], required=True, key=f"maps.spaces.method.{dataset.id}",
        format_func=lambda name: projection_entry(name).title,
    )  # fmt: skip
    try:
        _draw(dataset, maps, str(method if method in shared else shared[-1]))
    except UserError as error:
        st.warning(str(error), icon=":material/error:")


def _draw(dataset: Dataset, maps: dict[str, LatentMap], method: str) -> None:
    found = shared_spaces(maps, method)
    pins: list[int] = st.session_state.setdefault(PINS.format(dataset.id), [])
    rows = {int(place): row for row, place in enumerate(found.index)}

    def pin(row: int) -> None:
        place = int(found.index[row])
        if place in pins:
            pins.remove(place)
        elif len(pins) < MOST_PINS:
            pins.append(place)

    asked = ",".join(maps)
    mark = hashlib.sha256(f"{asked}{method}".encode()).hexdigest()[:12]
    _strip(dataset, pins)
    map_view(
        f"/lab/maps/spaces.bin?runs={asked}&method={method}",
        KEY.format(mark),
        clicked=pin,
        ring=[rows[place] for place in pins if place in rows],
    )
    st.caption(f"{len(found.index):,} images that all of these maps show. {_pinned_words(found, pins)}")


def _pinned_words(found: Spaces, pins: list[int]) -> str:
    hidden = len(set(pins) - set(found.index.tolist()))
    return f"{hidden} of the pinned images are on not all of them." if hidden else ""


def _strip(dataset: Dataset, pins: list[int]) -> None:
    """The pinned images; a click lets one go."""
    if not pins:
        st.caption(
            f":material/push_pin: Click points to pin up to {MOST_PINS} images: they keep a ring everywhere."
        )
        return
    pictures = [{**item(dataset, place, 96), "id": place} for place in pins]

    def let_go(place: int) -> None:
        if place in pins:  # a second click may come before the page has drawn the first
            pins.remove(place)

    gallery(pictures, f"maps.pinned.{dataset.id}", choose=let_go)
    st.caption(f"{len(pins)} of {MOST_PINS} pinned; click one to let it go.")


def _finished(dataset: Dataset) -> list[RunSummary]:
    return [
        run
        for run in run_store().list()
        if run.method == "latent_map" and run.state == "done" and run.dataset == dataset.id
    ]


def _one_an_encoder(runs: list[RunSummary]) -> list[str]:
    """The latest map of each encoder."""
    latest: dict[str, str] = {}
    for run in runs:
        latest.setdefault(run.backbone or "pixels", run.id)
    return list(latest.values())[: pack.MOST_PANELS]
