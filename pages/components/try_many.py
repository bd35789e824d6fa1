"""A folder, zip or tar of pictures through one model: a table to take home and a gallery by confidence."""

from __future__ import annotations

import csv
import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import streamlit as st

from engine.data.pixels import fitted
from engine.errors import UserError
from engine.evaluation.training_set import training_set
from engine.runs.summary import RunSummary
from pages.components.arrays import picture_url
from pages.components.gallery import MAX_ITEMS, gallery
from pages.components.text import count_text, md, one_line
from pages.components.try_models import head
from pages.components.try_work import Job, follow, forget_about
from pages.components.upload import upload
from pages.components.upload_routes import ARCHIVES, discard_upload, find_upload

if TYPE_CHECKING:
    from engine.evaluation.calibration import Calibration
    from engine.evaluation.trial import Line

MOST = 5000  # pictures of one folder on the page; the command line takes more
THUMB = 96  # px
SKIPPED_NAMED = 20
ARRIVED = "try.many.upload"
ORDERS = {"sure": "Most sure", "unsure": "Least sure", "far": "Furthest from the training"}


@dataclass
class Many:
    """What is known of a folder.

    Attributes:
        classes: Of the model.
        calibration: Of its confidence.
        lines: One a picture, in the order of the folder.
        thumbs: Small pictures, as addresses that hold them.
        skipped: Files that were left out and why, the first few.
        left_out: How many were.
        more: There were more than `MOST`.
        stopped: It was stopped on the way.
        problem: Why there are no distances; empty where there are.
        names: Of the training set's images.
    """

    classes: tuple[str, ...]
    calibration: Calibration
    lines: list[Line] = field(default_factory=list)
    thumbs: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    left_out: int = 0
    more: bool = False
    stopped: bool = False
    problem: str = ""
    names: list[str] = field(default_factory=list)

    def skip(self, name: str, reason: str) -> None:
        """Note a file that was left out."""
        self.left_out += 1
        if len(self.skipped) < SKIPPED_NAMED:
            self.skipped.append((name, reason))


def arrived_folder(run: RunSummary, name: str) -> tuple[Path, str] | None:
    """Draw the drop zone; the path and name of what was dropped last, None while there is nothing."""
    head(run)
    arrived = upload(f"{name}.upload", ARCHIVES, "Drop a folder or a zip of pictures here", folders=True)
    if arrived is not None:
        clear()
        st.session_state[ARRIVED] = arrived.name.partition(".")[0]
    found = find_upload(str(st.session_state.get(ARRIVED, "")))
    if found is None:
        st.caption(
            "They stay on this machine until you press Clear or the app starts again; class folders do not "
            "matter here."
        )
        return None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.text(found[1], width="stretch")
        st.button("Clear", icon=":material/close:", type="tertiary", key=f"{name}.clear", on_click=clear)
    return found


def many_part(run: RunSummary, path: Path, name: str) -> None:
    """What the model says of all pictures of a folder, zip or tar."""
    try:
        question = ("many", run.id, run.finished, path.name.partition(".")[0])
        many = follow(question, _work(run.id, path), name, long=True)
    except UserError as error:
        st.error(md(str(error)), icon=":material/error:")
        return
    if many is not None:
        _show(many, run, name)


def clear() -> None:
    """Delete what was uploaded, and what was found in it."""
    upload = str(st.session_state.pop(ARRIVED, ""))
    if upload:
        forget_about(upload)
        discard_upload(upload)


def _work(run: str, path: Path):  # type: ignore[no-untyped-def]
    def work(job: Job) -> Many:
        from engine.evaluation.calibration import calibration_of
        from engine.evaluation.novelty import training_images
        from engine.evaluation.trial import batches, entries_of, lines_of
        from engine.training.trained import classifier

        found = Many(classifier(run).task.classes, calibration_of(run))
        seen = None
        try:
            seen = training_images(run, job.tell, job.stop)
            found.names = training_set(run).names
        except UserError as error:
            found.problem = str(error)
        for batch in batches(run, entries_of(path), seen, found.skip, job.stop):
            room = MOST - len(found.lines)
            found.lines += lines_of(batch, seen)[:room]
            found.thumbs += [thumb(pixels) for pixels in batch.pixels[:room]]
            job.tell("pictures done", len(found.lines), 0)
            if len(batch.names) > room:
                found.more = True
                break
        found.stopped = job.stop()
        if not found.lines and not found.stopped:
            first = f"'{found.skipped[0][0][:60]}': {found.skipped[0][1]}" if found.skipped else "it is empty"
            raise UserError(f"No picture can be read there ({first}): give JPEG or PNG files in a zip.")
        return found

    return work


def thumb(pixels: np.ndarray) -> str:
    """A small picture of an (S, S, 3) one."""
    from PIL import Image

    side = min(THUMB, len(pixels))
    return picture_url(np.asarray(fitted(Image.fromarray(pixels), side)))


def _show(many: Many, run: RunSummary, name: str) -> None:
    lines = many.lines
    if not lines:
        st.caption("Stopped before the first picture was done.")
        return
    counts = Counter(line.predicted for line in lines).most_common()
    st.markdown(f"##### {count_text(len(lines), 'picture')}")
    told = " · ".join(f"**{md(one, 40)}**: {n:,}" for one, n in counts[:8])
    more = f" and {len(counts) - 8} more classes" if len(counts) > 8 else ""
    st.markdown(told + more)
    _notes(many)
    order = st.segmented_control(
        "Order", [o for o in ORDERS if o != "far" or lines[0].distance is not None],
        format_func=lambda o: ORDERS[o], default="sure", required=True, key=f"{name}.order",
    )  # fmt: skip
    rows = sorted(range(len(lines)), key=lambda row: _rank(lines[row], str(order)))
    left, right = st.columns([1, 1], gap="large")
    with left:
        gallery([_item(lines[row], many.thumbs[row]) for row in rows[:MAX_ITEMS]], f"{name}.gallery")
        if len(rows) > MAX_ITEMS:
            st.caption(f"{MAX_ITEMS} of {len(rows):,} pictures; the table has them all.")
    with right:
        _table([lines[row] for row in rows], many)
        st.download_button(
            "Table (CSV)", lambda: csv_of(many), f"predictions-{run.id}-folder.csv", "text/csv",
            icon=":material/download:", on_click="ignore", key=f"{name}.csv",
        )  # fmt: skip


def _rank(line: Line, order: str) -> float:
    return {"sure": -line.confidence, "unsure": line.confidence, "far": -(line.distance or 0.0)}[order]


def _notes(many: Many) -> None:
    """What to know of the figures."""
    if many.stopped:
        st.caption(":material/stop_circle: Stopped: these are the pictures that were done.")
    if many.more:
        st.caption(f"Only the first {MOST:,} pictures were read; the command line reads all of them.")
    if not many.calibration.fitted:
        st.caption(f":orange[:material/info: Confidence is not calibrated:] {md(many.calibration.problem)}.")
    else:
        st.caption(
            f"Confidence at temperature {many.calibration.temperature:.2f}, fitted to {many.calibration.n:,} "
            "validation images."
        )
    if many.problem:
        st.caption(f":material/info: {md(many.problem)}")
    if many.left_out:
        names = ", ".join(f"{md(name, 60)} ({md(reason, 90)})" for name, reason in many.skipped[:5])
        more = f" and {many.left_out - 5:,} more" if many.left_out > 5 else ""
        st.caption(f"Left out: {names}{more}.")


def _item(line: Line, thumb: str) -> dict[str, Any]:
    far = "" if line.distance is None else f"\nnearest training image at {line.distance:.3f}"
    return {
        "images": [thumb],
        "label": one_line(line.predicted, 40),
        "value": f"{line.confidence:.0%}",
        "under": "unlike anything seen" if line.unlike else one_line(line.name, 40),
        "tone": "bad" if line.unlike else "",
        "title": f"{one_line(line.name, 200)}\n{one_line(line.predicted, 60)} {line.confidence:.1%}{far}",
        "alt": one_line(line.predicted, 60),
    }


def _table(lines: list[Line], many: Many) -> None:
    frame = pd.DataFrame(
        {
            "file": [one_line(line.name, 120) for line in lines],
            "predicted": [one_line(line.predicted, 60) for line in lines],
            "confidence": [line.confidence for line in lines],
            "before": [line.plain for line in lines],
        }
    )
    if lines[0].distance is not None:
        frame["distance"] = [line.distance for line in lines]
        frame["unlike"] = [bool(line.unlike) for line in lines]
    columns = {
        "confidence": st.column_config.ProgressColumn(
            format="percent",
            min_value=0,
            max_value=1,
            help="Of the likeliest class, calibrated if it says so.",
        ),
        "before": st.column_config.NumberColumn(format="percent", help="Before calibration."),
        "distance": st.column_config.NumberColumn(
            format="%.3f", help="To the nearest training image, between 0 and 2."
        ),
        "unlike": st.column_config.CheckboxColumn(help="Further out than 95 % of the images held out."),
    }
    height = min(420, 38 + 35 * len(lines))
    st.dataframe(frame, hide_index=True, column_config=columns, height=height, width="stretch")


def csv_of(many: Many) -> bytes:
    """The table, in the order of the folder, with all probabilities."""
    from engine.evaluation.trial import table_head, table_row

    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(table_head(many.classes))
    writer.writerows(table_row(line, many.names) for line in many.lines)
    return buffer.getvalue().encode()
