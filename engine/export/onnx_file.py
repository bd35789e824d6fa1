"""A network as ONNX, handed out only once onnxruntime answers as PyTorch does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from engine.data.progress import Progress, Report, silent
from engine.errors import UserError
from engine.export.network import Taken
from engine.export.program import any_rows, begun, check_answers, exported, quiet

MOST_BYTES = 2**31 - 2**20  # of weights; an ONNX file is one protobuf message


def write_onnx(run_id: str, path: Path, decoder: bool = False, report: Report | None = None) -> None:
    """Write the network of a run as ONNX, with classes and preprocessing in its metadata.

    Args:
        run_id: A finished run.
        path: The file, which is written only once everything went well.
        decoder: An autoencoder's decoder in place of its encoder.
        report: Told how far it is.

    Raises:
        UserError: There is no such network, ONNX has no word for a part of it, or the file does not answer
            as PyTorch does.
    """
    report = report or silent
    network = begun(run_id, decoder, report)
    if sum(tensor.nbytes for tensor in network.module.state_dict().values()) > MOST_BYTES:
        raise UserError("This network is larger than the 2 GB that an ONNX file may have: take the script.")
    facts = {"run": run_id, "input": network.words, "classes": json.dumps(network.classes)}
    with quiet():
        data = _written(network, facts)
        report(Progress("comparing it with PyTorch", 2, 3))
        check_answers(network, _asked(data))
    path.write_bytes(data)


def _written(network: Taken, facts: dict[str, str]) -> bytes:
    import torch

    try:
        program = torch.onnx.export(
            exported(network),
            (network.example(),),
            input_names=[network.input],
            output_names=list(network.outputs),
            dynamic_shapes=any_rows(),
            dynamo=True,
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError:
        raise UserError(
            "ONNX has no word for a part of this network: take the script or TorchScript."
        ) from None
    assert program is not None
    proto = program.model_proto
    del proto.metadata_props[:]
    for key, value in facts.items():
        proto.metadata_props.add(key=key, value=value)
    for part in (proto.graph, *proto.functions):
        for node in part.node:
            del node.metadata_props[:]  # where each line stood on this machine
    proto.producer_name = "representation-lab"
    return proto.SerializeToString()


def _asked(data: bytes) -> Callable[[Any], list[np.ndarray]]:
    """A function that answers as the file does."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: list(session.run(None, {name: x.numpy()}))
