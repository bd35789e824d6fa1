"""A page with nothing but a latent map, for the browser tests: `streamlit run tests/browser/map_app.py`."""

from __future__ import annotations

import json
import secrets

import streamlit as st
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from streamlit import runtime

from engine.data.dataset import list_datasets, open_dataset
from pages.components import server
from pages.components.gallery import gallery
from pages.components.images import item
from pages.components.map_view import Wanted, map_view
from tests.browser.map_points import make_images, packed


def pack_file(request: Request) -> Response:
    dataset = open_dataset(list_datasets()[0].id)
    data = packed(dataset, request.path_params["step"], int(request.path_params["n"]))
    return Response(data, media_type="application/octet-stream", headers=server.FOREVER)


def remember(rows: list[int]) -> None:
    st.session_state["chosen"] = rows


def look(row: int) -> None:
    st.session_state["clicked"] = row


def wished(again: bool) -> Wanted | None:
    """A wish that stays, as on the page, until it is fulfilled."""
    if again:
        st.session_state["wish"] = Wanted(secrets.token_hex(4), (2, 5, 90))
    return st.session_state.get("wish")


def page() -> None:
    st.set_page_config(layout="wide")
    n, step = st.query_params.get("n", "240"), st.query_params.get("step", "early")
    with st.container(horizontal=True):
        st.button("Rerun")
        more = st.toggle("More panels")
        away = st.toggle("Away")
        mark = st.toggle("Mark")
        listed = st.toggle("List")
        film = st.toggle("Film")
        beside = st.toggle("Beside")
        again = st.button("Select")
    st.session_state["runs"] = st.session_state.get("runs", 0) + 1
    if not away:
        map_view(
            f"/lab/map-{'late' if more else step}-{n}.bin",
            "map",
            chosen=remember,
            clicked=look,
            ring=[3] if mark else [],
            lit=[7, 11] if mark else [],
            wanted=wished(again),
        )
    if listed:
        dataset = open_dataset(list_datasets()[0].id)
        pictures = [{**item(dataset, row, 96), "id": row} for row in (5, 8, 13)]
        gallery(pictures, "list", choose=look, lights="map")
    if film:
        map_view(f"/lab/map-six-{n}.bin?beside={beside}", "film", group="map", film=not beside)
    told = {name: st.session_state.get(name) for name in ("chosen", "clicked", "runs")}
    st.html(f'<pre id="told">{json.dumps(told)}</pre>')


if runtime.exists():
    page()
else:
    if not list_datasets():
        make_images()
    routes = [Route("/lab/map-{step}-{n:int}.bin", pack_file), *server.routes()]
    app = st.App(__file__, routes=routes, middleware=server.middleware())
