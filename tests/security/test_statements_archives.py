"""What must hold of data sets from the moment they are added to the moment they are removed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.data.dataset import list_datasets, open_dataset
from engine.data.pixels import pixels
from engine.data.splits import SPLITS
from engine.training import sources
from tests.data.conftest import PLAIN, handmade_zip, members, picture
from tests.security.conftest import Command

SPLIT = {
    f"{split}/{name}/{i}.png": picture(100 * s + 10 * c + i)
    for s, split in enumerate(SPLITS)
    for c, name in enumerate(("ant", "bee"))
    for i in range(6)
}
QUICK = ["--set", "epochs=2", "--set", "batch_size=4", "--image-size", "32"]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "set.zip"
    path.write_bytes(handmade_zip(members(SPLIT)))
    return path


@pytest.mark.parametrize("mode", ["everything", "extract"])
def test_b09_given_splits_are_kept_and_no_test_image_is_in_a_training_batch(
    archive: Path, workspace: Path, command: Command, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    _, told, _ = command("data", "add", str(archive))
    dataset = open_dataset(told[0]["id"])
    for split in SPLITS:
        given = {dataset.names[i] for i in dataset.indices(split)}
        assert given == {name for name in SPLIT if name.startswith(split)}
    trained: set[int] = set()

    def logged(epoch: Any) -> Any:
        def batches(self: Any, number: int) -> Iterator[Any]:
            for batch in epoch(self, number):
                trained.update(int(i) for i in batch.index)
                yield batch

        return batches

    for kind in (sources.PixelSource, sources.FeatureSource):
        monkeypatch.setattr(kind, "epoch", logged(kind.epoch))
    assert command("train", "classification", "--data", dataset.id, "--set", f"mode={mode}", *QUICK)[0] == 0
    assert trained == set(dataset.indices("train").tolist())


def test_b37_a_nearly_full_disk_takes_nothing_new(
    archive: Path, workspace: Path, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, told, _ = command("data", "add", str(archive))
    (tmp_path / "w.pth").write_bytes(b"x")
    monkeypatch.setenv("REPLAB_MIN_FREE_BYTES", str(2**60))
    before = sorted(workspace.rglob("*"))
    for argv in (
        ["data", "add", str(archive)],
        ["weights", "add", str(tmp_path / "w.pth"), "--arch", "cnn-small"],
        ["train", "classification", "--data", told[0]["id"], *QUICK],
    ):
        code, out, err = command(*argv)
        assert code == 2 and out == [] and "free" in err and len(err) <= 301, argv
    after = {path for path in workspace.rglob("*") if path.is_file() and path.name != ".lock"}
    assert after <= set(before)


def test_b40_a_removed_set_leaves_no_byte_of_its_images(
    archive: Path, workspace: Path, command: Command
) -> None:
    _, told, _ = command("data", "add", str(archive))
    pixels(open_dataset(told[0]["id"]), 32)
    traces = [SPLIT["train/ant/0.png"][40:140], b"train/ant/0.png", told[0]["id"].encode()]

    def found() -> list[Path]:
        return [
            path
            for path in workspace.rglob("*")
            if told[0]["id"] in path.name
            or (path.is_file() and any(trace in path.read_bytes() for trace in traces))
        ]

    assert found() and command("data", "remove", told[0]["id"])[0] == 0
    assert found() == [] and list_datasets() == []


def test_b10_the_same_image_in_train_and_test_is_counted(
    tmp_path: Path, workspace: Path, command: Command
) -> None:
    from engine.data.duplicates import exact_duplicates

    twice = {**SPLIT, "test/bee/5.png": SPLIT["train/ant/0.png"]}
    (tmp_path / "set.zip").write_bytes(handmade_zip(members(twice)))
    _, told, _ = command("data", "add", str(tmp_path / "set.zip"))
    (group,) = exact_duplicates(open_dataset(told[0]["id"]))
    assert len(group.indices) == 2 and group.splits and group.classes


def test_b08_each_file_that_is_left_out_is_told(tmp_path: Path, workspace: Path, command: Command) -> None:
    files = {**PLAIN, "ant/a.txt": b"hello", "ant/b.png": b"", "__MACOSX/a.png": b"x"}
    (tmp_path / "set.zip").write_bytes(handmade_zip(members(files)))
    _, told, _ = command("data", "add", str(tmp_path / "set.zip"))
    assert told[0]["taken"] + told[0]["skipped"] + told[0]["ignored"] == len(files)
    assert {one["name"] for one in told[0]["skipped_files"]} == {"ant/a.txt", "ant/b.png"}
    assert all(one["reason"] for one in told[0]["skipped_files"])
