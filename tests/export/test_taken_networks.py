"""Networks that leave: each file is opened without this project and answers as the trained method does."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from engine.data.augment import center, stored_size
from engine.errors import UserError
from engine.evaluation.trial import read_picture
from engine.export import onnx_file, program
from engine.export.take import write_run
from engine.runs.store import RunStore
from engine.settings import PROJECT_ROOT
from tests.export.taken_runs import CLASSES, classified, method_says, own_workspace, some_images
from tests.pages.coded import code_run
from tests.pages.learned import learned_run
from tests.pages.made import make_dataset, make_run

CLOSE = 1e-4
EXACT = 1e-5
MAKERS: dict[str, Callable[[Any], str]] = {
    "classifier": classified,
    "squeezenet": lambda data: classified(data, "random:squeezenet1_1", 64, mode="extract"),
    "resnet18": lambda data: classified(data, "random:resnet18", 64, mode="extract"),
    "conv": code_run,
    "linear": lambda data: code_run(data, "linear_autoencoder"),
    "dense": lambda data: code_run(data, network="mlp", loss="bce"),
    "split": lambda data: code_run(data, "split_brain"),
    "vit": lambda data: code_run(data, "masked_autoencoder"),
    "light": lambda data: code_run(data, "colorization"),
    "simclr": learned_run,
    "groupnorm": lambda data: learned_run(data, norm="group", epochs=1),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Runs by kind, each trained when it is first asked for."""
    with own_workspace(tmp_path_factory.mktemp("taken")):
        dataset = make_dataset(CLASSES)
        known: dict[str, str] = {}

        def run_of(kind: str) -> str:
            if kind not in known:
                known[kind] = MAKERS[kind](dataset)
            return known[kind]

        yield run_of


def size_of(run: str) -> int:
    return RunStore().recipe(run).image_size


def alone(command: list[str], folder: Path) -> str:
    """What a fresh Python says that does not know this project."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


DRIVER = """
import contextlib, io, json, os, runpy, sys
told = {}
for folder in sorted(os.listdir()):
    if os.path.isdir(folder):
        os.chdir(folder)
        sys.path.insert(0, os.getcwd())
        told[folder] = {}
        for picture in sorted(os.listdir("pictures")):
            sys.argv = ["run.py", os.path.join("pictures", picture)]
            with contextlib.redirect_stdout(io.StringIO()) as out:
                found = runpy.run_path("run.py", run_name="__main__")
            names = [name for name in ("probabilities", "features", "pictures") if name in found]
            told[folder][picture] = {name: found[name][0].tolist() for name in names}
            told[folder][picture]["printed"] = out.getvalue().splitlines()
            if os.path.exists("rebuilt.png"):
                os.replace("rebuilt.png", picture + "-rebuilt.png")
        del sys.modules["network"]
        sys.path.pop(0)
        os.chdir("..")
print(json.dumps(told))
"""
Told = dict[str, dict[str, dict[str, Any]]]


def pictures(folder: Path) -> None:
    """Pictures as people have them: clear, turned, of few colours, for print, large and small."""
    random = np.random.default_rng(1)

    def noise(*shape: int) -> Image.Image:
        return Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8))

    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    folder.mkdir()
    noise(32, 32, 4).save(folder / "clear.png")
    noise(40, 32, 3).save(folder / "turned.png", exif=exif)
    noise(50, 80, 3).save(folder / "wide.png")
    noise(20, 31).save(folder / "grey.png")
    noise(45, 40, 3).quantize(16).save(folder / "colours.gif", transparency=3)
    noise(60, 60, 4).convert("CMYK").save(folder / "print.jpg", quality=90)
    # a half of it would do, so it is decoded smaller than it is
    noise(10, 14, 3).resize((420, 300), Image.Resampling.BICUBIC).save(
        folder / "large.jpg", quality=80, exif=exif
    )


@pytest.fixture(scope="module")
def scripts(runs: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Told]:
    """Every kind's script in a folder of its own beside pictures, and what it said of each.

    One Python that does not know this project runs them one after the other, since loading torch takes long.
    """
    root = tmp_path_factory.mktemp("scripts")
    for kind in MAKERS:
        folder = root / kind
        folder.mkdir()
        write_run(runs(kind), "script", folder / "script.zip")
        with zipfile.ZipFile(folder / "script.zip") as archive:
            assert archive.namelist() == ["run.py", "network.py", "network.safetensors"]
            archive.extractall(folder)
        pictures(folder / "pictures")
    (root / "driver.py").write_text(DRIVER)
    return root, json.loads(alone(["driver.py"], root))


@pytest.mark.parametrize("kind", MAKERS)
def test_the_script_prepares_loads_and_answers_without_this_project(
    runs: Callable[[str], str], scripts: tuple[Path, Told], kind: str
) -> None:
    run, folder = runs(kind), scripts[0] / kind
    size = size_of(run)
    assert len(scripts[1][kind]) == 7
    for picture, answer in scripts[1][kind].items():
        data = (folder / "pictures" / picture).read_bytes()
        image = read_picture(data, stored_size(size))
        said = method_says(run, center(torch.from_numpy(image)[None], size))
        assert answer.keys() == said.keys() | {"printed"}
        for name, values in said.items():
            np.testing.assert_allclose(answer[name], values[0], atol=EXACT, rtol=EXACT, err_msg=picture)
        if "probabilities" in said:
            shares = said["probabilities"][0]
            found = re.split(r"^([01]\.[0-9]{6}) ", "\n".join(answer["printed"]), flags=re.M)[1:]
            names = [sorted(CLASSES)[place] for place in np.argsort(-shares)]
            assert [name.removesuffix("\n") for name in found[1::2]] == names, "the likeliest class is first"
            np.testing.assert_allclose([float(share) for share in found[::2]], -np.sort(-shares), atol=EXACT)
            continue
        printed = [float(number) for number in answer["printed"][0].split()]
        np.testing.assert_allclose(printed, said["features"][0], atol=EXACT, rtol=EXACT)
        if "pictures" in said:
            rebuilt = np.asarray(Image.open(folder / f"{picture}-rebuilt.png")).transpose(2, 0, 1) / 255
            np.testing.assert_allclose(rebuilt, said["pictures"][0], atol=0.51 / 255)


def code_lines(text: str) -> list[str]:
    """Lines that are neither blank nor a comment."""
    return [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


@pytest.mark.parametrize("kind", MAKERS)
def test_the_script_is_at_most_twenty_lines(scripts: tuple[Path, Told], kind: str) -> None:
    text = (scripts[0] / kind / "run.py").read_text()
    assert 10 < len(code_lines(text)) <= 20
    assert max(map(len, text.splitlines())) <= 110 and ";" not in text.replace("; only", "")


def test_the_script_is_run_as_its_first_line_says(runs: Callable[[str], str], tmp_path: Path) -> None:
    write_run(runs("classifier"), "script", tmp_path / "script.zip")
    with zipfile.ZipFile(tmp_path / "script.zip") as archive:
        archive.extractall(tmp_path / "away")
    Image.new("RGB", (40, 30), (9, 9, 200)).save(tmp_path / "p.png")
    Image.new("I;16", (40, 30)).save(tmp_path / "deep.png")
    said = alone([str(tmp_path / "away" / "run.py"), "p.png"], tmp_path)
    assert all(f" {name}\n" in said for name in CLASSES)
    with pytest.raises(AssertionError, match="reads pictures of 8 bits"):
        alone([str(tmp_path / "away" / "run.py"), "deep.png"], tmp_path)


@pytest.mark.parametrize("kind", MAKERS)
def test_the_script_imports_nothing_of_this_project(scripts: tuple[Path, Told], kind: str) -> None:
    used: list[str] = []
    for name in ("run.py", "network.py"):
        nodes = list(ast.walk(ast.parse((scripts[0] / kind / name).read_text())))
        used += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        used += [str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)]
    there = {name.split(".")[0] for name in used}
    assert "torch" in there and there <= {
        *("__future__", "sys", "pathlib", "types", "network"),
        *("torch", "torchvision", "numpy", "PIL", "safetensors"),
    }


def onnx_answers(path: Path, x: torch.Tensor) -> dict[str, np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    values = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    return dict(zip(names, values, strict=True))


@pytest.mark.parametrize("kind", ["classifier", "split"])
def test_onnx_answers_as_the_method_for_any_number_of_images(
    runs: Callable[[str], str], kind: str, tmp_path: Path
) -> None:
    import onnx

    run = runs(kind)
    write_run(run, "onnx", tmp_path / "network.onnx")
    for rows in (1, 7):
        x = some_images(rows, size_of(run), rows)
        found, said = onnx_answers(tmp_path / "network.onnx", x), method_says(run, x)
        name = "probabilities" if kind == "classifier" else "code"
        assert name in found and len(found) == (2 if kind == "classifier" else 1)
        for output, values in found.items():
            wanted = said["features" if output == "code" else output]
            np.testing.assert_allclose(values, wanted, atol=CLOSE, rtol=CLOSE)
    model = onnx.load(tmp_path / "network.onnx")
    onnx.checker.check_model(model, full_check=True)
    facts = {pair.key: pair.value for pair in model.metadata_props}
    assert facts["run"] == run
    assert json.loads(facts["classes"]) == (sorted(CLASSES) if kind == "classifier" else [])


def test_a_decoder_leaves_alone_and_makes_the_methods_pictures(
    runs: Callable[[str], str], tmp_path: Path
) -> None:
    run = runs("split")
    codes = torch.from_numpy(method_says(run, some_images(4, 16))["features"])
    wanted = method_says(run, some_images(4, 16))["pictures"]
    write_run(run, "onnx-decoder", tmp_path / "decoder.onnx")
    found = onnx_answers(tmp_path / "decoder.onnx", codes)
    np.testing.assert_allclose(found["pictures"], wanted, atol=CLOSE)


ASK = """
import numpy, torch, warnings
warnings.simplefilter("ignore")
for kind in ("classifier", "vit"):
    x = torch.from_numpy(numpy.load(f"{kind}.npy"))
    program = torch.export.load(f"{kind}.pt2").module()
    for name, network in (("torchscript", torch.jit.load(f"{kind}.torchscript")), ("pt2", program)):
        found = network(x)
        found = found if isinstance(found, tuple) else (found,)
        numpy.savez(f"{kind}.{name}.npz", *[one.detach().numpy() for one in found])
"""


def test_one_file_is_run_by_torch_alone(runs: Callable[[str], str], tmp_path: Path) -> None:
    for kind in ("classifier", "vit"):
        np.save(tmp_path / f"{kind}.npy", some_images(5, size_of(runs(kind)), 3).numpy())
        for name in ("torchscript", "pt2"):
            write_run(runs(kind), name, tmp_path / f"{kind}.{name}")
    (tmp_path / "ask.py").write_text(ASK)
    alone(["ask.py"], tmp_path)
    for kind in ("classifier", "vit"):
        said = method_says(runs(kind), some_images(5, size_of(runs(kind)), 3))
        for name in ("torchscript", "pt2"):
            with np.load(tmp_path / f"{kind}.{name}.npz") as found:
                arrays = [found[key] for key in found.files]
            wanted = [said[key] for key in ("probabilities", "features") if key in said]
            assert len(arrays) == len(wanted)
            for ours, theirs in zip(arrays, wanted, strict=True):
                np.testing.assert_allclose(ours, theirs, atol=CLOSE, rtol=CLOSE)


@pytest.mark.parametrize("name", ["onnx", "torchscript", "pt2", "script"])
def test_no_file_tells_where_this_machine_keeps_the_program(
    runs: Callable[[str], str], name: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    write_run(runs("linear"), name, path)
    parts = [path.read_bytes()]
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            parts += [archive.read(member) for member in archive.namelist()]
    assert not [part for part in parts if str(PROJECT_ROOT).encode() in part]


@pytest.mark.parametrize("name", ["torchscript", "onnx"])
def test_a_file_that_answers_otherwise_is_not_handed_out(
    runs: Callable[[str], str], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shifted(network: Any, ask: Any) -> float:
        return check(network, lambda x: ask(x + 0.1))

    check = program.check_answers
    for module in (program, onnx_file):
        monkeypatch.setattr(module, "check_answers", shifted)
    with pytest.raises(UserError, match="does not answer as the network does"):
        write_run(runs("linear"), name, tmp_path / "network")
    assert not list(tmp_path.iterdir()), "nothing of it stays"


REFUSED = [
    ("classifier", "onnx-decoder", "only autoencoders"),
    ("classifier", "decoder", "only autoencoders"),
    ("vit", "pt2-decoder", "part of an image"),
    ("light", "onnx-decoder", "part of an image"),
]


@pytest.mark.parametrize(("kind", "name", "told"), REFUSED)
def test_what_a_run_has_not_is_told_in_a_sentence(
    runs: Callable[[str], str], kind: str, name: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=told):
        write_run(runs(kind), name, tmp_path / "file")
    assert not list(tmp_path.iterdir())


def test_a_run_without_weights_gives_no_network(runs: Callable[[str], str], tmp_path: Path) -> None:
    made_up = make_run(make_dataset())
    for name in ("script", "onnx", "safetensors", "features"):
        with pytest.raises(UserError, match="kept no encoder"):
            write_run(made_up, name, tmp_path / "file")
    with pytest.raises(UserError, match="no format 'exe'"):
        write_run(made_up, "exe", tmp_path / "file")
