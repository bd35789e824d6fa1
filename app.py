"""The launcher: `streamlit run app.py` finds `app`; what people see is in pages/components/shell.py.

The shell lies one folder below `pages/` so that Streamlit never mistakes `pages/` for its own discovery and
runs a page bare, without navigation and gate, after a restart.
"""

from __future__ import annotations

import streamlit as st

from pages.components import faults, server, startup

startup.check()  # a workspace that cannot be used ends here, with one sentence
app = st.App(
    "pages/components/shell.py",
    routes=server.routes(),
    middleware=server.middleware(),
    lifespan=startup.lifespan,
    on_script_error=faults.show,
)
