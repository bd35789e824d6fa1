"""`predict` and `export`: a finished run put to use."""

from __future__ import annotations

import argparse
import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from engine.cli.output import Commands, command, print_json, print_table, say
from engine.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

BATCH = 256
MOST = 100_000
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def add(commands: Commands) -> None:
    parser = command(commands, "predict", "say what a trained classifier sees in images", predict)
    parser.add_argument("run", help="a finished run")
    parser.add_argument("path", help="an image, or a folder of images")
    parser = command(commands, "export", "write a run's encoder or predictions to a file", export)
    parser.add_argument("run", help="a finished run")
    parser.add_argument(
        "--format", required=True, choices=("safetensors", "decoder", "csv"), help="weights or table"
    )
    parser.add_argument("--out", metavar="FILE", help="where to (beside you, named after the run)")


def predict(args: argparse.Namespace) -> None:
    from engine.runs.store import RunStore

    RunStore().get(args.run)
    rows, skipped = [], 0
    for names, images in _batches(_find(Path(args.path))):
        from engine.training.trained import predict as ask

        classes, probabilities = ask(args.run, images)
        for name, shares in zip(names, probabilities, strict=True):
            best = int(shares.argmax())
            if args.json:
                found = {c: float(p) for c, p in zip(classes, shares, strict=True)}
                told = {"image": name, "predicted": classes[best], "confidence": float(shares[best])}
                print_json({**told, "probabilities": found})
            rows.append((name, classes[best], f"{shares[best]:.3f}"))
        skipped += len(images) - len(names)
    if not rows:
        raise UserError("There is no readable image there: give an image file or a folder of images.")
    if not args.json:
        print_table(("IMAGE", "PREDICTED", "CONFIDENCE"), rows, "")


def _find(path: Path) -> list[tuple[str, Path]]:
    """(name to show, file) of the image, or of the images below a folder."""
    if path.is_file():
        return [(path.name, path)]
    if not path.is_dir():
        raise UserError("There is no such image or folder: check the path.")
    found = []
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        hidden = any(part.startswith((".", "__MACOSX")) for part in Path(name).parts)
        if file.suffix.lower() in SUFFIXES and not hidden and file.is_file():
            found.append((name, file))
        if len(found) > MOST:
            raise UserError(f"This folder holds more than {MOST:,} images: take a smaller one.")
    return found


def _batches(files: list[tuple[str, Path]]) -> Iterator[tuple[list[str], list[Image.Image]]]:
    from engine.data.decode import open_image
    from engine.settings import settings

    names: list[str] = []
    images: list[Image.Image] = []
    for name, file in files:
        try:
            if file.stat().st_size > settings().max_file_bytes:
                raise UserError("the file is too large")
            images.append(open_image(file.read_bytes(), at_least=256))
        except UserError as error:
            say(f"skipped {name}: {error}")
            continue
        except OSError:
            say(f"skipped {name}: it cannot be read")
            continue
        names.append(name)
        if len(images) == BATCH:
            yield names, images
            names, images = [], []
    if images:
        yield names, images


def export(args: argparse.Namespace) -> None:
    from engine.runs.store import RunStore

    store = RunStore()
    store.get(args.run)
    kind = {"csv": "predictions", "decoder": "decoder"}.get(args.format, "encoder")
    suffix = "csv" if args.format == "csv" else "safetensors"
    out = Path(args.out or f"{args.run}-{kind}.{suffix}")
    if out.exists():
        raise UserError(f"{out.name[:80]} exists already: name another file with --out.")
    if args.format == "csv":
        from engine.export.tables import write_predictions

        text = io.StringIO(newline="")
        write_predictions(args.run, text, store)
        _write(out, text.getvalue().encode())
    else:
        source = store.decoder_path(args.run) if kind == "decoder" else store.encoder_path(args.run)
        if not source.exists():
            only = " and only for autoencoders" if kind == "decoder" else ""
            raise UserError(f"This run has no {kind} yet: it is written when the run is done{only}.")
        _write(out, None, source)
    print_json({"file": out.name, "bytes": out.stat().st_size}) if args.json else print(f"Wrote {out.name}.")


def _write(out: Path, data: bytes | None, source: Path | None = None) -> None:
    try:
        if data is not None:
            out.write_bytes(data)
        elif source is not None:
            shutil.copyfile(source, out)
    except OSError:
        raise UserError(
            f"{out.name[:80]} could not be written: check the folder and its free space."
        ) from None
