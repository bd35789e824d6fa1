"""`predict`: what a trained classifier sees in images it has never seen."""

from __future__ import annotations

import argparse
import csv
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.cli.output import Commands, ProgressLine, command, print_json, print_table, say
from engine.errors import UserError

if TYPE_CHECKING:
    from engine.evaluation.calibration import Calibration
    from engine.evaluation.novelty import Seen
    from engine.evaluation.trial import Line

SKIPPED_NAMED = 20
MOST_SHOWN = 10_000  # lines of the table for people; the file and JSON have all


def add(commands: Commands) -> None:
    parser = command(commands, "predict", "say what a trained classifier sees in images", predict)
    parser.add_argument("run", help="a finished classification")
    parser.add_argument("path", help="an image, or a folder, zip or tar of images")
    parser.add_argument("--out", metavar="FILE.csv", help="write a table with a line an image")


def predict(args: argparse.Namespace) -> None:
    from engine.evaluation.calibration import calibration_of
    from engine.evaluation.trial import batches, entries_of, lines_of
    from engine.training.trained import classifier

    out = Path(args.out) if args.out else None
    _check_out(out)
    classes = classifier(args.run).task.classes
    entries, calibration = entries_of(Path(args.path)), calibration_of(args.run)
    seen, names = _compared_with(args.run)
    skipped = _Skipped()
    shown: list[Line] = []
    count = 0
    with _table(out, classes) as write:
        for batch in batches(args.run, entries, seen, skipped):
            for line in lines_of(batch, seen):
                count += 1
                write(line, names)
                if args.json:
                    print_json(_told(line, classes, calibration, names))
                elif len(shown) < MOST_SHOWN:
                    shown.append(line)
        if not count:
            raise UserError(
                f"No image can be read there ({skipped.first}): give an image, or a folder or zip of images."
            )
    skipped.tell()
    if not args.json:
        _show(shown, count, names, _words(args.run, calibration, seen))
    if out is not None:
        say(f"Wrote {out.name[:80]}.")


def _compared_with(run: str) -> tuple[Seen | None, list[str]]:
    """The run's training images and the names of the set's images; nothing, and why, where they are gone."""
    from engine.evaluation.novelty import training_images
    from engine.evaluation.training_set import training_set

    line = ProgressLine()
    try:
        seen = training_images(
            run, tell=lambda phase, done, total: line.show(f"{phase} of the training: {done:,} of {total:,}")
        )
        return seen, training_set(run).names
    except UserError as error:
        line.end()
        say(str(error))
        return None, []
    finally:
        line.end()


class _Skipped:
    """Files that were left out: the first by name, the rest by their number."""

    def __init__(self) -> None:
        self.count = 0
        self.named: list[tuple[str, str]] = []

    def __call__(self, name: str, reason: str) -> None:
        self.count += 1
        if len(self.named) < SKIPPED_NAMED:
            self.named.append((name, reason))

    @property
    def first(self) -> str:
        """One of them with its reason, for a sentence."""
        return f"'{self.named[0][0][:60]}': {self.named[0][1]}" if self.named else "there is none"

    def tell(self) -> None:
        for name, reason in self.named:
            say(f"skipped {name}: {reason}")
        if self.count > len(self.named):
            say(f"skipped {self.count - len(self.named):,} more files")


def _check_out(out: Path | None) -> None:
    if out is None:
        return
    if out.suffix.lower() != ".csv":
        raise UserError("--out must end in .csv: it is a table with a line an image.")
    if out.exists():
        raise UserError(f"{out.name[:80]} exists already: name another file with --out.")


@contextmanager
def _table(out: Path | None, classes: Sequence[str]) -> Iterator[Callable[[Line, Sequence[str]], None]]:
    """Writes lines to a file that appears once all of them are there; to nowhere without a name."""
    from engine.evaluation.trial import table_head, table_row

    if out is None:
        yield lambda line, names: None
        return
    part = out.with_name(f".{out.name}.{secrets.token_hex(3)}.tmp")
    try:
        with open(part, "x", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(table_head(classes))
            yield lambda line, names: writer.writerow(table_row(line, names))
        os.replace(part, out)
    except BrokenPipeError:  # whoever reads the output has seen enough
        raise
    except OSError:
        raise UserError(
            f"{out.name[:80]} could not be written: check the folder and its free space."
        ) from None
    finally:
        part.unlink(missing_ok=True)


def _told(
    line: Line, classes: Sequence[str], calibration: Calibration, names: Sequence[str]
) -> dict[str, Any]:
    return {
        "image": line.name,
        "predicted": line.predicted,
        "confidence": line.confidence,
        "uncalibrated": line.plain,
        "temperature": calibration.temperature if calibration.fitted else None,
        "nearest_image": None if line.nearest is None else names[line.nearest],
        "nearest_distance": line.distance,
        "unlike": line.unlike,
        "probabilities": {name: float(p) for name, p in zip(classes, line.shares, strict=True)},
    }


def _show(shown: list[Line], count: int, names: Sequence[str], words: Sequence[str]) -> None:
    rows = []
    for line in shown:
        near = () if line.distance is None else (f"{line.distance:.3f}", names[line.nearest or 0])
        mark = "unlike anything seen" if line.unlike else ""
        rows.append((line.name, line.predicted, f"{line.confidence:.3f}", *near, mark))
    near_head = ("DISTANCE", "NEAREST TRAINING IMAGE") if shown[0].distance is not None else ()
    print_table(("IMAGE", "PREDICTED", "CONFIDENCE", *near_head, ""), rows, "")
    if count > len(shown):
        print(f"… and {count - len(shown):,} more; --out FILE.csv holds all of them.")
    print()
    for sentence in words:
        print(sentence)


def _words(run: str, calibration: Calibration, seen: Seen | None) -> list[str]:
    """What to know of the figures, a sentence each."""
    from engine.runs.store import RunStore

    if calibration.fitted:
        found = [
            f"Confidence at temperature {calibration.temperature:.3f}, fitted to {calibration.n:,} "
            "validation images."
        ]
    else:
        found = [f"Confidence is not calibrated: {calibration.problem}."]
    if seen is not None:
        found.append(
            f"Distances to the nearest of {len(seen.index):,} of {seen.of:,} training images, between 0 and "
            f"2; beyond {seen.usual:.3f} lie 5 % of the images held out."
        )
    if (RunStore().results(run) or {}).get("random_weights"):
        found.append("This network began from random weights.")
    return found
