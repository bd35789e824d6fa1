"""The server's own routes and middleware, which the launcher hands to Streamlit."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from engine.settings import PROJECT_ROOT, settings
from pages.components import (
    bench_routes,
    code_routes,
    data_routes,
    map_routes,
    map_spaces,
    run_routes,
    sign_in,
    take_routes,
    upload_routes,
)
from pages.components.faults import Faults
from pages.components.gate import Gate

FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
FONTS = ("inter-latin.woff2", "inter-latin-ext.woff2", "jetbrains-mono-latin.woff2")
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def routes() -> list[BaseRoute]:
    return [
        Route("/lab/plotly.min.js", plotly_js),
        Route("/lab/fonts/{name}", font),
        *upload_routes.routes(),
        *data_routes.routes(),
        *run_routes.routes(),
        *take_routes.routes(),
        *code_routes.routes(),
        *bench_routes.routes(),
        *map_routes.routes(),
        *map_spaces.routes(),
        *(sign_in.routes() if settings().mode == "class" else ()),
        Route("/lab/{rest:path}", unknown, methods=["GET", "PUT", "POST", "DELETE"]),
    ]


def middleware() -> list[Middleware]:
    hosts = st.get_option("server.allowedHosts") or LOOPBACK
    return [Middleware(Gate, hosts=hosts, sign_in=settings().mode == "class"), Middleware(Faults)]


@cache
def plotly_path() -> Path:
    """Plotly's script as it comes with its wheel; found without importing Plotly."""
    from importlib.util import find_spec

    spec = find_spec("plotly")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "package_data" / "plotly.min.js"


def plotly_js(request: Request) -> Response:
    return FileResponse(plotly_path(), media_type="text/javascript", headers=FOREVER)


def font(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in FONTS:
        return unknown(request)
    return FileResponse(PROJECT_ROOT / "assets" / "fonts" / name, media_type="font/woff2", headers=FOREVER)


def unknown(request: Request) -> Response:
    return JSONResponse({"error": "There is nothing at this address."}, status_code=404)
