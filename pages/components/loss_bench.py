"""The loss bench: drag points on a circle, or take a run's images, and see what a contrastive loss does."""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

from engine.evaluation.contrast import COLDEST, FEWEST_PAIRS, HOTTEST, MOST_ON_CIRCLE, PRESETS
from pages.components.bench_routes import MOST_KEYS
from pages.components.live import asset
from pages.components.text import one_line

LOSSES = [("nt_xent", "NT-Xent (SimCLR)"), ("info_nce", "InfoNCE with a queue (MoCo)")]
FIRST_SEED = 22  # its 16 points lie apart, so that none hides another


@cache
def _component() -> Any:
    return st.components.v2.component(
        "replab_bench", html='<div class="bench"></div>', css=asset("bench.css"), js=asset("bench.js")
    )


def loss_bench(runs: list[tuple[str, str]]) -> None:
    """The bench with its heading, and below it how to read it and a question to predict.

    Args:
        runs: (id, name) of finished self-supervised runs whose images can be taken instead of points.
    """
    st.subheader("Loss bench", anchor=False)
    st.caption(
        "A contrastive loss asks of each view: which of the others is of the same image? Drag the points, "
        "change the temperature, and watch who is pulled and who is pushed."
    )
    _component()(
        key="loss-bench",
        data={
            "runs": [[run, one_line(name, 80) or run] for run, name in runs],
            "url": "/lab/bench",
            "runUrl": "/lab/runs/",
            "presets": list(PRESETS),
            "losses": [list(loss) for loss in LOSSES],
            "coldest": COLDEST,
            "hottest": HOTTEST,
            "fewest": FEWEST_PAIRS,
            "most": MOST_ON_CIRCLE,
            "mostKeys": MOST_KEYS,
            "seed": FIRST_SEED,
        },
    )
    st.caption(
        "**What you see.** Each row is an anchor, each column a candidate. Softmax turns a row of "
        "similarities, divided by the temperature, into weights that sum to 1; the loss is the mean of −log "
        "of the outlined ones.  \n"
        "**What not to conclude.** A lower loss at another temperature, or with another number of "
        "candidates, is not a better encoder: chance and floor have moved too. A loss at chance may be "
        "collapse or not; the spread tells. And a circle is crowded: embeddings have far more room."
    )
    _question()


def _question() -> None:
    with st.container(border=True):
        st.markdown("**Predict first.** Halve the temperature: which negatives get more of the gradient?")
        with st.expander("Reveal", icon=":material/visibility:"):
            st.markdown(
                "The hardest ones, those most similar to the anchor. Two negatives share the push in the "
                "ratio $e^{(s_1 - s_2)/\\tau}$, and halving $\\tau$ squares that ratio: the hardest gains, "
                "the easiest loses. At a temperature of 2 all are pushed nearly alike; at 0.02 the nearest "
                "takes nearly everything. Try it with *÷ 2* above and watch the bars."
            )
