"""The matrix products and convolutions of a served graph in 16 bits, fp16 or bf16, and what only carries them on.

Sums over many terms, norms, softmax, and the last linear layers, whose outputs are compared with thresholds, stay in
fp32. Own surgery, since the converters of ONNX Runtime and onnxconverter-common (1.31, 1.14) write a cast twice where
nodes share a constant, as activations with the same bounds do.
"""

from dataclasses import dataclass
from typing import Literal

import ml_dtypes
import numpy as np
import onnx
import onnx.version_converter
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from data.errors import InputError
from export.graph.decision_head import LOGITS

COMPUTING = ("Conv", "Gemm", "MatMul")
CARRYING = ("Add", "Clip", "Flatten", "Gelu", "HardSwish", "MaxPool", "Relu", "Reshape", "Squeeze", "Transpose")
NONLINEAR = ("Clip", "Elu", "Erf", "Gelu", "HardSwish", "LayerNormalization", "Relu", "Sigmoid", "Softmax", "Tanh")

Half = Literal["fp16", "bf16"]


@dataclass(frozen=True)
class ElementType:
    """A floating type of 16 bits.

    Attributes:
        onnx: its number there.
        numpy: the same type there.
        opset: the oldest in which all operators of `COMPUTING` and `CARRYING` take it that are in there.
    """

    onnx: int
    numpy: np.dtype[np.generic]
    opset: int

    @property
    def largest(self) -> float:
        """The largest finite number; that of bf16 is a little smaller than fp32's."""
        return float(ml_dtypes.finfo(self.numpy).max)


ELEMENT_TYPES: dict[Half, ElementType] = {
    "fp16": ElementType(TensorProto.FLOAT16, np.dtype(np.float16), 1),
    # ONNX knew no convolution, pooling or HardSwish of bfloat16 before.
    "bf16": ElementType(TensorProto.BFLOAT16, np.dtype(ml_dtypes.bfloat16), 22),
}


def halved(model: onnx.ModelProto, to: Half) -> onnx.ModelProto:
    """A copy of `model` that computes in 16 bits, with the same inputs and outputs in fp32.

    That of bf16 has opset 22 where `model` has an older one.

    Raises:
        InputError: nothing in it can compute in 16 bits.
    """
    attributes = (each for node in model.graph.node for each in node.attribute)
    if any(each.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for each in attributes):
        raise InputError(f"precisions: {to} of a graph with loops or branches is not made; leave {to} out")
    model = _of_opset(model, ELEMENT_TYPES[to].opset)
    halving = _Halving(model, to)
    makers = {output: node.op_type for node in model.graph.node for output in node.output}
    last = last_linear(model)
    for node in model.graph.node:
        # TensorRT-RTX 1.7 takes a product of attention in fp16 right behind its softmax, none behind a Where there.
        is_masked = node.op_type == "MatMul" and makers.get(node.input[0]) == "Where"
        halving.add(node, may_compute=node.name not in last and not is_masked)
    if not halving.computes:
        raise InputError(f"precisions: no layer of this model can compute in {to}; leave {to} out")
    return halving.finished()


def last_linear(model: onnx.ModelProto) -> set[str]:
    """Names of the nodes between the last nonlinear ones and the logits."""
    makers = {output: node for node in model.graph.node for output in node.output}
    found: set[str] = set()
    waiting = [LOGITS]
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None and node.name not in found and node.op_type not in NONLINEAR:
            found.add(node.name)
            waiting += node.input
    return found


class _Halving:
    """The graph as far as it is rewritten: which tensors there are in 16 bits, in fp32, or both."""

    def __init__(self, model: onnx.ModelProto, to: Half) -> None:
        self.model = model
        self.to = to
        self.element = ELEMENT_TYPES[to]
        known = onnx.shape_inference.infer_shapes(model).graph
        self.is_float = {
            value.name
            for value in (*known.value_info, *known.input, *known.output)
            if value.type.tensor_type.elem_type == TensorProto.FLOAT
        }
        self.constants = {each.name: each for each in model.graph.initializer}
        self.is_float |= {name for name, each in self.constants.items() if each.data_type == TensorProto.FLOAT}
        self.halves: dict[str, str] = {}  # names in 16 bits, by those in fp32
        self.only_half: set[str] = set()
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.computes = False

    def add(self, node: onnx.NodeProto, *, may_compute: bool) -> None:
        """Append a node as it is, or in 16 bits."""
        floats = [name for name in node.input if name in self.is_float]
        computes = may_compute and self._computes(node)
        carries = node.op_type in CARRYING and bool(floats) and floats[0] in self.only_half
        carries = carries and all(name in self.halves or name in self.constants for name in floats)
        fit = all(self._fits(self.constants[name]) for name in floats if name in self.constants)
        if not ((computes or carries) and fit and self.is_float.issuperset(node.output)):
            self._restore(floats)
            self.nodes.append(node)
            return
        made = onnx.NodeProto()
        made.CopyFrom(node)
        for place, name in enumerate(node.input):
            if name in floats:
                made.input[place] = self._half(name)
        for place, name in enumerate(node.output):
            made.output[place] = self.halves[name] = f"{name}.{self.to}"
            self.only_half.add(name)
        self.nodes.append(made)
        self.computes |= computes

    def finished(self) -> onnx.ModelProto:
        """The whole, with what it uses."""
        self._restore([output.name for output in self.model.graph.output])
        made = onnx.ModelProto()
        made.CopyFrom(self.model)
        used = {name for node in self.nodes for name in node.input}
        kept = [each for each in self.model.graph.initializer if each.name in used]
        for field, content in (("node", self.nodes), ("initializer", [*kept, *self.weights]), ("value_info", [])):
            del getattr(made.graph, field)[:]
            getattr(made.graph, field).extend(content)
        return made

    def _computes(self, node: onnx.NodeProto) -> bool:
        if node.op_type == "Gather":  # of an embedding
            return node.input[0] in self.constants and node.input[0] in self.is_float
        return node.op_type in COMPUTING and self.is_float.issuperset(filter(None, node.input))

    def _half(self, name: str) -> str:
        if name not in self.halves:
            self.halves[name] = f"{name}.{self.to}"
            constant = self.constants.get(name)
            if constant is not None:
                values = numpy_helper.to_array(constant).astype(self.element.numpy)
                self.weights.append(numpy_helper.from_array(values, self.halves[name]))
            else:
                self._cast(name, self.halves[name], self.element.onnx)
        return self.halves[name]

    def _restore(self, names: list[str]) -> None:
        for name in names:
            if name in self.only_half:
                self.only_half.remove(name)
                self._cast(self.halves[name], name, TensorProto.FLOAT)

    def _cast(self, source: str, made: str, to: int) -> None:
        self.nodes.append(helper.make_node("Cast", [source], [made], name=f"{made}.cast", to=to))

    def _fits(self, constant: onnx.TensorProto) -> bool:
        return bool((np.abs(numpy_helper.to_array(constant)) <= self.element.largest).all())


def _of_opset(model: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    """The model in an opset, or as it is where its own is no older."""
    if all(each.version >= opset for each in model.opset_import if each.domain == ""):
        return model
    made = onnx.version_converter.convert_version(model, opset)
    # The library infers shapes: it would fix the number of bands, which sealing sets.
    for found, given in ((made.graph.input, model.graph.input), (made.graph.output, model.graph.output)):
        del found[:]
        found.extend(given)
    del made.graph.value_info[:]
    return made
