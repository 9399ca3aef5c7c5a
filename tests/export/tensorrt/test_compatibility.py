"""What verification says of TensorRT: which ONNX files it takes, and a failure where the report promised more."""

import sys
from pathlib import Path

import pytest
from refused_models import put_graph, with_uint8_reshape

from data.files import read_json, write_json
from export.graph.decision_head import load_onnx
from export.tensorrt.compatibility import check_compatibility
from export.tensorrt.library import Library
from export.tensorrt.run import engine


@pytest.fixture
def engines(tmp_path: Path) -> Path:
    return tmp_path / "engines"


def test_what_is_taken_and_what_is_refused_are_lines(rtx: Library, model: Path) -> None:
    put_graph(model, with_uint8_reshape(load_onnx(model / "onnx/fp32/model.onnx")), "odd")
    answer = check_compatibility(model)
    assert answer.reasons == []
    taken, refused = answer.lines
    head = f"tensorrt-rtx {rtx.version}"
    assert taken == f"{head}: an engine of fp32 was built for compute capability 8.0 and up, and not run"
    assert refused.startswith(f"{head}: odd refused while parsing: Reshape (too_early): ")


def test_a_report_that_promised_more_is_a_reason(rtx: Library, model: Path, engines: Path) -> None:
    engine(model=model, engines=engines)
    assert check_compatibility(model).reasons == []
    put_graph(model, with_uint8_reshape(load_onnx(model / "onnx/fp32/model.onnx")))
    answer = check_compatibility(model)
    assert answer.lines == []
    [reason] = answer.reasons
    assert reason.startswith("reports/tensorrt.json: says that fp32 was built, but tensorrt-rtx")
    # Of another version nothing was promised.
    content = read_json(model / "reports/tensorrt.json")
    content["checks"][0]["version"] = "0.1"
    write_json(model / "reports/tensorrt.json", content)
    assert check_compatibility(model).reasons == []


def test_what_is_not_known_in_time_is_no_failure(rtx: Library, model: Path, engines: Path) -> None:
    engine(model=model, engines=engines)
    answer = check_compatibility(model, seconds=0.01)
    assert answer.reasons == []
    assert answer.lines == [f"tensorrt-rtx {rtx.version}: fp32 not built: TensorRT was not done after 0.01 seconds"]


def test_without_the_library_it_says_so(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    answer = check_compatibility(model)
    assert answer.reasons == []
    assert answer.lines == ["TensorRT was not asked: tensorrt-rtx is not here (pip install 'setpoint[tensorrt-rtx]')"]


def test_a_library_that_cannot_be_loaded_is_a_line(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "tensorrt_rtx.py").write_text("raise ImportError('libcuda.so.1: no such file')")
    monkeypatch.syspath_prepend(tmp_path / "broken")
    monkeypatch.delitem(sys.modules, "tensorrt_rtx", raising=False)
    answer = check_compatibility(model)
    assert answer.reasons == []
    assert "installed but cannot be loaded (libcuda.so.1: no such file)" in answer.lines[0]
