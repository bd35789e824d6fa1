"""The upload control: a drop zone that streams one file, or a folder packed on the way, to the server."""

from __future__ import annotations

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


def upload_dataset(key: str, options: dict[str, Any]) -> str | None:
    """Draw the control for data sets; the id of the import that a finished upload just started, or None.

    The server starts the import itself, so it does not matter whether this page is still open then.

    Args:
        key: Of the component.
        options: Passed to `engine.data.imports.start_import`.
    """
    limit = settings().max_upload_bytes
    answer = _draw(
        key,
        title="Drop a zip or a folder of images",
        hint=f"zip or tar up to {size_text(limit)} · a folder up to {MAX_FOLDER_FILES:,} files",
        extensions=ARCHIVES,
        folders=True,
        then="import",
        options=options,
    )
    found = answer.get("import")
    return found if isinstance(found, str) else None


def upload(
    key: str,
    extensions: tuple[str, ...] = WEIGHTS,
    title: str = "Drop the file here",
    hint: str | None = None,
) -> Path | None:
    """Draw the control for one file of any other kind; its path, once, when it has just arrived.

    The caller reads the file and deletes it with `upload_routes.discard_upload(path.name.partition(".")[0])`.
    """
    limit = settings().max_upload_bytes
    kinds = " or ".join(extensions)
    answer = _draw(key, title=title, hint=hint or f"{kinds} up to {size_text(limit)}", extensions=extensions)
    found = find_upload(str(answer.get("upload", "")))
    return found[0] if found and found[0].name.endswith(extensions) else None


def _draw(key: str, **data: Any) -> dict[str, Any]:
    here = settings()
    extensions = tuple(data["extensions"])
    result = _component()(
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
        on_finished_change=lambda: None,
    )
    answer = getattr(result, "finished", None)
    return dict(answer) if isinstance(answer, dict) else {}
