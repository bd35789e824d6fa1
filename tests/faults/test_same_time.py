"""Many at once: the same name fifty times, one recipe submitted by fifty threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine.data.dataset import list_datasets, open_dataset
from engine.data.drawn_sets import png
from engine.data.writer import DatasetWriter
from engine.runs import layout
from engine.runs.executors import LocalExecutor
from engine.runs.store import RunStore
from tests.runs.conftest import recipe, wait_for

Make = Callable[..., LocalExecutor]


def together(works: list[Callable[[], object]]) -> None:
    """Do all of them at the same moment; what one raises is raised here."""
    barrier, wrong = threading.Barrier(len(works)), []

    def carry(work: Callable[[], object]) -> None:
        barrier.wait()
        try:
            work()
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=carry, args=(work,)) for work in works]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    if wrong:
        raise wrong[0]


def test_two_people_give_fifty_runs_each_the_same_name(store: RunStore) -> None:
    made: list[str] = []

    def person(first_seed: int) -> None:
        for seed in range(first_seed, first_seed + 50):
            made.append(RunStore().create_once(recipe(seed), "My run")[0])

    together([lambda: person(0), lambda: person(1000)])
    runs = store.list()
    assert len(made) == len(set(made)) == len(runs) == 100
    assert {run.name for run in runs} == {"My run"}
    assert sorted(run.seed for run in runs) == [*range(50), *range(1000, 1050)]


def test_two_people_give_fifty_sets_each_the_same_name(workspace: Path) -> None:
    def person(shade: int) -> None:
        for _ in range(50):
            with DatasetWriter("My images") as writer:
                for i in range(2):
                    writer.add(png(np.full((16, 16, 3), shade + i, np.uint8)), f"a/{i}.png")
                writer.finish(classes=["a"], labels=np.zeros(2, int), splits=np.zeros(2, np.uint8))

    together([lambda: person(0), lambda: person(100)])
    found = list_datasets()
    assert len(found) == 100 and {item.name for item in found} == {"My images"}
    shades = [int(np.asarray(open_dataset(item.id).image(0)).max()) for item in found]
    assert sorted(shades) == [0] * 50 + [100] * 50, "no one's images are another's"


def test_fifty_threads_that_submit_one_recipe_make_one_run_and_one_process(
    store: RunStore, local: Make
) -> None:
    runner, made = local(), []

    def press() -> None:
        run_id, created = RunStore().create_once(recipe(epochs=3, step_seconds=0.02))
        made.append((run_id, created))
        runner.submit(run_id)

    together([press] * 50)
    ids = {run_id for run_id, _ in made}
    assert len(ids) == 1 and sum(created for _, created in made) == 1
    (run_id,) = ids
    wait_for(lambda: store.get(run_id).state not in layout.ACTIVE)
    run = store.get(run_id)
    assert (run.state, run.attempt, run.epoch) == ("done", 1, 3) and len(store.list()) == 1
    assert len([row for row in store.rows(run_id)[0] if row["kind"] == "start"]) == 1
