"""Which images an encoder has learned from, so that what it has seen is never taken for a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from engine.data.dataset import Dataset, open_dataset
from engine.data.vectors import vectors_id
from engine.errors import UserError
from engine.methods import METHODS
from engine.models.encoder import PIXELS, parse_encoder
from engine.runs.store import RunStore

Kind = Literal[
    "pixels", "random", "pretrained", "file", "vectors", "supervised", "self-supervised", "autoencoder"
]
PAGES: dict[str, Kind] = {
    "transfer": "supervised",
    "self-supervised": "self-supervised",
    "autoencoders": "autoencoder",
}
WEIGHTS: dict[str, Kind] = {"random": "random", "torchvision": "pretrained", "file": "file"}
LONGEST = 20  # runs on the way back; a longer line could only be a circle


@dataclass(frozen=True)
class Ancestor:
    """A run that shaped the weights of an encoder.

    Attributes:
        run: Its id.
        method: A name of METHODS.
        dataset: What it learned from.
        fingerprint: Of that set's content.
    """

    run: str
    method: str
    dataset: str
    fingerprint: str

    @property
    def reads_labels(self) -> bool:
        """Whether it learned from classes too."""
        return self.method in METHODS and METHODS[self.method].needs_labels


@dataclass(frozen=True)
class Taught:
    """What an encoder has learned of a data set.

    Attributes:
        images: It learned from the set's training images.
        labels: It learned from their classes too.
        seen: Images among those asked about that it learned from, here or in another set.
        unknown: A set that it learned from is gone, so that nobody can tell what it has seen.
    """

    images: bool = False
    labels: bool = False
    seen: int = 0
    unknown: bool = False


def kind_of(encoder: str, store: RunStore | None = None) -> Kind:
    """What made the weights of an encoder; a frozen backbone is what it was before.

    Weights of a run that is gone are "file": nobody can tell what made them.

    Raises:
        UserError: The name is none.
    """
    if encoder == PIXELS:
        return "pixels"
    if vectors_id(encoder):
        return "vectors"
    lines = ancestors(encoder, store)
    if lines:
        page = METHODS[lines[0].method].page if lines[0].method in METHODS else ""
        return PAGES.get(page, "self-supervised")
    return WEIGHTS.get(parse_encoder(_root(encoder, store)).kind, "file")


def ancestors(encoder: str, store: RunStore | None = None) -> tuple[Ancestor, ...]:
    """The runs that trained an encoder's weights, the last one first; none for pixels and vectors.

    Raises:
        UserError: The name is none.
    """
    store, found = store or RunStore(), []
    for run in _line(encoder, store):
        info = store.encoder_info(run)
        if _trained(run, store):
            words = [str(info.get(key) or "") for key in ("method", "dataset", "fingerprint")]
            found.append(Ancestor(run, *words))
    return tuple(found)


def taught(encoder: str, dataset: Dataset, asked: np.ndarray, store: RunStore | None = None) -> Taught:
    """What an encoder has learned of a data set, and which of the judging images it has met.

    Args:
        encoder: Its name.
        dataset: Whose images are asked about.
        asked: (n,) places of the judging images.
        store: Where runs are.
    """
    images = labels = unknown = False
    met = np.zeros(len(asked), bool)
    digests = dataset.digests[asked]
    for one in ancestors(encoder, store):
        here = one.fingerprint == dataset.fingerprint
        images, labels = images or here, labels or (here and one.reads_labels)
        try:
            source = dataset if here else open_dataset(one.dataset)
        except UserError:
            unknown = True
            continue
        if source.fingerprint != one.fingerprint:
            unknown = True
        met |= np.isin(digests, source.digests[source.indices("train")])
    return Taught(images, labels, int(met.sum()), unknown)


def _line(encoder: str, store: RunStore) -> list[str]:
    """Ids of the runs that an encoder came through, the last one first."""
    found: list[str] = []
    name = encoder
    while name != PIXELS and vectors_id(name) is None and len(found) < LONGEST:
        parsed = parse_encoder(name)
        if parsed.kind != "run" or parsed.value in found:
            break
        try:
            info = store.encoder_info(parsed.value)
        except UserError:  # deleted since
            break
        found.append(parsed.value)
        name = str(info.get("source") or f"random:{info.get('arch')}")
        try:
            parse_encoder(name)
        except UserError:
            break
    return found


def _root(encoder: str, store: RunStore | None) -> str:
    """The encoder that the first run of a line began with."""
    line = _line(encoder, store or RunStore())
    return str((store or RunStore()).encoder_info(line[-1]).get("source") or encoder) if line else encoder


def _trained(run: str, store: RunStore) -> bool:
    """Whether the run moved the encoder's weights; a frozen backbone stays what it was."""
    try:
        return store.recipe(run).config.get("mode") != "extract"
    except UserError:
        return True
