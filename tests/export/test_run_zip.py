"""Runs as a zip: whole round trips between two workspaces, and zips that are not what they say."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.data.dataset import Dataset, remove_dataset
from engine.data.writer import DatasetWriter
from engine.errors import UserError
from engine.export.run_import import import_runs
from engine.export.run_zip import finished_runs, write_run_zip, write_runs_zip
from engine.export.take import write_run
from engine.runs import layout
from engine.runs.store import RunStore
from engine.settings import settings
from tests.export.map_runs import coloured_set, map_of, map_run
from tests.pages.coded import code_run
from tests.pages.made import HOSTILE, make_dataset, make_recipe, make_run


def files_in(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def again(dataset: Dataset) -> Dataset:
    """The same images in the workspace of now, under another id."""
    data = [dataset.raw_bytes(i) for i in range(len(dataset))]
    with DatasetWriter("Again") as writer:
        for name, one in zip(dataset.names, data, strict=True):
            writer.add(one, name)
        return writer.finish(
            classes=list(dataset.classes), labels=dataset.labels, splits=dataset.split_codes.copy()
        )


def test_a_run_is_the_same_elsewhere(elsewhere: Callable[[], Path], tmp_path: Path) -> None:
    dataset = make_dataset()
    run, here = make_run(dataset, HOSTILE[0]), RunStore()
    before = here.results(run), here.curve(run), here.recipe(run), here.environment(run)
    frame, said = here.frame(run, 2), here.predictions(run)
    write_run(run, "zip", tmp_path / "run.zip")
    elsewhere()
    (found,) = import_runs(tmp_path / "run.zip")
    store = RunStore()
    assert (found.id, found.was, found.name) == (run, run, HOSTILE[0])
    assert found.missing and "is not here" in found.missing and "Tiny" in found.missing
    assert (store.results(run), store.curve(run), store.recipe(run), store.environment(run)) == before
    assert store.get(run).state == "done" and store.damaged(run) is None
    assert store.status(run).host is None, "nobody is told which machine it ran on"
    for mine, theirs in ((store.frame(run, 2), frame), (store.predictions(run), said)):
        assert mine and theirs and mine.keys() == theirs.keys()
        for key in theirs:
            np.testing.assert_array_equal(mine[key], theirs[key])
    assert not list(settings().tmp.iterdir())


def test_an_encoder_is_used_elsewhere(elsewhere: Callable[[], Path], tmp_path: Path) -> None:
    from engine.training.trained import load_trained
    from tests.export.taken_runs import method_says, some_images

    run = code_run(make_dataset())
    wanted = method_says(run, some_images(3, 16))
    write_run(run, "zip", tmp_path / "run.zip")
    elsewhere()
    import_runs(tmp_path / "run.zip")
    assert load_trained(run)
    for key, values in method_says(run, some_images(3, 16)).items():
        np.testing.assert_array_equal(values, wanted[key])


def test_a_map_is_the_same_elsewhere(elsewhere: Callable[[], Path], tmp_path: Path) -> None:
    run = map_run(coloured_set())
    wanted = map_of(run)
    write_run(run, "zip", tmp_path / "map.zip")
    elsewhere()
    import_runs(tmp_path / "map.zip")
    for mine, theirs in zip(map_of(run).done, wanted.done, strict=True):
        np.testing.assert_array_equal(mine.positions, theirs.positions)


def test_a_whole_workspace_moves(elsewhere: Callable[[], Path], tmp_path: Path) -> None:
    dataset = make_dataset()
    runs = [make_run(dataset, f"run {seed}", seed) for seed in range(3)]
    RunStore().create(make_recipe(dataset, 9), "still waiting")
    assert finished_runs(RunStore()) == runs
    write_runs_zip(runs, tmp_path / "all.zip")
    elsewhere()
    assert [found.id for found in import_runs(tmp_path / "all.zip")] == runs
    assert [run.name for run in RunStore().list()] == ["run 2", "run 1", "run 0"]


def test_a_run_that_is_there_gets_a_fresh_id_and_both_stay(workspace: Path, tmp_path: Path) -> None:
    run = make_run(make_dataset(), "twice")
    write_run(run, "zip", tmp_path / "run.zip")
    (found,) = import_runs(tmp_path / "run.zip")
    assert found.id != run and found.was == run and found.missing is None
    assert {one.id for one in RunStore().list()} == {run, found.id}
    assert RunStore().results(found.id) == RunStore().results(run)


def test_the_same_images_under_another_id_become_the_runs_data(
    elsewhere: Callable[[], Path], tmp_path: Path
) -> None:
    dataset = make_dataset()
    run = make_run(dataset)
    write_run(run, "zip", tmp_path / "run.zip")
    elsewhere()
    other = again(dataset)
    assert other.fingerprint == dataset.fingerprint and other.id != dataset.id
    (found,) = import_runs(tmp_path / "run.zip")
    assert found.missing is None and found.data == "Again"
    assert RunStore().recipe(run).dataset == other.id
    assert RunStore().get(run).digest == RunStore().recipe(run).digest()


def test_no_checkpoint_log_or_image_goes_along(workspace: Path, tmp_path: Path) -> None:
    run = code_run(make_dataset())
    folder = RunStore().folder(run)
    assert (folder / layout.CHECKPOINT).exists()
    (folder / layout.LOG).write_text("/home/me/secret")
    write_run_zip(run, tmp_path / "run.zip")
    with zipfile.ZipFile(tmp_path / "run.zip") as archive:
        names = {Path(name).name for name in archive.namelist()}
        status = json.loads(archive.read(f"runs/{run}/status.json"))
    assert not {"checkpoint.pt", "log.txt", "lock", "writer.lock"} & names
    assert {"best.safetensors", "encoder.json", "manifest.json"} <= names
    assert not {"host", "pid", "runner"} & status.keys()


def test_a_run_that_goes_on_is_not_packed(workspace: Path, tmp_path: Path) -> None:
    run = RunStore().create(make_recipe(make_dataset())).id
    with pytest.raises(UserError, match="not done"):
        write_run(run, "zip", tmp_path / "run.zip")
    assert not list(tmp_path.glob("*.zip"))


Members = dict[str, bytes]


@pytest.fixture
def parts(workspace: Path, tmp_path: Path) -> tuple[str, Members]:
    """(id, members) of the zip of a trained run, which is then deleted."""
    dataset = make_dataset()
    run = code_run(dataset)
    write_run_zip(run, tmp_path / "good.zip")
    with zipfile.ZipFile(tmp_path / "good.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    RunStore().remove(run)
    remove_dataset(dataset.id)
    return run, members


def packed(path: Path, members: Members, honest: bool = True) -> Path:
    """The members as a zip; `honest` lets the manifest tell what each of its files is now."""
    members = dict(members)
    if honest:
        manifest = json.loads(members["manifest.json"])
        for run in manifest["runs"]:
            for name, facts in run["files"].items():
                data = members.get(f"runs/{run['id']}/{name}", b"")
                facts.update(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        members["manifest.json"] = json.dumps(manifest).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def named(members: Members, change: Callable[[dict[str, Any]], None]) -> Members:
    """The members with the manifest's first run changed."""
    manifest = json.loads(members["manifest.json"])
    change(manifest["runs"][0])
    return {**members, "manifest.json": json.dumps(manifest).encode()}


def with_file(members: Members, run: str, name: str, data: bytes) -> Members:
    """The members with one more file, which the manifest names."""
    told = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    more = named(members, lambda first: first["files"].update({name: told}))
    return {**more, f"runs/{run}/{name}": data}


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    return file.getvalue()


def refused(path: Path, workspace: Path, told: str) -> None:
    """The zip is refused in one sentence, and nothing of it is anywhere."""
    lock = {"workspace/runs/.lock"}
    before = files_in(workspace.parent) - lock
    with pytest.raises(UserError, match=told) as caught:
        import_runs(path)
    assert len(str(caught.value)) <= 300 and str(workspace) not in str(caught.value)
    assert files_in(workspace.parent) - lock == before
    assert not RunStore().list()


def test_the_untouched_members_are_taken_in(parts: tuple[str, Members], tmp_path: Path) -> None:
    (found,) = import_runs(packed(tmp_path / "bad.zip", parts[1]))
    assert found.id == parts[0]


@pytest.mark.parametrize("name", ["../../evil.txt", "/tmp/evil.txt", "runs/x/../../evil", "C:\\evil.txt"])
def test_a_name_that_leads_elsewhere(
    parts: tuple[str, Members], workspace: Path, tmp_path: Path, name: str
) -> None:
    run, members = parts
    refused(packed(tmp_path / "bad.zip", {**members, name: b"x"}), workspace, "no file of a run")
    bad = with_file(members, run, f"frames/{name}", b"x")
    refused(packed(tmp_path / "bad2.zip", bad), workspace, "no file of a run")


@pytest.mark.parametrize(
    "name", ["checkpoint.pt", "evil.py", "frames/00001.pkl", "lock", "maps/../x.npz", ""]
)
def test_a_file_that_no_run_has(
    parts: tuple[str, Members], workspace: Path, tmp_path: Path, name: str
) -> None:
    bad = with_file(parts[1], parts[0], name, b"\x80\x04.")
    refused(packed(tmp_path / "bad.zip", bad), workspace, "no file of a run")


@pytest.mark.parametrize("run_id", ["../x", "A", "a/b", "", None, 7, "x" * 65])
def test_an_id_that_is_none(parts: tuple[str, Members], workspace: Path, tmp_path: Path, run_id: Any) -> None:
    bad = named(parts[1], lambda first: first.update(id=run_id))
    refused(packed(tmp_path / "bad.zip", bad, honest=False), workspace, "not a valid run id")


def test_a_link(parts: tuple[str, Members], workspace: Path, tmp_path: Path) -> None:
    run, members = parts
    name = f"runs/{run}/results.json"
    with zipfile.ZipFile(packed(tmp_path / "good.zip", {**members, name: b"/etc/passwd"})) as archive:
        infos = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        for member, data in infos.items():
            info = zipfile.ZipInfo(member)
            info.external_attr = ((stat.S_IFLNK if member == name else stat.S_IFREG) | 0o644) << 16
            archive.writestr(info, data)
    refused(tmp_path / "bad.zip", workspace, "no plain file")
    assert not [path for path in workspace.rglob("*") if path.is_symlink()]


def test_a_bomb_is_not_unpacked(
    parts: tuple[str, Members], workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, members = parts
    monkeypatch.setenv("REPLAB_MAX_UNPACKED_BYTES", str(2**20))
    big = {**members, f"runs/{run}/predictions.npz": bytes(3 * 2**20)}
    refused(packed(tmp_path / "bad.zip", big), workspace, "larger than such a file can be|unpacks to more")
    lying = packed(tmp_path / "bad2.zip", big, honest=False)
    refused(lying, workspace, "not what the manifest says")
    monkeypatch.delenv("REPLAB_MAX_UNPACKED_BYTES")
    refused(packed(tmp_path / "bad3.zip", big), workspace, "no plain arrays")


def test_arrays_that_unpack_to_too_much(
    parts: tuple[str, Members], workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, members = parts
    monkeypatch.setenv("REPLAB_MAX_UNPACKED_BYTES", str(2**21))
    bad = {**members, f"runs/{run}/predictions.npz": npz(index=np.zeros(2**20))}
    refused(packed(tmp_path / "bad.zip", bad), workspace, "unpacks to more than is allowed")


def test_all_arrays_of_a_run_together_unpack_to_no_more(
    parts: tuple[str, Members], workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, members = parts
    many = members
    for epoch in range(2, 5):
        many = with_file(many, run, f"frames/{epoch:05d}.npz", npz(given=np.zeros(2**17)))
    import_runs(packed(tmp_path / "good.zip", many))
    RunStore().remove(run)
    monkeypatch.setenv("REPLAB_MAX_UNPACKED_BYTES", str(2 * 2**20 + 2**19))
    refused(packed(tmp_path / "bad.zip", many), workspace, "unpacks to more than is allowed")


BAD_ARRAYS: dict[str, Callable[[dict[str, np.ndarray]], dict[str, Any]]] = {
    "a row too few": lambda found: {"label": found["label"][:-1]},
    "a label of no class": lambda found: {"label": np.full_like(found["label"], 2)},
    "a label below none": lambda found: {"label": np.full_like(found["label"], -2)},
    "labels that are decimal": lambda found: {"label": found["label"].astype(float)},
    "a split of no name": lambda found: {"split": np.full_like(found["split"], 3)},
    "an image before the first": lambda found: {"index": found["index"].astype(int) - 1},
    "no number": lambda found: {"code": np.full_like(found["code"], np.nan)},
    "endless": lambda found: {"loss": np.full_like(found["loss"], np.inf)},
    "words": lambda found: {"code": np.full(len(found["index"]), "x")},
    "shares of other classes": lambda found: {"probabilities": np.zeros((len(found["index"]), 3))},
    "shares without classes": lambda found: {"probabilities": np.zeros(len(found["index"]))},
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_what_is_said_of_images_is_checked_value_by_value(
    parts: tuple[str, Members], workspace: Path, tmp_path: Path, case: str
) -> None:
    run, members = parts
    place = f"runs/{run}/predictions.npz"
    with np.load(io.BytesIO(members[place])) as file:
        found = dict(file)
    bad = {**members, place: npz(**{**found, **BAD_ARRAYS[case](found)})}
    refused(packed(tmp_path / "bad.zip", bad), workspace, "predictions.npz of this run is not as a training")


def test_a_pickle_among_the_arrays(parts: tuple[str, Members], workspace: Path, tmp_path: Path) -> None:
    run, members = parts

    class Evil:
        def __reduce__(self) -> Any:
            return (os.mkdir, (str(tmp_path / "evil"),))

    file = io.BytesIO()
    np.savez(file, code=np.array([Evil()], dtype=object))
    for name in ("predictions.npz", "frames/00001.npz"):
        bad = {**members, f"runs/{run}/{name}": file.getvalue()}
        refused(packed(tmp_path / "bad.zip", bad), workspace, "no plain arrays")
    assert not (tmp_path / "evil").exists()


def test_another_hash_or_length(parts: tuple[str, Members], workspace: Path, tmp_path: Path) -> None:
    run, members = parts
    name = f"runs/{run}/best.safetensors"
    for data in (members[name][:-1], members[name] + b"x", members[name][:-1] + b"\x99"):
        bad = packed(tmp_path / "bad.zip", {**members, name: data}, honest=False)
        refused(bad, workspace, "not what the manifest says")


def test_a_file_that_is_missing_or_there_twice(
    parts: tuple[str, Members], workspace: Path, tmp_path: Path
) -> None:
    run, members = parts
    less = {name: data for name, data in members.items() if not name.endswith("results.json")}
    refused(packed(tmp_path / "bad.zip", less, honest=False), workspace, "lacks 'results.json'")
    for needed in ("recipe.json", "status.json"):
        bad = named(members, lambda first, needed=needed: first["files"].pop(needed))  # type: ignore[misc]
        refused(packed(tmp_path / "bad.zip", bad), workspace, f"no {needed}")
    twice = packed(tmp_path / "bad.zip", members)
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning):
        archive.writestr("manifest.json", members["manifest.json"])
    refused(twice, workspace, "names a file twice")


def changed(data: bytes, **fields: Any) -> bytes:
    return json.dumps({**json.loads(data), **fields}).encode()


WRONG = [
    ("recipe.json", {"method": "evil"}, "no method 'evil'"),
    ("recipe.json", {"dataset": "../x"}, "not a valid data set id"),
    ("recipe.json", {"image_size": 10**9}, "image_size must be within"),
    ("recipe.json", {"surprise": 1}, "not a field of a recipe"),
    ("status.json", {"state": "running"}, "not finished"),
    ("status.json", {"state": ["done"]}, "not finished"),
    ("encoder.json", {"arch": "../../x"}, "no backbone"),
    ("encoder.json", {"width": "many"}, "not as a training writes it, in width"),
    ("encoder.json", {"width": 7}, "does not go with its recipe"),
    ("encoder.json", {"task": {"classes": 3}}, "not as a training writes it, in task"),
    ("encoder.json", {"evil": 1}, "not as a training writes it, in evil"),
]


@pytest.mark.parametrize(("name", "fields", "told"), WRONG)
def test_small_files_are_checked_field_by_field(
    parts: tuple[str, Members], workspace: Path, tmp_path: Path, name: str, fields: Any, told: str
) -> None:
    run, members = parts
    place = f"runs/{run}/{name}"
    bad = {**members, place: changed(members[place], **fields)}
    refused(packed(tmp_path / "bad.zip", bad), workspace, told)


@pytest.mark.parametrize("data", [b"", b"[1]", b"{", b"[" * 100_000, b'{"a": ' * 100_000, b"\xff\xfe"])
def test_json_that_is_none(parts: tuple[str, Members], workspace: Path, tmp_path: Path, data: bytes) -> None:
    run, members = parts
    bad = {**members, f"runs/{run}/results.json": data}
    refused(packed(tmp_path / "bad.zip", bad), workspace, "results.json of this run holds")
    refused(packed(tmp_path / "bad2.zip", {**members, "manifest.json": data}, False), workspace, "zip")


def test_weights_that_are_none_or_of_another_network(
    parts: tuple[str, Members], workspace: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load, save

    run, members = parts
    place = f"runs/{run}/encoder.safetensors"
    lying = (2**62).to_bytes(8, "little") + b"{}"
    for data in (b"", b"\x80\x04.", members[place][:50], lying):
        bad = packed(tmp_path / "bad.zip", {**members, place: data})
        refused(bad, workspace, "no safetensors file")
    tensors = load(members[place])
    # counters of batches may be lacking; safetensors gives its names in another order each time
    first = min(name for name in tensors if not name.endswith("num_batches_tracked"))
    other = save({**tensors, first: np.zeros((2, 2), np.float32)})
    refused(packed(tmp_path / "bad.zip", {**members, place: other}), workspace, "do not fit")
    other = save({name: tensor for name, tensor in tensors.items() if name != first})
    refused(packed(tmp_path / "bad.zip", {**members, place: other}), workspace, "lack")


def test_what_is_no_such_zip(workspace: Path, tmp_path: Path) -> None:
    workspace.mkdir(parents=True)
    (tmp_path / "text.zip").write_text("hello")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    for name in ("text.zip", "other.zip"):
        refused(tmp_path / name, workspace, "holds no runs of this program")
    refused(tmp_path / "none.zip", workspace, "no such zip")


def test_a_later_version_is_told(parts: tuple[str, Members], workspace: Path, tmp_path: Path) -> None:
    manifest = {**json.loads(parts[1]["manifest.json"]), "version": 3}
    bad = {**parts[1], "manifest.json": json.dumps(manifest).encode()}
    refused(packed(tmp_path / "bad.zip", bad), workspace, "newer version")
