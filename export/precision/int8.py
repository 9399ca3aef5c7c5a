"""The convolutions of a served graph in int8, as QDQ. What has no convolution, and all behind them, stays in fp32.

Two kinds. `int8` is for CPUs: unsigned activations with a zero point, and weights of 7 bits, because processors
without VNNI add up 8-bit products in 16 bits and overflow. `int8_symmetric` is for TensorRT: signed, no zero point.
"""

import logging
import tempfile
from collections.abc import Iterable, Iterator
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
QUANTISED = ("Conv", "Clip", "Relu", "Add")


def quantised(model: onnx.ModelProto, batches: Iterable[Batch], kind: Int8) -> onnx.ModelProto:
    """A copy of `model` with its convolutions in int8, weights by channel, and the same inputs and outputs.

    Args:
        model: the fp32 graph.
        batches: of real items, on which the ranges of activations are measured.
        kind: for CPUs, or for TensorRT.

    Raises:
        InputError: the graph has no convolution: its int8 would be its fp32.
    """
    names = convolutional_nodes(model)
    if not names:
        raise InputError(f"precisions: {kind} quantises convolutions, and this model has none; leave {kind} out")
    symmetric = kind == "int8_symmetric"
    copy = onnx.ModelProto()
    copy.CopyFrom(model)  # it would be left with its weights in a file that is gone
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "model.onnx"
        quantize_static(
            copy,
            path,
            _Reader(batches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(QUANTISED),
            nodes_to_quantize=names,
            per_channel=True,
            reduce_range=not symmetric,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={"ActivationSymmetric": symmetric, "WeightSymmetric": True, "QuantizeBias": not symmetric},
        )
        made = without_origin(load_onnx(path))
    # The library infers shapes: it would fix the number of bands, which sealing sets.
    for found, given in ((made.graph.input, model.graph.input), (made.graph.output, model.graph.output)):
        del found[:]
        found.extend(given)
    return made


def convolutional_nodes(model: onnx.ModelProto) -> list[str]:
    """Names of the convolutions, of the activations behind them, and of the sums between them, in graph order."""
    nodes = model.graph.node
    makers = {output: place for place, node in enumerate(nodes) for output in node.output}
    found: set[int] = set()
    waiting = [place for place, node in enumerate(nodes) if node.op_type == "Conv"]
    convolved = {output for place in waiting for output in nodes[place].output}
    while waiting:
        place = waiting.pop()
        if place not in found:
            found.add(place)
            waiting += [makers[name] for name in nodes[place].input if name in makers]
    found |= {
        place
        for place, node in enumerate(nodes)
        if node.op_type in ("Clip", "Relu") and convolved.intersection(node.input)
    }
    return [nodes[place].name for place in sorted(found) if nodes[place].op_type in QUANTISED] if convolved else []


class _Reader(CalibrationDataReader):
    def __init__(self, batches: Iterable[Batch]) -> None:
        self.left: Iterator[Batch] = iter(batches)

    def get_next(self) -> dict[str, object] | None:
        batch = next(self.left, None)
        return None if batch is None else dict(batch.arrays())


class _quiet:  # noqa: N801 (reads like a function)
    """Holds back the library's advice to optimise the graph first, which would rename what the digest covers."""

    def __enter__(self) -> None:
        self.level = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)

    def __exit__(self, *error: object) -> None:
        logging.getLogger().setLevel(self.level)
