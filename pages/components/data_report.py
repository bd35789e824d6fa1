"""What the intake took, skipped and ignored, and why."""

from __future__ import annotations

import csv
import io
import re

import pandas as pd
import streamlit as st

from engine.data.dataset import Dataset
from engine.export.tables import cell
from pages.components.text import ago, md, one_line


def report(dataset: Dataset) -> None:
    found = dataset.report
    taken, skipped = int(found.get("taken", dataset.n)), int(found.get("skipped_count", 0))
    ignored = int(found.get("ignored", 0))
    where = md(source(dataset), 120)
    st.caption(f"Source: {where}, added {ago(float(dataset.info.get('created', 0)))}.")
    a, b, c = st.columns(3)
    a.metric("Taken", f"{taken:,}", border=True, height="stretch", help="Images in this set.")
    b.metric(
        "Skipped", f"{skipped:,}", border=True, height="stretch", help="Files that are no usable images."
    )
    c.metric(
        "Ignored", f"{ignored:,}", border=True, height="stretch",
        help="Hidden files, thumbnails of the system and the like; not counted as skipped.",
    )  # fmt: skip
    for note in found.get("notes", []):
        st.caption(md(note, 300))
    named = [(str(entry.get("name", "")), str(entry.get("reason", ""))) for entry in found.get("skipped", [])]
    if not named:
        st.success("Every image file could be read.", icon=":material/check_circle:")
        return
    table = pd.DataFrame(
        {
            "File": [one_line(name, 200) for name, _ in named],
            "Why it was skipped": [one_line(r, 200) for _, r in named],
        }
    )
    st.dataframe(table, hide_index=True, height=min(420, 38 + 35 * len(table)), alt="Skipped files")
    if skipped > len(named):
        st.caption(f"The first {len(named):,} of {skipped:,} are named.")
    st.download_button(
        "Download as CSV", as_csv(named), f"skipped-{dataset.id}.csv", "text/csv", on_click="ignore",
        icon=":material/download:",
    )  # fmt: skip


def source(dataset: Dataset) -> str:
    """Where the set comes from; the name that the server gave an uploaded file would tell nobody anything."""
    said = str(dataset.info.get("source") or "unknown")
    return "an upload" if re.fullmatch(r"[a-z0-9]{16}\.[a-z0-9.]{2,8}", said) else said


def as_csv(rows: list[tuple[str, str]]) -> str:
    """The table for a spreadsheet; a cell that would be a formula gets an apostrophe in front."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["file", "reason"])
    writer.writerows([cell(name), cell(reason)] for name, reason in rows)
    return buffer.getvalue()
