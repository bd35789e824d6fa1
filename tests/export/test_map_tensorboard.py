"""The folder for TensorBoard's projector: read back by protobuf's own parser and plain loops."""

from __future__ import annotations

import io
import math
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from PIL import Image

from engine.data.dataset import remove_dataset
from engine.data.progress import Progress
from engine.errors import UserError
from engine.export import map_tensorboard
from engine.export.map_tensorboard import (
    MOST_PIXELS,
    MOST_SIDE,
    thumb_side,
    write_projector,
    write_projector_run,
)
from engine.settings import settings
from tests.export.map_runs import HOSTILE, NAMES, colour, coloured_set, map_of, map_run

STRING, UNSIGNED, MESSAGE = 9, 13, 11  # of protobuf's field types
FIELDS: dict[str, list[tuple[str, int, int, bool]]] = {  # name, number, type, repeated
    "SpriteMetadata": [("image_path", 1, STRING, False), ("single_image_dim", 2, UNSIGNED, True)],
    "EmbeddingInfo": [
        ("tensor_name", 1, STRING, False),
        ("metadata_path", 2, STRING, False),
        ("tensor_shape", 4, UNSIGNED, True),
        ("sprite", 5, MESSAGE, False),
        ("tensor_path", 6, STRING, False),
    ],
    "ProjectorConfig": [("embeddings", 2, MESSAGE, True)],
}
INNER = {"sprite": ".lab.SpriteMetadata", "embeddings": ".lab.EmbeddingInfo"}


def parsed(text: str) -> Any:
    """The config as a message of the fields that projector_config.proto numbers."""
    file = descriptor_pb2.FileDescriptorProto(name="lab.proto", package="lab", syntax="proto3")
    for name, fields in FIELDS.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            label = 3 if repeated else 1
            message.field.add(name=field, number=number, type=kind, label=label, type_name=INNER.get(field))
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    config = message_factory.GetMessageClass(pool.FindMessageTypeByName("lab.ProjectorConfig"))()
    return text_format.Parse(text, config)


def folder_of(run: str) -> dict[str, bytes]:
    """The files by name."""
    file = io.BytesIO()
    write_projector(map_of(run), file)
    with zipfile.ZipFile(file) as folder:
        assert folder.testzip() is None
        names = [Path(name) for name in folder.namelist()]
        assert {str(name.parent) for name in names} == {"projector"}
        return {name.name: folder.read(name.as_posix()) for name in names}


def table(data: bytes) -> list[list[str]]:
    text = data.decode()
    assert text.endswith("\n") and "\r" not in text
    return [line.split("\t") for line in text[:-1].split("\n")]


def test_the_config_names_files_that_are_there_with_their_shapes(workspace: Path) -> None:
    files = folder_of(map_run(coloured_set()))
    config = parsed(files["projector_config.pbtxt"].decode())
    assert [info.tensor_name for info in config.embeddings] == ["original_space", "pca", "isomap"]
    for info in config.embeddings:
        rows = table(files[info.tensor_path])
        assert list(info.tensor_shape) == [len(rows), len(rows[0])] and len(rows) == 24
        assert info.metadata_path in files and info.sprite.image_path in files
    assert files.keys() == {
        "projector_config.pbtxt", "README.txt", "metadata.tsv", "sprite.png",
        *(info.tensor_path for info in config.embeddings),
    }  # fmt: skip


def test_features_that_must_be_computed_anew_are_told_as_they_come(workspace: Path, tmp_path: Path) -> None:
    run = map_run(coloured_set())
    shutil.rmtree(settings().cache, ignore_errors=True)  # the pixels that were read lie there
    told: list[Progress] = []
    write_projector_run(run, tmp_path / "folder.zip", told.append)
    assert [one.phase for one in told if one.total][-1:] == ["reading images"]
    assert told[-1].phase == "writing the folder"
    with zipfile.ZipFile(tmp_path / "folder.zip") as folder:
        assert "projector/original_space.tsv" in folder.namelist()
    with pytest.raises(UserError, match="no panel yet"):
        write_projector_run(map_run(coloured_set(), ["pca"], failed="pca"), tmp_path / "none.zip")
    assert not (tmp_path / "none.zip").exists()


def test_tensors_give_the_same_float32_again(workspace: Path) -> None:
    from engine.evaluation.latent_map import space_of

    run = map_run(coloured_set())
    files, found = folder_of(run), map_of(run)
    for panel in found.done:
        assert panel.positions is not None
        np.testing.assert_array_equal(
            np.array(table(files[f"{panel.method}.tsv"]), np.float32), panel.positions
        )
    space = np.array(table(files["original_space.tsv"]), np.float32)
    np.testing.assert_array_equal(space, space_of(found.recipe, found.index).x)
    pixel = np.array(colour(int(found.index[5])), np.float32) / np.float32(255)
    np.testing.assert_array_equal(space[5], np.tile(pixel, 8 * 8))


@pytest.mark.parametrize("value", [1 / 3, 1e-30, -2.5e20, 16777217.0, 1.1754944e-38, 0.1])
def test_any_number_survives_the_text(value: float) -> None:
    tensor = np.array([[value, -value]], np.float32)
    text = bytes(map_tensorboard._tensor(tensor))
    np.testing.assert_array_equal(np.array(table(text), np.float32), tensor)


def test_metadata_has_a_line_a_point_and_no_name_breaks_it(workspace: Path) -> None:
    dataset = coloured_set(24, HOSTILE)
    run = map_run(dataset)
    head, *rows = table(folder_of(run)["metadata.tsv"])
    found = map_of(run)
    assert head == ["class", "cluster", "split", "image", "name"]
    assert len(rows) == 24 and {len(row) for row in rows} == {5}
    assert [int(row[3]) for row in rows] == found.index.tolist()
    assert {row[0] for row in rows} == {HOSTILE[0], HOSTILE[1], "tab here line end"}
    assert [row[2] for row in rows] == ["train" if code == 0 else "val" for code in found.split]
    assert all(all(row) for row in rows), "an empty cell could be an empty line"


@pytest.mark.parametrize(("n", "in_row"), [(24, 5), (25, 5), (26, 6)])
def test_the_sprite_is_a_square_row_by_row(workspace: Path, n: int, in_row: int) -> None:
    run = map_run(coloured_set(n))
    files = folder_of(run)
    side = parsed(files["projector_config.pbtxt"].decode()).embeddings[0].sprite.single_image_dim
    sprite = np.asarray(Image.open(io.BytesIO(files["sprite.png"])))
    assert list(side) == [32, 32] and sprite.shape == (32 * in_row, 32 * in_row, 3)
    for row, image in enumerate(map_of(run).index):
        y, x = 32 * (row // in_row), 32 * (row % in_row)
        np.testing.assert_array_equal(
            sprite[y : y + 32, x : x + 32], np.full((32, 32, 3), colour(int(image)))
        )
    assert not sprite[-32:, -32:].any() or n == in_row**2


@pytest.mark.parametrize("n", [1, 5, 2000, 30_000, 60_000])
def test_a_sprite_never_exceeds_what_the_projector_takes(workspace: Path, n: int) -> None:
    side = thumb_side(coloured_set(6, side=64), n) * math.ceil(math.sqrt(n))
    assert 0 < side <= MOST_SIDE and side**2 <= MOST_PIXELS


def test_a_space_too_large_for_text_is_left_out_and_the_folder_says_so(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = map_run(coloured_set())
    monkeypatch.setattr(map_tensorboard, "MOST_VALUES", 24 * 192 - 1)
    files = folder_of(run)
    assert (
        "original_space.tsv" not in files and "original_space" not in files["projector_config.pbtxt"].decode()
    )
    assert "The original space is not here: 24 points of 192 numbers" in files["README.txt"].decode()


def test_without_its_data_set_a_map_has_its_panels_only(workspace: Path) -> None:
    dataset = coloured_set()
    run = map_run(dataset)
    remove_dataset(dataset.id)
    files = folder_of(run)
    assert files.keys() == {"projector_config.pbtxt", "README.txt", "metadata.tsv", "pca.tsv", "isomap.tsv"}
    assert "sprite" not in files["projector_config.pbtxt"].decode()
    assert "the data set is gone" in files["README.txt"].decode()
    assert {row[0] for row in table(files["metadata.tsv"])[1:]} == {f"class {i}" for i in range(len(NAMES))}
