"""The catalog: built without a network where it says so, downloaded from a server of our own where not."""

from __future__ import annotations

import functools
import gzip
import hashlib
import io
import pickle
import socket
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from engine.data import downloads
from engine.data.catalog import CATALOG, build_catalog_set, find_catalog_set
from engine.data.progress import Progress, Stopped
from engine.errors import UserError


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder; a name with "short" in it is promised whole and cut."""

    def log_message(self, *args: Any) -> None: ...

    def copyfile(self, source: Any, outputfile: Any) -> None:
        data = source.read()
        outputfile.write(data[: len(data) // 2] if "short" in self.path else data)
        if "short" in self.path:
            self.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address where its files are."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def left_behind(workspace: Path) -> list[str]:
    return [str(path) for path in workspace.rglob("*") if path.is_file()]


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def packed(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def photographs(path: Path) -> Path:
    random = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for place in ("train/ants", "train/bees", "val/ants", "val/bees"):
            for i in range(3):
                file = io.BytesIO()
                Image.fromarray(random.integers(0, 255, (40, 60, 3), np.uint8)).save(file, "PNG")
                archive.writestr(f"hymenoptera_data/{place}/{i}.png", file.getvalue())
    return path


def idx(path: Path, values: np.ndarray) -> None:
    """MNIST's file format: two zeros, the type, the number of axes, their lengths, the values."""
    head = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    path.write_bytes(gzip.compress(head + values.astype(np.uint8).tobytes()))


@pytest.fixture
def small_mnist(served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    from torchvision.datasets import MNIST

    folder, address = served
    random = np.random.default_rng(1)
    arrays = {
        "train-images-idx3-ubyte": random.integers(0, 255, (200, 28, 28)),
        "train-labels-idx1-ubyte": np.arange(200) % 10,
        "t10k-images-idx3-ubyte": random.integers(0, 255, (30, 28, 28)),
        "t10k-labels-idx1-ubyte": np.arange(30)[::-1] % 10,
    }
    for name, values in arrays.items():
        idx(folder / f"{name}.gz", values)
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/", address])
    resources = [(f"{name}.gz", md5(folder / f"{name}.gz")) for name in arrays]
    monkeypatch.setattr(MNIST, "resources", resources)
    return arrays


def test_every_set_is_described_and_the_built_in_ones_need_no_network() -> None:
    assert {
        "shapes",
        "digits",
        "ants-bees",
        "mnist",
        "fashion-mnist",
        "cifar10",
        "stl10",
        "flowers102",
    } <= set(CATALOG)
    for name, entry in CATALOG.items():
        assert entry.name == name and entry.title and entry.description.endswith(".")
        assert entry.classes >= 2 and entry.images > entry.classes and entry.source and entry.licence
        assert entry.needs_network == (not name.startswith(("shapes", "digits")))


def test_digits_are_built_without_a_network(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("asked for the network")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert find_catalog_set("digits") is None
    dataset = build_catalog_set("digits")
    assert dataset.n == CATALOG["digits"].images == 1797 and len(dataset.classes) == 10
    assert find_catalog_set("digits") == dataset.id == "digits"
    assert build_catalog_set("digits").fingerprint == dataset.fingerprint


def test_ants_and_bees_come_with_progress_and_only_once(
    workspace: Path, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, address = served
    size = photographs(folder / "set.zip").stat().st_size
    monkeypatch.setattr(downloads, "ANTS_BEES", f"{address}set.zip")
    told: list[Progress] = []
    dataset = build_catalog_set("ants-bees", told.append)
    assert dataset.id == "ants-bees" and dataset.name == "Ants and bees"
    assert dataset.counts() == {"train": {"ants": 3, "bees": 3}, "val": {"ants": 3, "bees": 3}}
    coming = [progress for progress in told if progress.phase == "downloading"]
    assert (coming[-1].done, coming[-1].total) == (size, size)
    (folder / "set.zip").unlink()
    assert build_catalog_set("ants-bees").fingerprint == dataset.fingerprint
    assert not any((workspace / "tmp").iterdir())


def test_mnist_comes_from_the_mirror_that_answers(
    workspace: Path, small_mnist: dict[str, np.ndarray]
) -> None:
    dataset = build_catalog_set("mnist")
    sizes = {split: sum(of.values()) for split, of in dataset.counts().items()}
    assert sizes == {"train": 180, "val": 20, "test": 30}
    assert dataset.classes == tuple("0123456789") and set(dataset.counts()["val"].values()) == {2}
    test = dataset.indices("test")
    assert np.array_equal(dataset.labels[test], small_mnist["t10k-labels-idx1-ubyte"])
    shown = np.asarray(dataset.image(int(test[4])))
    assert np.array_equal(shown[..., 0], small_mnist["t10k-images-idx3-ubyte"][4])
    assert not any((workspace / "tmp").iterdir())


def test_cifar_classes_are_put_in_alphabetical_order(
    workspace: Path, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import CIFAR10

    folder, address = served
    images = np.random.default_rng(2).integers(0, 255, (40, 3072), np.uint8)
    labels = [i % 2 for i in range(40)]
    members = {
        "data_batch_1": pickle.dumps({"data": images[:30], "labels": labels[:30]}),
        "test_batch": pickle.dumps({"data": images[30:], "labels": labels[30:]}),
        "batches.meta": pickle.dumps({"label_names": ["zebra", "ant"]}),
    }
    packed(
        folder / CIFAR10.filename, {f"{CIFAR10.base_folder}/{name}": data for name, data in members.items()}
    )
    sums = {name: hashlib.md5(data).hexdigest() for name, data in members.items()}
    monkeypatch.setattr(CIFAR10, "url", f"{address}{CIFAR10.filename}")
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(folder / CIFAR10.filename))
    monkeypatch.setattr(CIFAR10, "train_list", [["data_batch_1", sums["data_batch_1"]]])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    meta = {"filename": "batches.meta", "key": "label_names", "md5": sums["batches.meta"]}
    monkeypatch.setattr(CIFAR10, "meta", meta)
    dataset = build_catalog_set("cifar10")
    assert dataset.classes == ("ant", "zebra")
    test = dataset.indices("test")
    assert dataset.labels[test].tolist() == [1 - label for label in labels[30:]]
    assert np.array_equal(
        np.asarray(dataset.image(int(test[0]))), images[30].reshape(3, 32, 32).transpose(1, 2, 0)
    )


def test_stl_images_are_upright_and_its_labels_begin_at_nought(
    workspace: Path, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from torchvision.datasets import STL10

    folder, address = served
    images = np.random.default_rng(3).integers(0, 255, (24, 96, 96, 3), np.uint8)
    stored = images.transpose(0, 3, 2, 1)  # the publisher keeps columns first
    labels = (np.arange(24) % 2 + 1).astype(np.uint8)
    members = {
        "train_X.bin": stored[:20].tobytes(),
        "train_y.bin": labels[:20].tobytes(),
        "unlabeled_X.bin": b"",
        "test_X.bin": stored[20:].tobytes(),
        "test_y.bin": labels[20:].tobytes(),
        "class_names.txt": b"airplane\nbird\n",
    }
    packed(folder / STL10.filename, {f"{STL10.base_folder}/{name}": data for name, data in members.items()})
    sums = [[name, hashlib.md5(data).hexdigest()] for name, data in members.items()]
    monkeypatch.setattr(STL10, "url", f"{address}{STL10.filename}")
    monkeypatch.setattr(STL10, "tgz_md5", md5(folder / STL10.filename))
    monkeypatch.setattr(STL10, "train_list", sums[:3])
    monkeypatch.setattr(STL10, "test_list", sums[3:5])
    dataset = build_catalog_set("stl10")
    assert dataset.classes == ("airplane", "bird")
    test = dataset.indices("test")
    assert dataset.labels[test].tolist() == [0, 1, 0, 1]
    assert np.array_equal(np.asarray(dataset.image(int(test[1]))), images[21])


def test_flowers_keep_the_splits_of_their_publisher(
    workspace: Path, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from scipy.io import savemat
    from torchvision.datasets import Flowers102

    folder, address = served
    colours = np.random.default_rng(4).integers(0, 255, (6, 3))
    photos = {}
    for i, colour in enumerate(colours, 1):
        file = io.BytesIO()
        Image.new("RGB", (40, 30), tuple(colour.tolist())).save(file, "JPEG")
        photos[f"jpg/image_{i:05d}.jpg"] = file.getvalue()
    packed(folder / "102flowers.tgz", photos)
    savemat(folder / "imagelabels.mat", {"labels": [1, 2, 1, 2, 2, 1]})
    savemat(folder / "setid.mat", {"trnid": [5, 6], "valid": [3, 4], "tstid": [1, 2]})
    names = {"image": "102flowers.tgz", "label": "imagelabels.mat", "setid": "setid.mat"}
    monkeypatch.setattr(Flowers102, "_download_url_prefix", address)
    known = {kind: (name, md5(folder / name)) for kind, name in names.items()}
    monkeypatch.setattr(Flowers102, "_file_dict", known)
    dataset = build_catalog_set("flowers102")
    assert len(dataset.classes) == 102 and list(dataset.classes) == sorted(dataset.classes)
    found = {
        split: [dataset.classes[dataset.labels[i]] for i in dataset.indices(split)]
        for split in ("train", "val", "test")
    }
    one, two = "pink primrose", "hard-leaved pocket orchid"
    assert found == {"train": [two, one], "val": [one, two], "test": [one, two]}
    shown = np.asarray(dataset.image(int(dataset.indices("train")[0]))).mean(axis=(0, 1))
    assert np.abs(shown - colours[4]).max() < 4


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/set.zip", "http://no-such-host.invalid/set.zip"])
def test_without_a_network_it_is_one_sentence(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(downloads, "ANTS_BEES", address)
    with pytest.raises(UserError, match="no way to its server.*Shapes or Digits") as refused:
        build_catalog_set("ants-bees")
    assert len(str(refused.value)) <= 300 and not left_behind(workspace)


def test_a_server_that_refuses_is_named_by_its_answer(
    workspace: Path, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "ANTS_BEES", f"{served[1]}missing.zip")
    with pytest.raises(UserError, match="404"):
        build_catalog_set("ants-bees")
    assert not left_behind(workspace)


def test_a_download_cut_short_leaves_nothing(
    workspace: Path, served: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    photographs(served[0] / "short.zip")
    monkeypatch.setattr(downloads, "ANTS_BEES", f"{served[1]}short.zip")
    with pytest.raises(UserError, match="Ants and bees|archive"):
        build_catalog_set("ants-bees")
    assert find_catalog_set("ants-bees") is None and not left_behind(workspace)


def test_another_file_than_the_known_one_is_never_read(
    workspace: Path, served: tuple[Path, str], small_mnist: dict[str, np.ndarray]
) -> None:
    idx(served[0] / "t10k-labels-idx1-ubyte.gz", np.zeros(30))
    with pytest.raises(UserError, match="MNIST arrived damaged: try again"):
        build_catalog_set("mnist")
    assert find_catalog_set("mnist") is None and not left_behind(workspace)


@pytest.mark.parametrize("after", [0, 100])
def test_stopping_leaves_nothing(workspace: Path, small_mnist: dict[str, np.ndarray], after: int) -> None:
    """At the first block that comes, and among the images."""
    asked = iter(range(10_000))
    with pytest.raises(Stopped):
        build_catalog_set("mnist", stop=lambda: next(asked) >= after)
    assert find_catalog_set("mnist") is None and not left_behind(workspace)
