"""Duplicates: exact ones across splits and classes, and bursts of nearly the same picture."""

from __future__ import annotations

import streamlit as st

from engine.data.dataset import Dataset


def duplicates(dataset: Dataset) -> None:
    st.caption("Being written.")
