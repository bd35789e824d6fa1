"""Carry out a recipe: data set, pixels, encoder, method, loop, and what is told at the end.

The only module that wires everything together; the worker calls `carry_out` and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.data.augment import center, stored_size
from engine.data.dataset import Dataset, open_dataset
from engine.data.pixels import pixels
from engine.data.progress import Progress
from engine.data.progress import Stopped as ReadingStopped
from engine.errors import UserError
from engine.evaluation.features import cached_features, encoder_identity
from engine.methods import method_class, method_entry, parse_config
from engine.methods.method import Method
from engine.models.encoder import build_encoder, check_encoder
from engine.runs.recipe import Recipe
from engine.runs.writer import RunWriter, Stopped
from engine.training import machine
from engine.training.checkpoint import load_checkpoint, save_tensors
from engine.training.loop import Evaluation, FitResult, evaluate, fit
from engine.training.optim import Plan
from engine.training.probing import Prober, outcome, probe_splits, views_of
from engine.training.sources import FeatureSource, PixelSource, Source, mixed_seed
from engine.training.step import Batch
from engine.training.study import spaces_of, study
from engine.training.task import SPLITS, Split, is_gray, notes_on, pinned, splits_of, task_of

FRAME_PIXELS = 24 * 64 * 64  # of all pinned images together, where each epoch keeps pictures of them


def carry_out(recipe: Recipe, writer: RunWriter) -> dict[str, Any]:
    """Train as the recipe says, from the start or from the run's checkpoint; gives results.json.

    Args:
        recipe: What to do.
        writer: Where to tell it.

    Raises:
        UserError: It cannot be done; one sentence says why.
        Stopped: It was asked to stop; the finished epochs are kept.
    """
    return _Training(recipe, writer).run()


class _Training:
    """State of one recipe being carried out."""

    def __init__(self, recipe: Recipe, writer: RunWriter) -> None:
        self.recipe, self.writer = recipe, writer
        self.started = time.monotonic()
        self.config = parse_config(recipe.method, recipe.config)
        self.plan = Plan.of(self.config)
        self.device = machine.choose_device()
        machine.prepare(self.device)
        self.low = machine.fast_bfloat16(self.device.type)
        self.dataset: Dataset = open_dataset(recipe.dataset)
        self.splits = splits_of(recipe, self.dataset)
        self.notes = notes_on(self.dataset, self.splits, self.plan.batch_size)

    def run(self) -> dict[str, Any]:
        if self.recipe.backbone:
            check_encoder(self.recipe.backbone, self.recipe.image_size)
        checkpoint = load_checkpoint(self.writer.checkpoint_path)
        epoch = int(checkpoint["epoch"]) if checkpoint else 0
        row = {"kind": "start", "epoch": epoch, "attempt": self.writer.attempt, "time": time.time()}
        self.writer.metric(row)
        self.writer.progress(phase="reading images", epoch=epoch, epochs=self.plan.epochs, note=self.note)
        self._read_pixels()
        method = self._method()
        sources = self._sources(method)
        self.writer.environment(machine.environment(self.device, self.low))
        self.shown_split = self.splits["val"] if sources["val"].n else self.splits["train"]
        validation = sources["val"] if sources["val"].n else None
        prober = self._prober(method)
        if prober is not None:
            validation = prober.held_out
        most = max(6, min(24, FRAME_PIXELS // self.recipe.image_size**2))
        self.shown = pinned(self.shown_split.labels, most)
        result = fit(
            method,
            sources["train"],
            validation,
            self.plan,
            self.writer,
            seed=self.recipe.seed,
            low_precision=self.low_precision(method),
            read_out=(lambda _, seen, history: prober.read_out(method, seen, history)) if prober else None,
            on_epoch=lambda epoch, seen: self._frame(method, epoch, seen),
        )
        if result.stopped:
            raise Stopped
        return self._finish(method, sources, result)

    def _prober(self, method: Method) -> Prober | None:
        """Who asks how good the representation is; draws what there is to compare with."""
        if not method.reads_out:
            return None
        chosen = probe_splits(self.splits)
        self.shown_split = chosen.held_out
        if chosen.note:
            self.notes = [note for note in self.notes if "no validation images" not in note] + [chosen.note]
        self.writer.progress(phase="looking at what is known before training", note=self.note)
        stop = self.writer.stop_requested
        prober = Prober(chosen, lambda split: self._pixel_source(split, method, None), self.recipe.seed, stop)
        self.references = prober.references(method)
        if self.references is None:
            raise Stopped
        self.writer.metric({"kind": "reference", "lines": self.references})
        return prober

    def low_precision(self, method: Method) -> bool:
        """Whether to train in bfloat16."""
        return self.low and machine.low_precision_pays(method, self.device)

    @property
    def note(self) -> str:
        return " ".join(self.notes)

    def _method(self) -> Method:
        """The method with its backbone and a freshly drawn head, on its device."""
        kind = method_class(self.recipe.method)
        task = task_of(self.recipe, self.dataset, self.splits, is_gray(self.pixels))
        self.backbone = kind.backbone_name(self.recipe.backbone, self.config, task)
        encoder = build_encoder(self.backbone, self.recipe.image_size, self.recipe.seed)
        self.random_weights = (
            encoder.provenance == "random" and not method_entry(self.recipe.method).own_network
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(mixed_seed(self.recipe.seed, 11))
            method = kind(encoder, self.config, task)
        return method.to(self.device).to(memory_format=torch.channels_last)

    def _read_pixels(self) -> None:
        def tell(progress: Progress) -> None:
            self.writer.progress(phase="reading images", step=progress.done, steps=progress.total)

        try:
            size, stop = stored_size(self.recipe.image_size), self.writer.stop_requested
            self.pixels = pixels(self.dataset, size, progress=tell, stop=stop)
        except ReadingStopped:
            raise Stopped from None

    def _sources(self, method: Method) -> dict[str, Source]:
        """One source a split; they read cached features where the method can."""
        train = self.splits["train"]
        weights = method.sampling_weights(train.labels)
        features = self._features(method) if method.reads_features else None
        found: dict[str, Source] = {}
        for name in SPLITS:
            split = self.splits[name]
            mine = weights if name == "train" else None
            if features:
                plain, copies = features
                found[name] = FeatureSource(
                    copies if name == "train" else [],
                    plain,
                    split.index,
                    split.labels,
                    self.plan.batch_size,
                    self.recipe.seed,
                    self.device,
                    mine,
                )
            else:
                found[name] = self._pixel_source(split, method, mine)
        return found

    def _pixel_source(self, split: Split, method: Method, weights: np.ndarray | None) -> PixelSource:
        return PixelSource(
            self.pixels,
            split.index,
            split.labels,
            self.recipe.image_size,
            method.views,
            self.plan.batch_size,
            self.recipe.seed,
            self.device,
            weights,
            method.whole_batches,
        )

    def _features(self, method: Method) -> tuple[np.ndarray, list[np.ndarray]]:
        """Features of all plain images, and of the training images' augmented copies."""
        identity = encoder_identity(method.backbone)
        rounds = 1 + method.copies
        found = []
        for copy in range(rounds):

            def tell(done: int, total: int, copy: int = copy) -> None:
                part = f"copy {copy} of {method.copies}" if copy else ""
                self.writer.progress(phase="computing features", step=done, steps=total, note=part)

            array = cached_features(
                method.backbone,
                self.pixels,
                self.dataset.fingerprint,
                identity=identity,
                for_head=True,
                view=method.views[0] if copy else None,
                copy=copy,
                seed=self.recipe.seed,
                rows=self.splits["train"].index if copy else None,
                low_precision=self.low,
                progress=tell,
                stop=self.writer.stop_requested,
            )
            if array is None:
                raise Stopped
            found.append(array)
        self.writer.progress(note=self.note)
        return found[0], found[1:]

    def _frame(self, method: Method, epoch: int, seen: Evaluation | None) -> None:
        """What the pinned images looked like to the network after this epoch."""
        rows = self.shown
        split, arrays = self.shown_split, {}
        if seen and not method.reads_out:
            arrays = {name: values[rows] for name, values in seen.outputs.items()}

        def views() -> tuple[torch.Tensor, ...]:
            source = self._pixel_source(split, method, None)
            return views_of(source, rows, method, self.recipe.seed)

        arrays |= method.frame(self._batch_of(split, rows), views)
        if arrays:
            self.writer.frame(epoch, {"index": split.index[rows], "label": split.labels[rows], **arrays})

    def _batch_of(self, split: Split, rows: np.ndarray) -> Batch:
        """Plain images of a few rows of a split, on the device."""
        index = split.index[rows]
        images = torch.from_numpy(np.ascontiguousarray(self.pixels[index])).to(self.device)
        labels = torch.from_numpy(split.labels[rows]).to(self.device)
        return Batch((center(images, self.recipe.image_size),), labels, torch.from_numpy(index))

    def _images(self, name: str, most: int) -> torch.Tensor:
        """Plain images of a split, evenly spread over it."""
        split = self.splits[name]
        rows = np.unique(np.linspace(0, len(split.index) - 1, min(most, len(split.index))).astype(np.int64))
        return self._batch_of(split, rows).views[0]

    def _finish(self, method: Method, sources: Mapping[str, Source], result: FitResult) -> dict[str, Any]:
        """Score the kept epoch on every split and write what the run leaves behind."""
        self.writer.progress(phase="evaluating", seconds_left=0.0)
        load_kept(method, self.writer.best_path)
        seen = {}
        for name, source in sources.items():
            if source.n:
                found = evaluate(method, source, self.writer.stop_requested)
                if found is None:
                    raise Stopped
                seen[name] = found
        studied = self._study(method)
        self.writer.progress(phase="saving")
        self._save_predictions(seen)
        self._save_encoder(method)
        results = {**self._results(method, seen, result), **studied}
        self.writer.results(results)
        return results

    def _study(self, method: Method) -> dict[str, Any]:
        """What a method that reads out has learned, beside raw pixels and itself before training."""
        if not method.reads_out:
            return {}

        def tell(done: int, total: int) -> None:
            self.writer.progress(phase="probing what was learned", step=done, steps=total)

        def source(split: Split) -> PixelSource:
            return self._pixel_source(split, method, None)

        tell(0, 1)
        stop = self.writer.stop_requested
        spaces = spaces_of(method, self._method(), self.splits, source, stop)
        if spaces is None:
            raise Stopped
        factors = self.dataset.factors
        try:
            found = study(spaces, len(self.dataset.classes), factors, self.recipe.seed, tell, stop)
        except ReadingStopped:
            raise Stopped from None
        return {"references": self.references, "study": found}

    def _results(self, method: Method, seen: Mapping[str, Evaluation], result: FitResult) -> dict[str, Any]:
        outcomes = {name: outcome(found) for name, found in seen.items()}
        reported = method.report(outcomes)
        chosen = "val" in seen
        return {
            "kept_epoch": result.kept_epoch,
            "epochs": self.plan.epochs,
            "rule": method.monitor.rule if chosen else "the last epoch, for want of validation images",
            "chosen_on": "val" if chosen and method.monitor.name else None,
            "random_weights": self.random_weights,
            "backbone": self.backbone,
            "arch": method.backbone.arch,
            "image_size": self.recipe.image_size,
            "notes": [*self.notes, *reported.pop("hints", [])],
            "seconds": time.monotonic() - self.started,
            "layers": method.layers(),
            **method.baselines(self._images),
            **reported,
        }

    def _save_predictions(self, seen: Mapping[str, Evaluation]) -> None:
        """predictions.npz: a row an image, splits one after another."""
        parts = [(SPLITS.index(name), seen[name]) for name in SPLITS if name in seen]
        arrays = {
            "index": np.concatenate([s.index for _, s in parts]),
            "split": np.concatenate([np.full(len(s.index), code, dtype=np.uint8) for code, s in parts]),
            "label": np.concatenate([s.labels for _, s in parts]),
        }
        for name in parts[0][1].outputs:
            arrays[name] = np.concatenate([s.outputs[name] for _, s in parts]).astype(np.float32)
        self.writer.predictions(**arrays)

    def _save_encoder(self, method: Method) -> None:
        from engine.files import write_json

        encoder = method.encoder()
        save_tensors(self.writer.encoder_path, encoder.trunk.state_dict())
        decoder = getattr(method, "decoder", None)
        if decoder is not None:
            save_tensors(self.writer.decoder_path, decoder.state_dict())
        info = {
            "arch": encoder.arch,
            "width": encoder.width,
            "image_size": encoder.image_size,
            "provenance": encoder.provenance,
            "source": encoder.source,
            "method": self.recipe.method,
            "dataset": self.recipe.dataset,
            "fingerprint": self.dataset.fingerprint,
            "task": asdict(method.task),
            "transform_input": bool(getattr(encoder.trunk, "transform_input", False)),
        }
        write_json(self.writer.encoder_info_path, info)


def load_kept(method: Method, path: Path) -> None:
    """Put the kept epoch's weights into the method.

    Raises:
        UserError: They are gone or damaged.
    """
    from engine.models.loading import read_safetensors

    try:
        method.load_changing_state(read_safetensors(path, "What this run kept"))
    except (KeyError, RuntimeError):
        raise UserError("What this run kept does not fit its recipe: run it again.") from None
