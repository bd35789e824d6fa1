"""Archives made to do harm, or damaged by chance: read for what they are, or refused in one sentence."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import re
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine import child
from engine.data import imports
from engine.data.dataset import Dataset, list_datasets
from engine.data.intake import add_dataset
from engine.errors import UserError
from tests.data.conftest import (
    PLAIN,
    Add,
    Refuse,
    check_sentence,
    deflated,
    extended,
    handmade_zip,
    members,
    picture,
    record,
    tar_member,
    tarred,
)

PACKERS = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "plain": bytes}
ZEROS = 16 * 1024**2


def reasons(dataset: Dataset) -> dict[str, str]:
    return {entry["name"]: entry["reason"] for entry in dataset.report["skipped"]}


def test_zip_members_that_share_their_bytes_are_a_trap(refusal: Refuse) -> None:
    bomb = {"name": b"ant/z.png", "packed": deflated(bytes(2**20)), "size": 2**20, "crc": 0}
    assert "overlap" in refusal(handmade_zip([*members(PLAIN), bomb], listed=500))
    quoted = handmade_zip([bomb])[: 39 + len(bomb["packed"])]
    around = {"name": b"ant/a.png", "data": quoted, "method": 0}
    assert "overlap" in refusal(handmade_zip([around, {**bomb, "place": 39}, *members(PLAIN)]))


@pytest.mark.parametrize(
    ("length", "reason"),
    [(100, "it is damaged in the archive"), (2**32 - 256, "it is over the limit of 67.1 MB a file")],
)
def test_a_bomb_is_measured_by_what_comes_out_not_by_what_it_says(
    added: Add, length: int, reason: str
) -> None:
    bomb = {"name": b"ant/z.png", "packed": deflated(bytes(2**20), 2048), "size": length, "crc": 0}
    assert reasons(added(handmade_zip([*members(PLAIN), bomb]))) == {"ant/z.png": reason}


def test_a_member_that_says_it_is_larger_than_it_is_is_read_all_the_same(added: Add) -> None:
    boaster = [{**member, "size": 2**32 - 256} for member in members(PLAIN)]
    assert added(handmade_zip(boaster)).fingerprint == added(tarred(PLAIN)).fingerprint


@pytest.mark.parametrize("packer", ["gz", "bz2", "xz"])
def test_a_packed_tar_of_nothing_but_zeros_is_a_trap(refusal: Refuse, packer: str) -> None:
    pack = PACKERS[packer]
    bomb = tar_member("ant/z.png", size=b"%011o\0" % (64 * ZEROS))
    assert "times its size" in refusal(pack(tarred(PLAIN)[:-1024] + bomb) + pack(bytes(ZEROS)) * 64)


def test_a_directory_whose_length_is_hidden_is_counted_before_it_is_read(
    refusal: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    class Counted(zipfile.ZipInfo):
        def __init__(self, *told: Any, **more: Any) -> None:
            made.append(1)
            super().__init__(*told, **more)

    monkeypatch.setenv("REPLAB_MAX_ENTRIES", "100")
    many = handmade_zip([{"name": b"ant/%d.png" % i} for i in range(5000)], wide=True)
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZipInfo", Counted)
        assert "more than 100 files" in refusal(many)
    assert len(made) <= 200


def test_an_archive_of_encrypted_files_says_so(refusal: Refuse) -> None:
    locked = [{**member, "flags": 0x801} for member in members(PLAIN)]
    assert "it is encrypted" in refusal(handmade_zip(locked))


@pytest.mark.parametrize("kept", [0.1, 0.55, 0.9])
@pytest.mark.parametrize("kind", ["zip", "plain", "bz2", "xz"])
def test_an_archive_cut_short_is_one_sentence(refusal: Refuse, kind: str, kept: float) -> None:
    whole = handmade_zip(members(PLAIN)) if kind == "zip" else PACKERS[kind](tarred(PLAIN)[:-1024])
    assert "cut short" in refusal(whole[: int(len(whole) * kept)])


FOLDERS = [{"name": b"ant/", "method": 0}, {"name": b"bee\\", "method": 0}]


@pytest.mark.parametrize(
    "archive",
    [
        handmade_zip([]),
        handmade_zip(FOLDERS),
        gzip.compress(bytes(10_240)),
        tarred({}, tar_member("ant/", kind=b"5"), tar_member("bee/")),
    ],
    ids=["empty zip", "folders in a zip", "empty tar", "folders in a tar"],
)
def test_an_archive_without_files_is_refused(refusal: Refuse, archive: bytes) -> None:
    assert "no images" in refusal(archive)


@pytest.mark.parametrize(
    "size",
    [b"-0000001000\0", b"\xff" * 12, b"\x80" + b"\xff" * 11, b"777777777777"],
    ids=["negative", "negative binary", "huge binary", "huge"],
)
def test_a_tar_member_of_an_impossible_size_is_one_sentence(refusal: Refuse, size: bytes) -> None:
    assert "damaged" in refusal(tarred(PLAIN, tar_member("ant/n.png", b"x" * 600, size=size)))


@pytest.mark.parametrize("records", [[record("size", "-512")], [record("size", "9" * 18)], [b"0 path=x\n"]])
def test_an_extended_header_with_nonsense_is_one_sentence(refusal: Refuse, records: list[bytes]) -> None:
    assert "damaged" in refusal(tarred(PLAIN, extended(*records), tar_member("ant/n.png", b"x" * 600)))


@pytest.mark.parametrize(
    "flood",
    [
        extended(record("GNU.sparse.x", "")) * 5000,
        extended(*[record(f"GNU.sparse.{i}", "") for i in range(20_000)]),
        tar_member("d/", kind=b"5") * 5000,
    ],
    ids=["headers", "records", "folders"],
)
def test_a_tar_may_not_go_on_and_on_without_a_file(
    refusal: Refuse, flood: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAB_MAX_ENTRIES", "1000")
    refusal(gzip.compress(tarred(PLAIN, flood, tar_member("ant/n.png"))))


def test_links_devices_and_sparse_files_are_skipped_and_what_follows_is_read(added: Add) -> None:
    odd = [tar_member(f"ant/odd{kind}.png", kind=b"%d" % kind) for kind in (1, 2, 3, 4, 6)]
    maps = bytes(504) + b"\1" + bytes(7) + bytes(512)  # two more blocks of a map that no size counts
    head = tar_member("ant/oddS.png", bytes(700), b"S", flag=1)
    sparse = head[:512] + maps + head[512:]
    newer = extended(record("GNU.sparse.major", "1")) + tar_member("ant/odd-pax.png", b"x")
    dataset = added(tarred(PLAIN, *odd, sparse, newer, tar_member("ant/last.png", picture(70))))
    assert "ant/last.png" in dataset.names and dataset.n == len(PLAIN) + 1
    assert len(reasons(dataset)) == 7 and set(reasons(dataset).values()) == {
        "it is a link or device, not a file"
    }


NAMES = {
    "n" * 5000: None,
    "C:/x.png": None,
    "c:\\ant\\x.png": None,
    "\\\\server\\share\\x.png": None,
    "ant\\b.png": "ant",
    "ant\0x/n.png": "ant<U+0000>x",
    "ant\n\x1b[31m/n.png": "ant<U+000A><U+001B>[31m",
    "\u202egnp/n.png": "<U+202E>gnp",
    "<img src=x onerror=alert(1)>/n.png": "<img src=x onerror=alert(1)>",
    "ANT/0.png": "ANT",
    "ant /0.png": "ant ",
    "ant./0.png": "ant.",
    "CON/aux.png": "CON",
    "d/" * 300 + "deep.png": "d",
    "caf\u00e9/1.png": "caf\u00e9",
    "cafe\u0301/2.png": "caf\u00e9",
    "\0": None,
}


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_names_are_only_data_and_those_that_differ_stay_apart(added: Add, workspace: Path, kind: str) -> None:
    files = PLAIN | {name: picture(100 + i) for i, name in enumerate(NAMES)}
    if kind == "zip":
        dataset = added(handmade_zip(members(files)))
    else:
        dataset = added(b"".join(extended(record("path", k)) + tar_member("x", v) for k, v in files.items()))
    classes = [name for name in NAMES.values() if name]
    assert set(dataset.classes) == {"ant", "bee", *classes}
    assert dataset.n == len(PLAIN) + len(classes)
    assert dataset.report["skipped_count"] == len(NAMES) - len(classes)
    assert all(name.isprintable() for name in [*dataset.names, *dataset.classes, *reasons(dataset)])
    assert all(re.fullmatch(r"[a-z0-9_.-]{1,64}", path.name) for path in workspace.rglob("*"))


def test_names_that_are_no_unicode_are_read_as_well_as_can_be(added: Add) -> None:
    odd = {b"ant/\xff\xfe.png": picture(71), b"b\xe9e/1.png": picture(72), b"b\xe9e/2.png": picture(73)}
    in_tar = added(tarred(PLAIN, *(tar_member(name, data) for name, data in odd.items())))
    old = [{"name": name, "data": data, "flags": 0} for name, data in odd.items()]
    in_zip = added(handmade_zip([*members(PLAIN), *old]))
    assert in_tar.n == in_zip.n == len(PLAIN) + 3 and len(in_tar.classes) == len(in_zip.classes) == 3


def test_names_in_a_refusal_stay_on_its_line(refusal: Refuse) -> None:
    name = "x\r\n\u202e\x1b]0;" + "y" * 900
    beside = {f"train/{k}": v for k, v in PLAIN.items()} | {f"{name}/z.png": picture(74)}
    assert "x<U+000D><U+000A><U+202E>" in refusal(handmade_zip(members(beside)))


def test_b08_every_file_of_a_mixed_archive_is_counted_once(added: Add) -> None:
    good = PLAIN["ant/0.png"]
    rest = [
        ("it is encrypted", {"name": b"ant/a.png", "data": good, "flags": 0x801}),
        ("it is damaged in the archive", {"name": b"ant/b.png", "data": good, "crc": 1}),
        (
            "it is packed with a method this app does not read",
            {"name": b"ant/c.png", "method": 12, "packed": b"x"},
        ),
        (
            "it is a link or device, not a file",
            {"name": b"ant/d.png", "data": b"/etc/passwd", "mode": 0o120777},
        ),
        ("its name points outside the archive", {"name": b"../e.png", "data": good}),
        ("its name is too long", {"name": b"f" * 1001, "data": good}),
        ("another file has the same name", {"name": b"ant/0.png", "data": picture(80)}),
        ("it lies beside the class folders, not in one", {"name": b"g.png", "data": picture(81)}),
        ("the file is cut short", {"name": b"ant/h.png", "data": good[:-60]}),
        ("the file is empty", {"name": b"ant/i.png", "method": 0}),
        ("an archive inside the archive is not opened", {"name": b"ant/j.zip", "data": handmade_zip([])}),
    ]
    hidden = [{"name": name, "data": good} for name in (b"__MACOSX/a.png", b"ant/.k.png", b"bee/Thumbs.db")]
    files = [*members(PLAIN), *(member for _, member in rest), *hidden]
    report = added(handmade_zip([*FOLDERS, *files])).report
    assert report["reasons"] == dict.fromkeys((reason for reason, _ in rest), 1)
    assert (report["taken"], report["skipped_count"], report["ignored"]) == (len(PLAIN), len(rest), 3)
    assert report["entries"] == len(files)


@pytest.mark.parametrize("kind", ["zip", "plain", "gz"])
def test_archives_with_a_few_wrong_bytes_are_read_or_refused(
    workspace: Path, tmp_path: Path, kind: str
) -> None:
    draw = random.Random(kind)
    whole = handmade_zip(members(PLAIN)) if kind == "zip" else PACKERS[kind](tarred(PLAIN))
    path, endings = tmp_path / "archive", set()
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            place = draw.choice([draw.randrange(len(data)), len(data) - draw.randrange(1, 600)])
            length = draw.choice([0, 1, 4])
            data[place : place + length] = draw.choice([b"", b"\xff" * length, draw.randbytes(length or 9)])
        path.write_bytes(data)
        try:
            report = add_dataset(path).report
            endings.add("read")
            assert report["taken"] + report["skipped_count"] + report["ignored"] == report["entries"]
        except UserError as refused:
            endings.add("refused")
            assert len(str(refused)) <= 300 and str(tmp_path) not in str(refused)
        assert list((workspace / "tmp").glob("*")) == []
    assert endings == {"read", "refused"}


def test_b07_a_killed_import_reads_as_interrupted_and_leaves_only_its_source(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAB_THREADS", "1")
    file = io.BytesIO()
    Image.new("L", (900, 900), 99).save(file, "PNG")
    path = tmp_path / "set.zip"
    path.write_bytes(handmade_zip(members({f"{i % 2}/{i}.png": file.getvalue() for i in range(500)})))
    import_id = imports.start_import(path)
    worker, status = child._detached[-1], imports.import_status(import_id)
    while not re.match("[1-9]", status.note):  # "64 images": so many are written
        assert worker.poll() is None and status.state in imports.UNDER_WAY
        time.sleep(0.02)
        status = imports.import_status(import_id)
    worker.kill()
    worker.wait()
    (begun,) = (workspace / "tmp").glob("*/images.bin")
    status = imports.import_status(import_id)
    assert status.state == "interrupted" and status.dataset is None and 0 < status.done
    check_sentence(status.error or "", tmp_path)
    (workspace / "uploads").mkdir()
    (workspace / "uploads" / "half.part").write_bytes(b"cut")
    imports.sweep_leftovers()
    left = [place for top in ("datasets", "tmp", "uploads") for place in (workspace / top).glob("*")]
    assert left == [] and not begun.exists() and list_datasets() == [] and path.exists()
    assert add_dataset(path).n == 500
    imports.clear_import(import_id)
    assert imports.list_imports() == []
