"""Checkpoints, kept weights and metrics that were cut, zeroed or flipped: what is whole is used."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.data.dataset import Dataset
from engine.errors import UserError
from engine.models.encoder import build_encoder
from engine.models.loading import read_safetensors
from engine.runs import layout, reading
from engine.runs.executors import InlineExecutor
from engine.runs.store import RunStore
from engine.runs.writer import RunWriter
from engine.training.checkpoint import load_checkpoint, save_checkpoint, save_tensors
from engine.training.trained import predict
from tests.faults.conftest import carried_out, tiny
from tests.pages.made import open_page, words

EPOCHS = 3


@pytest.fixture
def half_done(shapes: Dataset) -> str:
    """A run that was stopped after its second epoch."""
    store = RunStore()

    def stopping(recipe, writer: RunWriter) -> None:  # type: ignore[no-untyped-def]
        from engine.training.carry_out import carry_out

        real = writer.metric
        writer.metric = lambda row: (real(row), row.get("epoch") == 2 and writer.stop_event.set())  # type: ignore[assignment, method-assign, func-returns-value]
        carry_out(recipe, writer)

    run_id = carried_out(tiny(shapes, EPOCHS), stopping)
    assert load_checkpoint(store.folder(run_id) / layout.CHECKPOINT)["epoch"] in (1, 2)  # type: ignore[index]
    return run_id


def cut(part: int) -> Callable[[bytes], bytes]:
    return lambda data: data[: len(data) * part // 10]


def zero_block(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(4096) + data[middle + 4096 :]


def flip_bit(data: bytes) -> bytes:
    return data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 64]) + data[len(data) // 2 + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    **{f"cut at {part}/10": cut(part) for part in range(10)},  # the first is a file of 0 bytes
    "a byte short": lambda data: data[:-1],
    "a zeroed block": zero_block,
    "a flipped bit": flip_bit,
    "zeros of the same length": lambda data: bytes(len(data)),
}


def test_a_damaged_checkpoint_is_told_and_the_results_stay(half_done: str) -> None:
    store, folder = RunStore(), RunStore().folder(half_done)
    whole, curve = (folder / layout.CHECKPOINT).read_bytes(), store.curve(half_done)
    kept = (folder / layout.BEST).read_bytes()
    for kind, hurt in DAMAGE.items():
        (folder / layout.CHECKPOINT).write_bytes(hurt(whole))
        InlineExecutor(store).submit(half_done)
        run = store.get(half_done)
        assert run.state == "failed", kind
        assert run.error and "checkpoint of this run is damaged" in run.error and "run it again" in run.error
        assert store.curve(half_done) == curve and (folder / layout.BEST).read_bytes() == kept, kind
    (folder / layout.CHECKPOINT).write_bytes(whole)
    InlineExecutor(store).submit(half_done)
    assert store.get(half_done).state == "done"
    assert [row["epoch"] for row in store.curve(half_done)["epochs"]] == [1, 2, 3]


def test_a_run_page_with_a_damaged_checkpoint_and_metrics_opens(half_done: str) -> None:
    folder = RunStore().folder(half_done)
    (folder / layout.CHECKPOINT).write_bytes(flip_bit((folder / layout.CHECKPOINT).read_bytes()))
    with open(folder / layout.METRICS, "ab") as file:
        file.write(b"\0" * 5000)
    InlineExecutor(RunStore()).submit(half_done)
    shown = open_page("transfer_learning", data="shapes", run=half_done)
    assert any("checkpoint of this run is damaged" in error.value for error in shown.error)
    assert "files are damaged" in words(shown)


def test_no_flipped_bit_of_a_checkpoint_is_taken_for_a_weight(tmp_path: Path) -> None:
    path, random_bits = tmp_path / "checkpoint.pt", random.Random(0)
    state = {"epoch": 3, "model": {"w": torch.randn(64, 64)}, "optimizer": {"m": torch.randn(99)}, "best": {}}
    save_checkpoint(path, state)
    whole, refused = path.read_bytes(), 0
    for _ in range(200):
        data, bit = bytearray(whole), random_bits.randrange(8 * len(whole))
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            found = load_checkpoint(path)
        except UserError:
            refused += 1
            continue
        assert found and found["epoch"] == 3
        assert torch.equal(found["model"]["w"], state["model"]["w"])  # type: ignore[index]
        assert torch.equal(found["optimizer"]["m"], state["optimizer"]["m"])  # type: ignore[index]
    assert refused > 150


def test_no_flipped_bit_of_kept_weights_is_taken_for_a_weight(tmp_path: Path) -> None:
    path, random_bits = tmp_path / "best.safetensors", random.Random(0)
    state = {"a.weight": torch.randn(40, 30), "b": torch.tensor(3), "c": torch.zeros(0)}
    save_tensors(path, state)
    whole = path.read_bytes()
    assert all(torch.equal(value, state[name]) for name, value in read_safetensors(path, "It").items())
    for _ in range(200):
        data, bit = bytearray(whole), random_bits.randrange(8 * len(whole))
        data[bit // 8] ^= 1 << bit % 8
        path.write_bytes(data)
        try:
            found = read_safetensors(path, "It")
        except UserError as error:
            assert "missing or damaged" in str(error)
            continue
        # a bit of the digest's own name: read as a file that has none
        assert found.keys() == state.keys() and all(torch.equal(found[k], state[k]) for k in state)


def test_predicting_and_building_on_damaged_weights_is_one_sentence(shapes: Dataset, tmp_path: Path) -> None:
    run_id, store = carried_out(tiny(shapes, 1)), RunStore()
    folder = store.folder(run_id)
    images = [shapes.image(0), shapes.image(1)]
    before = predict(run_id, images)[1]
    for name, use in (
        (layout.BEST, lambda: predict(run_id, images)),
        (layout.ENCODER, lambda: build_encoder(f"run:{run_id}", 32)),
    ):
        whole = tmp_path / name
        shutil.copy(folder / name, whole)
        for kind, hurt in DAMAGE.items():
            (folder / name).write_bytes(hurt(whole.read_bytes()))
            with pytest.raises(UserError, match="missing or damaged"):
                use()
            assert store.get(run_id).state == "done" and store.results(run_id), kind
        shutil.copy(whole, folder / name)
    assert np.array_equal(predict(run_id, images)[1], before)


def test_a_line_without_end_is_read_in_bounded_memory(shapes: Dataset) -> None:
    import tracemalloc

    folder = RunStore().create(tiny(shapes)).folder
    writer = RunWriter(folder)
    writer.metric({"kind": "epoch", "epoch": 1, "val_loss": 1.0})
    with open(folder / layout.METRICS, "ab") as file:
        for _ in range(100):
            file.write(b'{"kind":"' * 111_112)  # a megabyte, and no newline
    writer.close()
    RunWriter(folder).metric({"kind": "epoch", "epoch": 2, "val_loss": 0.5})
    tracemalloc.start()
    curve = reading.read_curve(folder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row["epoch"] for row in curve["epochs"]] == [1, 2] and curve["damaged"]
    assert peak < 5 * reading.CHUNK, f"{peak / 1e6:.0f} MB"


TAILS = {
    "half a line": b'{"kind":"epoch","epoch":3,"val_l',
    "NUL": b"\0" * 4096,
    "junk": bytes(range(1, 256)).replace(b"\n", b"") * 40,
    "an array": b"[1,2,3]",
}


@pytest.mark.parametrize("kind", TAILS)
def test_a_hurt_tail_of_the_metrics_costs_itself_only_and_the_next_writer_goes_on(
    shapes: Dataset, kind: str
) -> None:
    store = RunStore()
    run = store.create(tiny(shapes))
    writer = RunWriter(run.folder)
    for epoch in (1, 2):
        writer.metric({"kind": "epoch", "epoch": epoch, "val_loss": 1 / epoch})
    writer.close()
    with open(run.folder / layout.METRICS, "ab") as file:
        file.write(TAILS[kind])
    assert [row["epoch"] for row in store.curve(run.id)["epochs"]] == [1, 2]
    assert bool(store.damaged(run.id)) == (kind != "half a line"), (
        "half a row may be one that is being written"
    )
    writer = RunWriter(run.folder, attempt=2)
    writer.metric({"kind": "start", "epoch": 2})
    writer.metric({"kind": "epoch", "epoch": 3, "val_loss": 0.1})
    assert [row["epoch"] for row in store.curve(run.id)["epochs"]] == [1, 2, 3]


def test_a_thousand_reads_beside_an_appending_writer_of_a_damaged_file(shapes: Dataset) -> None:
    store = RunStore()
    run = store.create(tiny(shapes))
    (run.folder / layout.METRICS).write_bytes(b"\0junk\xff\n")
    done = threading.Event()

    def write() -> None:
        writer, step = RunWriter(run.folder), 0
        while not done.is_set():
            step += 1
            writer.metric({"kind": "step", "epoch": 1, "step": step, "note": "x" * (step % 700)})
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    seen: list[int] = []
    offset = bad = 0
    try:
        for _ in range(1000):
            rows, offset, damaged = reading.read_rows(run.folder, offset)
            seen += [row["step"] for row in rows]
            bad += damaged
    finally:
        done.set()
        thread.join()
    assert seen == list(range(1, len(seen) + 1)) and seen and bad == 1
