"""What one person may use, and what one run: refused in a sentence, at the door, whoever knocks at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engine import access
from engine.access import STUDENT, TEACHER, THE_OPERATOR, Person
from engine.data.dataset import remove_dataset
from engine.errors import UserError
from engine.lock import is_locked
from engine.runs import layout, outcome, quotas, tickets, watch
from engine.runs.executors import InlineExecutor, LocalExecutor
from engine.runs.recipe import Recipe
from engine.runs.store import RunStore
from engine.runs.watch import Options
from engine.runs.writer import RunWriter
from engine.settings import GB, MIB, settings
from tests.pages.made import make_dataset
from tests.runs.conftest import recipe, wait_for
from tests.runs.fake_worker import carry_out

Make = Callable[..., LocalExecutor]
ANN, BEN = Person("ann", "Ann", STUDENT), Person("ben", "Ben", STUDENT)
TEA = Person("tea", "Tea", TEACHER)


@pytest.fixture
def ann(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A class in which Ann acts."""
    monkeypatch.setenv("REPLAB_MODE", "class")
    with access.acting_as(ANN):
        yield


def refused(action: Callable[[], object], *words: str) -> None:
    with pytest.raises(UserError) as told:
        action()
    sentence = str(told.value)
    assert all(word in sentence for word in words), sentence
    assert len(sentence) <= 300 and sentence.endswith(".")


# which limits apply


def test_a_laptop_has_no_limits_and_a_class_those_of_the_book(
    workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = settings()
    assert quotas.limits_of(ANN) == quotas.NO_LIMITS
    assert (here.max_run_seconds, here.max_run_bytes, here.max_upload_bytes) == (0, 0, 200 * MIB)
    monkeypatch.setenv("REPLAB_MODE", "class")
    here = settings()
    assert quotas.limits_of(ANN) == quotas.Limits(running=1, queued=5, bytes=5 * GB, sets=20)
    assert (here.max_run_seconds, here.max_run_bytes, here.max_upload_bytes) == (7200, 0, 100 * MIB)
    assert quotas.limits_of(TEA) == quotas.limits_of(THE_OPERATOR) == quotas.NO_LIMITS
    monkeypatch.setenv("REPLAB_MAX_PERSON_SETS", "0")
    monkeypatch.setenv("REPLAB_MAX_UPLOAD_BYTES", "5")
    assert quotas.limits_of(ANN).sets == 0 and settings().max_upload_bytes == 5
    monkeypatch.setenv("REPLAB_MAX_PERSON_SETS", "-1")
    refused(settings, "REPLAB_MAX_PERSON_SETS")


def test_a_teacher_sets_one_persons_limits_and_takes_them_back(ann: None) -> None:
    refused(lambda: quotas.set_limits("ann", queued=99), "Only a teacher")
    with access.acting_as(TEA):
        quotas.set_limits("ann", queued=2, bytes=0)
        quotas.set_limits("ann", sets=3)
        assert quotas.limits_of(ANN) == quotas.Limits(running=1, queued=2, bytes=0, sets=3)
        assert quotas.limits_of(BEN) == quotas.usual_limits()
        for bad in (-1, 1.5, True, "9"):
            refused(lambda bad=bad: quotas.set_limits("ann", sets=bad), "whole number")
        refused(lambda: quotas.set_limits("ann", wishes=1), "wishes")
        refused(lambda: quotas.set_limits("../ann", sets=1), "not a valid")
        quotas.set_limits("ann", queued=None, bytes=None, sets=None)
    assert quotas.limits_of(ANN) == quotas.usual_limits()
    assert not list((settings().workspace / quotas.FOLDER).iterdir())


def test_damaged_limits_are_the_usual_ones(ann: None) -> None:
    path = settings().workspace / quotas.FOLDER / "ann.json"
    path.parent.mkdir(parents=True)
    for text in ("{", "[]", '{"sets": -3, "queued": "many"}'):
        path.write_text(text)
        assert quotas.limits_of(ANN) == quotas.usual_limits()


# b34: runs, data sets, bytes


def test_b34_queued_runs(ann: None, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAB_MAX_PERSON_QUEUED", "2")
    first = store.create(recipe(1)).id
    store.create_once(recipe(2))
    refused(lambda: store.create(recipe(3)), "2 runs waiting", "may have 2", "stop one")
    refused(lambda: store.create_once(recipe(3)), "2 runs waiting")
    assert len(store.list()) == 2
    with access.acting_as(BEN):
        store.create(recipe(4))
    with access.acting_as(TEA):
        [store.create(recipe(seed)) for seed in range(5, 9)]
    InlineExecutor(store, carry_out).submit(first)
    assert store.create(recipe(3)).id, "a run that has started waits no more"


def test_b34_resuming_counts_as_asking(ann: None, store: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAB_MAX_PERSON_QUEUED", "1")
    stopped = store.create(recipe(1)).id
    layout.write_status(store.folder(stopped), state="stopped")
    waiting = store.create(recipe(2)).id
    runner = InlineExecutor(store, carry_out)
    refused(lambda: runner.submit(stopped), "1 run waiting", "may have 1")
    assert store.get(stopped).state == "stopped"
    runner.submit(waiting)
    runner.submit(stopped)
    assert store.get(stopped).state == "done"


def test_b34_many_tabs_at_once_get_no_further(
    ann: None, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAB_MAX_PERSON_QUEUED", "3")

    def ask(seed: int) -> bool:
        with access.acting_as(ANN):
            try:
                RunStore().create(recipe(seed))
            except UserError:
                return False
            return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(ask, range(12))) == 3
    assert len(store.list()) == 3


def test_b34_bytes_and_deleting_frees_at_once(
    ann: None, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = store.create(recipe(1)).id
    (store.folder(run) / layout.CHECKPOINT).write_bytes(b"x" * 3_000_000)
    layout.write_status(store.folder(run), state="stopped")
    monkeypatch.setenv("REPLAB_MAX_PERSON_BYTES", "2000000")
    refused(lambda: store.create(recipe(2)), "3.0 MB of the 2.0 MB", "runs 3.0 MB", "delete runs")
    refused(lambda: quotas.require_room(sets=1), "3.0 MB")
    with access.acting_as(BEN):
        quotas.require_room(runs=1, sets=1, bytes=1_999_999)
        refused(lambda: quotas.require_room(bytes=2_000_001), "2.0 MB more")
    store.remove(run)
    assert quotas.usage_of("ann").bytes == 0
    store.create(recipe(2))


def test_b34_data_sets(ann: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAB_MAX_PERSON_SETS", "1")
    dataset = make_dataset()
    used = quotas.usage_of("ann")
    assert used.sets == 1 and used.set_bytes > 0 and used.bytes == used.set_bytes
    refused(lambda: quotas.require_room(sets=1), "1 data set", "may have 1", "delete one")
    with access.acting_as(THE_OPERATOR):
        make_dataset(name="everybody's")
    assert quotas.usage_of("ann").sets == 1, "the server's sets are nobody's"
    remove_dataset(dataset.id)
    quotas.require_room(sets=1)


def test_b34_what_is_on_its_way_counts(ann: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REPLAB_MAX_PERSON_BYTES", "100000000")
    monkeypatch.setenv("REPLAB_MAX_PERSON_SETS", "1")
    with quotas.expecting(bytes=60_000_000, sets=1):
        refused(lambda: quotas.require_room(bytes=60_000_000), "60.0 MB of the 100.0 MB", "60.0 MB more")
        refused(lambda: quotas.require_room(sets=1), "1 data set")
        with access.acting_as(BEN), quotas.expecting(bytes=60_000_000, sets=1):
            pass
    quotas.require_room(bytes=60_000_000, sets=1)


def test_b34_vectors_weights_and_uploads_count(ann: None) -> None:
    from engine.data.vectors import add_vectors, remove_vectors

    dataset = make_dataset()
    before = quotas.usage_of("ann")
    path = settings().workspace / "mine.npy"
    np.save(path, np.random.default_rng(0).normal(size=(len(dataset), 50)).astype(np.float32))
    with access.acting_as(THE_OPERATOR):
        add_vectors(path, dataset.id)
    assert quotas.usage_of("ann") == before
    vectors = add_vectors(path, dataset.id)
    assert quotas.usage_of("ann").other_bytes > 4 * 50 * len(dataset)
    remove_vectors(vectors)
    assert quotas.usage_of("ann") == before
    settings().uploads.mkdir()
    (settings().uploads / "abc.zip").write_bytes(b"x" * 1000)
    (settings().uploads / "abc.json").write_text('{"owner": "ann"}')
    assert quotas.usage_of("ann").other_bytes >= 1000


def test_b34_one_runs_at_a_time_and_another_persons_beside_it(
    ann: None, store: RunStore, local: Make
) -> None:
    runner = local(slots=2)
    runs = []
    for person, seed in ((ANN, 1), (ANN, 2), (BEN, 3)):
        with access.acting_as(person):
            runs.append(store.create_once(recipe(seed, epochs=400, step_seconds=0.02))[0])
            runner.submit(runs[-1])
    with access.acting_as(TEA):
        wait_for(lambda: [store.get(run).state for run in runs] == ["running", "queued", "running"])
        time.sleep(0.5)
        assert store.get(runs[1]).state == "queued", "a slot more would be needed for a third person only"
        runner.stop(runs[0])
        wait_for(lambda: store.get(runs[1]).state == "running")
        for run in runs[1:]:
            runner.stop(run, force=True)
        wait_for(lambda: all(store.get(run).state == "stopped" for run in runs))


# b35: one run


def test_b35_a_run_is_stopped_at_its_time_and_resume_has_the_whole_time_again(
    store: RunStore, local: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAB_MAX_RUN_SECONDS", "1")
    runner = local(slots=1)
    run, _ = store.create_once(recipe(1, epochs=400, step_seconds=0.01))
    runner.submit(run)
    waits, _ = store.create_once(recipe(2, epochs=1))
    runner.submit(waits)
    wait_for(lambda: store.get(run).state not in layout.ACTIVE)
    first, where = store.get(run), layout.at_epoch(store.folder(run))
    assert first.state == "stopped" and (first.seconds or 0) >= 1
    assert first.error == (
        f"Stopped after 1 second, the longest a run may take here, {where}; Resume goes on."
    )
    wait_for(lambda: store.get(waits).state not in layout.ACTIVE)
    assert store.get(waits).started, "the time it waited was not its own"
    runner.submit(run)
    wait_for(lambda: store.get(run).attempt == 2 and store.get(run).state not in layout.ACTIVE)
    again = store.get(run)
    assert again.state == "stopped" and (again.seconds or 0) >= 1 and again.epoch >= first.epoch


def test_b35_a_limit_that_was_reached_is_told_after_a_crash_too(tmp_path: Path) -> None:
    (tmp_path / layout.STOP).write_text("7200")
    assert "Stopped after 2 hours, the longest" in outcome.stopped_sentence(tmp_path)
    (tmp_path / layout.STOP).write_text("")
    assert outcome.stopped_sentence(tmp_path).startswith("Stopped by you before the first epoch")
    assert [outcome.span(seconds) for seconds in (3600, 5400, 61)] == ["1 hour", "90 minutes", "61 seconds"]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="memory is read from /proc")
def test_b35_a_run_that_takes_too_much_memory_is_ended(
    store: RunStore, local: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPLAB_MAX_RUN_BYTES", "250000000")
    runner = local()
    run, _ = store.create_once(recipe(1, fault="eat"))
    runner.submit(run)
    wait_for(lambda: store.get(run).state not in layout.ACTIVE)
    assert store.get(run).state == "failed"
    assert store.get(run).error == (
        "The training ran out of the memory a run may use here (0.25 GB): try a smaller batch or smaller "
        "images."
    )


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="memory is read from /proc")
def test_memory_is_that_of_the_whole_group(tmp_path: Path) -> None:
    hold = "import sys; held = b'x' * 80_000_000; print(flush=True); sys.stdin.read()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {hold!r}])"
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    assert child.stdout and child.stdin
    child.stdout.readline()
    assert 80_000_000 < watch.group_bytes(child.pid) < 250_000_000
    child.stdin.close()
    child.wait()
    assert watch.group_bytes(child.pid) == 0 and watch.group_bytes(os.getpgid(0)) > 0


def test_b35_a_stopped_run_frees_its_slot_within_five_seconds(store: RunStore, local: Make) -> None:
    assert Options().kill_after < 5
    runner = local()
    run, _ = store.create_once(recipe(1, fault="deaf"))
    runner.submit(run)
    wait_for(lambda: store.progress(run).get("epoch") == 2)
    slot = store.root / layout.SLOTS / "0"
    assert is_locked(slot) and tickets.running_now(store.root) == [(run, "")]
    runner.stop(run)
    wait_for(lambda: not is_locked(slot))
    wait_for(lambda: store.get(run).state == "stopped")
    assert tickets.running_now(store.root) == []


# b37: the disk


def test_b37_below_the_reserve_nothing_new_begins_and_what_runs_ends(
    ann: None, store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = store.create(recipe(1)).id
    layout.write_status(store.folder(stopped), state="stopped")

    def fill(made: Recipe, writer: RunWriter) -> dict[str, object]:
        monkeypatch.setenv("REPLAB_MIN_FREE_BYTES", str(10**18))
        return carry_out(made, writer)

    runner, running = InlineExecutor(store, fill), store.create(recipe(2)).id
    runner.submit(running)
    assert store.get(running).state == "done"
    refused(lambda: store.create(recipe(3)), "disk are free", "delete")
    refused(lambda: runner.submit(stopped), "disk are free")
    assert store.get(stopped).state == "stopped" and len(store.list()) == 2
