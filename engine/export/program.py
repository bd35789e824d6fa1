"""A network as one file that torch alone can run: TorchScript, or an exported program (torch.export)."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.progress import Progress, Report, silent
from engine.errors import UserError
from engine.export.network import Taken, taken

CLOSE = 1e-4  # how far an answer may be from the network's; of numbers above 1, that share of the largest
TRIED = (1, 2, 5)  # rows of the batches that are compared
Ask = Callable[[Any], Any]


def write_torchscript(run_id: str, path: Path, decoder: bool = False, report: Report | None = None) -> None:
    """Write a traced TorchScript module; `torch.jit.load` reads it, also from C++.

    Args:
        run_id: A finished run.
        path: The file.
        decoder: An autoencoder's decoder in place of its encoder.
        report: Told how far it is.

    Raises:
        UserError: There is no such network, or the file does not answer as it does.
    """
    import torch

    network = begun(run_id, decoder, report or silent)
    whole = path.with_name(f"{path.name}.traced")
    try:
        with quiet(), torch.no_grad():
            # what is written is compared below, on batches of other sizes than the traced one
            traced: Any = torch.jit.trace(network.module, network.example(), check_trace=False)
            traced.save(str(whole))
            _without_places(whole, path)
            again = torch.jit.load(str(path))
            (report or silent)(Progress("comparing it with the network", 2, 3))
            check_answers(network, again)
    finally:
        whole.unlink(missing_ok=True)


def _without_places(source: Path, target: Path) -> None:
    """Copy a TorchScript file without its notes on where each line stood on this machine."""
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as kept:
        for info in whole.infolist():
            if not info.filename.endswith(".debug_pkl"):
                kept.writestr(info.filename, whole.read(info))


def write_program(run_id: str, path: Path, decoder: bool = False, report: Report | None = None) -> None:
    """Write a program of torch.export; `torch.export.load(FILE).module()` reads it.

    Args:
        run_id: A finished run.
        path: The file.
        decoder: An autoencoder's decoder in place of its encoder.
        report: Told how far it is.

    Raises:
        UserError: There is no such network, or the file does not answer as it does.
    """
    import torch

    network = begun(run_id, decoder, report or silent)
    with quiet(), torch.no_grad():
        with open(path, "wb") as file:
            torch.export.save(exported(network), file)
        with open(path, "rb") as file:
            again = torch.export.load(file).module()
        (report or silent)(Progress("comparing it with the network", 2, 3))
        check_answers(network, again)


def begun(run_id: str, decoder: bool, report: Report) -> Taken:
    """The network of a run, with what is told on the way to its file."""
    report(Progress("reading the network", 0, 3))
    network = taken(run_id, decoder)
    report(Progress("writing it down", 1, 3))
    return network


def exported(network: Taken) -> Any:
    """The network as an exported program for any number of rows, without places on this machine."""
    import torch

    program = torch.export.export(network.module, (network.example(),), dynamic_shapes=any_rows())
    for module in program.graph_module.modules():
        if isinstance(module, torch.fx.GraphModule):
            for node in module.graph.nodes:
                node.meta.pop("stack_trace", None)
    return program


def any_rows() -> Any:
    """What torch.export is told of an input whose first side may be of any length."""
    import torch

    return ({0: torch.export.Dim("n")},)


def check_answers(network: Taken, ask: Ask) -> float:
    """Compare what was written with the network on batches of several sizes; gives the largest difference.

    Raises:
        UserError: They differ by more than `CLOSE`.
    """
    worst = 0.0
    for rows in TRIED:
        x = network.example(rows, seed=rows)
        found = ask(x)
        answers = found if isinstance(found, (tuple, list)) else (found,)
        for ours, theirs in zip(network.answer(x), answers, strict=True):
            a, b = ours.numpy(), np.asarray(theirs)
            if a.shape != b.shape or not np.allclose(a, b, rtol=0, atol=CLOSE * max(1.0, np.abs(a).max())):
                raise UserError(
                    "The exported file does not answer as the network does, so it is not handed out: "
                    "take the script with its weights."
                )
            worst = max(worst, float(np.abs(a - b).max(initial=0)))
    return worst


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what exporters say from the terminal, whose output belongs to the command."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
