"""The training images nearest to a picture, and whether it is unlike anything seen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import streamlit as st

from engine.data.dataset import Dataset, list_datasets, open_dataset
from engine.errors import UserError
from engine.evaluation.training_set import training_set
from engine.runs.summary import RunSummary
from pages.components import charts
from pages.components.gallery import gallery
from pages.components.images import item
from pages.components.text import count_text, md, one_line
from pages.components.try_charts import distances_figure
from pages.components.try_source import SPLITS, Picture
from pages.components.try_work import Job, follow

if TYPE_CHECKING:
    from engine.evaluation.novelty import Seen
    from engine.evaluation.trial import Tried

SHOWN = 5
NO_SET = "none"


def seen_part(run: RunSummary, tried: Tried, picture: Picture, name: str) -> None:
    """The nearest training images, and the threshold beyond which a picture is unlike all of them."""
    st.markdown(
        "##### Nearest training images",
        help="In the features that the network's head reads, scaled to length 1: the straight distance is 0 "
        "for the same direction, √2 for a right angle, 2 for opposite ones. "
        "engine.evaluation.novelty.nearest_seen",
    )
    try:
        dataset = training_set(run.id)
        seen = seen_images(run, f"{name}.seen")
        if seen is not None:
            distance = _neighbours(dataset, seen, tried, name)
            _unlike(run, seen, distance, name)
    except UserError as error:
        st.caption(f":material/info: {md(str(error))}")


def seen_images(run: RunSummary, name: str) -> Seen | None:
    """The training images of a run in its feature space, computed once."""

    def work(job: Job) -> Seen | None:
        from engine.evaluation.novelty import training_images

        return training_images(run.id, job.tell, job.stop)

    found: Seen | None = follow(("seen", run.id, run.finished), work, name, long=True)
    return found


def _neighbours(dataset: Dataset, seen: Seen, tried: Tried, name: str) -> float:
    from engine.evaluation.novelty import nearest_seen

    near = nearest_seen(seen, tried.features, SHOWN)
    best = tried.classes[int(tried.shares[0].argmax())]
    pictures = [
        neighbour_item(dataset, int(seen.index[row]), float(distance), best)
        for row, distance in zip(near.index[0], near.distance[0], strict=True)
    ]
    gallery(pictures, f"{name}.near")
    same = sum(one["tone"] == "good" for one in pictures)
    of = f"{len(seen.index):,} of {seen.of:,} training images"
    drawn = ", drawn with seed 0" if len(seen.index) < seen.of else ""
    st.caption(
        f"{same} of these {len(pictures)} are of the class it says; green are of that class, red of another. "
        f"Compared with {of}{drawn}."
    )
    return float(near.distance[0, 0])


def neighbour_item(dataset: Dataset, place: int, distance: float, predicted: str) -> dict[str, Any]:
    """A training image for the gallery, with its distance."""
    found = item(dataset, place, 160)
    same = int(dataset.labels[place]) >= 0 and dataset.classes[int(dataset.labels[place])] == predicted
    return {
        **found,
        "value": f"{distance:.3f}",
        "under": one_line(dataset.names[place], 40),
        "tone": "good" if same else "bad",
    }


@st.fragment
def _unlike(run: RunSummary, seen: Seen, distance: float, name: str) -> None:
    """A threshold to move, the verdict on the picture, and what else it would catch."""
    from engine.evaluation.novelty import share_beyond

    st.markdown(
        "##### Unlike anything seen?",
        help="A network has to name a class, whatever it is shown. Where even the nearest training image is "
        "further than the threshold, nothing alike was seen, and its answer means little. "
        "engine.evaluation.novelty",
    )
    top = max(2 * seen.usual, 1.05 * float(seen.held_out.max(initial=0)), 1e-3)
    threshold = st.slider(
        "Threshold", 0.0, float(top), float(seen.usual), float(top) / 200, format="%.3f",
        key=f"{name}.threshold.{run.id}",
        help="It begins where 5 % of the images held out lie beyond it.",
    )  # fmt: skip
    beyond = distance > threshold
    verdict = (
        ":orange[:material/travel_explore: **Unlike anything seen**]"
        if beyond
        else ":green[:material/check_circle: **Like what was seen**]"
    )
    st.markdown(f"{verdict}: {distance:.3f}, {'beyond' if beyond else 'within'} {threshold:.3f}")
    held = share_beyond(seen.held_out, threshold)
    words = f"{SPLITS[seen.split]} images"
    caught = f"It would flag **{held.beyond:,} of {held.n:,}** {words} ({held.value:.1%})"
    if held.n < seen.held_out_of:
        caught += f", drawn from {seen.held_out_of:,} with seed 0"
    other, title = None, ""
    try:
        other, title = _other_set(run, seen, name)
    except UserError as error:  # no page around a fragment would catch it
        st.error(md(str(error)), icon=":material/error:")
    if other is not None:
        theirs = share_beyond(other, threshold)
        caught += (
            f", and **{theirs.beyond:,} of {theirs.n:,}** images of {md(title, 60)} ({theirs.value:.1%})"
        )
    st.markdown(caught + ".")
    if seen.split == "train":
        st.caption("No image is held out, so every training image is compared with the others.")
    figure = distances_figure(
        seen.held_out,
        other,
        threshold,
        distance,
        {"held": words, "other": title, "title": "How far the nearest training image is"},
    )
    charts.draw(figure, f"{name}.distances", f"Distances of {count_text(held.n, 'image')} and this picture")


def _other_set(run: RunSummary, seen: Seen, name: str) -> tuple[np.ndarray | None, str]:
    """Distances of another data set's images where one was chosen, and its name."""
    from engine.evaluation.novelty import separation

    sets = {one.id: one.name for one in list_datasets() if one.id != run.dataset}
    chosen = st.selectbox(
        "Another data set",
        [NO_SET, *sets],
        format_func=lambda one: one_line(sets.get(one, "none"), 60),
        key=f"{name}.other.{run.id}",
        help="How many of its images would be flagged as well: a good threshold flags most of them.",
    )
    if chosen not in sets:
        return None, ""
    dataset = open_dataset(str(chosen))

    def work(job: Job) -> np.ndarray | None:
        from engine.evaluation.novelty import other_distances

        return other_distances(run.id, seen, dataset, job.tell, job.stop)

    question = ("other", run.id, run.finished, dataset.fingerprint)
    found: np.ndarray | None = follow(question, work, f"{name}.otherwork", long=True)
    if found is None:
        return None, ""
    apart = separation(seen.held_out, found)
    st.caption(
        f"{len(found):,} of {len(dataset):,} images, of every class alike. One of them lies further out than "
        f"one held out in {apart:.1%} of pairs; 50 % would tell nothing."
    )
    return found, sets[str(chosen)]
