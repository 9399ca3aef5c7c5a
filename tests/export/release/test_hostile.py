"""Releases made to do harm, whole by their bytes: verification refuses them, soon, and stays alive."""

import struct
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
from changed_releases import ONNX_FILE, change_json, reasons, resealed, verified, write_onnx
from onnx import TensorProto, helper, numpy_helper

from export.graph.decision_head import load_onnx, model_digest
from export.trust.limits import MOST_FILES

POINTS = "reports/decisions/operating_points.json"
JSON_FILES = ["contract.json", "golden/replay.json", "model.json", "policies.json", POINTS, "preprocess.json"]
LONGEST = 20.0
"""Seconds, on a machine with other work."""


@pytest.fixture(autouse=True)
def it_is_over_soon():
    started = time.perf_counter()
    yield
    assert time.perf_counter() - started < LONGEST


@pytest.mark.parametrize("name", [*JSON_FILES, "sbom.cdx.json", "reports/parity.json", "tokenizer/tokenizer.json"])
@pytest.mark.parametrize(
    "content",
    [
        b"[" * 900_000,
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b"[" + b"[]," * 50_000 + b"0]",
        b"1" * 900_000,
        b'"\xff',
    ],
    ids=["deep lists", "deep mappings", "many lists", "a long number", "no text"],
)
def test_json_that_is_not_for_reading(release: Path, name: str, content: bytes) -> None:
    (release / name).write_bytes(content)
    assert reasons(resealed(release))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (struct.pack("<Q", 2**63) + b"{}", "at most 1,048,576 can be right"),
        (struct.pack("<Q", 2**20 + 1) + b" " * (2**20 + 1), "at most 1,048,576 can be right"),
        (struct.pack("<Q", 64) + b"{}", "golden replay: cannot be checked"),
        (b"", "golden replay: cannot be checked"),
        (
            struct.pack("<Q", 68)
            + b'{"frames":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'[:68],
            "golden replay: cannot be checked",
        ),
    ],
)
def test_headers_of_tensors_that_lie(release: Path, header: bytes, message: str) -> None:
    (release / "golden/0000.safetensors").write_bytes(header)
    assert any(message in reason for reason in reasons(resealed(release)))


def serve(release: Path, model: onnx.ModelProto) -> Path:
    """Put a graph in, and its digest everywhere: everything agrees."""
    digest = model_digest(model)
    change_json(release, "model.json", "model_digest", value=digest)
    change_json(release, "model.json", "precisions", "fp32", "model_digest", value=digest)
    for name in ("policies.json", POINTS):
        change_json(release, name, "scores", "model_digest", value=digest)
    change_json(release, "policies.json", "model_digest", value=digest)
    return write_onnx(release, model)


def renamed_logits(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.output[:] = ["honest" if name == "logits" else name for name in node.output]


def constant(model: onnx.ModelProto, name: str, value: np.ndarray) -> str:
    model.graph.initializer.append(numpy_helper.from_array(value, name))
    return name


def before_the_head(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    place = next(index for index, node in enumerate(model.graph.node) if "logits" in node.input)
    for node in reversed(nodes):
        model.graph.node.insert(place, node)


def test_the_helpers_keep_a_harmless_graph_whole(release: Path) -> None:
    model = load_onnx(release / ONNX_FILE)
    renamed_logits(model)
    before_the_head(model, [helper.make_node("Identity", ["honest"], ["logits"])])
    assert reasons(serve(release, model)) == []


def test_a_graph_that_never_ends(release: Path) -> None:
    model = load_onnx(release / ONNX_FILE)
    renamed_logits(model)
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Mul", ["carried", "one"], ["carried_on"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("step", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried", TensorProto.FLOAT, ["batch", 2]),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("carried_on", TensorProto.FLOAT, ["batch", 2]),
        ],
    )
    steps = constant(model, "steps", np.array(2**62, np.int64))
    always = constant(model, "always", np.array(True))
    before_the_head(model, [helper.make_node("Loop", [steps, always, "honest"], ["logits"], body=body)])
    summary = verified(serve(release, model), seconds=2.0)
    assert not summary.ok
    assert summary.lines == ["the content was not checked to its end: the check took longer than 2 s and was ended"]


def test_a_graph_that_asks_for_all_memory(release: Path) -> None:
    model = load_onnx(release / ONNX_FILE)
    renamed_logits(model)
    # As many times the batch as no constant folding sees: 48 GB for one item.
    nodes = [
        helper.make_node("ReduceSum", ["honest"], ["sum"], keepdims=0),
        helper.make_node("Reshape", ["sum", constant(model, "flat", np.array([1], np.int64))], ["one_sum"]),
        helper.make_node("Expand", ["one_sum", constant(model, "vast", np.array([12 * 10**9], np.int64))], ["all"]),
        helper.make_node("ReduceMax", ["all"], ["largest"], keepdims=0),
        helper.make_node("Mul", ["largest", constant(model, "nothing", np.array(0, np.float32))], ["zero"]),
        helper.make_node("Add", ["honest", "zero"], ["logits"]),
    ]
    before_the_head(model, nodes)
    found = reasons(serve(release, model))
    assert any("alloc" in reason.lower() or "SIGKILL" in reason for reason in found), found


def test_a_graph_of_many_graphs(release: Path) -> None:
    model = load_onnx(release / ONNX_FILE)
    graph = helper.make_graph([helper.make_node("Identity", ["honest"], ["x"])], "in", [], [])
    for depth in range(10):
        node = helper.make_node("If", ["always"], [f"x{depth}"], then_branch=graph, else_branch=graph)
        graph = helper.make_graph([node], "in", [], [])
    model.graph.node.insert(0, graph.node[0])
    assert any(reason.startswith("ONNX") for reason in reasons(write_onnx(release, model)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda model: setattr(model, "doc_string", "x"), "has doc strings or metadata in 1 places"),
        (
            lambda model: model.graph.node[3].metadata_props.add(key="stack", value="/home/ann/net.py"),
            "has doc strings or metadata in 1 places",
        ),
        (
            lambda model: setattr(model.graph.node[0], "name", "/home/ann/work/net.py:12"),
            "names a place on a machine, or a source file: '/home/ann/work/net.py:12'",
        ),
        (lambda model: setattr(model, "producer_name", "C:\\Users\\ann"), "names a place on a machine"),
        (
            lambda model: model.graph.node.append(helper.make_node("Run", [], ["r"], domain="com.evil")),
            "has operators of 'com.evil', which no runtime has built in",
        ),
    ],
)
def test_a_graph_that_tells_of_its_origin_or_needs_a_library(release: Path, change, message: str) -> None:
    model = load_onnx(release / ONNX_FILE)
    change(model)
    assert any(f"{ONNX_FILE}: {message}" in reason for reason in reasons(write_onnx(release, model)))


def test_many_files_and_deep_folders(release: Path) -> None:
    deep = release.joinpath(*["d"] * 30)
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    assert any("a folder too deep" in reason for reason in reasons(release))
    for number in range(MOST_FILES + 1):
        (release / "golden" / f"{number}.x").touch()
    assert "more than 10,000 files" in reasons(release)[0]


def test_a_large_manifest_is_not_read(release: Path) -> None:
    with (release / "manifest.json").open("r+b") as file:
        file.truncate(2**30)
    assert "at most 4,194,304 can be right" in reasons(release)[0]


def test_a_sparse_file_that_is_listed(release: Path) -> None:
    for name in ("golden/0001.safetensors", ONNX_FILE):
        with (release / name).open("r+b") as file:
            file.truncate(2**31 + 1)
    found = reasons(release)
    assert f"{ONNX_FILE}: 2,147,483,649 bytes, at most 2,147,483,648 can be right" in found
    assert any("golden/0001.safetensors: 2,147,483,649 bytes" in reason for reason in found)


def test_a_program_that_is_not_ours_is_remarked(release: Path) -> None:
    assert not any("predict.py" in line for line in verified(release).lines)
    (release / "predict.py").write_text("print('mine')\n")
    summary = verified(resealed(release))
    assert summary.ok
    assert any("caution: predict.py is not the one" in line for line in summary.lines)
