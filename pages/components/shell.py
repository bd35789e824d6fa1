"""What every visit runs: page settings, navigation, the data-set picker, then the page."""

from __future__ import annotations

import logging

import streamlit as st

from engine.errors import UserError
from engine.settings import PROJECT_ROOT
from pages.components.picker import pick_dataset
from pages.components.text import md

ASSETS = PROJECT_ROOT / "assets"
# section -> (file, title, icon, address); an address never equals the file's stem (see app.py)
PAGES = {
    "Start": [
        ("home.py", "Home", "home", ""),
        ("data.py", "Data", "photo_library", "data-sets"),
    ],
    "Learn": [
        ("transfer_learning.py", "Transfer learning", "model_training", "transfer-learning"),
        ("autoencoders.py", "Autoencoders", "compress", "auto-encoders"),
        ("self_supervised.py", "Self-supervised", "join_inner", "self-supervised"),
    ],
    "See": [
        ("latent_maps.py", "Latent maps", "scatter_plot", "maps"),
        ("compare.py", "Compare", "bar_chart", "compare-encoders"),
        ("try_it.py", "Try it", "photo_camera", "try-it"),
    ],
    "Work": [("runs.py", "Runs", "timeline", "all-runs")],
}


def navigation() -> st.Page:
    sections = {
        section: [
            st.Page(
                PROJECT_ROOT / "pages" / file,
                title=title,
                icon=f":material/{icon}:",
                url_path=address or None,
                default=not address,
            )
            for file, title, icon, address in pages
        ]
        for section, pages in PAGES.items()
    }
    return st.navigation(sections)


def main() -> None:
    icon = str(ASSETS / "icon.svg")
    st.set_page_config(page_title="Representation Lab", page_icon=icon, layout="wide")
    st.logo(str(ASSETS / "logo.svg"), size="large", icon_image=icon)
    st.html(ASSETS / "style.css")
    page = navigation()
    with st.sidebar:
        pick_dataset()
    try:
        page.run()
    except UserError as error:
        st.error(md(error), icon=":material/error:")
    except Exception:  # Streamlit's own rerun and stop signals are no Exceptions
        logging.getLogger("replab").exception("a page failed")
        st.error(
            "Something went wrong on this page, and the details are in the server's log. Reload the page; "
            "your "
            "data sets and runs are safe on disk.",
            icon=":material/error:",
        )


main()
