"""What the server does when it starts and while it runs: checks, reconciling runs, the built-in sets."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import streamlit as st

from engine import access, files, logs, people
from engine.errors import UserError
from engine.lock import try_lock
from engine.settings import Settings, settings
from engine.versions import outdated
from pages.components import oidc, person

RECONCILE_SECONDS = 20
UPLOAD_SECONDS = 6 * 3600.0  # that an upload may lie unused
WARM_UP_AFTER_SECONDS = 3
BUILT_AT_FIRST_START = ("shapes", "digits")
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_held: list[int] = []  # the workspace's lock, kept open for as long as this process lives


def check() -> None:
    """End the process with one plain line if it could not serve properly."""
    logs.set_up("streamlit.error_util", "uvicorn.error")
    for sentence in outdated():
        logging.getLogger(logs.NAME).warning(sentence)
    try:
        here = settings()
        check_mode(here, st.get_option("server.address"))
        check_workspace(here)
        take_workspace(here)
        let_people_in(here)
    except UserError as error:
        sys.exit(f"Representation Lab did not start: {error}")


def check_mode(here: Settings, address: str | None) -> None:
    if here.executor == "ray":
        raise UserError("REPLAB_EXECUTOR=ray is not available yet; leave it out to train on this machine.")
    if here.mode == "class":
        check_class(here)
    elif address not in LOOPBACK:
        raise UserError(
            f"server.address is {address or 'not set'}, but without sign-in the app only listens on "
            "127.0.0.1."
        )


def check_class(here: Settings) -> None:
    """See that a class server knows its own names, and somebody who can sign in."""
    if not st.get_option("server.allowedHosts"):
        raise UserError(
            "server.allowedHosts is empty; name in .streamlit/config.toml what people type to reach this "
            "server."
        )
    oidc.check(here)
    if not oidc.providers() and not people.has_teacher():
        raise UserError("a class needs a teacher first: python -m engine people add NAME --teacher.")


def let_people_in(here: Settings) -> None:
    """From now on what is done is done by somebody: at a page by who is signed in, elsewhere by nobody."""
    if here.mode == "class":
        people.prepare()
        oidc.set_cookie_secret()
        access.resolve_by(person.acting)


def check_workspace(here: Settings) -> None:
    """Make the workspace's folders and prove that they can be written."""
    try:
        for folder in (
            here.datasets,
            here.runs,
            here.weights,
            here.imports,
            here.uploads,
            here.cache,
            here.tmp,
        ):
            folder.mkdir(parents=True, exist_ok=True)
        files.write_json(here.tmp / "writable.json", {})
        (here.tmp / "writable.json").unlink()
    except OSError as error:
        raise UserError(
            f"the workspace {here.workspace} cannot be written ({error.strerror}); make it writable or set "
            "REPLAB_WORKSPACE to another folder."
        ) from None


def take_workspace(here: Settings) -> None:
    """Be the only server of this workspace."""
    address = f"http://{st.get_option('server.address') or 'localhost'}:{st.get_option('server.port')}"
    fd = try_lock(here.workspace / "server.lock", wait=1.0)
    if fd is None:
        other = files.read_json(here.workspace / "server.json", {})
        raise UserError(
            f"it is already running on this workspace at {other.get('address', 'another port')}; open "
            "that, or set "
            "REPLAB_WORKSPACE to another folder."
        )
    _held.append(fd)
    files.write_json(here.workspace / "server.json", {"address": address})


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    threading.Thread(target=warm_up, daemon=True, name="warm-up").start()
    await asyncio.to_thread(quietly, prepare)
    task = asyncio.create_task(keep_reconciling())
    try:
        yield
    finally:
        task.cancel()


def warm_up() -> None:
    """Load the large libraries that other pages need, once the first page is likely to stand.

    Imports take turns with the pages for the interpreter: at once they would double the first paint.
    """
    load()
    time.sleep(WARM_UP_AFTER_SECONDS)
    load("pandas", "pyarrow.parquet", "plotly.graph_objects", "torch", "torchvision")


def load(*names: str) -> None:
    """Import modules for good: Streamlit collects garbage after each script, and need not look at theirs."""
    for name in names:
        quietly(lambda name=name: importlib.import_module(name))
    gc.freeze()


def prepare() -> None:
    """Sweep what an earlier process left behind, and build the sets that need no network."""
    from engine.data.imports import sweep_leftovers

    sweep_leftovers()
    quietly(reconcile)
    quietly(build_first_sets)


def build_first_sets() -> None:
    """Start building the built-in sets, once in a workspace's life: a set that was deleted stays deleted."""
    from engine.data.catalog import find_catalog_set
    from engine.data.imports import start_import

    marker = settings().workspace / "first-start.json"
    if marker.exists():
        return
    files.write_json(marker, {"built": list(BUILT_AT_FIRST_START)})
    for name in BUILT_AT_FIRST_START:
        if find_catalog_set(name) is None:
            start_import(name)


def reconcile() -> None:
    from engine.runs.executors import executor

    executor().reconcile()


def sweep() -> None:
    """Delete uploads whose page was closed before they were used."""
    from engine.data.imports import sweep_uploads

    sweep_uploads(UPLOAD_SECONDS)


async def keep_reconciling() -> None:
    while True:
        await asyncio.sleep(RECONCILE_SECONDS)
        await asyncio.to_thread(quietly, reconcile)
        await asyncio.to_thread(quietly, sweep)


def quietly(work: Any) -> None:
    """Do `work` as the operator; a fault of housekeeping is for the log, never the end of the server."""
    try:
        with access.acting_as(access.THE_OPERATOR):
            work()
    except Exception as error:
        logs.fault(f"housekeeping: {getattr(work, '__name__', 'task')}", error)
