"""The convolutions of a served graph in int8, as QDQ. What has no convolution, and all behind them, stays in fp32.

Two kinds. `int8` is for CPUs: unsigned activations with a zero point, and weights of 7 bits, because processors
without VNNI add up 8-bit products in 16 bits and overflow. `int8_symmetric` is for TensorRT: signed, no zero point.
"""

import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from data.errors import InputError
from export.graph.decision_head import load_onnx
from export.graph.onnx_export import without_origin
from export.scoring.batch import Batch

Int8 = Literal["int8", "int8_symmetric"]
# Activations between convolutions, too: else what is quantised is their input before the clip, far coarser.
ACTIVATIONS = ("Clip", "Relu")
QUANTISED = ("Conv", *ACTIVATIONS, "Add")


@dataclass(frozen=True)
class Layer:
    """What is quantised together or not at all: a convolution, or a sum of what they give, with its activation.

    Attributes:
        name: of its first node.
        nodes: names of all.
    """

    name: str
    nodes: tuple[str, ...]


def quantised(
    model: onnx.ModelProto,
    batches: Iterable[Batch],
    kind: Int8,
    *,
    layers: Sequence[Layer] | None = None,
    ranges: Path | None = None,
) -> onnx.ModelProto:
    """A copy of `model` with its convolutions in int8, weights by channel, and the same inputs and outputs.

    Args:
        model: the fp32 graph.
        batches: of real items, on which the ranges of activations are measured.
        kind: for CPUs, or for TensorRT.
        layers: to quantise; None for all.
        ranges: file that keeps the measured ranges, by tensor; where it is there, `batches` are not read.

    Raises:
        InputError: the graph has no convolution: its int8 would be its fp32.
    """
    chosen = layers_of(model) if layers is None else layers
    if not chosen:
        raise InputError(f"precisions: {kind} quantises convolutions, and this model has none; leave {kind} out")
    symmetric = kind == "int8_symmetric"
    copy = onnx.ModelProto()
    copy.CopyFrom(model)  # it would be left with its weights in a file that is gone
    with tempfile.TemporaryDirectory() as folder, quiet():
        path = Path(folder) / "model.onnx"
        quantize_static(
            copy,
            path,
            _Reader(batches, [value.name for value in model.graph.input]),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_quantize=[name for layer in chosen for name in layer.nodes],
            per_channel=True,
            reduce_range=not symmetric,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"ActivationSymmetric": symmetric, "WeightSymmetric": True, "QuantizeBias": not symmetric},
            calibration_cache_path=ranges,
        )
        made = without_origin(load_onnx(path))
    # The library infers shapes: it would fix the number of bands, which sealing sets.
    for found, given in ((made.graph.input, model.graph.input), (made.graph.output, model.graph.output)):
        del found[:]
        found.extend(given)
    return made


def layers_of(model: onnx.ModelProto) -> list[Layer]:
    """What can be quantised, in graph order: convolutions, sums between them, and the activations behind these."""
    nodes = model.graph.node
    layers: list[Layer] = []
    claimed: set[str] = set()
    for place in sorted(before_convolutions(model)):
        node = nodes[place]
        if node.op_type in QUANTISED and node.name not in claimed:
            behind = [] if node.op_type in ACTIVATIONS else _activations(nodes, node)
            claimed.update(behind)
            layers.append(Layer(node.name, (node.name, *behind)))
    return layers


def before_convolutions(model: onnx.ModelProto) -> set[int]:
    """Places of the convolutions and of all nodes whose outputs reach one; none where there is no convolution."""
    nodes = model.graph.node
    makers = {output: place for place, node in enumerate(nodes) for output in node.output}
    found: set[int] = set()
    waiting = [place for place, node in enumerate(nodes) if node.op_type == "Conv"]
    while waiting:
        place = waiting.pop()
        if place not in found:
            found.add(place)
            waiting += [makers[name] for name in nodes[place].input if name in makers]
    return found


def _activations(nodes: Iterable[onnx.NodeProto], node: onnx.NodeProto) -> list[str]:
    return [each.name for each in nodes if each.op_type in ACTIVATIONS and set(node.output).intersection(each.input)]


class _Reader(CalibrationDataReader):
    def __init__(self, batches: Iterable[Batch], inputs: Sequence[str]) -> None:
        self.left: Iterator[Batch] = iter(batches)
        self.inputs = inputs

    def get_next(self) -> dict[str, object] | None:
        batch = next(self.left, None)
        return None if batch is None else {name: batch.arrays()[name] for name in self.inputs}


class quiet:  # noqa: N801 (reads like a function)
    """Holds back the library's advice to optimise the graph first, which would rename what the digest covers."""

    def __enter__(self) -> None:
        self.level = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)

    def __exit__(self, *error: object) -> None:
        logging.getLogger().setLevel(self.level)
