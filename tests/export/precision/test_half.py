"""Matrix products in fp16 and bf16: what computes there, what stays in fp32, and how far the logits move."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, numpy_helper

from data.errors import InputError
from export.graph.decision_head import append_decision_head, model_digest, read_decision
from export.precision.half import halved, last_linear

GRAPH = """
<ir_version: 10, opset_import: ["" : 20]>
setpoint (uint8[batch, 3, 8, 8] frames, int64[batch, 4] token_ids) => (float[batch, 2] logits)
<float low = {0.0}, float high = {6.0}, float far = {-3.0e38}, int64[2] inner = {2, 3}, int64[1] second = {1}>
{
  [cast] pixels = Cast <to = 1> (frames)
  [first] a = Conv <kernel_shape = [3, 3]> (pixels, w1)
  [clip_a] b = Clip (a, low, high)
  [second] c = Conv <kernel_shape = [1, 1]> (b, w2, w2_bias)
  [clip_c] d = Clip (c, low, high)
  [mean] picture = ReduceMean <keepdims = 0> (d, inner)
  [embed] words = Gather (table, token_ids)
  [sum] text = ReduceSum <keepdims = 0> (words, second)
  [norm] normed = LayerNormalization (text, gain)
  [mix] mixed = MatMul (normed, w3)
  [masked] kept = Add (mixed, far)
  [relu] positive = Relu (kept)
  [join] both = Add (picture, positive)
  [head] logits = MatMul (both, w4)
}
"""
WEIGHTS = {
    **{"w1": (4, 3, 3, 3), "w2": (4, 4, 1, 1), "w2_bias": (4,), "w3": (4, 4), "w4": (4, 2)},
    **{"table": (9, 4), "gain": (4,)},
}


@pytest.fixture
def graph() -> onnx.ModelProto:
    model = onnx.parser.parse_model(GRAPH)
    add_weights(model)
    return append_decision_head(model, 2)


def add_weights(model: onnx.ModelProto) -> None:
    """Random ones."""
    random = np.random.default_rng(0)
    for name, shape in WEIGHTS.items():
        values = random.normal(0, 0.01 if name == "w1" else 0.5, shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))


def logits(model: onnx.ModelProto) -> np.ndarray:
    random = np.random.default_rng(1)
    fed = {
        "frames": random.integers(0, 256, (5, 3, 8, 8), dtype=np.uint8),
        "token_ids": random.integers(0, 9, (5, 4)),
    }
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["logits"], fed)[0]


def in_half(model: onnx.ModelProto) -> set[str]:
    """Names of the nodes that compute or carry in 16 bits."""
    halves = (".fp16", ".bf16")
    return {node.name for node in model.graph.node if node.output[0].endswith(halves) and node.op_type != "Cast"}


def set_weight(model: onnx.ModelProto, name: str, value: float) -> None:
    """Let a constant hold nothing but one number."""
    [weight] = [each for each in model.graph.initializer if each.name == name]
    shape = numpy_helper.to_array(weight).shape
    weight.CopyFrom(numpy_helper.from_array(np.full(shape, value, np.float32), name))


@pytest.mark.parametrize(
    ("to", "element", "further"),
    [
        ("fp16", TensorProto.FLOAT16, set()),
        # -3e38 is a number in bf16, and infinite in fp16.
        ("bf16", TensorProto.BFLOAT16, {"masked", "relu"}),
    ],
)
def test_products_compute_in_16_bits_and_sums_norms_and_the_last_layer_do_not(graph, to, element, further) -> None:
    made = halved(graph, to)
    onnx.checker.check_model(made, full_check=True)
    assert in_half(made) == {"first", "clip_a", "second", "clip_c", "embed", "mix", *further}
    types = {each.name: each.data_type for each in made.graph.initializer}
    assert {name for name, kind in types.items() if kind == element} == {
        f"{name}.{to}"
        for name in ("w1", "w2", "w2_bias", "w3", "table", "low", "high", *(["far"] if "masked" in further else []))
    }
    assert types["w4"] == types["gain"] == TensorProto.FLOAT
    assert "w1" not in types, "a weight that nothing reads in fp32 any more"
    assert list(made.graph.input) == list(graph.graph.input)
    assert list(made.graph.output) == list(graph.graph.output)
    assert read_decision(made) == read_decision(graph)
    assert halved(graph, to) == made


def test_each_is_a_model_of_its_own(graph) -> None:
    assert len({model_digest(each) for each in (graph, halved(graph, "fp16"), halved(graph, "bf16"))}) == 3


def test_logits_hardly_move(graph) -> None:
    moved = np.abs(logits(halved(graph, "fp16")) - logits(graph))
    assert 0 < moved.max() < 0.02


def test_the_last_linear_layers_end_at_the_last_nonlinear_ones(graph) -> None:
    assert last_linear(graph) == {"head", "join", "mean"}


@pytest.mark.parametrize(("to", "fits"), [("fp16", {6e4}), ("bf16", {6e4, 7e4, -3.38e38})])
@pytest.mark.parametrize("value", [6e4, 7e4, -3.38e38, np.finfo(np.float32).max])
def test_a_weight_too_large_stays_in_fp32(graph, to, fits, value) -> None:
    set_weight(graph, "w3", value)
    made = halved(graph, to)
    assert ("mix" in in_half(made)) == (value in fits)
    held = {each.name: numpy_helper.to_array(each).astype(np.float64) for each in made.graph.initializer}
    np.testing.assert_allclose(held[f"w3.{to}" if value in fits else "w3"], np.float64(value), rtol=2**-8)


@pytest.mark.parametrize("opset", [18, 19, 20, 21, 22])
def test_bf16_has_the_opset_in_which_a_convolution_takes_it(opset: int) -> None:
    model = onnx.parser.parse_model(GRAPH.replace(": 20]", f": {opset}]"))
    add_weights(model)
    graph = append_decision_head(model, 2)
    made = halved(graph, "bf16")
    assert [(each.domain, each.version) for each in made.opset_import] == [("", 22)]
    onnx.checker.check_model(made, full_check=True)
    assert halved(graph, "fp16").opset_import[0].version == opset
    names = [node.name for node in made.graph.node if node.op_type != "Cast" or node.name == "cast"]
    assert names == [node.name for node in graph.graph.node]


@pytest.mark.parametrize("to", ["fp16", "bf16"])
def test_what_cannot_be_in_16_bits_says_so(graph, to) -> None:
    for node in graph.graph.node:
        if node.op_type in ("Conv", "Gather"):
            node.name = "head"  # counts as last
    [mix] = [node for node in graph.graph.node if node.name == "mix"]
    mix.name = "head"
    with pytest.raises(InputError, match=f"no layer of this model can compute in {to}; leave {to} out"):
        halved(graph, to)
    branch = onnx.parser.parse_graph("g () => (float[1] y) { y = Constant <value = float[1] {1.0}> () }")
    condition = numpy_helper.from_array(np.array(True), "yes")
    graph.graph.initializer.append(condition)
    graph.graph.node.append(onnx.helper.make_node("If", ["yes"], ["z"], then_branch=branch, else_branch=branch))
    with pytest.raises(InputError, match="loops or branches"):
        halved(graph, to)
