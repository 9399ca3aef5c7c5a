"""The layers that int8 hurts most are found, one at a time, and stay in fp32 until little is hurt."""

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from data.errors import InputError
from export.graph.decision_head import append_decision_head
from export.precision.int8 import Layer, layers_of
from export.precision.sensitivity import fitting, quantised_within
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
  [coarse] c = Conv <kernel_shape = [1, 1]> (b, w2)
  [third] d = Conv <kernel_shape = [1, 1]> (c, w3)
  [sum] e = Add (d, b)
  [fourth] f = Conv <kernel_shape = [1, 1]> (e, w4)
  [mean] pooled = ReduceMean <keepdims = 0> (f, inner)
  [head] logits = MatMul (pooled, w5)
}
"""


@pytest.fixture(scope="module")
def graph() -> onnx.ModelProto:
    """`coarse` gives one channel that is a thousand times the others, which one step of int8 then swallows."""
    model = onnx.parser.parse_model(GRAPH)
    random = np.random.default_rng(0)
    shapes = {"w1": (4, 3, 3, 3), "w2": (4, 4, 1, 1), "w3": (4, 4, 1, 1), "w4": (4, 4, 1, 1), "w5": (4, 2)}
    for name, shape in shapes.items():
        weights = random.normal(0, 0.01 if name == "w1" else 0.5, shape).astype(np.float32)
        if name == "w2":
            weights[0] *= 1000
        if name == "w3":
            weights[:, 0] /= 1000
        model.graph.initializer.append(numpy_helper.from_array(weights, name))
    return append_decision_head(model, 2)


def batches(seed: int) -> list[Batch]:
    random = np.random.default_rng(seed)
    frames = random.integers(0, 256, (16, 2, 1, 3, 8, 8), dtype=np.uint8)
    ones = np.ones((2, 1), bool)
    return [Batch(each, ones, np.zeros((2, 1), np.float32), np.zeros((2, 1), np.int64), ones) for each in frames]


def quantised_convolutions(model: onnx.ModelProto) -> set[str]:
    """Names of those whose weights come out of integers."""
    dequantised = {
        output for node in model.graph.node if node.op_type == "DequantizeLinear" for output in node.output
    }
    return {node.name for node in model.graph.node if node.op_type == "Conv" and node.input[1] in dequantised}


def test_all_is_quantised_where_that_is_good_enough(graph: onnx.ModelProto) -> None:
    model, report = quantised_within(graph, batches(1), batches(2), "int8", 100.0)
    assert quantised_convolutions(model) == {"first", "coarse", "third", "fourth"}
    assert (report.layers, report.kept, report.items) == ((), [], 32)
    assert report.logit_change == report.whole_change > 0


@pytest.mark.parametrize("kind", ["int8", "int8_symmetric"])
def test_the_worst_layers_stay_in_fp32_until_the_rest_is_good_enough(graph: onnx.ModelProto, kind) -> None:
    _, whole = quantised_within(graph, batches(1), batches(2), kind, 100.0)
    model, report = quantised_within(graph, batches(1), batches(2), kind, whole.whole_change / 4)
    changes = [each.logit_change for each in report.layers]
    assert sorted(changes, reverse=True) == changes
    assert {each.layer for each in report.layers} == {layer.name for layer in layers_of(graph)}
    assert {"coarse", "third"} & set(report.kept)
    assert len(report.kept) < len(report.layers)
    assert report.logit_change <= whole.whole_change / 4 < report.whole_change
    convolutions = {"first", "coarse", "third", "fourth"}
    assert quantised_convolutions(model) == convolutions - set(report.kept)
    onnx.checker.check_model(model, full_check=True)


def test_layers_that_are_bad_only_together_cost_one_of_them() -> None:
    order = [Layer(name, (name,)) for name in "abcdefghij"]

    def change(some: Sequence[Layer]) -> float:
        names = {layer.name for layer in some}
        return 0.01 * len(names) + (1.0 if {"b", "g"} <= names else 0.0) + (5.0 if "j" in names else 0.0)

    taken, moved = fitting(order, change, 0.5)
    assert [layer.name for layer in taken] == ["a", "b", "c", "d", "e", "f", "h", "i"]
    assert moved == change(taken)
    assert fitting(order, change, 0.005) == ([], 0.0)
    assert fitting(order[:1], change, 0.5)[0] == order[:1]


def test_the_search_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each layer counts once, when it is taken or left for good, and the bar ends."""
    order = [Layer(name, (name,)) for name in "abcdefgh"]
    said: list[str] = []

    def tracked(items: Sequence[Layer], what: str, total: int) -> Iterator[Layer]:
        said.append(f"{what}: {total}")
        for item in items:
            said.append(item.name)
            yield item
        said.append("end")

    monkeypatch.setattr("export.precision.sensitivity.tracked", tracked)
    fitting(order, lambda some: 1.0 if any(layer.name in "cg" for layer in some) else 0.0, 0.5)
    assert said == ["layers that fit together: 8", *"abcdefgh", "end"]


def test_a_model_that_no_layer_may_be_quantised_of_is_refused(graph: onnx.ModelProto) -> None:
    with pytest.raises(InputError, match=r"moves a logit by more than int8_change=1e-09 on average whichever of 5"):
        quantised_within(graph, batches(1), batches(2), "int8", 1e-9)
