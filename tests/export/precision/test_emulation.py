"""bf16 emulated where nothing computes in it: every number is rounded as ml_dtypes rounds it."""

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from bf16_model import write_bf16
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from data.errors import InputError
from export.graph.decision_head import append_decision_head
from export.model_folder import read_model_folder
from export.precision.emulation import EmulatedBf16, emulated
from export.precision.half import halved
from export.scoring.batch import Batch
from export.scoring.runtimes import LEVELS, OnnxRuntime

GRAPH = """
<ir_version: 10, opset_import: ["" : 20]>
setpoint (float[batch, 3] x) => (float[batch, 2] logits)
{
  [mix] a = Gemm (x, w1, bias)
  [shift] b = Add (a, far)
  [relu] c = Relu (b)
  [squash] d = Softmax (c)
  [more] e = MatMul (d, w2)
  [bend] f = Tanh (e)
  [head] logits = MatMul (f, w3)
}
"""


def weights() -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(0)
    shapes = {"w1": (3, 4), "bias": (4,), "far": (4,), "w2": (4, 4), "w3": (4, 2)}
    made = {name: random.normal(0, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    made["far"][1] = -1e5  # beyond fp16
    return made


def rounded(values: NDArray[np.generic]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return values.astype(np.float32).astype(ml_dtypes.bfloat16).astype(np.float32)


@pytest.fixture
def bf16() -> onnx.ModelProto:
    model = onnx.parser.parse_model(GRAPH)
    model.graph.initializer.extend(numpy_helper.from_array(held, name) for name, held in weights().items())
    return halved(append_decision_head(model, 2), "bf16")


def run(model: onnx.ModelProto, fed: NDArray[np.float32], level: str = "all") -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = LEVELS[level]
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run([session.get_outputs()[0].name], {session.get_inputs()[0].name: fed})[0]


def by_numpy(x: NDArray[np.float32]) -> NDArray[np.float64]:
    """The graph in double precision, each result rounded to bf16 where a GPU would round it."""
    of = {name: rounded(held).astype(np.float64) for name, held in weights().items()}
    a = rounded(rounded(x).astype(np.float64) @ of["w1"] + of["bias"])
    c = np.maximum(rounded(a + of["far"]), 0).astype(np.float64)
    d = np.exp(c - c.max(1, keepdims=True))
    e = rounded(rounded(d / d.sum(1, keepdims=True)).astype(np.float64) @ of["w2"])
    return np.tanh(e.astype(np.float64)) @ weights()["w3"]


@pytest.mark.parametrize("level", LEVELS)
def test_it_computes_what_numpy_computes_on_numbers_of_bf16(bf16, level: str) -> None:
    x = np.random.default_rng(1).normal(0, 1, (500, 3)).astype(np.float32)
    found, expected = run(emulated(bf16), x, level), by_numpy(x)
    # A sum in fp32 may fall on the other side of a tie between two bf16 numbers, 0.4 % apart.
    differences = np.abs(found - expected).max(1)
    assert (differences < 1e-5).mean() > 0.98
    assert differences.max() < 0.05
    model = onnx.parser.parse_model(GRAPH)
    model.graph.initializer.extend(numpy_helper.from_array(held, name) for name, held in weights().items())
    assert np.median(np.abs(run(model, x) - expected).max(1)) > 1e-3, "fp32 gives other logits"


@pytest.mark.parametrize("level", LEVELS)
def test_casts_round_to_nearest_even_and_are_never_dropped(level: str) -> None:
    text = """<ir_version: 10, opset_import: ["" : 22]> g (float[n] x) => (float[n] y)
              { a = Cast <to = 16> (x) b = Relu (a) y = Cast <to = 1> (b) }"""
    random = np.random.default_rng(2)
    bits = random.integers(0, 2**31, 200_000, dtype=np.uint32)
    bits[::3] = (bits[::3] & 0xFFFF0000) | 0x8000  # ties
    chosen = np.float32([0, np.inf, 3.4e38, 1e-40, 65504, 1 + 2**-8, 1 + 3 * 2**-8])
    x = np.concatenate([bits.view(np.float32), chosen])
    x = x[~np.isnan(x)]
    np.testing.assert_array_equal(run(emulated(onnx.parser.parse_model(text)), x, level), rounded(x))


def test_the_emulation_holds_no_operator_of_bf16_but_casts(bf16) -> None:
    made = emulated(bf16)
    onnx.checker.check_model(made, full_check=True)
    known = onnx.shape_inference.infer_shapes(made, strict_mode=True).graph
    kinds = {value.name: value.type.tensor_type.elem_type for value in known.value_info}
    narrow = {name for name, kind in kinds.items() if kind == TensorProto.BFLOAT16}
    assert narrow
    assert {node.op_type for node in made.graph.node if narrow.intersection([*node.input, *node.output])} == {"Cast"}
    assert all(each.data_type != TensorProto.BFLOAT16 for each in made.graph.initializer)
    assert list(made.graph.input) == list(bf16.graph.input)
    assert list(made.graph.output) == list(bf16.graph.output)


def test_a_folder_is_emulated_where_onnx_runtime_refuses_it(hand_made_model: Path, model: Path) -> None:
    write_bf16(model)
    random = np.random.default_rng(3)
    batch = Batch(
        frames=random.integers(0, 256, (5, 2, 3, 8, 8), dtype=np.uint8),
        frame_mask=np.ones((5, 2), bool),
        frame_times=np.zeros((5, 2), np.float32),
        token_ids=np.zeros((5, 1), np.int64),
        token_mask=np.zeros((5, 1), bool),
    )
    runtime, fp32 = EmulatedBf16(read_model_folder(model)), OnnxRuntime(model)
    assert runtime.name == f"onnxruntime-{onnxruntime.__version__}-cpu-bf16-emulated"
    moved = np.abs(runtime.run(batch).logits - fp32.run(batch).logits)
    assert 0 < moved.max() < 0.02 * np.abs(fp32.run(batch).logits).max()
    with pytest.raises(InputError, match="has no precision 'bf16'"):
        EmulatedBf16(read_model_folder(hand_made_model))
