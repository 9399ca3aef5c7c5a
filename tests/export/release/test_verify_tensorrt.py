"""A release and TensorRT: engines stand outside, the report travels along, and verification asks again."""

from pathlib import Path
from typing import Any

import pytest
from changed_releases import change_json, reasons, resealed
from refused_models import put_graph, with_uint8_reshape

from data.files import read_json
from export.graph.decision_head import load_onnx
from export.release.verify import verify
from export.tensorrt.library import is_installed
from export.tensorrt.run import engine

pytestmark = pytest.mark.skipif(not is_installed("tensorrt-rtx"), reason="pip install 'setpoint[tensorrt-rtx]'")


def test_engines_of_a_release_leave_it_as_it_was_sealed(release: Path, tmp_path: Path) -> None:
    summary = engine(model=release, engines=tmp_path / "engines")
    assert [path.parent.parent for path in summary.written] == [tmp_path / "engines"]
    verified = verify(release=release)
    assert verified.ok, verified.lines
    assert any("an engine of fp32 was built for compute capability 8.0 and up" in line for line in verified.lines)
    assert not any("tensorrt" in line for line in verify(release=release, tensorrt=False).lines)


def test_the_report_travels_into_the_release_and_is_held_to(parts: Any, tmp_path: Path) -> None:
    model = parts.root / "model"
    engine(model=model, engines=tmp_path / "engines")
    put_graph(model, load_onnx(model / "onnx/fp32/model.onnx"), "other")
    engine(model=model, engines=tmp_path / "engines", precision="other")
    [sealed] = parts.seal(releases=tmp_path / "first").written
    report = read_json(sealed / "reports/tensorrt.json")
    assert [(check["precision"], check["stage"]) for check in report["checks"]] == [("fp32", "built")]
    assert reasons(sealed, tensorrt=True) == []
    change_json(sealed, "reports/tensorrt.json", "checks", 0, "model_digest", value="0" * 64)
    assert "reports/tensorrt.json: speaks of other models than model.json" in reasons(resealed(sealed))


def test_a_release_that_tensorrt_refuses_passes_unless_it_promised(parts: Any, tmp_path: Path) -> None:
    model = parts.root / "model"
    put_graph(model, with_uint8_reshape(load_onnx(model / "onnx/fp32/model.onnx")))
    digest = read_json(model / "model.json")["model_digest"]
    change_json(parts.root / "calibration", "operating_points.json", "scores", "model_digest", value=digest)
    engine(model=model, engines=tmp_path / "engines")
    [sealed] = parts.seal(releases=tmp_path / "releases").written
    passed = verify(release=sealed)
    assert passed.ok, passed.lines
    assert any("fp32 refused while parsing: Reshape (too_early)" in line for line in passed.lines)
    change_json(sealed, "reports/tensorrt.json", "checks", 0, "stage", value="built")
    change_json(sealed, "reports/tensorrt.json", "checks", 0, "refusals", value=[])
    [reason] = reasons(resealed(sealed), tensorrt=True)
    assert reason.startswith("reports/tensorrt.json: says that fp32 was built, but tensorrt-rtx")
