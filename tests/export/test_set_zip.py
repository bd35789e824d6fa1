"""Data sets that travel with runs: the same fingerprint elsewhere, and zips that are not what they say."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.data.dataset import Dataset, derive, list_datasets, open_dataset, remove_dataset
from engine.data.drawn_sets import build_shapes
from engine.data.intake import add_dataset
from engine.data.progress import Progress, Stopped
from engine.errors import UserError
from engine.export import set_zip
from engine.export.run_import import import_runs
from engine.export.run_zip import packed_bytes, sets_of, write_runs_zip
from engine.runs.store import RunStore
from engine.settings import settings
from tests.pages.made import HOSTILE, make_dataset, make_run, make_unlabelled

Members = dict[str, bytes]
PLACE = b"51.4779N 0.0015W"


def shared(one: Dataset) -> dict[str, Any]:
    """What must be the same wherever a set lies."""
    return {
        "fingerprint": one.fingerprint,
        "name": one.name,
        "classes": one.classes,
        "names": one.names,
        "labels": one.labels.tolist(),
        "splits": one.splits.tolist(),
        "sizes": one.sizes.tolist(),
        "pixels": [one.image(i).tobytes() for i in range(len(one))],
        "factors": {name: (str(column.dtype), column.tolist()) for name, column in one.factors.items()},
        "note": one.split_note,
        "source": one.info["source"],
    }


def photographs(folder: Path) -> Dataset:
    """A set as people have it: a folder, JPEG files with a place in them, one on its side."""
    random = np.random.default_rng(3)
    for kind in ("bee", "ant"):
        (folder / kind).mkdir(parents=True)
        for i in range(6):
            exif = Image.Exif()
            exif[0x010E] = PLACE.decode()
            exif[0x0112] = 6 if i == 0 else 1
            image = Image.fromarray(random.integers(0, 256, (30, 20 + i, 3), np.uint8))
            image.save(folder / kind / f"{i}.jpg", exif=exif)
    return add_dataset(folder, name="Insects", seed=4)


MAKERS: dict[str, Callable[[Path], Dataset]] = {
    "classes that are markup": lambda path: make_dataset(HOSTILE[:2]),
    "no labels": lambda path: make_unlabelled(8),
    "drawn": lambda path: build_shapes("drawn", "Drawn", 16, "drawn", images={"train": 20, "val": 6}),
    "photographs": photographs,
    "a part of another": lambda path: derive(photographs(path), np.array([0, 2, 3, 7, 8]), "A part"),
}


@pytest.mark.parametrize("kind", MAKERS)
def test_a_data_set_is_the_same_elsewhere(elsewhere: Callable[[], Path], tmp_path: Path, kind: str) -> None:
    dataset = MAKERS[kind](tmp_path / "photographs")
    run = make_run(dataset) if kind != "no labels" else _map(dataset)
    wanted = shared(dataset)
    write_runs_zip([run], tmp_path / "all.zip", with_data=True)
    assert PLACE not in (tmp_path / "all.zip").read_bytes(), "places stay at home"
    elsewhere()
    (found,) = import_runs(tmp_path / "all.zip")
    (there,) = list_datasets()
    assert shared(open_dataset(there.id)) == wanted
    assert found.missing is None and found.brought and found.data == dataset.name
    recipe = RunStore().recipe(run)
    assert (recipe.dataset, recipe.fingerprint) == (there.id, dataset.fingerprint)
    assert RunStore().get(run).digest == recipe.digest()
    assert not list(settings().tmp.iterdir())


def _map(dataset: Dataset) -> str:
    from tests.export.map_runs import map_run

    return map_run(dataset)


def test_a_set_that_is_here_is_not_taken_in_again(workspace: Path, tmp_path: Path) -> None:
    dataset = make_dataset()
    run = make_run(dataset)
    write_runs_zip([run], tmp_path / "all.zip", with_data=True)
    RunStore().remove(run)
    (found,) = import_runs(tmp_path / "all.zip")
    assert [one.id for one in list_datasets()] == [dataset.id] and not found.brought


def test_each_set_is_packed_once_and_only_where_it_is_asked_for(workspace: Path, tmp_path: Path) -> None:
    dataset, gone = make_dataset(), make_dataset(("a", "b"), name="Gone")
    runs = [make_run(dataset, seed=seed) for seed in range(2)] + [make_run(gone)]
    remove_dataset(gone.id)
    assert [one.id for one in sets_of(runs)] == [dataset.id]
    for with_data in (False, True):
        path = tmp_path / f"{with_data}.zip"
        write_runs_zip(runs, path, with_data=with_data)
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.startswith("data/")]
            manifest = json.loads(archive.read("manifest.json"))
        assert len(names) == (2 if with_data else 0) and manifest["version"] == (2 if with_data else 1)
        # stored as they are, but for a few JSON files
        assert 0.4 < packed_bytes(runs, with_data) / path.stat().st_size < 1.6
    assert packed_bytes(runs, True) - packed_bytes(runs) == dataset.info["bytes"]


@pytest.mark.parametrize("asked", [0, 2, 9])
def test_packing_and_taking_in_can_be_stopped(
    elsewhere: Callable[[], Path], tmp_path: Path, asked: int
) -> None:
    run = make_run(make_dataset())
    looks = 0

    def stop() -> bool:
        nonlocal looks
        looks += 1
        return looks > asked

    with pytest.raises(Stopped):
        write_runs_zip([run], tmp_path / "half.zip", with_data=True, stop=stop)
    told: list[Progress] = []
    write_runs_zip([run], tmp_path / "all.zip", told.append, with_data=True)
    assert {one.note for one in told} == {"MB", "images"}
    elsewhere()
    looks = -8  # somewhere among files, then among images
    with pytest.raises(Stopped):
        import_runs(tmp_path / "all.zip", stop=stop)
    assert not RunStore().list() and not list_datasets() and not list(settings().tmp.iterdir())


@pytest.fixture
def parts(elsewhere: Callable[[], Path], tmp_path: Path) -> tuple[str, str, Members]:
    """(run, data set, members) of a zip with data, in an installation that has neither."""
    dataset = make_dataset()
    run = make_run(dataset)
    write_runs_zip([run], tmp_path / "good.zip", with_data=True)
    with zipfile.ZipFile(tmp_path / "good.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    elsewhere()
    return run, dataset.id, members


def packed(path: Path, members: Members) -> Path:
    """The members as a zip whose manifest tells what each file is now."""
    manifest = json.loads(members["manifest.json"])
    for top, listed in (("runs", manifest["runs"]), ("data", manifest["data"])):
        for one in listed:
            for name, facts in one["files"].items():
                data = members.get(f"{top}/{one['id']}/{name}", b"")
                facts.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**members, "manifest.json": json.dumps(manifest).encode()}.items():
            archive.writestr(name, data)
    return path


def refused(path: Path, told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        import_runs(path)
    assert len(str(caught.value)) <= 300
    assert not RunStore().list() and not list_datasets() and not list(settings().tmp.iterdir())


def test_the_untouched_members_are_taken_in(parts: tuple[str, str, Members], tmp_path: Path) -> None:
    (found,) = import_runs(packed(tmp_path / "good.zip", parts[2]))
    assert found.id == parts[0] and found.brought


Change = Callable[[dict[str, Any]], None]
WRONG: dict[str, tuple[Change, str]] = {
    "another label": (lambda told: told["labels"].reverse(), "other content than was packed"),
    "another split": (lambda told: told["splits"].reverse(), "other content than was packed"),
    "another class": (lambda told: told["classes"].reverse(), "other content than was packed"),
    "a fingerprint of nothing": (lambda told: told.update(fingerprint="0" * 64), "other content"),
    "a label of no class": (lambda told: told["labels"].__setitem__(0, 2), "not as this program packs"),
    "a label below none": (lambda told: told["labels"].__setitem__(0, -2), "not as this program packs"),
    "a split of no name": (lambda told: told["splits"].__setitem__(0, 3), "not as this program packs"),
    "a name too few": (lambda told: told["names"].pop(), "not as this program packs"),
    "an image too few": (lambda told: told["lengths"].pop(), "not as this program packs"),
    "an empty image": (lambda told: told["lengths"].__setitem__(0, 0), "not as this program packs"),
    "no image": (lambda told: told.update(lengths=[]), "not as this program packs"),
    "a class twice": (lambda told: told.update(classes=["blue", "blue"]), "not as this program packs"),
    "a class that turns text": (lambda told: told.update(classes=["blue", "a\u202eb"]), "not as this"),
    "a surprise": (lambda told: told.update(evil=1), "not as this program packs"),
    "words for numbers": (lambda told: told.update(labels=["0"] * 24), "not as this program packs"),
    "a name of nothing": (lambda told: told.update(name=" \u0000 "), "needs a name"),
    "a factor that leads elsewhere": (
        lambda told: told.update(factors={"../x": {"kind": "int8", "values": [0] * 24}}), "not as this"
    ),
    "a factor that is too large": (
        lambda told: told.update(factors={"x": {"kind": "int8", "values": [10**30] * 24}}), "not as this"
    ),
    "a factor of words that are numbers": (
        lambda told: told.update(factors={"x": {"kind": "text", "values": [0] * 24}}),
        "not as this",
    ),
    "a factor of numbers that are words": (
        lambda told: told.update(factors={"x": {"kind": "int8", "values": ["1"] * 24}}),
        "not as this",
    ),
    "a factor too short": (
        lambda told: told.update(factors={"x": {"kind": "int8", "values": [0]}}), "not as this"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_told_of_a_set_is_checked_field_by_field(
    parts: tuple[str, str, Members], tmp_path: Path, case: str
) -> None:
    _, dataset, members = parts
    change, told = WRONG[case]
    known = json.loads(members[f"data/{dataset}/set.json"])
    change(known)
    bad = {**members, f"data/{dataset}/set.json": json.dumps(known).encode()}
    refused(packed(tmp_path / "bad.zip", bad), told)


def test_names_that_lead_elsewhere_are_only_words(parts: tuple[str, str, Members], tmp_path: Path) -> None:
    _, dataset, members = parts
    known = json.loads(members[f"data/{dataset}/set.json"])
    known["names"] = ["../../evil.png", "/tmp/evil\n.png", *known["names"][2:]]
    import_runs(
        packed(tmp_path / "odd.zip", {**members, f"data/{dataset}/set.json": json.dumps(known).encode()})
    )
    (there,) = list_datasets()
    assert open_dataset(there.id).names[:2] == ["../../evil.png", "/tmp/evil<U+000A>.png"]
    assert not list(tmp_path.rglob("evil*"))


def test_images_that_are_none_cut_short_or_too_many(
    parts: tuple[str, str, Members], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, dataset, members = parts
    place = f"data/{dataset}/images.bin"
    noise = bytes(len(members[place]))
    refused(
        packed(tmp_path / "1.zip", {**members, place: noise}), "an image that cannot be used: not an image"
    )
    refused(packed(tmp_path / "2.zip", {**members, place: members[place][:-1]}), "not as this program packs")
    less = {name: data for name, data in members.items() if name != place}
    refused(packed(tmp_path / "3.zip", less), "lacks 'images.bin'")
    monkeypatch.setattr(set_zip, "MOST_IMAGES", 10)
    monkeypatch.setenv("REPLAB_MAX_ENTRIES", "20")
    refused(packed(tmp_path / "4.zip", members), "more than 20 images")
    monkeypatch.delenv("REPLAB_MAX_ENTRIES")
    monkeypatch.setenv("REPLAB_MAX_FILE_BYTES", "100")
    refused(packed(tmp_path / "5.zip", members), "over the limit of a file")
    monkeypatch.delenv("REPLAB_MAX_FILE_BYTES")
    monkeypatch.setenv("REPLAB_MAX_UNPACKED_BYTES", str(len(members[place])))
    refused(packed(tmp_path / "6.zip", members), "unpacks to more than")
    monkeypatch.delenv("REPLAB_MAX_UNPACKED_BYTES")
    monkeypatch.setenv("REPLAB_MAX_PIXELS", "900")
    refused(packed(tmp_path / "7.zip", members), "over the limit of 900 pixels")


def test_a_manifest_that_lies_of_a_set(parts: tuple[str, str, Members], tmp_path: Path) -> None:
    _, dataset, members = parts

    def told(**fields: Any) -> Path:
        manifest = json.loads(members["manifest.json"])
        manifest["data"][0].update(fields)
        with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
            for name, data in {**members, "manifest.json": json.dumps(manifest).encode()}.items():
                archive.writestr(name, data)
        return tmp_path / "bad.zip"

    files = json.loads(members["manifest.json"])["data"][0]["files"]
    refused(told(fingerprint="1" * 64), "not the one that its manifest names")
    refused(told(fingerprint=None), "manifest of this zip is damaged")
    refused(told(id="../x"), "not a valid data set id")
    refused(told(files={"images.bin": files["images.bin"]}), "not whole")
    refused(told(files={**files, "evil.py": files["set.json"]}), "no file of a data set")
    for name in files:
        wrong = {**files, name: {**files[name], "sha256": "0" * 64}}
        refused(told(files=wrong), "not what the manifest says")


def test_a_run_that_is_wrong_takes_the_set_back(parts: tuple[str, str, Members], tmp_path: Path) -> None:
    run, _, members = parts
    bad = {**members, f"runs/{run}/results.json": b"[1]"}
    refused(packed(tmp_path / "bad.zip", bad), "results.json of this run holds")
    assert not list((settings().datasets).glob("*"))


def test_an_image_that_cannot_be_packed_is_named(workspace: Path, tmp_path: Path) -> None:
    dataset = make_dataset()
    run = make_run(dataset)
    path = dataset.root / "images.bin"
    path.write_bytes(path.read_bytes()[:200] + bytes(path.stat().st_size - 200))
    with pytest.raises(UserError, match="of 'Tiny' cannot be packed"):
        write_runs_zip([run], io.BytesIO(), with_data=True)  # type: ignore[arg-type]
