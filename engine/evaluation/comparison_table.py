"""A comparison as a table of plain values, for the screen and for a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.evaluation.comparison_result import Comparison, EncoderRow
from engine.export.tables import cell, lines

KINDS = {
    "pixels": "nothing: raw pixels",
    "random": "random weights",
    "pretrained": "pretrained on ImageNet",
    "file": "weights from a file",
    "vectors": "vectors from a file",
    "supervised": "labels",
    "self-supervised": "self-supervised",
    "autoencoder": "rebuilding images",
}
FEW = "few {}"


def records(found: Comparison) -> list[dict[str, Any]]:
    """One record an encoder: shares between 0 and 1, times in ms; None where nothing was measured."""
    numbers = [point.get("labels") for row in found.measured for point in row.few]
    columns = sorted({number for number in numbers if isinstance(number, int)})
    return [_record(row, columns) for row in found.rows]


def _record(row: EncoderRow, numbers: list[int]) -> dict[str, Any]:
    linear, knn, tuned = (row.figure(name) or {} for name in ("linear", "knn", "fine_tuned"))
    structure = row.figure("structure") or {}
    few = {point.get("labels"): point.get("mean") for point in row.few}
    return {
        "encoder": row.title,
        "taught by": KINDS.get(row.kind, row.kind),
        "linear": linear.get("accuracy"),
        "low": linear.get("low"),
        "high": linear.get("high"),
        "neighbours": knn.get("accuracy"),
        **{FEW.format(number): few.get(number) for number in numbers},
        "fine-tuned": tuned.get("accuracy"),
        "n": linear.get("n") or knn.get("n"),
        "silhouette": structure.get("silhouette"),
        "spread": structure.get("z_std"),
        "rank": structure.get("effective_rank"),
        "uniformity": structure.get("uniformity"),
        "features": row.row.get("width"),
        "parameters": row.parameters,
        "ms": row.milliseconds,
        "px": row.image_size or None,
        "problem": row.error,
    }


def comparison_csv(found: Comparison) -> str:
    """The table as CSV, safe to open in a spreadsheet."""

    def rows() -> Iterator[list[Any]]:
        told = records(found)
        yield list(told[0]) if told else []
        for record in told:
            yield [cell(value) if isinstance(value, str) else value for value in record.values()]

    return "".join(lines(rows()))
