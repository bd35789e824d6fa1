"""Is this cluster real: what speaks for and against a selection being a group of its own."""

from __future__ import annotations

import hashlib

import numpy as np
import streamlit as st

from engine.evaluation.map_result import LatentMap, Panel
from engine.evaluation.seeds import SeedsReport, asked_of_seeds, chance_of, redrawn, same_points
from engine.projections.clusters import LEAST_MEMBERS, TOGETHER, ClusterReport, is_it_real
from engine.projections.points import Points
from engine.projections.projection import Watch
from engine.runs.summary import RunSummary
from pages.components.map_others import other_maps
from pages.components.map_space import ask_space
from pages.components.map_spaces import read_maps
from pages.components.text import md

ICONS = {
    "real": ":material/verified:",
    "unclear": ":material/help:",
    "only on this map": ":material/visibility_off:",
}


def cluster_part(summary: RunSummary, found: LatentMap, rows: list[int]) -> None:
    """The verdict on a selection, with the figures that it rests on."""
    st.markdown("##### Is this cluster real?")
    if not LEAST_MEMBERS <= len(rows) <= len(found.index) - LEAST_MEMBERS:
        st.caption(f"Select at least {LEAST_MEMBERS} points, and leave as many out.")
        return
    panels = [panel for panel in found.done if panel.positions is not None]
    title = st.segmented_control(
        "Selected on",
        [panel.title for panel in panels],
        default=panels[0].title,
        required=True,
        key=f"maps.cluster.{summary.id}",
        help="The map on which it looks like a group; the others are asked whether they show it too.",
    )
    here = next((panel for panel in panels if panel.title == title), panels[0])
    others = [panel for panel in panels if panel is not here]
    report = _report(summary.id, found, here, others, rows)
    if report is None:
        return
    st.info(report.sentence, icon=ICONS[report.verdict])
    _figures(report, [panel.title for panel in others])
    _other_seeds(summary, found, here, rows)


def _report(
    run: str, found: LatentMap, here: Panel, others: list[Panel], rows: list[int]
) -> ClusterReport | None:
    """The verdict on a selection on one panel, remembered; None while it is being worked out."""

    def judge(points: Points, watch: Watch) -> ClusterReport:
        maps = [np.asarray(panel.positions) for panel in others]
        seed = found.recipe.seed
        return is_it_real(points, np.asarray(here.positions), np.array(rows), maps, seed=seed, watch=watch)

    asked = ("cluster", here.method, *(panel.method for panel in others), _mark(rows))
    return ask_space(run, found, asked, judge, "maps.cluster.work")


def _mark(rows: list[int]) -> str:
    """Tells a selection from any other."""
    return hashlib.sha256(np.array(sorted(rows), np.int64).tobytes()).hexdigest()


def _figures(report: ClusterReport, others: list[str]) -> None:
    cards = {
        "Silhouette": (
            f"{report.silhouette:.2f}",
            "In the original space, −1 to 1: nearer to each other than the rest? In many dimensions even a "
            "clear group gets a small one.",
        ),
        "On this map": (f"{report.silhouette_on_map:.2f}", "The silhouette measured on the map."),
        "Neighbours": (
            f"{report.company:.0%}",
            f"Share of a member's {report.k} true neighbours that are members; chance gives "
            f"{report.chance:.0%}.",
        ),
        "Border": (
            f"{report.border:.2f}",
            "Neighbours outside, over those across a cut through its middle: 0 is an island, 1 a piece of "
            "a crowd.",
        ),
    }
    for column, (title, (value, words)) in zip(st.columns(len(cards)), cards.items(), strict=True):
        column.metric(title, value, help=words, border=True, height="stretch")
    kept = ", ".join(
        f"{title} {share:.0%}" for title, share in zip(others, report.company_elsewhere, strict=True)
    )
    if kept:
        st.caption(
            f"Map neighbours that are members, elsewhere: {kept}; by chance {report.chance:.0%}. "
            f"{report.asked:,} of {report.members:,} members asked."
        )


def _other_seeds(summary: RunSummary, found: LatentMap, here: Panel, rows: list[int]) -> None:
    """The same question asked of the same method with other seeds."""
    chance, title = chance_of(here), md(here.title)
    st.markdown(f"###### {title} with other seeds")
    if not chance:
        st.caption(f"{title} draws the same map with every seed: there is no other one to ask.")
        return
    recipes = redrawn(found.recipe, here.method)
    st.caption(f"{chance} The points and everything else stay as they are.")
    drawn = other_maps(
        {f"seed {seed}": recipe for seed, recipe in recipes.items()},
        lambda seed: f"{summary.name} · {here.title}, {seed}",
        f"Draw it with {len(recipes)} other seeds",
        ":material/casino:",
        f"maps.seeds.{here.method}.draw",
    )
    if not drawn:
        return

    def ask(points: Points, watch: Watch) -> SeedsReport:
        maps = same_points(found, list(read_maps(list(drawn.values())).values()), here.method)
        return asked_of_seeds(points, np.array(rows), maps, here.title, found.recipe.seed, watch)

    asked = ("seeds", here.method, *drawn.values(), _mark(rows))
    report = ask_space(summary.id, found, asked, ask, "maps.seeds.work")
    if report is None:
        return
    st.info(report.sentence, icon=":material/casino:")
    shares = ", ".join(f"{seed} {share:.0%}" for seed, share in zip(drawn, report.kept.company, strict=True))
    st.caption(
        f"Map neighbours that are members: {shares}; by chance {report.kept.chance:.0%}. Together "
        f"means at least {TOGETHER:.0%} of the way from chance to all, as for the other methods."
    )
