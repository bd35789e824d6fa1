"""The upload control: a drop zone that streams one file, or a folder packed on the way, to the server."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import streamlit as st

from engine.settings import MIB, PROJECT_ROOT, settings
from pages.components.text import size_text
from pages.components.upload_routes import ARCHIVES, WEIGHTS, find_upload

MAX_FOLDER_FILES = 2000
MAX_FOLDER_BYTES = 200 * MIB
KINDS = {ARCHIVES: "a .zip, .tar, .tar.gz, .tar.xz or .tar.bz2 file"}


@cache
def _component() -> Any:
    assets = PROJECT_ROOT / "assets"
    return st.components.v2.component(
        "replab_upload",
        html='<div class="upload"></div>',
        css=(assets / "upload.css").read_text(encoding="utf-8"),
        js=(assets / "upload.js").read_text(encoding="utf-8"),
    )


def upload_dataset(key: str, options: dict[str, Any], started: Callable[[str], None]) -> None:
    """Draw the control for data sets.

    The server starts the import itself, so it does not matter whether this page is still open then.

    Args:
        key: Of the component.
        options: Passed to `engine.data.imports.start_import`.
        started: Called with the id of an import that a finished upload started, before the page runs.
    """

    def arrived() -> None:
        found = _answer(st.session_state[key]).get("import")
        if isinstance(found, str):
            started(found)

    limit = settings().max_upload_bytes
    _draw(
        key,
        arrived,
        title="Drop a zip or a folder of images",
        hint=f"zip or tar up to {size_text(limit)} · a folder up to {MAX_FOLDER_FILES:,} files",
        extensions=ARCHIVES,
        folders=True,
        then="import",
        options=options,
    )


def upload(
    key: str,
    extensions: tuple[str, ...] = WEIGHTS,
    title: str = "Drop the file here",
    hint: str | None = None,
    folders: bool = False,
) -> Path | None:
    """Draw the control for one file of any other kind; its path, once, when it has just arrived.

    With `folders` a folder may come as well, packed into a tar on the way. The caller reads the file and
    deletes it with `upload_routes.discard_upload(path.name.partition(".")[0])`.
    """
    limit = settings().max_upload_bytes
    kinds = " or ".join(extensions)
    place = f"{key}.arrived"  # outlives a page run that ends before it reaches this line

    def arrived() -> None:
        st.session_state[place] = _answer(st.session_state[key]).get("upload")

    _draw(
        key,
        arrived,
        title=title,
        hint=hint or f"{kinds} up to {size_text(limit)}",
        extensions=extensions,
        folders=folders,
    )
    found = find_upload(str(st.session_state.pop(place, "")))
    return found[0] if found and found[0].name.endswith(extensions) else None


def _answer(state: Any) -> dict[str, Any]:
    """What the server answered, from the component's state."""
    answer = state.get("finished") if hasattr(state, "get") else getattr(state, "finished", None)
    return dict(answer) if isinstance(answer, dict) else {}


def _draw(key: str, arrived: Callable[[], None], **data: Any) -> None:
    here = settings()
    extensions = tuple(data["extensions"])
    _component()(
        key=key,
        data={
            "key": key,
            "url": "/lab/upload",
            "limit": here.max_upload_bytes,
            "max_files": MAX_FOLDER_FILES,
            "max_folder_bytes": MAX_FOLDER_BYTES,
            "kinds": KINDS.get(extensions, " or ".join(extensions)),
            "server_folder": here.mode == "laptop",
            "folders": False,
            **data,
            "extensions": list(extensions),
        },
        on_finished_change=arrived,
    )
