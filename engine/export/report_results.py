"""What a report says of the results of each kind of run: classes, codes, what was learned, comparisons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from engine.data.dataset import Dataset
from engine.errors import UserError
from engine.evaluation.comparison_result import SPLIT_WORDS, read_comparison
from engine.evaluation.comparison_table import FEW, records
from engine.export.report_charts import interval
from engine.export.report_parts import (
    LARGE,
    cards,
    facts,
    figure,
    images,
    picture,
    section,
    share,
    table,
    text,
)
from engine.runs.store import RunStore

SPLIT_TITLES = {"val": "Validation", "test": "Test", "train": "Training, re-scored"}
WORST_PAIRS, EACH = 8, 6  # confusions whose images are shown, and how many images of each
REBUILT = 8
MOST_CLASSES = 40  # of a confusion matrix that a page can hold


@dataclass(frozen=True)
class Told:
    """All that a section is written from.

    Attributes:
        run: Id of the run.
        found: Its results.json.
        dataset: What it learned from; None if that is not here.
        store: Where it lies.
    """

    run: str
    found: dict[str, Any]
    dataset: Dataset | None
    store: RunStore


def results_of(page: str, told: Told) -> str:
    """The sections for a run of a method of that page; empty for a kind without any."""
    return "".join(_readable(part, told) for part in PARTS.get(page, ()))


def _readable(part: Callable[[Told], str], told: Told) -> str:
    """A section, or a word on it where results.json is not as a training writes it."""
    try:
        return part(told)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, UserError):
            raise
        return section("Results", "<p>A part of the results of this run is damaged and left out.</p>")


def _accuracy(told: Told) -> str:
    rows = []
    for name in ("val", "test", "train"):
        split = told.found.get("splits", {}).get(name)
        if split:
            low, high = split["interval"]
            said = f"{share(split['accuracy'])} <small>{share(low)} to {share(high)}</small>"
            bar = interval(low, split["accuracy"], high)
            rows.append(
                f"<tr><th>{SPLIT_TITLES[name]}</th><td>{said}</td><td>{bar}</td>"
                f"<td>{split['correct']:,} of {split['n']:,}</td></tr>"
            )
    head = "<tr><th>split</th><th>accuracy and its 95 % interval</th><th>0 to 100 %</th><th>right</th></tr>"
    body = f'<div class="scroll"><table>{head}{"".join(rows)}</table></div>' if rows else ""
    majority = told.found.get("majority")
    more = f"<p>Answering the commonest class every time: {share(majority)}.</p>" if majority else ""
    rule = told.found.get("rule")
    kept = f"<p>Epoch {figure(told.found.get('kept_epoch'))} was kept: {text(rule)}.</p>" if rule else ""
    note = (
        "Intervals are Wilson's: with so many images, a network of this accuracy is mostly measured inside."
    )
    return section("Accuracy", body, more, kept, note=note)


def _confusion(told: Told) -> str:
    matrix = np.asarray(told.found.get("confusion") or np.zeros((0, 0)))
    names = [str(row["name"]) for row in told.found.get("classes", [])]
    if not matrix.size or matrix.shape != (len(names), len(names)):
        return ""
    split = SPLIT_TITLES.get(str(told.found.get("confusion_split")), "").lower()
    body = _matrix(matrix, names) if len(names) <= MOST_CLASSES else ""
    note = f"Rows are true classes, columns are answers, on {int(matrix.sum()):,} images ({split})."
    if not body:
        note = f"{len(names)} classes are too many for a matrix on a page; the commonest mistakes are below."
    return section("Confusion", body, _mistakes(told, matrix, names), note=note)


def _matrix(matrix: np.ndarray, names: list[str]) -> str:
    head = "".join(f'<th class="turned"><span>{text(name, 24)}</span></th>' for name in names)
    lines = []
    for row, name in enumerate(names):
        total = int(matrix[row].sum())
        cells = "".join(
            f'<td class="{"right" if row == column else "wrong"}" '
            f'style="--share:{count / total if total else 0:.3f}" '
            f'title="true {text(name, 40)}, answered {text(names[column], 40)}">{count or ""}</td>'
            for column, count in enumerate(matrix[row].tolist())
        )
        lines.append(f'<tr><th scope="row">{text(name, 32)}</th>{cells}</tr>')
    return f'<div class="scroll"><table class="matrix"><tr><th></th>{head}</tr>{"".join(lines)}</table></div>'


def _mistakes(told: Told, matrix: np.ndarray, names: list[str]) -> str:
    """The commonest confusions, each with images of it."""
    arrays = told.store.predictions(told.run)
    wrong = matrix * (1 - np.eye(len(names), dtype=matrix.dtype))
    order = [divmod(int(place), len(names)) for place in np.argsort(-wrong, axis=None, kind="stable")]
    pairs = [(a, b) for a, b in order[:WORST_PAIRS] if wrong[a, b]]
    if not pairs:
        return "<p>No mistakes.</p>"
    rows = []
    for true, answer in pairs:
        said = f"<b>{text(names[true], 40)}</b> taken for <b>{text(names[answer], 40)}</b>: "
        said += f"{int(wrong[true, answer]):,}"
        shown = "" if arrays is None else _images_of(told, arrays, true, answer)
        rows.append(f"<h3>{said}</h3>{shown}")
    return "".join(rows)


def _images_of(told: Told, arrays: dict[str, np.ndarray], true: int, answer: int) -> str:
    from engine.data.splits import SPLITS

    if told.dataset is None or "probabilities" not in arrays:
        return ""
    code = SPLITS.index(str(told.found.get("confusion_split")))
    shares = arrays["probabilities"]
    here = (arrays["split"] == code) & (arrays["label"] == true) & (shares.argmax(1) == answer)
    rows = np.flatnonzero(here)
    surest = rows[np.argsort(-shares[rows, answer], kind="stable")][:EACH]
    captions = [f"{shares[row, answer]:.0%} sure" for row in surest]
    return images(told.dataset, arrays["index"][surest], captions)


def _classes(told: Told) -> str:
    rows = [
        (row["name"], figure(row.get("n")), *(share(row.get(key)) for key in ("precision", "recall", "f1")))
        for row in told.found.get("classes", [])
    ]
    note = "Precision: of its answers, how many are right. Recall: of its images, how many are found."
    return section("Classes", table(("class", "images", "precision", "recall", "F1"), rows), note=note)


def _code(told: Told) -> str:
    splits, found = told.found.get("splits", {}), told.found
    name = next((name for name in ("test", "val", "train") if name in splits), None)
    if name is None:
        return ""
    split = splits[name]
    shown = [
        (f"{SPLIT_TITLES[name].split(',')[0]} loss", figure(split.get("loss")), f"n = {split['n']:,}"),
        ("Squared error a pixel", figure(split.get("squared_error")), "pixels from 0 to 1"),
        ("Code", f"{figure(found.get('latent'))} numbers", f"of {figure(found.get('inputs'))} an image"),
    ]
    pca = (found.get("pca") or {}).get(str(found.get("latent")))
    baselines = [("Squared error of the mean image", figure(found.get("mean_image")))]
    if pca:
        baselines.append((f"Squared error of PCA with {found['latent']} numbers", figure(pca)))
    warnings = "".join(f'<p class="warn">{text(words, 400)}</p>' for words in found.get("warnings", []))
    return section("What was rebuilt", cards(shown), warnings, facts(baselines), _rebuilt(told))


def _rebuilt(told: Told) -> str:
    """Pinned images and what was made of them after the last epoch that kept a picture."""
    frames = told.store.frames(told.run)
    arrays = told.store.frame(told.run, frames[-1]) if frames else {}
    given, made = arrays.get("given"), arrays.get("made")
    if given is None or made is None or given.ndim != 4 or given.shape != made.shape:
        return ""
    pairs = [
        f"<figure>{picture(given[i], 'what went in', LARGE)}{picture(made[i], 'what came out', LARGE)}"
        f"<figcaption>in, out</figcaption></figure>"
        for i in range(min(REBUILT, len(given)))
    ]
    return f'<h3>After epoch {frames[-1]}</h3><div class="images pairs">{"".join(pairs)}</div>'


def _code_classes(told: Told) -> str:
    rows = [
        (row["name"], figure(row.get("n")), figure(row.get("error"))) for row in told.found.get("classes", [])
    ]
    return section("Error by class", table(("class", "images", "mean squared error"), rows))


def _learned(told: Told) -> str:
    study = told.found.get("study") or {}
    rows = []
    for row in study.get("rows", []):
        knn, linear, few = (row.get(key) or {} for key in ("knn", "linear", "few"))
        rows.append(
            (row["title"], figure(row.get("width")), _with_interval(knn), _with_interval(linear),
             share(few.get("mean")))
        )  # fmt: skip
    head = ("representation", "numbers", "nearest neighbours", "linear probe", "10 labels a class")
    note = (
        f"Accuracies with their 95 % intervals (Wilson), learned from {figure(study.get('learned'))} images "
        f"and measured on {figure(study.get('asked'))} ({study.get('split', '')}). Raw pixels and the "
        "network before training say what training has added."
    )
    return section("What it learned", table(head, rows), note=note)


def _with_interval(found: dict[str, Any]) -> str:
    if not found:
        return "–"
    return f"{share(found['accuracy'])} ({share(found['low'])} to {share(found['high'])})"


def _factors(told: Told) -> str:
    rows = (told.found.get("study") or {}).get("factors") or []
    spaces = [name for name in ("feature", "embedding", "untrained", "pixels") if _scored(rows, name)]
    lines = [
        (row["factor"], *(figure(row["scores"].get(name)) for name in spaces), figure(row.get("chance")))
        for row in rows
    ]
    titles = {"feature": "h", "embedding": "z", "untrained": "untrained", "pixels": "pixels"}
    note = "How well a linear model reads a known factor: accuracy or R², 1 is best."
    head = ("factor", *(titles[name] for name in spaces), "chance")
    return section("What does it know?", table(head, lines), note=note)


def _scored(rows: list[dict[str, Any]], name: str) -> bool:
    return any(name in row.get("scores", {}) for row in rows)


def _compared(told: Told) -> str:
    """A row an encoder; columns that nothing was measured for are left out."""
    found = read_comparison(told.run, told.store)
    rows = records(found) if found else []
    if found is None or not rows:
        return ""
    names = [name for name in rows[0] if any(row[name] is not None for row in rows)]
    shares = {"linear", "low", "high", "neighbours", "fine-tuned"}
    few = {name for name in names if name.startswith(FEW.format(""))}
    cells = [[(share if name in shares | few else figure)(row[name]) for name in names] for row in rows]
    head = [_few_title(name) if name in few else name for name in names]
    split = SPLIT_WORDS.get(str(found.setup.get("split")), "judging")
    note = (
        f"Accuracies on {figure(found.n)} of {figure(found.setup.get('of'))} {split} images. "
        "linear: softmax regression on frozen features, with its 95 % interval from low to high (Wilson); "
        "neighbours: the nearest training images vote. Raw pixels and random weights are the floors."
    )
    words = (found.advice(), found.best()) if found.measured else ()
    said = "".join(f"<p>{text(sentence, 400)}</p>" for sentence in words if sentence)
    return section("Encoders compared", table(head, cells), said, note=note)


def _few_title(name: str) -> str:
    number = name.removeprefix(FEW.format(""))
    return f"{number} label{'' if number == '1' else 's'} a class"


def _depth(told: Told) -> str:
    """A row a block, beside the same network with random weights where that was probed too."""
    found = told.found
    twin = {row["block"]: row for row in found.get("twin", [])}
    rows = []
    for row in found.get("depth", []):
        beside = _with_interval(twin.get(row["block"], {}))
        rows.append((row["block"], figure(row.get("width")), _with_interval(row), beside))
    own = "random weights" if found.get("random_weights") else "this encoder"
    head = ("after", "numbers", own, "random weights")
    shown = table(head, rows) if twin else table(head[:3], [row[:3] for row in rows])
    kind = "nearest neighbours" if found.get("probe") == "knn" else "a linear probe"
    note = (
        f"How well {kind} reads classes after each block, with 95 % intervals (Wilson): learned from "
        f"{figure(found.get('learned'))} of {figure(found.get('learned_of'))} images, measured on "
        f"{figure(found.get('asked'))} of {figure(found.get('asked_of'))} ({found.get('split', '')}). "
        f"The commonest class alone: {share(found.get('majority'))}."
    )
    return section("Classes by depth", shown, note=note)


def _notes(told: Told) -> str:
    notes = "".join(f"<li>{escape(str(note))}</li>" for note in told.found.get("notes", []))
    return section("Notes", f"<ul>{notes}</ul>" if notes else "")


PARTS: dict[str, tuple[Callable[[Told], str], ...]] = {
    "transfer": (_accuracy, _confusion, _classes, _notes),
    "autoencoders": (_code, _code_classes, _notes),
    "self-supervised": (_learned, _factors, _notes),
    "compare": (_compared,),
    "try": (_depth,),
}
