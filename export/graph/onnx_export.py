"""A trained network as one ONNX file: batch, frames and tokens free, no trace of the machine that wrote it."""

import logging
import warnings
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from data.errors import InputError
from data.files import atomic_file
from export.graph.contract import Contract, mismatches
from export.graph.decision_head import LOGITS, append_decision_head

# B batch, T frames, L tokens, P policies

LARGEST_FILE = 2**31 - 2**24
"""Protobuf's limit of 2 GiB, less what the graph itself may take."""

REASON_LENGTH = 500


def export_onnx(network: nn.Module, contract: Contract, *, opset: int = 20) -> onnx.ModelProto:
    """The network as a checked ONNX model with an undecided decision head; two calls give the same bytes.

    Args:
        network: on the CPU; takes the contract's inputs in their order and gives float32 logits [B, P]. It casts
            frames before it reshapes them (TensorRT has no uint8 Reshape) and normalises them by itself.
        contract: what the model must turn out to be.
        opset: ONNX opset; TensorRT and ONNX Runtime both take 20, and not all builds take Attention of 23.

    Raises:
        InputError: the network is larger than one ONNX file can be, or the exporter refuses it.
        RuntimeError: the exporter wrote another graph than the contract says.
    """
    size = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    if size > LARGEST_FILE:
        raise InputError(
            f"the network holds {size / 1e9:.1f} GB of weights and one ONNX file at most 2 GiB; "
            "choose smaller encoders (weights beside the ONNX file are not supported)"
        )
    program = _traced(network.eval(), contract, opset)
    model = without_origin(program)
    model = append_decision_head(model, contract.outputs[0].shape[-1])
    onnx.checker.check_model(model, full_check=True)
    wrong = mismatches(contract, model)
    if wrong:
        raise RuntimeError("the exported graph is not what the contract says: " + "; ".join(wrong))
    return model


def save_onnx(model: onnx.ModelProto, path: str | Path) -> None:
    """Write the model, atomically and with deterministic bytes."""
    with atomic_file(path) as temporary:
        temporary.write_bytes(model.SerializeToString(deterministic=True))


def example_inputs(contract: Contract) -> dict[str, Tensor]:
    """Inputs to trace with, by name: batch 3, 2 frames, 5 tokens, 6 places of sound.

    Different sizes, none of them 1: torch.export takes equal sizes for one axis, and a size of 1 for a constant.
    """
    generator = torch.Generator().manual_seed(0)
    sizes = {tensor.name: tensor.shape for tensor in contract.inputs}
    height, width = sizes["frames"][-2:]
    example = {
        "frames": torch.randint(0, 256, (3, 2, 3, height, width), generator=generator, dtype=torch.uint8),
        "frame_mask": torch.tensor([[True, True], [True, False], [False, False]]),
        "frame_times": torch.tensor([[0.0, 0.5], [0.0, 0.0], [0.0, 0.0]]),
        "token_ids": torch.randint(0, 2, (3, 5), generator=generator),
        "token_mask": torch.arange(5)[None, :] < torch.tensor([5, 0, 3])[:, None],
    }
    if "log_mel" in sizes:
        example["log_mel"] = torch.randn((3, sizes["log_mel"][1], 6), generator=generator)
        example["audio_mask"] = torch.arange(6)[None, :] < torch.tensor([6, 4, 0])[:, None]
    return example


def free_axes(contract: Contract) -> dict[str, dict[int, str]]:
    """The axes of each input whose size is the caller's choice, by their place."""
    return {
        tensor.name: {place: name for place, name in enumerate(tensor.axes) if tensor.shape[place] == -1}
        for tensor in contract.inputs
    }


def without_origin(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy without doc strings and metadata: they hold source paths, stack traces and module names."""
    stripped = onnx.ModelProto()
    stripped.CopyFrom(model)
    stripped.producer_name, stripped.producer_version = "setpoint", ""
    stripped.graph.name = "setpoint"
    _strip(stripped)
    _strip_graph(stripped.graph)
    for function in stripped.functions:
        _strip(function)
        _strip_nodes(function.node)
    return stripped


def _traced(network: nn.Module, contract: Contract, opset: int) -> onnx.ModelProto:
    example = example_inputs(contract)
    try:
        with warnings.catch_warnings(), _quiet("torch.onnx"), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                network,
                tuple(example.values()),
                dynamo=True,
                opset_version=opset,
                external_data=False,
                optimize=True,
                verbose=False,
                input_names=list(example),
                output_names=[LOGITS],
                dynamic_shapes=free_axes(contract),
            )
    except torch.onnx.OnnxExporterError as error:
        reason = " ".join(str(error.__cause__ or error).split())[:REASON_LENGTH]
        raise InputError(
            f"this network cannot be exported to ONNX opset {opset} with free batch, frames, tokens and time; "
            f"choose other encoders, or another opset. The exporter says: {reason}"
        ) from error
    assert program is not None
    found = [entry.version for entry in program.model_proto.opset_import if entry.domain == ""]
    if found != [opset]:
        raise RuntimeError(f"asked the exporter for opset {opset}, it wrote {found}")
    return program.model_proto


def _strip_graph(graph: onnx.GraphProto) -> None:
    _strip(graph)
    for values in (graph.initializer, graph.input, graph.output):
        for value in values:
            _strip(value)
    # Shapes of tensors within: every reader infers them, and their names tell of the code.
    del graph.value_info[:]
    _strip_nodes(graph.node)


def _strip_nodes(nodes: Iterable[onnx.NodeProto]) -> None:
    for node in nodes:
        _strip(node)
        for attribute in node.attribute:
            attribute.doc_string = ""
            for inner in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                _strip_graph(inner)


def _strip(proto: Any) -> None:
    proto.doc_string = ""
    del proto.metadata_props[:]


@contextmanager
def _quiet(name: str) -> Any:
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
