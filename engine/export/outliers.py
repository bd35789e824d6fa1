"""The images that an autoencoder rebuilds worst, as a table and as a zip of class folders."""

from __future__ import annotations

import numpy as np

from engine.errors import UserError


def hardest(arrays: dict[str, np.ndarray], n: int, label: int | None = None) -> np.ndarray:
    """Rows of the largest errors, the worst first.

    Args:
        arrays: A run's predictions, with "error" and "label", (m,) each.
        n: How many.
        label: Of this class only; None takes all.

    Raises:
        UserError: The run keeps no errors.
    """
    if "error" not in arrays:
        raise UserError("This run has no errors of single images: only a finished autoencoder has them.")
    rows = np.arange(len(arrays["error"]))
    if label is not None:
        rows = rows[arrays["label"] == label]
    return rows[np.argsort(-arrays["error"][rows], kind="stable")][: max(0, n)]
