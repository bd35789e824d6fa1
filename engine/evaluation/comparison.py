"""Carry out a comparison: embed each encoder once, measure it, and write its row as soon as that is done."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Any

import numpy as np

from engine.data.dataset import open_dataset
from engine.data.progress import Stopped as WorkStopped
from engine.data.vectors import vectors_id
from engine.errors import UserError
from engine.evaluation.ancestry import taught
from engine.evaluation.comparison_parts import Subject, parts_of, subjects_of
from engine.evaluation.embedding_cost import embedding_cost
from engine.evaluation.encoding import encode, usual_side
from engine.evaluation.few_labels import few_labels
from engine.evaluation.fine_tuned import ceiling, fine_tuned, of_encoder
from engine.evaluation.neighbours import knn_accuracy
from engine.evaluation.probe import ProbeResult, linear_probe
from engine.evaluation.structure import structure
from engine.fields import checked
from engine.files import NO_SPACE
from engine.logs import told
from engine.methods.comparison_config import ComparisonConfig
from engine.models.encoder import PIXELS, build_encoder
from engine.runs.outcome import OUT_OF_MEMORY
from engine.runs.reading import read_rows
from engine.runs.recipe import Recipe
from engine.runs.writer import RunWriter, Stopped
from engine.training import machine
from engine.training.task import Split, notes_on

UNEXPECTED = "This encoder could not be measured: an unexpected error, told in the run's log."
NO_MEMORY = "This encoder does not fit in memory: take fewer images or a smaller image size."


def carry_out(recipe: Recipe, writer: RunWriter) -> dict[str, Any]:
    """Compare the recipe's encoders; those that an earlier attempt measured stay as they are.

    Raises:
        UserError: The data set cannot judge encoders.
        Stopped: It was asked to stop; rows that are written are kept.
    """
    try:
        return _Comparing(recipe, writer).run()
    except WorkStopped:
        raise Stopped from None


class _Comparing:
    """State of one comparison being made."""

    def __init__(self, recipe: Recipe, writer: RunWriter) -> None:
        self.recipe, self.writer = recipe, writer
        self.started = time.monotonic()
        self.config: ComparisonConfig = checked(ComparisonConfig, recipe.config)
        self.dataset = open_dataset(recipe.dataset)
        if recipe.fingerprint and recipe.fingerprint != self.dataset.fingerprint:
            raise UserError("The data set changed since this comparison was asked for: make a new one.")
        self.parts = parts_of(
            self.dataset, self.config.split, self.config.images, self.config.asked, recipe.seed
        )
        self.classes = len(self.dataset.classes)
        self.train_y = np.asarray(self.dataset.labels)[self.parts.train]
        self.asked_y = np.asarray(self.dataset.labels)[self.parts.asked]

    def run(self) -> dict[str, Any]:
        self.writer.metric({"kind": "start", "epoch": 0, "attempt": self.writer.attempt, "time": time.time()})
        images = len(self.parts.train) + len(self.parts.asked)
        subjects = subjects_of(self.config, self.dataset, self.recipe.image_size, images)
        self.supervised = fine_tuned(self.dataset, self.parts.split)
        device = machine.choose_device()
        machine.prepare(device)
        self.writer.environment(machine.environment(device, False))
        setup = self._setup(subjects, device)
        self.writer.metric({"kind": "setup", **setup})
        known = self._known()
        rows = []
        for place, subject in enumerate(subjects):
            row = known.get(subject.encoder)
            if row is None:
                self.place = f"{place + 1} of {len(subjects)}"
                row = self._row(subject)
            self.writer.metric(row)
            rows.append(row)
        if all(row.get("error") for row in rows):
            raise UserError(f"No encoder could be measured. {rows[0]['error']}")
        results = {**setup, "rows": rows, "seconds": time.monotonic() - self.started}
        self.writer.results(results)
        return results

    def _setup(self, subjects: list[Subject], device: Any) -> dict[str, Any]:
        """What all rows share."""
        parts, best = self.parts, ceiling(self.supervised)
        splits = {"train": Split(parts.train, self.train_y), "val": Split(parts.asked, self.asked_y)}
        return {
            "subjects": [asdict(one) for one in subjects],
            "split": parts.split,
            "asked_for": self.config.split,
            "n": len(parts.asked),
            "of": parts.of_asked,
            "train_n": len(parts.train),
            "train_of": parts.of_train,
            "chance": float(np.bincount(self.asked_y).max() / len(self.asked_y)),
            "notes": notes_on(self.dataset, splits, 0),
            "ceiling": None if best is None else asdict(best),
            "device": machine.name(device),
        }

    def _known(self) -> dict[str, dict[str, Any]]:
        """Rows that an earlier attempt finished; an encoder that failed is tried again."""
        rows, _, _ = read_rows(self.writer.folder)
        mine = {str(row.get("encoder")): row for row in rows if row["kind"] == "encoder"}
        return {name: row for name, row in mine.items() if not row.get("error")}

    def _tell(self, doing: str, done: int = 0, total: int = 0) -> None:
        self.writer.progress(phase=f"{doing}, encoder {self.place}", step=done, steps=total)
        if self.writer.stop_requested():
            raise Stopped

    def _row(self, subject: Subject) -> dict[str, Any]:
        """One encoder measured, or the sentence that says why it could not be.

        Raises:
            Stopped: It was asked to stop.
            OSError: The disk is full, which is every encoder's trouble.
        """
        started = time.monotonic()
        row: dict[str, Any] = {"kind": "encoder", "encoder": subject.encoder, "title": subject.title}
        try:
            return row | self._measured(subject) | {"error": None, "seconds": time.monotonic() - started}
        except (Stopped, WorkStopped):
            raise
        except UserError as error:
            sentence = str(error)
        except MemoryError:
            sentence = NO_MEMORY
        except Exception as error:  # torch's, scikit-learn's; one encoder's trouble is not the others'
            if isinstance(error, OSError) and error.errno in NO_SPACE:
                raise
            self.writer.log(told(error))
            full = any(words in str(error).lower() for words in OUT_OF_MEMORY)
            sentence = NO_MEMORY if full else UNEXPECTED
        return row | {"error": sentence, "seconds": time.monotonic() - started}

    def _measured(self, subject: Subject) -> dict[str, Any]:
        train_x, asked_x = self._features(subject)
        config, asked = self.config, self.parts.asked
        found: dict[str, Any] = {"image_size": subject.side, "width": train_x.shape[1], **self._cost(subject)}
        if subject.wanted > subject.side:
            found["wanted_size"] = subject.wanted
        own = of_encoder(self.supervised, subject.encoder)
        known = taught(subject.encoder, self.dataset, asked)
        found |= {"fine_tuned": None if own is None else asdict(own), "taught": asdict(known)}
        if config.knn:
            self._tell("asking neighbours")
            near = knn_accuracy(train_x, self.train_y, asked_x, self.asked_y, self.classes)
            found["knn"] = asdict(near)
        if config.linear or config.few_labels:
            found |= self._probes(train_x, asked_x)
        if config.structure:
            self._tell("looking at the shape of the features")
            found["structure"] = structure(asked_x, self.asked_y, self.recipe.seed)
        return found

    def _features(self, subject: Subject) -> tuple[np.ndarray, np.ndarray]:
        """(n, d) and (m, d) features of the images that teach and that judge."""
        if not subject.side:
            usual_side(subject.encoder, self.dataset)  # says why not
        rows = np.union1d(self.parts.train, self.parts.asked)

        def tell(phase: str, done: int, total: int) -> None:
            self._tell(phase, done, total)

        self._tell("reading images")
        stop, seed = self.writer.stop_requested, self.recipe.seed
        found = encode(subject.encoder, self.dataset, subject.side, rows, seed=seed, tell=tell, stop=stop)
        if found is None:
            raise Stopped
        return found[np.searchsorted(rows, self.parts.train)], found[np.searchsorted(rows, self.parts.asked)]

    def _cost(self, subject: Subject) -> dict[str, Any]:
        """Parameters and time of an image; pixels have none, and of vectors nobody knows."""
        if subject.encoder == PIXELS or vectors_id(subject.encoder):
            return {"parameters": 0 if subject.encoder == PIXELS else None, "milliseconds": None}
        self._tell("timing")
        encoder = build_encoder(subject.encoder, subject.side, self.recipe.seed)
        cost = embedding_cost(encoder)
        return {"parameters": cost.parameters, "milliseconds": cost.milliseconds, "batch": cost.batch}

    def _probes(self, train_x: np.ndarray, asked_x: np.ndarray) -> dict[str, Any]:
        """The linear probe with all labels, and with few."""
        self._tell("fitting the linear probe")
        sides = (train_x, self.train_y, asked_x, self.asked_y, self.classes)
        whole: ProbeResult = linear_probe(*sides, seed=self.recipe.seed, stop=self.writer.stop_requested)
        found: dict[str, Any] = {"linear": asdict(whole)} if self.config.linear else {}
        if self.config.few_labels:
            points = few_labels(
                *sides,
                self.config.numbers,
                self.config.draws,
                whole=whole,
                seed=self.recipe.seed,
                tell=lambda done, total: self._tell("probing with few labels", done, total),
                stop=self.writer.stop_requested,
            )
            found["few"] = [asdict(point) for point in points]
        return found
