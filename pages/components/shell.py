"""What every visit runs: page settings, navigation, the data-set picker, then the page."""

from __future__ import annotations

import streamlit as st

from engine import access
from engine.access import OPERATOR, TEACHER
from engine.settings import PROJECT_ROOT, settings
from pages.components import faults, person
from pages.components.picker import pick_dataset

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
    "Work": [("runs.py", "Runs", "timeline", "all-runs"), ("class_page.py", "Class", "school", "class-room")],
}
FOR_TEACHERS = ("class_page.py",)  # of a class; the engine refuses others whatever page they find


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
            if file not in FOR_TEACHERS or teaches()
        ]
        for section, pages in PAGES.items()
    }
    return st.navigation(sections)


def teaches() -> bool:
    """Whether who is at the page looks after a class."""
    return settings().mode == "class" and access.me().role in (OPERATOR, TEACHER)


def main() -> None:
    icon = str(ASSETS / "icon.svg")
    st.set_page_config(page_title="Representation Lab", page_icon=icon, layout="wide")
    st.logo(str(ASSETS / "logo.svg"), size="large", icon_image=icon)
    st.html(ASSETS / "style.css")
    if not person.may_stay():
        return
    page = navigation()
    with st.sidebar:
        pick_dataset()
        person.show_person()
    try:
        page.run()
    except Exception as error:  # Streamlit's own rerun and stop signals are no Exceptions
        faults.show(error)


main()
