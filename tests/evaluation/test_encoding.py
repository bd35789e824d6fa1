"""Features by an encoder's name: asked again they are found without a network, unless something changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from engine.data.dataset import Dataset
from engine.data.drawn_sets import build_shapes
from engine.evaluation.encoding import encode
from engine.methods.latent_map_config import only
from engine.models import encoder
from engine.models.trunks import build_trunk
from engine.models.weights import add_weights, weights_path
from engine.runs.recipe import check_recipe, make_recipe
from engine.runs.store import RunStore
from engine.settings import settings

NAME, SIDE = "random:cnn-small", 16
FIRST_PANEL = """
import sys
from engine.evaluation.latent_map import carry_out
from engine.runs.store import RunStore
from engine.runs.writer import RunWriter

heavy = ("torch", "sklearn", "scipy", "pandas")
plain = RunWriter.metric

def metric(self, row):
    if row["kind"] == "map":
        print([name for name in heavy if name in sys.modules], flush=True)
        sys.exit()
    plain(self, row)

RunWriter.metric = metric
carry_out(RunStore().recipe(sys.argv[1]), RunStore().writer(sys.argv[1]))
"""


@pytest.fixture
def shapes(workspace: Path) -> Dataset:
    return build_shapes("shapes", "Shapes", SIDE, "drawn", images={"train": 30, "val": 10})


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the networks that are built from now on."""
    names: list[str] = []
    plain = encoder.build_encoder

    def build(name: str, side: int, seed: int = 0) -> object:
        names.append(f"{name} {side} {seed}")
        return plain(name, side, seed)

    monkeypatch.setattr(encoder, "build_encoder", build)
    return names


def features(dataset: Dataset, name: str = NAME, side: int = SIDE, **given: object) -> np.ndarray:
    found = encode(name, dataset, side, **given)  # type: ignore[arg-type]
    assert found is not None
    return np.array(found)


def weights(path: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    save_file(build_trunk("cnn-small", SIDE).state_dict(), path)
    return path


def test_asked_again_features_are_the_same_and_no_network_is_built(shapes: Dataset, built: list[str]) -> None:
    first = features(shapes)
    assert built == [f"{NAME} 16 0"] and first.std() > 0
    assert np.array_equal(features(shapes), first)
    assert np.array_equal(features(shapes, rows=np.arange(3, 35)), first[3:35]), "most images: all are kept"
    assert built == [f"{NAME} 16 0"]


def test_few_images_are_known_by_which_they_are(shapes: Dataset, built: list[str]) -> None:
    rows = np.array([1, 4, 9])
    some = features(shapes, rows=rows)
    assert np.array_equal(features(shapes, rows=rows), some) and len(built) == 1
    assert np.allclose(features(shapes)[rows], some, atol=1e-5) and len(built) == 2
    others = features(shapes, rows=rows + 1)
    assert len(built) == 3 and not np.allclose(others, some)


def test_another_seed_side_or_set_is_another_question(shapes: Dataset, built: list[str]) -> None:
    first = features(shapes)
    assert not np.allclose(features(shapes, seed=1), first)
    features(shapes, side=24)
    features(build_shapes("others", "Others", SIDE, "drawn", images={"train": 41}))
    assert len(built) == 4


def test_other_weights_of_the_same_name_are_read(shapes: Dataset, tmp_path: Path, built: list[str]) -> None:
    name = f"file:{add_weights(weights(tmp_path / 'a.safetensors', 1), 'cnn-small')}"
    first = features(shapes, name)
    assert np.array_equal(features(shapes, name), first) and len(built) == 1
    weights(weights_path(name.partition(":")[2]), 2)
    assert not np.allclose(features(shapes, name), first) and len(built) == 2


def test_a_network_that_other_code_would_build_is_built(
    shapes: Dataset, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    features(shapes)
    monkeypatch.setattr("engine.evaluation.known_features._code", lambda: "newer")
    features(shapes)
    assert len(built) == 2


@pytest.mark.parametrize("note", [b"", b"\xff\xfe", b"../../secret", b"0" * 40, b"1" * 40])
def test_a_note_that_leads_nowhere_is_ignored(shapes: Dataset, built: list[str], note: bytes) -> None:
    first = features(shapes)
    (path,) = (settings().cache / "features").rglob("*.note")
    (array,) = (settings().cache / "features").rglob("*.npy")
    np.save(array.with_name(f"{'1' * 40}.npy"), np.zeros((3, 2)))  # of another number of images
    path.write_bytes(note)
    assert np.array_equal(features(shapes), first) and len(built) == 2
    assert path.read_text() == array.stem, "it is written anew"


@pytest.mark.parametrize("backbone", ["pixels", NAME])
def test_the_first_panel_waits_for_no_library_that_it_does_not_need(shapes: Dataset, backbone: str) -> None:
    fields = {"dataset": shapes.id, "fingerprint": shapes.fingerprint, "method": "latent_map"}
    rest = {"config": only(("pca", "tsne")), "backbone": backbone, "image_size": SIDE}
    run = RunStore().create(check_recipe(make_recipe({**fields, **rest}))).id
    if backbone != "pixels":
        features(shapes)
    command = [sys.executable, "-c", FIRST_PANEL, run]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
