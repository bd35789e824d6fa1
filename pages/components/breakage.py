"""What to watch for where a recipe is broken on purpose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine.methods.config import MethodConfig
from pages.components.text import md


def breakage(config: type[MethodConfig], values: Mapping[str, Any]) -> None:
    """A note for each setting that is known to break something and is not what it usually is."""
    notes = broken(config, values)
    if notes:
        lines = "\n".join(f"- **{md(name)}**: {md(note, limit=400)}" for name, note in notes)
        st.warning(f"You changed what keeps this method alive. Watch for this:\n\n{lines}", icon="🔧")


def broken(config: type[MethodConfig], values: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(title, what to watch for) of every such setting."""
    found = []
    for name, note in getattr(config, "BREAKS", {}).items():
        field = config.model_fields[name]
        if name in values and values[name] != field.default:
            found.append((field.title or name.replace("_", " ").capitalize(), note))
    colours = [values.get("jitter"), values.get("grayscale")]
    if colours == [0, 0] and "jitter" in config.model_fields:
        found.append(
            (
                "No colour distortion",
                "Two crops of one picture share their colours, and comparing colours is then enough to find "
                "the pair. On Shapes, even weak colour changes left neighbours no better than raw pixels.",
            )
        )
    return found
