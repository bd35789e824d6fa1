"""A small drawn set, tiny recipes on it, and what must hold of a run whatever was done to it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.data.dataset import Dataset, open_dataset
from engine.data.drawn_sets import build_shapes
from engine.methods import parse_config
from engine.runs import layout
from engine.runs.executors import InlineExecutor
from engine.runs.recipe import Recipe, make_recipe
from engine.runs.store import RunStore
from engine.training.checkpoint import load_checkpoint
from tests.runs.conftest import local, store  # noqa: F401  (fixtures of the pretended training)

ROOT = Path(__file__).resolve().parents[2]
IMAGES = {"train": 160, "val": 40, "test": 20}
STEPS = 5  # batches of 32 in 160 images


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a set of 220 drawn images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REPLAB_WORKSPACE", str(tmp_path_factory.mktemp("drawn")))
        patch.setenv("REPLAB_MIN_FREE_BYTES", "0")
        return build_shapes("shapes", "Shapes", 32, "drawn", images=IMAGES).root


@pytest.fixture(scope="session")
def undisturbed(drawn: Path) -> dict[str, Any]:
    """A run of `tiny` that nothing disturbed: its "losses" after each epoch, and its "results"."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"WORKSPACE": str(drawn.parents[1]), "THREADS": "1", "DEVICE": "cpu"}.items():
            patch.setenv(f"REPLAB_{name}", value)
        patch.setenv("REPLAB_MIN_FREE_BYTES", "0")
        run_id = carried_out(tiny(open_dataset("shapes")))
        return {"losses": losses(run_id), "results": RunStore().results(run_id)}


@pytest.fixture(scope="session")
def unbroken(undisturbed: dict[str, Any]) -> list[float]:
    return list(undisturbed["losses"])


def put_shapes(drawn: Path, workspace: Path) -> Dataset:
    """That set, in a workspace of one's own."""
    left_out = shutil.ignore_patterns("pixels")
    shutil.copytree(drawn, workspace / "datasets" / "shapes", ignore=left_out)
    (workspace / "datasets" / "shapes" / "pixels").mkdir()
    return open_dataset("shapes")


@pytest.fixture
def shapes(drawn: Path, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setenv("REPLAB_THREADS", "1")
    return put_shapes(drawn, workspace)


def tiny(dataset: Dataset, epochs: int = 4, seed: int = 0, **config: Any) -> Recipe:
    """A real training of a second: classification, compact CNN, 32 px."""
    config = {"epochs": epochs, "batch_size": 32, "warmup_epochs": 0, **config}
    return make_recipe(
        {
            "dataset": dataset.id,
            "fingerprint": dataset.fingerprint,
            "method": "classification",
            "config": parse_config("classification", config).model_dump(mode="json"),
            "backbone": "random:cnn-small",
            "image_size": 32,
            "seed": seed,
        }
    )


def carried_out(recipe: Recipe, carry_out: Any = None) -> str:
    """A new run of the recipe, carried out in this process; gives its id."""
    made = RunStore().create(recipe)
    InlineExecutor(RunStore(), carry_out).submit(made.id)
    return made.id


def losses(run_id: str) -> list[float]:
    return [row["val_loss"] for row in RunStore().curve(run_id)["epochs"]]


def check_whole(run_id: str) -> None:
    """What holds of every run at rest: it says so, and no finished epoch is lost or doubled."""
    runs = RunStore()
    run, folder = runs.get(run_id), runs.folder(run_id)
    assert run.state in layout.FINAL and layout.read_status(folder)["state"] == run.state
    assert run.state == layout.DONE or (run.error and len(run.error) <= 300), run
    curve = runs.curve(run_id)
    epochs = [row["epoch"] for row in curve["epochs"]]
    assert epochs == list(range(1, len(epochs) + 1)), epochs
    steps = [(row["epoch"], row["step"]) for row in curve["steps"]]
    assert steps == sorted(set(steps))
    saved = load_checkpoint(folder / layout.CHECKPOINT)
    reached = saved["epoch"] if saved else 0
    # a row is written before the checkpoint, so that a kill between the two costs a row, not an epoch
    assert reached <= len(epochs) <= reached + 1 and reached <= run.epoch + 1
    if reached:
        check_best(folder)


def check_best(folder: Path) -> None:
    from engine.models.loading import read_safetensors

    assert read_safetensors(folder / layout.BEST, "What this run kept")


def processes_of(workspace: Path) -> list[int]:
    """Living processes whose command names a place below the workspace, but for this one."""
    found, mark = [], os.fsencode(workspace)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in (entry / "cmdline").read_bytes() and alive(int(entry.name)):
                    found.append(int(entry.name))
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[], None]], None]:
    """Let something happen before the n-th step of the real loop: `at_step(7, explode)`; once."""
    from engine.training import loop

    real, count = loop._Fit._step, [0]

    def at(n: int, happens: Callable[[], None]) -> None:
        def step(self: Any, *args: Any) -> Any:
            count[0] += 1
            if count[0] == n:
                happens()
            return real(self, *args)

        monkeypatch.setattr(loop._Fit, "_step", step)

    return at


@pytest.fixture
def no_leftovers(workspace: Path) -> Iterator[None]:
    """After the test no process of its workspace lives."""
    yield
    assert processes_of(workspace) == []
