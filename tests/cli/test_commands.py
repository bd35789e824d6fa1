"""The command line: right words, right exit codes, one sentence for every problem."""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.cli.learn import make
from engine.cli.main import build_parser, main
from engine.data.dataset import Dataset
from engine.data.drawn_sets import build_shapes
from engine.export.code import command_line
from engine.runs import layout
from engine.runs.recipe import check_recipe, make_recipe
from engine.runs.store import RunStore
from engine.runs.writer import RunWriter

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--set", "epochs=2", "--set", "mode=extract", "--set", "augment=none"]


@pytest.fixture
def shapes(workspace: Path) -> Dataset:
    return build_shapes("shapes", "Shapes", 32, "drawn", images={"train": 60, "val": 20, "test": 20})


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, list[Any], str]:
    """(exit code, JSON objects on standard output, standard error) of a command."""
    try:
        code = main([*argv, "--json"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


def made_run(dataset: str = "shapes", **status: Any) -> str:
    fields = {"dataset": dataset, "method": "classification", "image_size": 32}
    run = RunStore().create(make_recipe(fields))
    layout.write_status(run.folder, **{"state": "done", **status})
    return run.id


def test_the_whole_way(shapes: Dataset, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, told, _ = said(
        capsys, "train", "classification", "--data", "shapes", *QUICK, "--name", "<b>first</b>"
    )
    assert code == 0
    assert told[-1].keys() == {"run", "state", "metrics", "best", "seconds"}
    run = told[-1]["run"]
    assert told[-1]["state"] == "done" and told[-1]["metrics"]["epoch"] == 2 and told[-1]["seconds"] > 0

    code, listed, _ = said(capsys, "runs", "list")
    assert [(one["id"], one["name"], one["epochs"]) for one in listed] == [(run, "<b>first</b>", 2)]

    code, again, err = said(capsys, "train", "classification", "--data", "shapes", *QUICK)
    assert (code, again[-1]["run"]) == (0, run) and "--again" in err
    code, anew, _ = said(capsys, "train", "classification", "--data", "shapes", *QUICK, "--again")
    assert code == 0 and anew[-1]["run"] != run
    assert RunStore().get(anew[-1]["run"]).name == "Compact CNN · extract · Shapes"
    for key in ("train_loss", "val_loss", "val_accuracy"):
        assert anew[-1]["metrics"][key] == pytest.approx(told[-1]["metrics"][key], abs=1e-6)

    code, shown, _ = said(capsys, "runs", "show", run)
    assert code == 0 and shown[0]["recipe"]["config"]["epochs"] == 2 and shown[0]["results"]["kept_epoch"]

    table = tmp_path / "out.csv"
    assert said(capsys, "export", run, "--format", "csv", "--out", str(table))[0] == 0
    rows = list(csv.DictReader(table.open(newline="")))
    assert len(rows) == 100 and {row["split"] for row in rows} == {"train", "val", "test"}
    assert all(abs(sum(float(row[f"p({name})"]) for name in shapes.classes) - 1) < 1e-3 for row in rows)
    correct = [row["correct"] for row in rows if row["split"] == "val"].count("1")
    assert correct == shown[0]["results"]["splits"]["val"]["correct"]
    assert said(capsys, "export", run, "--format", "csv", "--out", str(table))[0] == 2, "never overwrites"

    weights = tmp_path / "out.safetensors"
    assert said(capsys, "export", run, "--format", "safetensors", "--out", str(weights))[0] == 0
    from safetensors import safe_open

    with safe_open(weights, "pt") as file:
        assert file.keys()

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for i in range(3):
        shapes.image(i).save(pictures / f"{i}.png")
    (pictures / "broken.png").write_bytes(b"no image")
    code, answers, err = said(capsys, "predict", run, str(pictures))
    assert code == 0 and [answer["image"] for answer in answers] == ["0.png", "1.png", "2.png"]
    assert all(answer["predicted"] in shapes.classes for answer in answers) and "broken.png" in err

    assert said(capsys, "runs", "remove", run)[0] == 0
    assert said(capsys, "runs", "show", run)[0] == 2


def test_a_recipe_file_repeats_a_run_and_options_change_it(
    shapes: Dataset, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    _, told, _ = said(capsys, "train", "classification", "--data", "shapes", *QUICK)
    file = tmp_path / "recipe.json"
    file.write_text(RunStore().recipe(told[-1]["run"]).to_json())
    _, same, _ = said(capsys, "train", "--recipe", str(file))
    assert same[-1]["run"] == told[-1]["run"]
    _, other, _ = said(capsys, "train", "--recipe", str(file), "--seed", "4")
    assert other[-1]["run"] != told[-1]["run"] and RunStore().recipe(other[-1]["run"]).seed == 4


@pytest.mark.parametrize(
    ("method", "backbone", "config"),
    [
        ("comparison", None, {"encoders": "pixels,random:resnet20"}),
        ("depth_probe", "random:resnet20", {}),
        ("latent_map", "pixels", {}),
        ("autoencoder", None, {}),
        ("classification", "random:resnet20", {}),
        ("classification", None, {}),
    ],
)
def test_the_command_that_a_run_shows_repeats_its_very_recipe(
    shapes: Dataset, tmp_path: Path, method: str, backbone: str | None, config: dict[str, Any]
) -> None:
    fields = {"dataset": shapes.id, "fingerprint": shapes.fingerprint, "method": method, "seed": 3}
    recipe = check_recipe(make_recipe({**fields, "backbone": backbone, "config": config, "image_size": 32}))
    words = shlex.split(command_line(recipe, "abc"))
    file = tmp_path / words[-1]
    file.write_text(recipe.to_json())
    again = make(build_parser().parse_args([*words[3:-1], str(file)]))
    assert again == recipe and again.digest() == recipe.digest()


def test_only_a_method_that_needs_a_backbone_is_given_one(shapes: Dataset) -> None:
    given = {
        method: make(build_parser().parse_args(["train", method, "--data", "shapes"])).backbone
        for method in ("classification", "simclr", "depth_probe", "comparison", "autoencoder")
    }
    usual = dict.fromkeys(("classification", "simclr", "depth_probe"), "random:cnn-small")
    assert given == {**usual, "comparison": None, "autoencoder": None}


BAD = {
    "no command": [],
    "unknown command": ["nonsense"],
    "unknown option": ["runs", "list", "--nonsense"],
    "unknown run": ["runs", "show", "nosuchrun"],
    "path for a run": ["runs", "remove", "../../etc"],
    "no data": ["train", "classification"],
    "unknown data": ["train", "classification", "--data", "nosuchset"],
    "unknown method": ["train", "nonsense", "--data", "shapes"],
    "unknown setting": ["train", "classification", "--data", "shapes", "--set", "nonsense=1"],
    "bad pair": ["train", "classification", "--data", "shapes", "--set", "epochs"],
    "below": ["train", "classification", "--data", "shapes", "--set", "epochs=0"],
    "not a number": ["train", "classification", "--data", "shapes", "--set", "learning_rate=NaN"],
    "text for number": ["train", "classification", "--data", "shapes", "--set", "epochs=many"],
    "list for number": ["train", "classification", "--data", "shapes", "--set", "epochs=[1,2]"],
    "unknown backbone": ["train", "classification", "--data", "shapes", "--backbone", "random:nonsense"],
    "backbone path": ["train", "classification", "--data", "shapes", "--backbone", "file:../../x"],
    "size": ["train", "classification", "--data", "shapes", "--image-size", "100000"],
    "size text": ["train", "classification", "--data", "shapes", "--image-size", "big"],
    "seed": ["train", "classification", "--data", "shapes", "--seed", "-1"],
    "unknown preset": ["train", "classification", "--data", "shapes", "--preset", "nonsense"],
    "no recipe file": ["train", "--recipe", "/nowhere/recipe.json"],
    "recipe is a folder": ["train", "--recipe", "/"],
    "unknown format": ["export", "nosuchrun", "--format", "pickle"],
    "predict without run": ["predict", "nosuchrun", "."],
    "remove unknown data": ["data", "remove", "nosuchset"],
    "remove unknown weights": ["weights", "remove", "nosuchweights"],
    "weights of no file": ["weights", "add", "/nowhere.pth", "--arch", "resnet18"],
    "unknown method's settings": ["methods", "nonsense"],
    "rename too long": ["runs", "rename", "RUN", "x" * 241],
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_exit_code_two(
    case: str, shapes: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made_run()
    argv = [run if word == "RUN" else word for word in BAD[case]]
    code, told, err = said(capsys, *argv)
    assert code == 2 and told == []
    assert len(err.splitlines()) == 1 and 10 < len(err) <= 420
    assert "Traceback" not in err and "Errno" not in err and str(ROOT) not in err
    assert [one.id for one in RunStore().list()] == [run], "nothing was made"


def test_a_failed_run_gives_one(shapes: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    run = made_run(state="failed", error="The loss is not a number.")
    code, told, err = said(capsys, "runs", "watch", run)
    assert code == 1 and told[0]["state"] == "failed" and told[0]["error"] == err.strip()


def test_data_can_be_listed_shown_and_removed(shapes: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    _, listed, _ = said(capsys, "data", "list")
    assert [(one["id"], one["images"], one["classes"]) for one in listed] == [("shapes", 100, 10)]
    _, shown, _ = said(capsys, "data", "show", "shapes")
    assert sum(shown[0]["counts"]["train"].values()) == 60
    made_run(state="queued", created=1e18)
    waiting = RunStore().create(
        make_recipe({"dataset": "shapes", "method": "classification", "image_size": 32})
    )
    code, _, err = said(capsys, "data", "remove", "shapes")
    assert code == 2 and "stop it first" in err
    layout.write_status(waiting.folder, state="stopped")
    assert said(capsys, "data", "remove", "shapes")[0] == 0
    assert said(capsys, "data", "list")[1] == []


def test_a_folder_becomes_a_data_set(
    shapes: Dataset, workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in range(24):
        folder = tmp_path / "mine" / ("a", "b")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        shapes.image(i).save(folder / f"{i}.png")
    code, told, _ = said(capsys, "data", "add", str(tmp_path / "mine"), "--name", "Mine")
    assert code == 0 and told[0]["images"] == 24 and told[0]["classes"] == ["a", "b"]
    code, _, err = said(capsys, "data", "add", str(tmp_path / "nowhere"))
    assert code == 2 and len(err.splitlines()) == 1


def test_text_output_cannot_steer_the_terminal(shapes: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    run = made_run()
    folder = RunStore().folder(run)
    (folder / layout.NAME).write_text(json.dumps({"name": "\x1b[2Jx\x07‮y"}))
    assert main(["runs", "list"]) == 0
    out = capsys.readouterr().out
    assert run in out and not any(letter in out for letter in "\x1b\x07‮")


def test_b31_cells_are_no_formulas(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from engine.export.tables import cell

    assert [cell(text) for text in ("=1", "+1", "-1", "@a", "\ta", "\ra", "a=1", "")] == [
        "'=1",
        "'+1",
        "'-1",
        "'@a",
        "'\ta",
        "'\ra",
        "a=1",
        "",
    ]
    run = made_run(dataset="gone")
    writer = RunWriter(RunStore().folder(run))
    index = np.arange(2)
    writer.predictions(
        index=index, split=index.astype(np.uint8), label=index, probabilities=np.eye(2, dtype=np.float32)
    )
    out = tmp_path / "table.csv"
    assert said(capsys, "export", run, "--format", "csv", "--out", str(out))[0] == 0
    assert len(out.read_text().splitlines()) == 3, "without its data set the table has numbers for names"


def test_methods_tell_their_settings(capsys: pytest.CaptureFixture[str], workspace: Path) -> None:
    _, told, _ = said(capsys, "methods", "classification")
    epochs = next(one for one in told[0]["settings"] if one["name"] == "epochs")
    assert epochs["minimum"] == 1 and epochs["help"]
    assert main(["methods", "classification"]) == 0
    assert epochs["help"] in capsys.readouterr().out
    _, told, _ = said(capsys, "backbones", "--all")
    assert len(told) > 60


@pytest.mark.parametrize(
    "command", ["runs list", "data list", "methods classification", "backbones", "--help"]
)
def test_listing_loads_no_torch(workspace: Path, command: str) -> None:
    code = (
        "import sys\nfrom engine.cli.main import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "sys.exit(9 if 'torch' in sys.modules or 'streamlit' in sys.modules else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command.split()], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_an_estimate_makes_no_run(shapes: Dataset, capsys: pytest.CaptureFixture[str]) -> None:
    code, told, _ = said(capsys, "estimate", "classification", "--data", "shapes", *QUICK)
    assert code == 0 and told[0]["low"] <= told[0]["seconds"] <= told[0]["high"] and told[0]["basis"]
    assert RunStore().list() == []


def test_a_preset_brings_its_settings_and_options_come_after_it(
    shapes: Dataset, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.runs import executors

    monkeypatch.setattr(executors.InlineExecutor, "submit", lambda self, run_id: None)
    line = ["train", "classification", "--data", "shapes", "--preset", "Tutorial", "--detach"]
    code, told, _ = said(capsys, *line, "--backbone", "random:resnet18", "--set", "epochs=3")
    assert code == 0 and told[0]["state"] == "queued"
    recipe = RunStore().recipe(told[0]["run"])
    assert (recipe.image_size, recipe.config["batch_size"], recipe.config["epochs"]) == (224, 8, 3)
