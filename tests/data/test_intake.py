"""What goes in: layouts understood, bad files named, hostile archives refused, nothing left behind."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.data import imports
from engine.data.dataset import list_datasets
from engine.data.intake import add_dataset
from engine.errors import UserError


def picture(seed: int, mode: str = "RGB", form: str = "PNG") -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (12, 16, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, form)
    return file.getvalue()


def members(*names: str) -> dict[str, bytes]:
    return {name: picture(i) for i, name in enumerate(names)}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, files: dict[str, bytes], mode: str = "w:gz") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def left_behind(workspace: Path) -> list[str]:
    return [
        str(path) for top in ("datasets", "tmp") for path in (workspace / top).glob("**/*") if path.is_file()
    ]


SPLIT = members("train/ant/a.png", "train/ant/b.png", "train/bee/c.png", "val/ant/d.png", "val/bee/e.png")
PLAIN = members(*(f"{name}/{i}.png" for name in ("zebra", "ant") for i in range(10)))


def test_given_splits_are_kept_and_classes_are_alphabetical(workspace: Path, tmp_path: Path) -> None:
    dataset = add_dataset(zipped(tmp_path / "set.zip", {f"outer/{k}": v for k, v in SPLIT.items()}))
    assert dataset.classes == ("ant", "bee")
    assert dataset.counts() == {"train": {"ant": 2, "bee": 1}, "val": {"ant": 1, "bee": 1}}
    assert {Path(dataset.names[i]).name for i in dataset.indices("val")} == {"d.png", "e.png"}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_every_kind_of_tar_reads_like_the_zip(workspace: Path, tmp_path: Path, mode: str) -> None:
    tar = add_dataset(tarred(tmp_path / "set.tar", SPLIT, mode))
    assert tar.fingerprint == add_dataset(zipped(tmp_path / "set.zip", SPLIT)).fingerprint


def test_a_missing_split_is_made_by_class_and_by_seed(workspace: Path, tmp_path: Path) -> None:
    source = zipped(tmp_path / "set.zip", PLAIN)
    dataset = add_dataset(source, val_fraction=0.2, seed=3)
    assert dataset.counts()["val"] == {"ant": 2, "zebra": 2}
    assert "20%" in dataset.split_note and "seed 3" in dataset.split_note
    again, other = add_dataset(source, seed=3), add_dataset(source, seed=4)
    assert np.array_equal(dataset.split_codes, again.split_codes)
    assert not np.array_equal(dataset.split_codes, other.split_codes)


def test_a_folder_reads_the_same_and_links_are_not_followed(workspace: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture(99))
    root = tmp_path / "folder"
    for name, data in PLAIN.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    (root / "ant" / "link.png").symlink_to(secret)
    dataset = add_dataset(root)
    assert dataset.n == len(PLAIN)
    assert dataset.fingerprint == add_dataset(zipped(tmp_path / "set.zip", PLAIN)).fingerprint


def test_images_at_the_root_have_no_labels(workspace: Path, tmp_path: Path) -> None:
    dataset = add_dataset(zipped(tmp_path / "set.zip", members("a.png", "b.png", "c.png")))
    assert not dataset.is_labelled and set(dataset.labels) == {-1}


def test_what_is_left_out_is_counted_and_named(workspace: Path, tmp_path: Path) -> None:
    cut = picture(1)[:-40]
    extra = {"ant/broken.png": cut, "ant/notes.txt": b"hello", "ant/empty.png": b""}
    hidden = {"__MACOSX/ant/._0.png": b"x", "ant/.DS_Store": b"x"}
    dataset = add_dataset(zipped(tmp_path / "set.zip", PLAIN | extra | hidden))
    report = dataset.report
    skipped = {entry["name"]: entry["reason"] for entry in report["skipped"]}
    assert dataset.n == len(PLAIN) == report["taken"]
    assert {"ant/broken.png", "ant/empty.png"} <= set(skipped) and all(skipped.values())
    assert report["taken"] + report["skipped_count"] + report["ignored"] == len(PLAIN) + 5


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "I;16", "1"])
def test_every_mode_becomes_a_visible_rgb_image(workspace: Path, tmp_path: Path, mode: str) -> None:
    odd = {"ant/odd.png": picture(5, "L" if mode == "I;16" else mode)}
    if mode == "I;16":
        file = io.BytesIO()
        ramp = np.linspace(0, 65535, 192).astype(np.uint16).reshape(12, 16)
        Image.fromarray(ramp).save(file, "PNG")
        odd = {"ant/odd.png": file.getvalue()}
    dataset = add_dataset(zipped(tmp_path / "set.zip", PLAIN | odd))
    image = np.asarray(dataset.image(dataset.names.index("ant/odd.png")))
    assert image.shape == (12, 16, 3) and 0 < image.mean() < 255


def test_exif_orientation_turns_the_image(workspace: Path, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("RGB", (30, 10), "red").save(file, "JPEG", exif=exif)
    dataset = add_dataset(zipped(tmp_path / "set.zip", PLAIN | {"ant/turned.jpg": file.getvalue()}))
    i = dataset.names.index("ant/turned.jpg")
    assert dataset.image(i).size == (10, 30) and dataset.sizes[i].tolist() == [10, 30]


@pytest.mark.parametrize("name", ["../evil.png", "/abs/evil.png", "ant/../../evil.png", "C:\\evil.png"])
def test_b01_no_name_points_out_of_the_workspace(workspace: Path, tmp_path: Path, name: str) -> None:
    before = {path for path in tmp_path.rglob("*evil*")}
    try:
        dataset = add_dataset(zipped(tmp_path / "set.zip", PLAIN | {name: picture(7)}))
        assert dataset.n >= len(PLAIN)
    except UserError as error:
        assert len(str(error)) <= 300
    assert {path for path in tmp_path.rglob("*evil*")} == before and not Path("/abs").exists()


def test_b02_names_on_disk_are_ours(workspace: Path, tmp_path: Path) -> None:
    odd = "<b>Ä $x$ " + "n" * 150
    dataset = add_dataset(
        zipped(tmp_path / "set.zip", PLAIN | {f"{odd}/{i}.png": picture(50 + i) for i in (1, 2)})
    )
    assert odd in dataset.classes
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789_.-")
    assert all(set(path.name) <= allowed and len(path.name) <= 64 for path in workspace.rglob("*"))


def test_b03_links_and_devices_in_a_tar_are_never_made(workspace: Path, tmp_path: Path) -> None:
    path = tarred(tmp_path / "set.tar", PLAIN, "w")
    with tarfile.open(path, "a") as archive:
        for name, kind in (
            ("ant/l.png", tarfile.SYMTYPE),
            ("ant/h.png", tarfile.LNKTYPE),
            ("ant/f", tarfile.FIFOTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    dataset = add_dataset(path)
    assert dataset.n == len(PLAIN)
    for found in workspace.rglob("*"):
        assert not found.is_symlink() and (found.is_file() or found.is_dir())
        assert found.is_dir() or not os.access(found, os.X_OK) or os.stat(found).st_mode & 0o111 == 0


def test_b04_a_bomb_is_refused_on_bytes_read_and_leaves_nothing(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAB_MAX_UNPACKED_BYTES", str(1_000_000))
    bomb = zipped(tmp_path / "bomb.zip", PLAIN | {"ant/zeros.png": b"\0" * 30_000_000})
    try:
        add_dataset(bomb)
    except UserError as error:
        assert len(str(error)) <= 300
        assert left_behind(workspace) == []
    assert sum(path.stat().st_size for path in workspace.rglob("*") if path.is_file()) < 2_000_000


def test_b04_too_many_entries_are_refused(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAB_MAX_ENTRIES", "10")
    with pytest.raises(UserError, match="10"):
        add_dataset(zipped(tmp_path / "set.zip", PLAIN))
    assert left_behind(workspace) == []


def test_b05_an_archive_inside_is_not_opened(workspace: Path, tmp_path: Path) -> None:
    inner = zipped(tmp_path / "inner.zip", members("cat/x.png", "cat/y.png")).read_bytes()
    dataset = add_dataset(zipped(tmp_path / "set.zip", PLAIN | {"ant/inner.zip": inner}))
    assert dataset.classes == ("ant", "zebra") and dataset.n == len(PLAIN)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 not really", b"hello", b"\x1f\x8b broken"])
def test_b06_what_is_no_archive_is_one_sentence_and_leaves_nothing(
    workspace: Path, tmp_path: Path, data: bytes
) -> None:
    path = tmp_path / "set.zip"
    path.write_bytes(data)
    with pytest.raises(UserError) as refused:
        add_dataset(path)
    assert len(str(refused.value)) <= 300 and str(tmp_path) not in str(refused.value)
    assert left_behind(workspace) == [] and list_datasets() == []


def test_an_archive_cut_short_leaves_nothing(workspace: Path, tmp_path: Path) -> None:
    path = tarred(tmp_path / "set.tar.gz", PLAIN)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UserError):
        add_dataset(path)
    assert left_behind(workspace) == []


def test_b12_an_image_over_the_pixel_limit_is_not_decoded(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAB_MAX_PIXELS", "1000")
    file = io.BytesIO()
    Image.new("RGB", (100, 100)).save(file, "PNG")
    dataset = add_dataset(zipped(tmp_path / "set.zip", PLAIN | {"ant/big.png": file.getvalue()}))
    (skipped,) = dataset.report["skipped"]
    assert skipped["name"] == "ant/big.png" and "1,000 pixels" in skipped["reason"]


def test_an_import_runs_in_its_own_process_and_is_found_again(workspace: Path, tmp_path: Path) -> None:
    import time

    import_id = imports.start_import(zipped(tmp_path / "set.zip", PLAIN), name="Mine")
    deadline = time.monotonic() + 60
    while imports.import_status(import_id).state in imports.UNDER_WAY and time.monotonic() < deadline:
        time.sleep(0.1)
    status = imports.import_status(import_id)
    assert status.state == "done" and status.dataset
    assert imports.resolve(status.dataset).name == "Mine"
    imports.clear_import(import_id)
    assert imports.list_imports() == []
    assert (tmp_path / "set.zip").exists()  # a file of the user's own is not ours to delete
