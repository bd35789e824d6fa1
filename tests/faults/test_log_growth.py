"""A log of a million lines stays bounded, and its end is kept."""

from __future__ import annotations

import sys

from engine.runs import layout
from engine.runs.executors import LocalExecutor
from engine.runs.store import RunStore
from engine.runs.supervisor import Options
from engine.runs.watch import LOG_LIMIT
from tests.runs.conftest import recipe, wait_for

TALKING = (
    "import sys; [print(f'line {i:07d} of a talkative library, sixty letters and more', flush=not i % 999)"
)
TALKING += " for i in range(1_000_000)]; open(sys.argv[1] + '/results.json', 'w').write('{}')"


def test_a_million_lines_end_as_one_mebibyte_or_so(store: RunStore) -> None:
    command = (sys.executable, "-c", TALKING)
    run = store.create(recipe())
    LocalExecutor(store, 1, Options(command=command)).submit(run.id)
    wait_for(lambda: store.get(run.id).state not in layout.ACTIVE, 120)
    assert store.get(run.id).state == "done"
    size = (run.folder / layout.LOG).stat().st_size
    assert size <= LOG_LIMIT, f"{size / 1e6:.0f} MB"
    assert store.log_tail(run.id).splitlines()[-1].startswith("line 0999999")
    assert len(store.log_tail(run.id)) < 100_000
