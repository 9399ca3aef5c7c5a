"""Verification: where somebody made the manifest anew, a change is found by content."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from changed_releases import ONNX_FILE, change_json, reasons, resealed, verified, write_onnx
from onnx import TensorProto, helper
from safetensors.numpy import load_file, save_file

from export.graph.decision_head import load_onnx, read_decision, write_decision
from export.release.manifest import Manifest

POINTS = "reports/decisions/operating_points.json"


@pytest.mark.parametrize(
    ("name", "keys", "value", "message"),
    [
        ("policies.json", ("policies", 0, "bands", 1, "threshold"), 0.25, "setpoint.thresholds is not what"),
        ("policies.json", ("policies", 0, "bands", 1, "threshold"), 0.25, "not those of the operating points"),
        ("policies.json", ("policies", 0, "bands", 1, "threshold"), 0.1, "must be a float32 number"),
        ("policies.json", ("policies", 0, "calibrator", "scale"), 1.5, "setpoint.platt_scale is not what"),
        ("policies.json", ("policies", 1, "calibrator", "offset"), 0.0, "setpoint.platt_offset is not what"),
        ("policies.json", ("policies", 1, "output_index"), 0, "output_index must count up"),
        ("policies.json", ("policies", 1, "policy_id"), "spam", "not those of model.json"),
        ("policies.json", ("policies", 1, "version"), "9.0.0", "not those of model.json"),
        ("policies.json", ("model_digest",), "0" * 64, "model digest is not that of policies.json"),
        ("policies.json", ("golden_set", "n_items"), 999, "not those of the operating points"),
        ("policies.json", ("more",), 1, "unknown key"),
        (POINTS, ("policies", 0, "bands", 0, "target"), 0.99, "not those of the operating points"),
        (POINTS, ("scores", "model_digest"), "0" * 64, "for another model"),
        ("contract.json", ("inputs", 0, "shape", 3), 16, "against contract.json"),
        ("contract.json", ("outputs", 1, "name"), "chances", "against contract.json"),
        ("contract.json", ("inputs", 0, "axes"), [], "ONNX: cannot be checked"),
        ("preprocess.json", ("filter",), "bicubic", "filter"),
        ("preprocess.json", ("num_frames",), -1, "num_frames"),
        ("model.json", ("precisions", "fp32", "file"), "../../model.onnx", "names the models"),
        ("model.json", ("precisions", "fp32", "sha256"), "0" * 64, "digest does not match model.json"),
        ("reports/parity.json", ("tolerance",), None, "records: cannot be checked"),
        ("sbom.cdx.json", ("metadata", "component", "hashes", 0, "content"), "0", "sbom.cdx.json: not a"),
        ("golden/replay.json", ("logit_tolerance",), 100.0, "less than or equal to 0.001"),
        ("golden/replay.json", ("golden_digest",), "0" * 64, "from another golden set"),
        ("golden/replay.json", ("item_ids",), ["g00"], "not those that replay.json lists"),
        ("tokenizer/tokenizer.json", ("model",), None, "tokenizer.json: no tokenizer"),
    ],
)
def test_changed_content_is_found_even_under_a_manifest_made_anew(release, name, keys, value, message) -> None:
    change_json(release, name, *keys, value=value)
    found = reasons(resealed(release))
    assert any(message in reason for reason in found), found


@pytest.mark.parametrize(
    ("array", "place", "value", "name"),
    [
        ("thresholds", 0, np.nextafter(np.float32(2.1), np.float32(3)), "setpoint.thresholds"),
        ("thresholds", 2, 4.0, "setpoint.thresholds"),
        ("band_policy", 1, 1, "setpoint.band_policy"),
        ("platt_scale", 0, -1.3, "setpoint.platt_scale"),
        ("platt_offset", 1, 0.0, "setpoint.platt_offset"),
    ],
)
def test_a_graph_that_decides_otherwise_is_found(release, array, place, value, name) -> None:
    graph = load_onnx(release / ONNX_FILE)
    decision = read_decision(graph)
    changed = getattr(decision, array).copy()
    changed[place] = value
    found = reasons(write_onnx(release, write_decision(graph, replace(decision, **{array: changed}))))
    assert f"{ONNX_FILE}: {name} is not what policies.json says" in found


def test_other_weights_are_found(release: Path) -> None:
    graph = load_onnx(release / ONNX_FILE)
    weights = next(tensor for tensor in graph.graph.initializer if tensor.name == "pixel_weight")
    weights.float_data[0] += 0.5
    found = reasons(write_onnx(release, graph))
    assert f"{ONNX_FILE}: its model digest is not that of policies.json" in found


def test_weights_in_other_files_are_refused_unread(release: Path) -> None:
    graph = load_onnx(release / ONNX_FILE)
    tensor = graph.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    found = reasons(write_onnx(release, graph))
    assert f"{ONNX_FILE}: keeps weights in other files" in found


def test_weights_in_other_files_are_found_in_subgraphs(release: Path) -> None:
    graph = load_onnx(release / ONNX_FILE)
    hidden = TensorProto(name="hidden", data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    hidden.external_data.add(key="location", value="weights.bin")
    constant = helper.make_node("Constant", [], ["c"])
    constant.attribute.append(helper.make_attribute("value", hidden))
    branch = helper.make_graph([constant], "branch", [], [helper.make_tensor_value_info("c", 1, [1])])
    node = helper.make_node("If", ["condition"], ["out"], then_branch=branch, else_branch=branch)
    graph.graph.node.insert(0, node)
    assert f"{ONNX_FILE}: keeps weights in other files" in reasons(write_onnx(release, graph))


def test_other_answers_are_found(release: Path) -> None:
    file = release / "golden/0000.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "logits": tensors["logits"] + np.float32(0.002)}, file)
    assert any("logits differ by up to 0.002" in reason for reason in reasons(resealed(release)))


def test_other_flags_are_found(release: Path) -> None:
    file = release / "golden/0002.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "flags": ~tensors["flags"]}, file)
    found = reasons(resealed(release))
    assert any("flags differ in bands [0, 1, 2]" in reason for reason in found)
    assert any("do not follow from the thresholds" in reason for reason in found)


@pytest.mark.parametrize("name", ["golden/0000.safetensors", ONNX_FILE, "policies.json", POINTS, "contract.json"])
def test_broken_content_under_a_manifest_made_anew_never_ends_in_a_traceback(release: Path, name: str) -> None:
    whole = (release / name).read_bytes()
    places = random.Random(name)
    for _ in range(25):
        broken = bytearray(whole)
        for _ in range(places.choice([1, 4])):
            broken[places.randrange(len(broken))] = places.randrange(256)
        if places.random() < 0.3:
            del broken[places.randrange(len(broken)) :]
        (release / name).write_bytes(broken)
        release = resealed(release)
        verified(release)


def test_nan_answers_are_found(release: Path) -> None:
    file = release / "golden/0000.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "logits": np.full_like(tensors["logits"], np.nan)}, file)
    assert any("logits differ" in reason for reason in reasons(resealed(release)))


def test_a_manifest_is_its_own_only_text(release: Path) -> None:
    text = (release / "manifest.json").read_text(encoding="utf-8")
    assert Manifest.model_validate_json(text).text() == text
