"""Hostile inputs for the command line: what is written, what is typed, and how it must end."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save

from engine.models.trunks import skeleton
from tests.data.conftest import PLAIN, extended, handmade_zip, members, picture, record, tar_member, tarred
from tests.data.test_hostile_images import PROGRAMS, VAST, png, saved

ARCH = "cnn-small"
PLANTED = "planted"  # a word in every name and every file that must never appear outside the workspace
DEEP = "../" * 8

Argv = list[str]
Make = Callable[[Path], Argv]


@dataclass(frozen=True)
class Case:
    """One hostile input.

    Attributes:
        make: Writes files into an empty folder; gives the words of the command.
        code: How the command must end: 2 refused, 0 taken.
        words: Something that the refusal must say.
        taken: Images the data set must hold; None to look at the exit code alone.
        limits: REPLAB_* variables.
    """

    make: Make
    code: int = 2
    words: str = ""
    taken: int | None = None
    limits: tuple[tuple[str, str], ...] = ()


def data(name: str, content: bytes | Callable[[Path], bytes], **more: Any) -> Case:
    """A file to `data add`."""

    def make(folder: Path) -> Argv:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content(folder))
        return ["data", "add", name]

    return Case(make, **more)


def with_file(name: str | bytes, content: bytes | None = None, **more: Any) -> Case:
    """A zip of eight good images and one more member; the good ones must be taken."""
    named = name if isinstance(name, bytes) else name.encode()
    extra = {"name": named, "data": picture(99) if content is None else content}
    return data("set.zip", handmade_zip([*members(PLAIN), extra]), code=0, **{"taken": len(PLAIN), **more})


def with_member(member: bytes, **more: Any) -> Case:
    """A tar of eight good images and one more member."""
    return data("set.tar", tarred(PLAIN, member), code=0, **{"taken": len(PLAIN), **more})


def tar_link(name: str, kind: bytes, target: str) -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info.tobuf(tarfile.USTAR_FORMAT)


def through_link(folder: Path) -> bytes:
    """A link to the folder above, then a file that would be written through it."""
    link = tar_link("ant/out", tarfile.SYMTYPE, str(folder.parent))
    return tarred(PLAIN, link, tar_member(f"ant/out/{PLANTED}.png", picture(99)))


def nested(depth: int) -> bytes:
    inner = handmade_zip(members(PLAIN))
    for _ in range(depth):
        inner = handmade_zip([{"name": b"inner.zip", "data": inner}])
    return inner


def zeros_zip(count: int) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, image in PLAIN.items():
            archive.writestr(name, image)
        archive.writestr("ant/zeros.png", bytes(count))
    return file.getvalue()


def folder_of(fill: Callable[[Path], None]) -> Make:
    def make(folder: Path) -> Argv:
        root = folder / "images"
        for name, image in PLAIN.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(image)
        fill(root)
        return ["data", "add", "images"]

    return make


def _links(root: Path) -> None:
    (root.parent / "secret.png").write_bytes(picture(99))
    (root / "ant" / "file.png").symlink_to(root.parent / "secret.png")
    (root / "cat").symlink_to(root / "ant")
    (root / "loop").symlink_to(root)
    (root / "bee" / "null.png").symlink_to("/dev/zero")


def _odd_files(root: Path) -> None:
    os.mkfifo(root / "ant" / "pipe.png")
    (root / "ant" / "empty.png").write_bytes(b"")
    with open(root / "ant" / "hole.png", "wb") as file:
        file.truncate(3 * 1024**3)  # nothing but a length
    with open(os.fsencode(root / "bee") + b"/\xff\xfe.png", "wb") as file:
        file.write(picture(98))


ARCHIVES: dict[str, Case] = {
    **{
        f"zip name {shown}": with_file(name)
        for shown, name in {
            "traversal": f"{DEEP}{PLANTED}.png",
            "inner traversal": f"ant/../../{PLANTED}.png",
            "back slashes": f"..\\..\\{PLANTED}.png",
            "absolute": f"/tmp/{PLANTED}.png",
            "drive": f"C:/{PLANTED}.png",
            "drive with back slashes": f"c:\\{PLANTED}.png",
            "share": f"\\\\server\\share\\{PLANTED}.png",
            "too long": "n" * 5000,
        }.items()
    },
    **{
        f"zip name {shown}": with_file(name, taken=len(PLAIN) + 1)
        for shown, name in {
            "zero byte": "ant/a\0b.png",
            "control": "ant/\x1b[2Ja\r\nb.png",
            "bidi": "ant/\u202egnp.png",
            "markup": "ant/<script>alert(1)</script>.png",
            "formula": "ant/=cmd|'/C calc'!A0.png",
            "Windows device": "ant/con.png",
            "other case": "ant/0.PNG",
            "deep": "ant/" + "d/" * 300 + "x.png",
            "stream": f"ant/a.png::$DATA{PLANTED}",
        }.items()
    },
    "the same name twice": with_file("ant/0.png"),
    "zip link": data(
        "set.zip",
        handmade_zip(
            [*members(PLAIN), {"name": b"ant/l.png", "data": b"/etc/passwd", "method": 0, "mode": 0o120777}]
        ),
        code=0,
        taken=len(PLAIN),
    ),
    "zip setuid": data(
        "set.zip",
        handmade_zip([{**member, "mode": 0o104777} for member in members(PLAIN)]),
        code=0,
        taken=len(PLAIN),
    ),
    **{
        f"tar {shown}": with_member(tar_link(f"ant/{PLANTED}.png", kind, target))
        for shown, kind, target in (
            ("symlink", tarfile.SYMTYPE, "/etc/passwd"),
            ("hardlink", tarfile.LNKTYPE, "/etc/passwd"),
            ("character device", tarfile.CHRTYPE, ""),
            ("block device", tarfile.BLKTYPE, ""),
            ("pipe", tarfile.FIFOTYPE, ""),
        )
    },
    "tar traversal": with_member(tar_member(f"{DEEP}{PLANTED}.png", picture(99))),
    "tar absolute": with_member(
        extended(record("path", f"/tmp/{PLANTED}.png")) + tar_member("x", picture(99))
    ),
    "tar through a link": data("set.tar", through_link, code=0, taken=len(PLAIN) + 1),
    "tar negative size": data("set.tar", tarred(PLAIN, tar_member("ant/n.png", b"x", size=b"-0000001000\0"))),
    "tar sizes that lie": data("set.tar", tarred(PLAIN, tar_member("ant/n.png", size=b"77777777777\0"))),
    "zip names that are no Unicode": data(
        "set.zip",
        handmade_zip([*members(PLAIN), {"name": b"ant/\xff\xfe.png", "data": picture(99), "flags": 0}]),
        code=0,
        taken=len(PLAIN) + 1,
    ),
    "zip names that say they are Unicode": data(
        "set.zip", handmade_zip([*members(PLAIN), {"name": b"ant/\xff\xfe.png", "data": picture(99)}])
    ),
    "zip in zip": with_file("ant/inner.zip", nested(1)),
    "zips all the way down": data("set.zip", nested(20), words="archive inside"),
    "a bomb among images": data("set.zip", zeros_zip(100_000_000), words="times its size"),
    "a bomb over the limit": data(
        "set.zip",
        handmade_zip([{"name": b"ant/%d.png" % i, "data": bytes(900_000)} for i in range(12)]),
        words="unpacks to more",
        limits=(("MAX_UNPACKED_BYTES", "5000000"),),
    ),
    "a bomb that lies": data(
        "set.zip",
        handmade_zip([*members(PLAIN), {"name": b"ant/z.png", "data": bytes(10**8), "size": 99, "crc": 0}]),
        code=0,
        taken=len(PLAIN),
    ),
    "a bomb in a gz": data("set.tgz", gzip.compress(tarred({}, tar_member("ant/z.png", bytes(60 * 2**20))))),
    "overlapping": data("set.zip", handmade_zip(members(PLAIN), listed=300), words="overlap"),
    "too many": data(
        "set.zip",
        handmade_zip([{"name": b"ant/%d.png" % i} for i in range(300)]),
        limits=(("MAX_ENTRIES", "99"),),
    ),
    "too many classes": data(
        "set.zip",
        handmade_zip(members({f"c{i}/0.png": picture(i) for i in range(12)})),
        words="class folders",
        limits=(("MAX_CLASSES", "5"),),
    ),
    **{
        f"{shown}, cut": data(name, whole[: len(whole) * 2 // 3])
        for shown, name, whole in (
            ("zip", "set.zip", handmade_zip(members(PLAIN))),
            ("gz", "set.tgz", gzip.compress(tarred(PLAIN))),
        )
    },
    **{
        f"no archive: {shown}": data(name, content)
        for shown, name, content in (
            ("empty", "set.zip", b""),
            ("text", "set.zip", b"hello"),
            ("zip by name", "set.zip", b"PK\3\4 not really"),
            ("gz by name", "set.tgz", b"\x1f\x8b broken"),
            ("one image", "set.zip", picture(1)),
            ("page", "set.zip", b"<html><script>alert(1)</script></html>"),
            ("pickle", "set.zip", pickle.dumps({"a": 1})),
            ("rar", "set.rar", b"Rar!\x1a\x07\0" + bytes(99)),
            ("7z", "set.zip", b"7z\xbc\xaf\x27\x1c" + bytes(99)),
            ("nothing inside", "set.zip", handmade_zip([])),
            ("one image inside", "set.zip", handmade_zip(members({"ant/a.png": picture(1)}))),
            ("no images inside", "set.zip", handmade_zip(members({"ant/a.txt": b"hello"}))),
        )
    },
    "a tar named zip": data("set.zip", tarred(PLAIN), code=0, taken=len(PLAIN)),
    "a zip named jpg": data("set.jpg", handmade_zip(members(PLAIN)), code=0, taken=len(PLAIN)),
    "an odd name": data("\u202egpj.\x1b[2J <b>.zip", b"hello"),
    "a long name": data("n" * 250, b"hello"),
    "no file": Case(lambda folder: ["data", "add", "nowhere.zip"], words="nowhere.zip"),
    "a name no file can have": Case(lambda folder: ["data", "add", "x" * 5000]),
    "a zero byte in the name": Case(lambda folder: ["data", "add", "a\0b.zip"]),
    "the whole disk": Case(lambda folder: ["data", "add", "/"]),
    "the system": Case(lambda folder: ["data", "add", "/proc"]),
    "a device": Case(lambda folder: ["data", "add", "/dev/zero"]),
    "a pipe": Case(lambda folder: [os.mkfifo(folder / "pipe.zip") or "data", "add", "pipe.zip"]),
    "the workspace": Case(lambda folder: ["data", "add", os.environ["REPLAB_WORKSPACE"] + "/.."]),
    "a folder of links": Case(folder_of(_links), code=0, taken=len(PLAIN)),
    "a folder of odd files": Case(folder_of(_odd_files), code=0, taken=len(PLAIN) + 1),
    **{
        f"data option {' '.join(options)[:40]}": Case(
            lambda folder, options=options: [
                *(
                    "data",
                    "add",
                    (folder / "set.zip").write_bytes(handmade_zip(members(PLAIN))) and "set.zip",
                ),
                *options,
            ]
        )
        for options in (
            ["--val-fraction", "nan"],
            ["--val-fraction", "1e999"],
            ["--test-fraction", "-0.1"],
            ["--val-fraction", "x" * 900],
            ["--seed", "9" * 5000],
            ["--name", " \u202e\x00"],
        )
    },
}


def noise(shape: tuple[int, ...], kind: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(5).integers(0, 200, shape).astype(kind)


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(noise((8, 20, 3)), "JPEG", exif=exif)


def clear_palette() -> bytes:
    return saved(Image.fromarray(noise((9, 9)) % 4, "P"), "GIF", transparency=1)


JPEG = saved(noise((60, 60, 3)), "JPEG")
CMYK = Image.frombytes("CMYK", (30, 20), noise((20, 30, 4)).tobytes())
FRAMES = [Image.fromarray(noise((9, 9)) + i) for i in range(20)]
ONE_MORE = len(PLAIN) + 1
IMAGES: dict[str, Case] = {
    **{
        f"image: {shown}": with_file("ant/odd.png", content, taken=ONE_MORE)
        for shown, content in {
            "one pixel": saved(noise((1, 1, 3)), "PNG"),
            "one row": saved(noise((1, 3000, 3)), "PNG"),
            "100,000 wide": saved(noise((2, 100_000)), "PNG"),
            "animated GIF": saved(FRAMES[0], "GIF", save_all=True, append_images=FRAMES),
            "CMYK": saved(CMYK, "JPEG"),
            "16 bit": png(noise((9, 9), np.uint16) * 300, 0, 16),
            "turned": turned(),
            "palette with a clear colour": clear_palette(),
            "JPEG named png": JPEG,
            "trailing page": saved(noise((9, 9, 3)), "PNG") + b"<html><script>alert(1)</script>",
        }.items()
    },
    **{
        f"no image: {shown}": with_file(name, content)
        for shown, name, content in (
            ("cut JPEG", "ant/odd.jpg", JPEG[:-500]),
            ("JPEG header alone", "ant/odd.jpg", JPEG[:30]),
            ("empty", "ant/odd.png", b""),
            ("page", "ant/odd.png", b"<!doctype html><script>alert(1)</script>"),
            ("pickle", "ant/odd.png", pickle.dumps([1])),
            ("zeros", "ant/odd.png", bytes(10_000)),
            ("over the pixel limit", "ant/odd.png", VAST["png"]),
            *((f"vast {kind}", "ant/odd", content) for kind, content in VAST.items()),
            *((f"{kind} named png", "ant/odd.png", content) for kind, (_, content) in PROGRAMS.items()),
        )
    },
    "image: one image of 59 million pixels": with_file(
        "ant/odd.png", saved(Image.new("RGB", (7700, 7700), "red"), "PNG"), taken=ONE_MORE
    ),
}


def tensors(**change: Any) -> dict[str, torch.Tensor]:
    """Weights that fit, but for the changes; None leaves a tensor out."""
    torch.manual_seed(0)
    state = {name: torch.rand(t.shape) for name, t in skeleton(ARCH).state_dict().items() if t.ndim}
    state.update(change)
    return {name: tensor for name, tensor in state.items() if tensor is not None}


FIRST = next(iter(tensors()))


def st(header: bytes | dict[str, Any], body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def pth(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def weights(name: str, content: bytes | Callable[[Path], bytes], **more: Any) -> Case:
    def make(folder: Path) -> Argv:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content(folder))
        return ["weights", "add", name, "--arch", ARCH]

    return Case(make, **more)


class Planting:
    """A pickle that writes a file while it is read."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / f"{PLANTED}.txt")

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


def broken(value: float) -> bytes:
    state = tensors()
    state[FIRST] = state[FIRST].clone()
    state[FIRST].view(-1)[0] = value
    return save(state)


def entry(dtype: str = "F32", shape: list[int] | None = None, end: int = 4) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [1] if shape is None else shape, "data_offsets": [0, end]}


GOOD = save(tensors())
WEIGHTS: dict[str, Case] = {
    "weights: good": weights("w.safetensors", GOOD, code=0),
    **{
        f"weights: {shown}": weights("w.safetensors", content)
        for shown, content in {
            "pickle by another name": pth(tensors()),
            "header of 2 GB": struct.pack("<Q", 2 * 2**30) + b"{}" * 500,
            "header of 2^64": b"\xff" * 100,
            "header of 50 MB": st(b'{"__metadata__":{"a":"' + b"x" * 50_000_000 + b'"}}'),
            "header that is a list": st(b"[]"),
            "header cut": GOOD[:200],
            "data cut": GOOD[:-10],
            "more data": GOOD + b"x" * 99,
            "deep header": st(b'{"a":' * 5000),
            "overlap": st({"a": entry(), "b": entry()}, bytes(4)),
            "beyond the end": st({"a": entry(shape=[10**9], end=4 * 10**9)}, bytes(4)),
            "shape overflow": st({"a": entry(shape=[2**40, 2**40])}, bytes(4)),
            "negative shape": st({"a": entry(shape=[-1])}, bytes(4)),
            "no tensors": st({}),
            "unknown type": st({"a": entry("PICKLE")}, bytes(4)),
            "odd names": st({"\u202e\x1b[2J\n" + "n" * 5000: entry()}, bytes(4)),
            "many tensors": st({f"t{i}": entry(shape=[0], end=0) for i in range(20_000)}),
            "not a number": broken(float("nan")),
            "infinity": broken(float("inf")),
            "beyond 32 bits": save(
                tensors(**{FIRST: torch.full_like(tensors()[FIRST], 1e300, dtype=torch.float64)})
            ),
            "another shape": save(tensors(**{FIRST: torch.zeros(3)})),
            "one missing": save(tensors(**{FIRST: None})),
            "one too many": save(tensors(extra=torch.zeros(3))),
            "the same twice": save(tensors(**{f"module.{FIRST}": torch.zeros_like(tensors()[FIRST])})),
            "whole numbers": save(tensors(**{FIRST: tensors()[FIRST].long()})),
            "eighth of a number": save(tensors(**{FIRST: tensors()[FIRST].to(torch.float8_e5m2)})),
            "empty": b"",
            "text": b"hello",
        }.items()
    },
    "weights: saved object that plants": weights("w.pth", lambda folder: pth({"a": Planting(folder)})),
    "weights: another ending": weights("w.bin", GOOD),
    "weights: script": weights("w.pt", lambda folder: b"PK\3\4" + bytes(99)),
    "weights: odd file name": weights("\x1b[2J\u202e" + "n" * 200 + ".safetensors", b"x"),
    "weights: no file": Case(lambda folder: ["weights", "add", "no.pth", "--arch", ARCH], words="no.pth"),
    "weights: a folder": Case(lambda f: [(f / "w.pth").mkdir() or "weights", "add", "w.pth", "--arch", ARCH]),
    "weights: a pipe": Case(lambda f: [os.mkfifo(f / "w.pth") or "weights", "add", "w.pth", "--arch", ARCH]),
    "weights: impossible name": Case(lambda f: ["weights", "add", "x" * 5000 + ".pth", "--arch", ARCH]),
    "weights: zero byte": Case(lambda f: ["weights", "add", "a\0.pth", "--arch", ARCH]),
    "weights: no such network": Case(lambda f: ["weights", "add", "w.pth", "--arch", "../" * 900]),
}

TRAIN = ["train", "classification", "--data", "digits-of-mine"]
FIELDS: dict[str, Any] = {
    "dataset": "digits-of-mine",
    "method": "classification",
    "backbone": "random:cnn-small",
    "image_size": 32,
    "config": {"epochs": 3},
}


def recipe(content: bytes | str | dict[str, Any], *more: str) -> Case:
    if isinstance(content, dict):
        content = json.dumps({**FIELDS, **content})

    def make(folder: Path) -> Argv:
        (folder / "recipe.json").write_bytes(content if isinstance(content, bytes) else content.encode())
        return ["train", "--recipe", "recipe.json", *more]

    return Case(make)


RECIPES: dict[str, Case] = {
    **{
        f"--set {pair[:40]}": Case(lambda folder, pair=pair: [*TRAIN, "--set", pair])
        for pair in (
            *("learning_rate=nan", "learning_rate=NaN", "learning_rate=inf", "learning_rate=-Infinity"),
            *("learning_rate=1e999", "learning_rate=-1", "learning_rate=[1]", 'learning_rate={"a":1}'),
            *("epochs=1e999", "epochs=" + "9" * 4000, "epochs=" + "9" * 9000, "epochs=2.5", "epochs=true"),
            *("epochs=null", "epochs=", "epochs", "=1", "epochs=" + "[" * 90_000, "epochs=0x10"),
            *("nonsense=1", "__class__=1", "x" * 5000 + "=1", "\x1b[2J\u202e=1", "epochs\0=1", "self=1"),
            *("mode=" + "x" * 5000, "mode=__import__('os')", "optimizer=torch.optim.SGD", "cls=1"),
        )
    },
    **{
        f"option {' '.join(options)[:40]}": Case(lambda folder, options=options: [*TRAIN, *options])
        for options in (
            ["--seed", "-1"],
            ["--seed", "9" * 5000],
            ["--seed", "nan"],
            ["--image-size", "1000000"],
            ["--backbone", "hf-hub:evil/net"],
            ["--backbone", "random:" + "x" * 5000],
            ["--backbone", "file:../../etc"],
            ["--backbone", "http://127.0.0.1/x"],
            ["--preset", "x" * 5000],
            ["x" * 5000],
            ["--" + "x" * 5000],
        )
    },
    **{
        f"recipe: {shown}": recipe(content)
        for shown, content in {
            "empty": b"",
            "a list": b"[1, 2]",
            "text": b"hello",
            "null": b"null",
            "deep list": b"[" * 60_000,
            "deep object": b'{"config":' * 6000,
            "50 MB": b'{"dataset": "' + b"x" * 50_000_000 + b'"}',
            "twice": b'{"dataset": "a", "dataset": "b"}',
            "wrong Unicode": b'{"dataset": "\xff\xfe"}',
            "UTF-16": json.dumps(FIELDS).encode("utf-16"),
            "lone surrogate": b'{"dataset": "\\ud800", "method": "\\udfff", "image_size": 32}',
            "zero bytes": bytes(500),
            "NaN": b'{"seed": NaN}',
            "1e999": json.dumps(FIELDS).replace("3", "1e999"),
            "long number": json.dumps(FIELDS).replace("32", "9" * 5000),
            "zip": handmade_zip([]),
            "pickle": pickle.dumps(FIELDS),
            "yaml": b"!!python/object/apply:os.system ['true']",
            "unknown field": {"command": "rm"},
            "unknown setting": {"config": {"x" * 60: 1}},
            "bounds": {"config": {"epochs": 0}},
            "nested": {"config": {"a": {"b": [1]}}},
            "path for data": {"dataset": "../../etc"},
            "dotted method": {"method": "os.system"},
            "url": {"backbone": "http://127.0.0.1/x"},
            "many settings": {"config": {f"a{i}": 1 for i in range(3000)}},
            "other data": {"fingerprint": "0" * 32},
            "no such data": {"dataset": "nowhere"},
            "true for a number": {"config": {"epochs": True}},
        }.items()
    },
    "recipe: no file": Case(lambda folder: ["train", "--recipe", "no.json"], words="no.json"),
    "recipe: a folder": Case(lambda folder: ["train", "--recipe", "/"]),
    "recipe: a device": Case(lambda folder: ["train", "--recipe", "/dev/zero"]),
    "recipe: a pipe": Case(lambda f: [os.mkfifo(f / "r.json") or "train", "--recipe", "r.json"]),
    "recipe: impossible name": Case(lambda folder: ["train", "--recipe", "x" * 5000]),
    "recipe: zero byte": Case(lambda folder: ["train", "--recipe", "a\0b"]),
}

CASES = {**ARCHIVES, **IMAGES, **WEIGHTS, **RECIPES}
