"""Read-outs during training: which images ask, baselines against plain NumPy, views the same again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from engine.evaluation import health
from engine.methods import method_class, parse_config
from engine.methods.method import Method, Task
from engine.models.encoder import build_encoder
from engine.training import probing
from engine.training.loop import evaluate
from engine.training.probing import Prober, ProbeSplits, probe_splits, some_of, views_of
from engine.training.sources import PixelSource
from engine.training.task import Split

SIZE, N, ASKED, CLASSES = 16, 60, 25, 3
PIXELS = np.random.default_rng(0).integers(0, 256, (120, SIZE, SIZE, 3), dtype=np.uint8)
LABELS = np.arange(120) % CLASSES
PIXELS[LABELS == 0, :, :8] //= 3
PIXELS[LABELS == 1, :8] //= 3


def split(index: Sequence[int], labelled: bool = True) -> Split:
    places = np.array(index, np.int64)
    return Split(places, LABELS[places] if labelled else np.full(len(places), -1))


def made(name: str = "simclr") -> Method:
    config = parse_config(name, {"batch_size": 8, "output_size": 8})
    torch.manual_seed(0)
    kind: Any = method_class(name)
    return kind(build_encoder("random:cnn-small", SIZE, 0), config, Task(tuple("abc"), (), N, SIZE))


def never() -> bool:
    return False


def prober(method: Method, labelled: bool = True, stop: Any = never) -> Prober:
    bank, asked = split(range(0, N), labelled), split(range(N, N + ASKED), labelled)

    def source(images: Split) -> PixelSource:
        return PixelSource(PIXELS, images.index, images.labels, SIZE, method.views)

    return Prober(ProbeSplits(bank, asked), source, 7, stop)


def neighbours(bank: np.ndarray, asked: np.ndarray) -> float:
    """Weighted votes of the 20 nearest by cosine, with the bank's mean taken out."""
    middle, right = bank.mean(0), 0
    for row, truth in zip(asked, LABELS[N : N + ASKED], strict=True):
        q, votes = row - middle, [0.0] * CLASSES
        cosines = [float((b - middle) @ q / np.linalg.norm(b - middle) / np.linalg.norm(q)) for b in bank]
        for i in sorted(range(len(bank)), key=lambda i: -cosines[i])[:20]:
            votes[LABELS[i]] += math.exp(cosines[i] / 0.1)
        right += int(np.argmax(votes) == truth)
    return right / len(asked)


def features(method: Method, index: slice) -> np.ndarray:
    images = torch.from_numpy(PIXELS[index]).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        return method.backbone.eval()(images).double().numpy()


def test_validation_asks_and_without_it_every_fifth_training_image() -> None:
    train, val = split(range(20, 32)), split([1, 2, 3])
    found = probe_splits({"train": train, "val": val})
    assert found.bank.index.tolist() == train.index.tolist() and found.held_out.index.tolist() == [1, 2, 3]
    assert found.note == ""
    found = probe_splits({"train": train, "val": split([])})
    assert found.held_out.index.tolist() == [20, 25, 30] and "no validation images" in found.note
    assert not set(found.bank.index) & set(found.held_out.index) and len(found.bank.index) == 9
    for part in (found.bank, found.held_out):
        assert np.array_equal(part.labels, LABELS[part.index])


def test_at_most_so_many_images_take_part_evenly_spread() -> None:
    found = probe_splits({"train": split(range(41)), "val": split(range(50, 60))}, bank=5, held_out=2)
    assert found.bank.index.tolist() == [0, 10, 20, 30, 40] and found.held_out.index.tolist() == [50, 59]
    assert some_of(split([4, 9]), 5).index.tolist() == [4, 9]


def test_what_is_known_before_training_is_plain_neighbours_in_pixels_and_features() -> None:
    method = made()
    lines = prober(method).references(method)
    assert lines is not None
    flat = PIXELS.transpose(0, 3, 1, 2).reshape(120, -1) / 255
    asked = slice(N, N + ASKED)
    known = lines["knn_accuracy"]
    assert known["raw pixels"] == pytest.approx(neighbours(flat[:N], flat[asked]), abs=1e-9)
    before = neighbours(features(method, slice(0, N)), features(method, asked))
    assert known["before training"] == pytest.approx(before, abs=1e-9)
    assert 0.5 < known["raw pixels"] and list(known) == ["raw pixels", "before training"]
    assert lines["loss"] == method.chance()  # type: ignore[operator]


def test_an_epoch_is_told_by_neighbours_and_health() -> None:
    method = made()
    asking = prober(method)
    seen = evaluate(method, asking.held_out)
    assert seen is not None and asking.read_out(method, seen, [])
    asked = slice(N, N + ASKED)
    expected = neighbours(features(method, slice(0, N)), features(method, asked))
    assert seen.figures["knn_accuracy"] == pytest.approx(expected, abs=1e-9)
    z = seen.outputs["embedding"]
    assert seen.figures["z_std"] == health.z_std(z) and seen.figures["uniformity"] == health.uniformity(z)
    with torch.no_grad():
        first, second = (method.project(view).numpy() for view in asking._views(method))  # type: ignore
    assert seen.figures["alignment"] == pytest.approx(health.alignment(first, second), rel=1e-4)
    assert seen.verdict["state"] == "starting"
    assert not method.training, "figures are those of evaluation"


def test_the_verdict_sees_the_epochs_before() -> None:
    method = made()
    asking, told = prober(method), []
    for history in ([], [{"z_std": 0.9, "effective_rank": 7.0}] * 5):
        seen = evaluate(method, asking.held_out)
        assert seen is not None
        seen.outputs["embedding"][:] = 1  # all alike
        asking.read_out(method, seen, history)
        told.append(seen.verdict["state"])
    assert told == ["starting", "collapsed"]


def test_without_labels_there_are_no_neighbours_to_count() -> None:
    method = made()
    asking = prober(method, labelled=False)
    lines = asking.references(method)
    assert lines is not None and "knn_accuracy" not in lines and "z_std" in lines
    seen = evaluate(method, asking.held_out)
    assert seen is not None and asking.read_out(method, seen, [])
    assert set(seen.figures) == {"z_std", "effective_rank", "alignment", "uniformity"}


def test_stopped_it_tells_nothing() -> None:
    method = made()
    seen = evaluate(method, prober(method).held_out)
    asking = prober(method, stop=lambda: True)
    assert seen is not None and asking.references(method) is None
    assert not asking.read_out(method, seen, []) and not seen.figures and not seen.verdict


@pytest.mark.parametrize("name", ["simclr", "byol", "instance_discrimination"])
def test_two_views_an_image_are_the_same_at_every_call(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    method = made(name)
    asking = prober(method)
    monkeypatch.setattr(probing, "VIEWED", 9)
    first, again = asking._views(method), asking._views(method)
    assert len(first) == 2 and {tuple(view.shape) for view in first} == {(9, 3, SIZE, SIZE)}
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(*first)
    other = views_of(asking.held_out, np.arange(9), method, 8)
    assert not torch.equal(first[0], other[0])


def test_asking_changes_nothing_in_the_method() -> None:
    method = made("moco")
    before: Mapping[str, torch.Tensor] = {key: value.clone() for key, value in method.state_dict().items()}
    asking = prober(method)
    asking.references(method)
    seen = evaluate(method, asking.held_out)
    assert seen is not None and asking.read_out(method, seen, [])
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())
