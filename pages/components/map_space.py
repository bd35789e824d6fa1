"""The original space of a map, for questions about it: read in a thread that a page follows, kept a while."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from engine.data.progress import Stopped
from engine.evaluation.latent_map import space_of
from engine.evaluation.map_result import LatentMap
from engine.projections.points import Points
from engine.projections.projection import Stopped as ProjectionStopped
from engine.projections.projection import Watch
from pages.components.try_work import Job, follow

MOST_KEPT = 2  # spaces in memory: one can have a hundred million numbers
_kept: OrderedDict[str, Points] = OrderedDict()
_guard = threading.Lock()
Answer = TypeVar("Answer")


def ask_space(
    run: str,
    found: LatentMap,
    question: tuple[object, ...],
    ask: Callable[[Points, Watch], Answer],
    name: str,
) -> Answer | None:
    """What the original space of a map says; None while it is not known, with progress and Stop on the page.

    Args:
        run: The map's id; its points never change.
        found: The map.
        question: What is asked, with all that the answer depends on beside the space.
        ask: Called once in a thread with the space, and with whom to tell how far it is; it must not use st.
        name: Of the controls; no two on one page are alike.

    Raises:
        UserError: The space is gone, or the question cannot be answered.
    """

    def work(job: Job) -> Answer:
        points = _space(run, found, job)

        def tell(share: float) -> None:
            job.tell("asking the neighbours", round(100 * share), 100)

        try:
            return ask(points, Watch(tell, stopped=job.stop))
        except ProjectionStopped:
            raise Stopped from None

    with _guard:
        long = run not in _kept  # features that are gone are computed anew
    answer: Answer | None = follow(("space", run, *question), work, name, long)
    return answer


def _space(run: str, found: LatentMap, job: Job) -> Points:
    with _guard:
        known = _kept.get(run)
    if known is None:
        job.tell("reading the original space", 0, 0)
        known = space_of(found.recipe, found.index, job.tell, job.stop)
    with _guard:
        _kept[run] = known
        _kept.move_to_end(run)
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
    return known
