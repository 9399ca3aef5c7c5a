"""Convolutions in int8: what is quantised, what is left alone, and how far the logits move."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from data.errors import InputError
from export.graph.decision_head import append_decision_head, read_decision
from export.precision.int8 import Layer, layers_of, quantised
from export.scoring.batch import Batch

GRAPH = """
<ir_version: 10, opset_import: ["" : 20]>
setpoint (
  uint8[batch, frames, 3, 8, 8] frames, bool[batch, frames] frame_mask, float[batch, frames] frame_times,
  int64[batch, tokens] token_ids, bool[batch, tokens] token_mask
) => (float[batch, 2] logits)
<int64[4] flat = {-1, 3, 8, 8}, int64[2] inner = {2, 3}, float low = {0.0}, float high = {6.0}>
{
  [cast] pixels = Cast <to = 1> (frames)
  [fold] image = Reshape (pixels, flat)
  [first] a = Conv <kernel_shape = [3, 3]> (image, w1)
  [clip] b = Clip (a, low, high)
  [second] c = Conv <kernel_shape = [1, 1]> (b, w2)
  [mean] pooled = ReduceMean <keepdims = 0> (c, inner)
  [head] logits = MatMul (pooled, w3)
}
"""


@pytest.fixture(scope="module")
def graph() -> onnx.ModelProto:
    model = onnx.parser.parse_model(GRAPH)
    random = np.random.default_rng(0)
    for name, shape, scale in (("w1", (4, 3, 3, 3), 0.01), ("w2", (4, 4, 1, 1), 0.5), ("w3", (4, 2), 1.0)):
        weights = random.normal(0, scale, shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weights, name))
    return append_decision_head(model, 2)


def batches(count: int) -> list[Batch]:
    random = np.random.default_rng(count)
    ones = np.ones((2, 1), bool)
    return [
        Batch(
            random.integers(0, 256, (2, 1, 3, 8, 8), dtype=np.uint8),
            ones,
            np.zeros((2, 1), np.float32),
            np.zeros((2, 1), np.int64),
            ones,
        )
        for _ in range(count)
    ]


def logits(model: onnx.ModelProto, items: list[Batch]) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["logits"], batch.arrays())[0] for batch in items])


@pytest.mark.parametrize("kind", ["int8", "int8_symmetric"])
def test_convolutions_are_quantised_and_logits_move_a_little(graph, kind) -> None:
    assert layers_of(graph) == [Layer("first", ("first", "clip")), Layer("second", ("second",))]
    model = quantised(graph, batches(8), kind)
    onnx.checker.check_model(model, full_check=True)
    assert model.SerializeToString(deterministic=True) == quantised(graph, batches(8), kind).SerializeToString(
        deterministic=True
    )
    assert read_decision(model) == read_decision(graph)
    head = next(node for node in model.graph.node if node.name == "head")
    assert list(head.input) == ["pooled", "w3"], "what is behind the convolutions stays in fp32"
    points = {tensor.data_type for tensor in model.graph.initializer if tensor.name == "b_zero_point"}
    assert points == {onnx.TensorProto.INT8 if kind == "int8_symmetric" else onnx.TensorProto.UINT8}
    expected, found = logits(graph, batches(5)), logits(model, batches(5))
    assert 0 < np.abs(expected - found).max() < 0.2 * np.ptp(expected)


def test_a_model_without_convolutions_is_refused() -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 20]> g (float[1] x) => (float[1] y) {y = Abs (x)}'
    )
    with pytest.raises(InputError, match="int8 quantises convolutions, and this model has none"):
        quantised(model, [], "int8")
