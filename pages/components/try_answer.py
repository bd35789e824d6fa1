"""What a model says of one picture: the likeliest classes, how honest that is, and where it sees them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from engine.errors import UserError
from engine.runs.summary import RunSummary
from pages.components import charts
from pages.components.arrays import heat, picture_url
from pages.components.forms import initial_index
from pages.components.text import count_text, md, one_line
from pages.components.try_charts import reliability_figure, top_figure
from pages.components.try_models import begun_from_random, frozen_random, head
from pages.components.try_novelty import seen_part
from pages.components.try_source import SPLITS, Picture, stored_picture
from pages.components.try_work import Job, follow

if TYPE_CHECKING:
    from engine.evaluation.calibration import Calibration
    from engine.evaluation.saliency import Explained, Saliency
    from engine.evaluation.trial import Tried

TOP = 5
SHOWN_SIDE = 224  # px; smaller pictures are enlarged with hard edges before they are mixed with a map
GRID = "grid-template-columns:repeat(3,minmax(0,13rem))"
ALIKE = 0.5  # rank correlation above which a map tells more of the picture than of the weights


@dataclass(frozen=True)
class Look:
    """A picture as a run has read it, and what the run says of it."""

    stored: np.ndarray
    tried: Tried


def answer_part(run: RunSummary, picture: Picture, name: str) -> None:
    """Everything that one model says of one picture.

    Args:
        run: A finished classification.
        picture: Any.
        name: Of this place on the page.
    """
    head(run)

    def work(job: Job) -> Look:
        from engine.evaluation.trial import try_pictures

        job.tell("looking at the picture", 0, 0)
        stored = stored_picture(picture, run.image_size)
        return Look(stored, try_pictures(run.id, stored[None]))

    try:
        look = follow(("look", run.id, run.finished, picture.digest), work, f"{name}.look")
    except UserError as error:
        st.error(md(str(error)), icon=":material/error:")
        return
    if look is None:
        return
    _classes(run, picture, look.tried, name)
    _calibration(look.tried.calibration, name)
    _where(run, picture, look, name)
    seen_part(run, look.tried, picture, name)


def _classes(run: RunSummary, picture: Picture, tried: Tried, name: str) -> None:
    """The likeliest classes, and whether the likeliest is right where that is known."""
    order = np.argsort(-tried.shares[0], kind="stable")[:TOP]
    best = tried.classes[order[0]]
    truth = ""
    if picture.truth:
        truth = f" · {truth_words(picture.truth, best, tried.classes)}"
    st.markdown(f"#### {md(best, 60)}, {tried.shares[0, order[0]]:.1%}{truth}")
    many = len(tried.classes)
    title = f"{count_text(len(order), 'likeliest class', 'likeliest classes')} of {many}"
    if begun_from_random(run.id):
        title += " (from random weights)"
    figure = top_figure(
        [tried.classes[i] for i in order], tried.shares[0, order], tried.plain[0, order], title
    )
    charts.draw(figure, f"{name}.top", f"{one_line(best, 60)} first of {many} classes")


def truth_words(truth: str, best: str, classes: tuple[str, ...]) -> str:
    """Whether an answer is right, where the picture's class is known."""
    if truth == best:
        return ":green[:material/check: right]"
    if truth not in classes:
        return f":gray[its class, {md(truth, 60)}, is none that this model knows]"
    return f":red[:material/close: its class is {md(truth, 60)}]"


def _calibration(found: Calibration, name: str) -> None:
    """The temperature, and the error of the confidence with and without it."""
    cells = st.columns(3)
    value = f"{found.temperature:.2f}" if found.fitted else "not calibrated"
    cells[0].metric(
        "Temperature", value, border=True,
        help="Logits are divided by it before the softmax: above 1 it was too sure, below 1 not sure "
        "enough. The order of the classes stays. engine.evaluation.calibration.fit_temperature",
    )  # fmt: skip
    tip = (
        "Expected calibration error: the mean distance between confidence and accuracy over 15 intervals of "
        f"confidence; 0 is honest. Measured on {found.measured:,} {SPLITS[found.split]} images; few images "
        "make it look larger. "
        "engine.evaluation.calibration.expected_calibration_error"
    )
    for cell, title, error in ((cells[1], "before", found.before), (cells[2], "after", found.after)):
        shown = "–" if error is None else f"{error:.1%}"
        cell.metric(f"Error {title}", shown, border=True, help=tip)
    if not found.fitted:
        st.caption(f":orange[:material/info: Confidence is not calibrated:] {md(found.problem)}.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"The temperature was fitted to {found.n:,} validation images; the errors are of "
            f"{found.measured:,} {SPLITS[found.split]} images. The grey marks are the confidence before.",
            width="stretch",
        )
        with st.popover("How honest", icon=":material/balance:", key=f"{name}.honest"):
            title = f"Confidence and accuracy, {found.measured:,} {SPLITS[found.split]} images"
            charts.draw(
                reliability_figure(found.bins_before, found.bins_after, title), f"{name}.reliable", title
            )


def _where(run: RunSummary, picture: Picture, look: Look, name: str) -> None:
    """Grad-CAM of a class, beside the map of an untrained twin."""
    st.markdown(
        "##### Where it looks",
        help="Grad-CAM: places of the last maps whose change would raise the score of the class, drawn over "
        "what the network reads of the picture. engine.evaluation.saliency.grad_cam",
    )
    classes, key = look.tried.classes, f"{name}.target.{run.id}.{picture.digest}"
    order = [int(i) for i in np.argsort(-look.tried.shares[0], kind="stable")]
    target = st.selectbox(
        "Class", order, format_func=lambda i: one_line(classes[i], 60), key=key,
        **initial_index(key, order[0], order),
    )  # fmt: skip

    def work(job: Job) -> Explained:
        from engine.evaluation.saliency import explain

        job.tell("looking where the class is found", 0, 0)
        return explain(run.id, look.stored, int(target))

    question = ("explain", run.id, run.finished, picture.digest, int(target))
    try:
        found = follow(question, work, f"{name}.where")
    except UserError as error:
        st.caption(f":material/info: {md(str(error))}")
        return
    if found is not None:
        _maps(found, classes[found.target], learned=not frozen_random(run.id))


def _maps(found: Explained, target: str, learned: bool) -> None:
    trained, untrained = overlay(found.image, found.own), overlay(found.image, found.twin)
    pictures = {
        "What it reads": enlarged(found.image),
        "Grad-CAM": trained,
        "Random weights": untrained,
    }
    cells = "".join(
        f'<figure><img alt="{title}" src="{picture_url(array)}"><figcaption>{title}</figcaption></figure>'
        for title, array in pictures.items()
    )
    st.html(f'<div class="rl-figures" style="{GRID}">{cells}</div>')
    words = f"Bright speaks for {md(target, 60)}. {found.own.height} × {found.own.width} places of "
    words += f"{md(found.own.block)}, stretched over the picture. "
    if found.own.empty:
        words += "Nothing there speaks for it, so the map is empty. "
    st.caption(words + agreement_words(found.agreement, learned))


def agreement_words(agreement: float | None, learned: bool) -> str:
    """What the likeness of the two maps means.

    Args:
        agreement: Their rank correlation; None where one of them is empty.
        learned: The run's backbone has learned something, in this run or before.
    """
    if agreement is None:
        return "One of the two maps is empty: they cannot be compared."
    told = f"Rank correlation with the map of {'' if learned else 'other '}random weights: {agreement:.2f}; "
    if agreement > ALIKE:
        than = "what was learned" if learned else "any weights"
        return told + f"so alike, it tells of the picture's shapes more than of {than}."
    return told + "it differs from the map of these random weights, so it is not the picture's shapes alone."


def enlarged(picture: np.ndarray) -> np.ndarray:
    """(H, W, 3) with every pixel repeated until the side is about that of a large picture."""
    times = max(1, SHOWN_SIDE // len(picture))
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def overlay(picture: np.ndarray, found: Saliency) -> np.ndarray:
    """A picture in grey under the colours of a map, stronger where the map is brighter: (H, W, 3) uint8."""
    times = max(1, SHOWN_SIDE // len(picture))
    share = found.share.repeat(times, axis=0).repeat(times, axis=1)
    grey = enlarged(picture).mean(2, keepdims=True).repeat(3, axis=2)
    colours = heat(np.square(share), 1.0)  # which draws roots
    strength = 0.25 + 0.5 * share[..., None]
    return (grey * (1 - strength) + colours * strength).round().astype(np.uint8)
