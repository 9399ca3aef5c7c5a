"""A graph in two parts that compute what the whole does, and what the benchmark of precisions makes of them."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from data.files import read_json, sha256_of_file, write_json
from export.graph.decision_head import append_decision_head, model_digest
from export.graph.onnx_export import save_onnx
from export.precision.parting import parted
from export.scoring.runtimes import open_session
from scripts import bench_precisions

GRAPH = """
<ir_version: 10, opset_import: ["" : 20]>
setpoint (
  uint8[batch, frames, 3, 8, 8] frames, bool[batch, frames] frame_mask, float[batch, frames] frame_times,
  int64[batch, tokens] token_ids, bool[batch, tokens] token_mask
) => (float[batch, 2] logits)
<int64[4] flat = {-1, 3, 8, 8}, int64[2] inner = {2, 3}, int64[1] last = {1}, float low = {0.0}, float high = {6.0}>
{
  [cast] pixels = Cast <to = 1> (frames)
  [fold] image = Reshape (pixels, flat)
  [conv] a = Conv <kernel_shape = [3, 3]> (image, w1)
  [clip] b = Clip (a, low, high)
  [mean] pooled = ReduceMean <keepdims = 0> (b, inner)
  [words] ids = Cast <to = 1> (token_ids)
  [said] said = ReduceMean <keepdims = 1> (ids, last)
  [both] both = Add (pooled, said)
  [head] logits = MatMul (both, w2)
}
"""


@pytest.fixture
def model(hand_made_model, tmp_path):
    import shutil

    graph = onnx.parser.parse_model(GRAPH)
    for name, shape in (("w1", (4, 3, 3, 3)), ("w2", (4, 2))):
        weights = np.random.default_rng(0).normal(0, 0.01, shape).astype(np.float32)
        graph.graph.initializer.append(numpy_helper.from_array(weights, name))
    graph = append_decision_head(graph, 2)
    folder = shutil.copytree(hand_made_model, tmp_path / "model")
    content = read_json(folder / "model.json")
    for name in ("fp32", "int8"):  # the same: a gain of 1
        file = f"onnx/{name}/model.onnx"
        save_onnx(graph, folder / file)
        entry = {"file": file, "sha256": sha256_of_file(folder / file), "model_digest": model_digest(graph)}
        content["precisions"][name] = entry
    write_json(folder / "model.json", content)
    return folder


def test_two_parts_in_a_row_compute_what_the_model_does(model) -> None:
    graph = onnx.load(model / "onnx/fp32/model.onnx")
    arrays = bench_precisions._example(bench_precisions.read_model_folder(model).contract, 3)
    whole = open_session(model / "onnx/fp32/model.onnx").run(["logits"], arrays)[0]
    first, rest = parted(graph)
    for name, part in (("first", first), ("rest", rest)):
        onnx.checker.check_model(part)
        onnx.save(part, model / f"{name}.onnx")
        session = open_session(model / f"{name}.onnx")
        fed = {each.name: arrays[each.name] for each in session.get_inputs()}
        names = [output.name for output in session.get_outputs()]
        arrays |= dict(zip(names, session.run(names, fed), strict=True))
    assert [value.name for value in first.graph.input] == ["frames"]
    assert "frames" not in [value.name for value in rest.graph.input]
    np.testing.assert_allclose(arrays["logits"], whole, rtol=1e-6)


def test_it_prints_the_gains_and_fails_below_the_claim(model, capsys, monkeypatch) -> None:
    machine = bench_precisions.this_machine()
    vnni = machine.model_copy(update={"flags": ["avx2", "avx_vnni"]})
    monkeypatch.setattr(bench_precisions, "this_machine", lambda: vnni)
    assert bench_precisions.main([str(model), "--turns", "3"]) == 1
    said = capsys.readouterr().out
    assert "times the throughput of fp32" in said
    assert "FAILED: int8 gains" in said
    assert "move a logit by" in said
    avx2 = machine.model_copy(update={"flags": ["avx2"]})
    monkeypatch.setattr(bench_precisions, "this_machine", lambda: avx2)
    monkeypatch.setattr(bench_precisions, "LEAST_GAIN_BY_AVX2", 0.0)
    assert bench_precisions.main([str(model), "--turns", "3"]) == 0
