"""`probe`: the same figures as the engine's functions, baselines beside them, one sentence for problems."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from engine.cli.main import main
from engine.data.dataset import Dataset
from engine.data.drawn_sets import build_shapes
from engine.data.pixels import pixels
from engine.evaluation.features import cached_features, encoder_identity
from engine.evaluation.metrics import wilson_interval
from engine.evaluation.neighbours import knn_accuracy
from engine.evaluation.probe import linear_probe
from engine.models.encoder import build_encoder, encoder_arch


@pytest.fixture
def shapes(workspace: Any) -> Dataset:
    return build_shapes("shapes", "Shapes", 16, "drawn", images={"train": 60, "val": 30, "test": 20})


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, list[Any], str]:
    """(exit code, JSON objects on standard output, standard error) of a command."""
    try:
        code = main(["probe", *argv, "--json"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


def split(dataset: Dataset, features: np.ndarray) -> tuple[np.ndarray, ...]:
    train, val = dataset.indices("train"), dataset.indices("val")
    return features[train], dataset.labels[train], features[val], dataset.labels[val]


@pytest.mark.parametrize("kind", ["knn", "linear"])
def test_it_tells_the_engines_figures_and_both_baselines(
    kind: str, shapes: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told, _ = said(capsys, "random:cnn-small", "--data", "shapes", "--kind", kind, "--image-size", "16")
    assert code == 0 and len(told) == 1
    answer = told[0]
    asked = (answer["encoder"], answer["data"], answer["kind"], answer["split"], answer["n"])
    assert asked == ("random:cnn-small", "shapes", kind, "val", 30)
    assert answer["interval"] == pytest.approx(wilson_interval(answer["correct"], 30))
    assert answer["baselines"].keys() == {"pixels", "random"}

    images = pixels(shapes, 16)
    features = cached_features(build_encoder("random:cnn-small", 16), images, shapes.fingerprint)
    assert features is not None
    flat = images.reshape(len(images), -1).astype(np.float32) / 255
    ask = {"knn": knn_accuracy, "linear": linear_probe}[kind]
    assert answer["accuracy"] == ask(*split(shapes, features), 10).accuracy
    assert answer["accuracy"] == answer["baselines"]["random"]["accuracy"]
    assert answer["baselines"]["pixels"]["accuracy"] == ask(*split(shapes, flat), 10).accuracy
    assert answer["baselines"]["pixels"]["image_size"] == 16


def test_pixels_are_an_encoder_too(shapes: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    code, told, err = said(capsys, "pixels", "--data", "shapes", "--image-size", "16")
    assert code == 0 and told[0]["baselines"]["random"] is None
    assert told[0]["accuracy"] == told[0]["baselines"]["pixels"]["accuracy"]
    assert "reading" in err, "progress goes to standard error"


def test_a_run_is_probed_at_its_own_size_beside_its_architecture_untrained(
    shapes: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["train", "linear_autoencoder", "--data", "shapes", "--image-size", "28", "--set", "epochs=1"]
    assert main([*line, "--json"]) == 0
    run = json.loads(capsys.readouterr().out.splitlines()[-1])["run"]
    code, told, _ = said(capsys, f"run:{run}", "--data", "shapes")
    assert code == 0 and told[0]["image_size"] == 28
    arch = encoder_arch(f"run:{run}")
    _, untrained, _ = said(capsys, f"random:{arch}", "--data", "shapes", "--image-size", "28")
    assert told[0]["baselines"]["random"]["accuracy"] == untrained[0]["accuracy"]


def test_text_is_a_table_with_every_interval(shapes: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["probe", "random:cnn-small", "--data", "shapes", "--image-size", "16"]) == 0
    out = capsys.readouterr().out
    assert all(
        word in out for word in ("random weights", "pixels", " to ", "20 nearest neighbours", "n = 30")
    )


def test_without_validation_images_the_test_images_are_asked_about(
    workspace: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    build_shapes("shapes", "Shapes", 16, "drawn", images={"train": 40, "val": 0, "test": 20})
    _, told, _ = said(capsys, "pixels", "--data", "shapes")
    assert (told[0]["split"], told[0]["n"]) == ("test", 20)


def test_probing_leaves_the_encoder_as_it_is(shapes: Dataset) -> None:
    encoder = build_encoder("random:cnn-small", 16)
    before = encoder_identity(encoder)  # weights and the running figures of batch normalisation
    features = cached_features(encoder, pixels(shapes, 16), shapes.fingerprint)
    assert features is not None
    linear_probe(*split(shapes, features), 10)
    assert encoder_identity(encoder) == before


BAD = {
    "no encoder": ["--data", "shapes"],
    "no data": ["pixels"],
    "unknown encoder": ["nonsense", "--data", "shapes"],
    "unknown architecture": ["random:nonsense", "--data", "shapes"],
    "unknown run": ["run:nosuchrun", "--data", "shapes"],
    "path for weights": ["file:../../x", "--data", "shapes"],
    "unknown data": ["pixels", "--data", "nosuchset"],
    "unknown kind": ["pixels", "--data", "shapes", "--kind", "magic"],
    "size": ["random:cnn-small", "--data", "shapes", "--image-size", "2"],
    "size of pixels": ["pixels", "--data", "shapes", "--image-size", "100000"],
    "nothing but training images": ["pixels", "--data", "alone"],
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_exit_code_two(
    case: str, shapes: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    if "alone" in BAD[case]:
        build_shapes("alone", "Alone", 16, "drawn", images={"train": 20})
    code, told, err = said(capsys, *BAD[case])
    assert code == 2 and told == []
    assert len(err.splitlines()) == 1 and 10 < len(err) <= 420 and "Traceback" not in err


def test_images_without_classes_cannot_be_probed(
    shapes: Dataset, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    for i in range(12):
        shapes.image(i).save(folder / f"{i}.png")
    assert main(["data", "add", str(folder), "--name", "Mine", "--json"]) == 0
    added = json.loads(capsys.readouterr().out.splitlines()[-1])["id"]
    code, _, err = said(capsys, "pixels", "--data", added)
    assert code == 2 and "no classes" in err
