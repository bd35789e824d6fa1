"""`predict`: the run's own answers, calibrated, of an image, a folder or a zip; one sentence for problems."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.cli.main import main
from engine.data.dataset import Dataset, remove_dataset
from engine.data.intake import add_dataset
from engine.evaluation.calibration import calibration_of, softened
from engine.evaluation.novelty import training_images
from engine.runs.store import RunStore
from tests.evaluation.tried import small_shapes, tried_run


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> tuple[int, list[Any], str]:
    """(exit code, JSON objects on standard output, standard error) of a command."""
    try:
        code = main(["predict", *argv, "--json"])
    except SystemExit as stop:
        code = int(stop.code or 0)
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


def photographs(root: Path) -> Path:
    """Class folders of JPEG files that are larger than what the network reads, and not square."""
    random = np.random.default_rng(0)
    for number in range(60):
        label = number % 2
        folder = root / ("red", "blue")[label]
        folder.mkdir(parents=True, exist_ok=True)
        small = random.integers(0, 256, (6, 8, 3)).astype(np.uint8)
        small[..., 2 * label] |= 128
        image = Image.fromarray(small).resize((200 + number, 150), Image.Resampling.BICUBIC)
        image.save(folder / f"{number:02d}.jpg", quality=90)
    return root


@pytest.fixture
def folder(workspace: Path, tmp_path: Path) -> Path:
    return photographs(tmp_path / "photographs")


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    return add_dataset(folder, name="Photographs", val_fraction=0.5)


def zipped(folder: Path, target: Path) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.rglob("*.jpg")):
            archive.write(file, file.relative_to(folder).as_posix())
    return target


def test_files_are_answered_as_the_runs_own_evaluation_answered_them(
    folder: Path, dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tried_run(dataset)
    code, told, _ = said(capsys, run, str(folder))
    assert code == 0 and len(told) == 60
    kept = RunStore().predictions(run)
    assert kept is not None
    place = {name: row for row, name in enumerate(dataset.names)}
    known = {int(i): p for i, p in zip(kept["index"], kept["probabilities"], strict=True)}
    calibration, seen = calibration_of(run), training_images(run)
    assert calibration.fitted and seen is not None
    for one in told:
        p = known[place[one["image"]]]
        assert one["uncalibrated"] == pytest.approx(
            float(p[dataset.classes.index(one["predicted"])]), abs=1e-4
        )
        wanted = softened(np.log(p[None].astype(np.float64)), calibration.temperature)[0]
        assert list(one["probabilities"].values()) == pytest.approx(wanted.tolist(), abs=1e-3)
        assert one["confidence"] == max(one["probabilities"].values())
        assert one["temperature"] == calibration.temperature
        assert one["unlike"] == (one["nearest_distance"] > seen.usual)
        if place[one["image"]] in seen.index:
            assert one["nearest_image"] == one["image"] and one["nearest_distance"] < 0.01

    _, zip_told, _ = said(capsys, run, str(zipped(folder, tmp_path / "all.zip")))
    _, one_told, _ = said(capsys, run, str(folder / "red" / "00.jpg"))
    by_name = {one["image"]: one for one in told}
    assert {one["image"] for one in zip_told} == by_name.keys()
    for one in zip_told:
        assert one["probabilities"] == pytest.approx(by_name[one["image"]]["probabilities"], abs=1e-5)
    assert one_told[0]["image"] == "00.jpg"
    assert one_told[0]["probabilities"] == pytest.approx(by_name["red/00.jpg"]["probabilities"], abs=1e-5)


def test_the_table_is_whole_safe_to_open_and_never_overwritten(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tried_run(dataset)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    dataset.image(0).save(pictures / "=1+1.png")
    dataset.image(1).save(pictures / "b.png")
    (pictures / "notes.txt").write_text("no picture")
    (pictures / ".hidden.png").write_bytes(b"x")
    out = tmp_path / "out.csv"
    code, told, err = said(capsys, run, str(pictures), "--out", str(out))
    assert code == 0 and "notes.txt: not an image" in err and ".hidden" not in err
    rows = list(csv.DictReader(out.open(newline="", encoding="utf-8")))
    assert [row["image"] for row in rows] == ["'=1+1.png", "b.png"]
    for row, one in zip(rows, told, strict=True):
        assert row["predicted"] == one["predicted"]
        assert float(row["confidence"]) == pytest.approx(one["confidence"], abs=1e-6)
        assert float(row["nearest_distance"]) == pytest.approx(one["nearest_distance"], abs=1e-6)
        shares = [float(row[f"p({name})"]) for name in dataset.classes]
        assert sum(shares) == pytest.approx(1, abs=1e-5)
    code, told, err = said(capsys, run, str(pictures), "--out", str(out))
    assert (code, told) == (2, []) and "exists already" in err
    assert len(list(csv.DictReader(out.open()))) == 2
    assert [path.name for path in tmp_path.glob("*.tmp")] + [p.name for p in tmp_path.glob(".*")] == []


def test_text_tells_what_the_figures_rest_on(
    folder: Path, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tried_run(dataset)
    assert main(["predict", run, str(folder / "red")]) == 0
    out = capsys.readouterr().out
    assert "fitted to 30 validation images" in out and "30 of 30 training images" in out
    assert "began from random weights" in out and "NEAREST TRAINING IMAGE" in out


def test_with_few_validation_images_it_says_that_nothing_was_calibrated(
    workspace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = small_shapes(train=40, val=19)
    run = tried_run(dataset)
    dataset.image(0).save(tmp_path / "one.png")
    _, told, _ = said(capsys, run, str(tmp_path / "one.png"))
    assert told[0]["temperature"] is None and told[0]["confidence"] == told[0]["uncalibrated"]
    assert main(["predict", run, str(tmp_path / "one.png")]) == 0
    assert "not calibrated: only 19 of the 20" in capsys.readouterr().out


def test_without_its_data_set_a_run_still_predicts_and_says_what_is_missing(
    folder: Path, dataset: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tried_run(dataset)
    remove_dataset(dataset.id)
    code, told, err = said(capsys, run, str(folder / "blue" / "01.jpg"))
    assert code == 0 and told[0]["predicted"] in ("red", "blue")
    assert told[0]["nearest_distance"] is None and told[0]["unlike"] is None
    assert err.splitlines() == [
        "The data set of this run is gone, so its training images cannot be compared; what it predicts holds."
    ]


def test_a_hostile_zip_is_data_and_a_bomb_is_refused(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tried_run(dataset)
    before = sorted(path for path in tmp_path.rglob("*") if path.suffix == ".png")
    buffer = io.BytesIO()
    dataset.image(0).save(buffer, "PNG")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("../../evil.png", buffer.getvalue())
        archive.writestr("/etc/evil\x1b[2J.png", buffer.getvalue())
    code, told, _ = said(capsys, run, str(tmp_path / "evil.zip"))
    assert code == 0 and [one["image"] for one in told] == ["../../evil.png", "/etc/evil<U+001B>[2J.png"]
    assert sorted(path for path in tmp_path.rglob("*") if path.suffix == ".png") == before
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(80 * 2**20))
    code, told, err = said(capsys, run, str(tmp_path / "bomb.zip"), "--out", str(tmp_path / "bomb.csv"))
    assert (code, told) == (2, []) and len(err.splitlines()) == 1
    assert not list(tmp_path.glob("*bomb.csv*")), "nothing half-written"


BAD = {
    "no such path": ["RUN", "PATH/nowhere.png"],
    "text": ["RUN", "PATH/notes.txt"],
    "empty folder": ["RUN", "PATH/empty"],
    "rar": ["RUN", "PATH/pictures.rar"],
    "empty file": ["RUN", "PATH/nothing.png"],
    "cut zip": ["RUN", "PATH/cut.zip"],
    "not a table": ["RUN", "PATH/notes.txt", "--out", "PATH/table.xlsx"],
    "no such run": ["nosuchrun", "PATH/notes.txt"],
    "a run without classes": ["OTHER", "PATH/notes.txt"],
    "the app's own folder": ["RUN", "PATH"],
}


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A workspace with a classification and an autoencoder, and files that are no pictures."""
    root = tmp_path_factory.mktemp("predict")
    patch = pytest.MonkeyPatch()
    for name, value in {"WORKSPACE": str(root / "workspace"), "EXECUTOR": "inline", "DEVICE": "cpu"}.items():
        patch.setenv(f"REPLAB_{name}", value)
    patch.setenv("REPLAB_MIN_FREE_BYTES", "0")
    run = tried_run(small_shapes())
    line = ["train", "linear_autoencoder", "--data", "shapes", "--image-size", "28", "--set", "epochs=1"]
    assert main(line) == 0
    (other,) = [one.id for one in RunStore().list() if one.id != run]
    (root / "empty").mkdir()
    (root / "notes.txt").write_text("no picture")
    (root / "nothing.png").touch()
    (root / "pictures.rar").write_bytes(b"Rar!\x1a\x07\x00" + bytes(600))
    (root / "cut.zip").write_bytes(b"PK\x03\x04" + bytes(600))
    yield root, run, other
    patch.undo()


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_sentence_and_exit_code_two(
    case: str, tried: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    root, run, other = tried
    words = {"RUN": run, "OTHER": other}
    argv = [words.get(word, word.replace("PATH", str(root))) for word in BAD[case]]
    code, told, err = said(capsys, *argv)
    assert code == 2 and told == []
    last = [line for line in err.splitlines() if not line.startswith(("reading", "computing"))]
    assert len(last) == 1 and 10 < len(last[0]) <= 300
    assert "Traceback" not in err and "Errno" not in err and str(root) not in err
