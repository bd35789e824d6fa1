"""`runs`: list, show, watch, stop, resume, rename, remove and import runs."""

from __future__ import annotations

import argparse
import time
from dataclasses import asdict

from engine import access
from engine.cli.output import Commands, command, group, moment, print_fields, print_json, print_table, size
from engine.cli.watch import follow, progress_text
from engine.cli.workspace import take_in
from engine.runs.layout import ACTIVE, DONE, STATES
from engine.runs.store import RunStore
from engine.settings import settings

STOP_SECONDS = 45.0


def add(commands: Commands) -> None:
    runs = group(commands, "runs", "list, show, watch, stop, resume, rename, remove and import runs")
    parser = command(runs, "list", "list runs, newest first", list_runs)
    parser.add_argument("--state", choices=sorted(STATES), help="only runs in this state")
    for name, help, run in (
        ("show", "tell everything about a run", show),
        ("watch", "follow a run until it ends; Ctrl-C only stops looking", watch),
        ("stop", "stop a run; finished epochs are kept", stop),
        ("resume", "go on with a run that did not get done", resume),
        ("remove", "delete a run with all it made", remove),
        ("rename", "give a run a name", rename),
    ):
        parser = command(runs, name, help, run)
        parser.add_argument("id", help="an id from `runs list`")
        if name == "stop":
            parser.add_argument("--force", action="store_true", help="end its process at once")
        if name == "resume":
            parser.add_argument("--detach", action="store_true", help="return at once")
        if name == "rename":
            parser.add_argument("name", help="the new name, up to 240 letters")
    parser = command(runs, "import", "take in a run that another installation packed", take_in)
    parser.add_argument("file", help="a zip that `export --format zip` wrote")


def list_runs(args: argparse.Namespace) -> None:
    runs = [run for run in RunStore().list() if args.state in (None, run.state)]
    if args.json:
        for run in runs:
            print_json(run)
        return
    rows, in_class = [], settings().mode == "class"
    for run in runs:
        accuracy = run.metrics.get("best", {}).get("val_accuracy")
        best = f"{accuracy:.3f}" if isinstance(accuracy, float) else ""
        state = f"{run.state} {run.queue_place}" if run.queue_place else run.state
        epochs = f"{run.epoch}/{run.epochs}"
        whose = (owner_of(run.owner),) if in_class else ()
        rows.append((run.id, state, epochs, best, size(run.bytes), moment(run.created), *whose, run.name))
    header = ("ID", "STATE", "EPOCH", "BEST", "SIZE", "MADE", *(("OWNER",) if in_class else ()), "NAME")
    print_table(header, rows, "No runs yet: python -m engine train classification --data shapes")


def owner_of(person: str) -> str:
    """Whose a run is, as a list names them: the id of somebody who has left."""
    return (access.person_with(person).name or person) if person else "server"


def show(args: argparse.Namespace) -> None:
    store = RunStore()
    run, status = store.get(args.id), store.status(args.id)
    if args.json:
        told = {**asdict(run), "kept_epoch": status.kept_epoch, "device": status.device, "host": status.host}
        told.update(progress=store.progress(args.id), results=store.results(args.id))
        told["notice"] = store.damaged(args.id)
        told["recipe"] = None if run.damaged else store.recipe(args.id).model_dump()
        print_json(told)
        return
    active = run.state in ACTIVE
    results = store.results(args.id) or {}
    fields: dict[str, object] = {
        "run": run.id,
        "name": run.name,
        "state": run.state,
        "doing": progress_text(run, store.progress(args.id)) if active else None,
        "why": run.error,
        "notice": store.damaged(args.id),
        "method": run.method,
        "data": run.dataset,
        "backbone": run.backbone,
        "image size": run.image_size,
        "seed": run.seed,
        "epochs": f"{run.epoch} of {run.epochs}",
        "kept epoch": status.kept_epoch,
        "attempts": run.attempt,
        "device": status.device,
        "made": moment(run.created),
        "seconds": f"{run.seconds:.1f}" if run.seconds is not None else None,
        "disk": size(store.size(args.id)),
    }
    for split, figures in (results.get("splits") or {}).items():
        if isinstance(figures, dict) and isinstance(figures.get("accuracy"), float):
            low, high = figures.get("interval") or (0.0, 1.0)
            text = (
                f"{figures['accuracy']:.4f} (95 % interval {low:.3f} to {high:.3f}, n = {figures.get('n')})"
            )
            fields[f"accuracy {split}"] = text
    print_fields(fields)


def watch(args: argparse.Namespace) -> int:
    return follow(RunStore(), args.id, args.json, stop_on_interrupt=False)


def stop(args: argparse.Namespace) -> int:
    from engine.runs.executors import executor

    store = RunStore()
    if store.get(args.id).state in ACTIVE:
        executor(store).stop(args.id, force=args.force)
    end = time.monotonic() + STOP_SECONDS
    while store.get(args.id).state in ACTIVE and time.monotonic() < end:
        time.sleep(0.1)
    run = store.get(args.id)
    if args.json:
        print_json({"run": run.id, "state": run.state, "error": run.error})
    else:
        print(run.error or f"The run is {run.state}.")
    return 1 if run.state in ACTIVE else 0


def resume(args: argparse.Namespace) -> int:
    from engine.runs.executors import executor

    store = RunStore()
    before = store.get(args.id).state
    if before != DONE:
        executor(store).submit(args.id)
    if args.detach:
        run = store.get(args.id)
        print_json({"run": run.id, "state": run.state}) if args.json else print(f"{run.id} is {run.state}.")
        return 0
    return follow(store, args.id, args.json, stop_on_interrupt=before not in ACTIVE)


def remove(args: argparse.Namespace) -> None:
    from engine.removal import remove_run

    remove_run(args.id)
    print_json({"removed": args.id}) if args.json else print(f"Removed the run {args.id}.")


def rename(args: argparse.Namespace) -> None:
    store = RunStore()
    store.rename(args.id, args.name)
    name = store.get(args.id).name
    print_json({"run": args.id, "name": name}) if args.json else print(f"{args.id} is now called {name!r}.")
