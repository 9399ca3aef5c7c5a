"""Builds: what is refused is named by node and reason, and a build that crashes or hangs is a refusal too."""

import os
import signal
import threading
import time
from pathlib import Path

import onnx
import pytest

from export.tensorrt.build import build_apart
from export.tensorrt.library import PORTABLE, Library
from export.tensorrt.worker import BuildRequest

HEAD = '<ir_version: 10, opset_import: ["" : 20]> g'
QUANTISED = """(float[batch, 3] x) => (float[batch, 2] y)
<int8[3, 2] w = {1, 2, 3, 4, 5, 6}, float scale = {0.1}, TYPE zero = {ZERO}, int8 none = {0}> {
  [narrow] q = QuantizeLinear (x, scale, zero)
  d = DequantizeLinear (q, scale, zero)
  weight = DequantizeLinear (w, scale, none)
  y = MatMul (d, weight)
}"""
GRAPHS = {
    "uint8 reshape": """(uint8[batch, 2, 3] x) => (float[n, 3] y) <int64[2] s = {-1, 3}> {
        [early] r = Reshape (x, s)  y = Cast <to = 1> (r) }""",
    "antialiased resize": """(float[batch, 3, 8, 8] x) => (float[batch, 3, 4, 4] y) <float[4] s = {1, 1, 0.5, 0.5}> {
        [shrink] y = Resize <antialias = 1, mode = "linear"> (x, , s) }""",
    "dynamic int8": """(float[batch, 3] x) => (int32[batch, 2] y) <int8[3, 2] w = {1, 2, 3, 4, 5, 6}> {
        q, s, z = DynamicQuantizeLinear (x)  [product] y = MatMulInteger (q, w, z) }""",
    "asymmetric int8": QUANTISED.replace("TYPE", "uint8").replace("ZERO", "128"),
    "batch baked in": """(float[batch, 6] x) => (float[2, 3, k] y) <int64[3] s = {2, 3, 2}> {
        [frozen] y = Reshape (x, s) }""",
}
REFUSED = {
    "uint8 reshape": ("parsing", [("early", "Reshape", "UInt8")]),
    "antialiased resize": ("parsing", [("shrink", "Resize", "Antialiasing is not supported currently.")]),
    "dynamic int8": (
        "parsing",
        [
            ("q", "DynamicQuantizeLinear", "TensorRT has no such operator"),
            ("product", "MatMulInteger", "TensorRT has no such operator"),
        ],
    ),
    "asymmetric int8": ("parsing", [("narrow", "QuantizeLinear", "Non-zero zero point is not supported.")]),
    "batch baked in": ("building", [("frozen", "Reshape", "reshape would change volume 24 to 12")]),
}


def request(folder: Path, text: str, target: str = PORTABLE) -> BuildRequest:
    """To build a graph of one input, x, whose batch is 1 to 8."""
    graph = onnx.parser.parse_model(f"{HEAD} {text}")
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    fixed = [axis.dim_value for axis in graph.graph.input[0].type.tensor_type.shape.dim][1:]
    shapes = {"x": [[batch, *fixed] for batch in (1, 4, 8)]}
    return BuildRequest(onnx=str(folder / "model.onnx"), library="tensorrt-rtx", target=target, shapes=shapes)


def children() -> set[int]:
    """Process ids of what this process runs."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(number) for file in lists for number in file.read_text().split()}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named(rtx: Library, tmp_path: Path, name: str) -> None:
    outcome = build_apart(request(tmp_path, GRAPHS[name]))
    stage, expected = REFUSED[name]
    assert outcome.stage == stage
    named = [(refusal.node, refusal.operator) for refusal in outcome.refusals]
    assert named == [(node, operator) for node, operator, _ in expected]
    for refusal, (_, _, reason) in zip(outcome.refusals, expected, strict=True):
        assert reason in refusal.reason
        assert "/_src/" not in refusal.reason


def test_symmetric_int8_is_built_and_kept(rtx: Library, tmp_path: Path) -> None:
    text = QUANTISED.replace("TYPE", "int8").replace("ZERO", "0")
    outcome = build_apart(request(tmp_path, text), tmp_path / "engine.plan")
    assert outcome.built, outcome
    assert (tmp_path / "engine.plan").stat().st_size > 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["engine.plan", "model.onnx"]


def test_a_refusal_for_older_gpus_names_the_node(rtx: Library, tmp_path: Path) -> None:
    text = "(float[batch, 16] x) => (float[batch, 2] y) <float[16, 2] w = {VALUES}> { [product] y = MatMul (x, w) }"
    text = text.replace("VALUES", ", ".join(["0.5"] * 32))
    assert build_apart(request(tmp_path, text)).built
    outcome = build_apart(request(tmp_path, text, target="7.5"), tmp_path / "engine.plan")
    assert outcome.stage == "building"
    assert [(each.node, each.operator) for each in outcome.refusals] == [("product", "MatMul")]
    assert "FP32 GEMM is not supported" in outcome.refusals[0].reason
    assert not (tmp_path / "engine.plan").exists()


def test_a_build_that_hangs_is_ended(rtx: Library, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.onnx")  # reading it waits for a writer that never comes
    waiting = BuildRequest(onnx=str(tmp_path / "model.onnx"), library="tensorrt-rtx", target=PORTABLE, shapes={})
    others = children()  # of tests before this one
    outcome = build_apart(waiting, timeout=3)
    assert (outcome.stage, outcome.refusals[0].reason) == ("ended", "TensorRT was not done after 3 seconds")
    assert children() <= others


def test_a_build_that_crashes_is_a_refusal(rtx: Library, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.onnx")
    waiting = BuildRequest(onnx=str(tmp_path / "model.onnx"), library="tensorrt-rtx", target=PORTABLE, shapes={})
    outcomes = []
    others = children()
    thread = threading.Thread(target=lambda: outcomes.append(build_apart(waiting)))
    thread.start()
    while not (workers := children() - others):
        time.sleep(0.05)
    os.kill(workers.pop(), signal.SIGSEGV)
    thread.join()
    assert outcomes[0].refusals[0].reason.startswith("TensorRT crashed (SIGSEGV)")


def test_a_file_that_is_no_onnx(rtx: Library, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"no model")
    asked = BuildRequest(onnx=str(tmp_path / "model.onnx"), library="tensorrt-rtx", target=PORTABLE, shapes={})
    outcome = build_apart(asked)
    assert outcome.stage in ("parsing", "building")
    assert outcome.refusals
