"""Verification: any change is found, by bytes or, where somebody made the manifest anew, by content."""

import os
import random
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import load_file, save_file

from data.errors import InputError
from data.files import read_json, sha256_of_file, write_json
from export.decision_head import load_onnx, read_decision, write_decision
from export.manifest import Manifest, digest_of, id_of, make_manifest
from export.verify import verify

ONNX_FILE = "onnx/fp32/model.onnx"


def reasons(release: Path) -> list[str]:
    """Why it fails; never a traceback, and never a pass."""
    summary = verify(release=release)
    assert summary.ok == (not any("FAILED" in line for line in [summary.title]))
    return [] if summary.ok else summary.lines


def resealed(release: Path) -> Path:
    """The folder under a manifest that somebody made anew over its changed content."""
    manifest = read_json(release / "manifest.json")
    (release / "manifest.json").unlink()
    again = make_manifest(
        release,
        created_at=manifest["created_at"],
        toolchain=manifest["toolchain"],
        engines=manifest["engines"],
    )
    (release / "manifest.json").write_text(again.text(), encoding="utf-8")
    return release.rename(release.parent / again.release_id)


def test_an_untouched_release_passes_wherever_it_stands(release: Path) -> None:
    assert reasons(release) == []
    assert any("look 2 at the golden set's labels" in line for line in verify(release=release).lines)
    moved = release.rename(release.parent / "current")
    assert reasons(moved) == []
    link = release.parent / "link"
    link.symlink_to(moved)
    assert reasons(link) == []
    assert reasons(resealed(moved)) == []


def test_a_folder_that_is_no_release(tmp_path: Path) -> None:
    assert "manifest.json: no such file" in reasons(tmp_path)[0]
    with pytest.raises(InputError, match="no such folder"):
        verify(release=tmp_path / "absent")


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_flipped_byte_in_any_file_is_found(release: Path) -> None:
    places = random.Random(1)
    for name in files_of(release):
        whole = (release / name).read_bytes()
        for _ in range(12 if name == "manifest.json" else 3):
            broken = bytearray(whole)
            place = places.randrange(len(broken))
            broken[place] ^= 1 << places.randrange(8)
            (release / name).write_bytes(broken)
            assert any(name in reason for reason in reasons(release)), (name, place)
        (release / name).write_bytes(whole)
    assert reasons(release) == []


def test_every_single_character_of_the_manifest_counts(release: Path) -> None:
    whole = (release / "manifest.json").read_text()
    for place in range(0, len(whole), 17):
        for changed in (whole[:place] + " " + whole[place:], whole[:place] + whole[place + 1 :]):
            (release / "manifest.json").write_text(changed)
            assert reasons(release), place


def test_a_cut_file_a_missing_one_and_a_new_one_are_found(release: Path) -> None:
    for name in files_of(release):
        whole = (release / name).read_bytes()
        (release / name).write_bytes(whole[: len(whole) // 2])
        assert any(name in reason for reason in reasons(release)), name
        (release / name).unlink()
        assert any(name in reason for reason in reasons(release)), name
        (release / name).write_bytes(whole)
    for name in ("more.txt", "onnx/fp32/weights.bin", ".hidden", "golden/9999.safetensors"):
        (release / name).write_text("more")
        assert f"{name}: not in the manifest" in reasons(release)
        (release / name).unlink()
    (release / "tensorrt").mkdir()
    assert "tensorrt: a folder without a file; a release holds plain files only" in reasons(release)


def test_swapped_files_are_found(release: Path) -> None:
    first, second = (release / "golden" / f"000{place}.safetensors" for place in (0, 1))
    other = release.parent / "other"
    first.rename(other)
    second.rename(first)
    other.rename(second)
    assert {reason.split(":")[0] for reason in reasons(release)} >= {
        "golden/0000.safetensors",
        "golden/0001.safetensors",
    }


def test_links_and_special_files_are_found(release: Path, tmp_path: Path) -> None:
    model = release / ONNX_FILE
    elsewhere = tmp_path / "model.onnx"
    shutil.move(model, elsewhere)
    model.symlink_to(elsewhere)
    assert f"{ONNX_FILE}: a link; a release holds plain files only" in reasons(release)
    model.unlink()
    shutil.move(elsewhere, model)
    tokenizer = release / "tokenizer"
    shutil.move(tokenizer, tmp_path / "tokenizer")
    tokenizer.symlink_to(tmp_path / "tokenizer")
    assert "tokenizer: a link; a release holds plain files only" in reasons(release)
    tokenizer.unlink()
    shutil.move(tmp_path / "tokenizer", tokenizer)
    manifest = release / "manifest.json"
    shutil.move(manifest, elsewhere)
    manifest.symlink_to(elsewhere)
    assert "manifest.json: no such file" in reasons(release)[0]
    manifest.unlink()
    shutil.move(elsewhere, manifest)
    os.mkfifo(release / "pipe")
    assert "pipe: a special file; a release holds plain files only" in reasons(release)


@pytest.mark.parametrize(
    "path", ["../outside.txt", "/etc/hostname", "a/../../outside.txt", "a\\..\\b", "", ".", "a//b"]
)
def test_paths_that_leave_the_release_are_refused(release: Path, path: str) -> None:
    (release.parent / "outside.txt").write_text("outside")
    content = read_json(release / "manifest.json")
    content["files"].append({"path": path, "sha256": "0" * 64, "size": 7})
    content["id"] = id_of(content)
    content["digest"] = digest_of(content)
    write_json(release / "manifest.json", content)
    (reason, *_) = reasons(release)
    assert "expected a relative path inside the release" in reason


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"size": ' + b"9" * 5000 + b"}",
        b'{"schema": "setpoint/release/v1", "id": NaN}',
        b'{"created_at": "\\ud800"}',
    ],
)
def test_a_hostile_manifest_is_refused_without_a_traceback(release: Path, content: bytes) -> None:
    (release / "manifest.json").write_bytes(content)
    assert reasons(release)[0].startswith(f"{release}/manifest.json")


def test_half_a_character_in_the_manifest(release: Path) -> None:
    text = (release / "manifest.json").read_text()
    (release / "manifest.json").write_text(text.replace('"created_at": "', '"created_at": "\\ud800'))
    assert "it was changed" in reasons(release)[0]


def test_names_that_a_terminal_would_obey_are_shown_harmless(release: Path) -> None:
    (release / "\x1b[2Jgone").write_text("")
    (release / os.fsdecode(b"\xff")).write_text("")
    assert all("\x1b" not in reason and reason.encode() for reason in reasons(release))


def test_the_folder_of_one_release_does_not_hold_another(release: Path) -> None:
    wrong = release.rename(release.parent / "0123456789abcdef")
    assert f"the release is {release.name}" in reasons(wrong)[0]


def change_json(release: Path, name: str, *keys: str | int, value: object) -> None:
    content = read_json(release / name)
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    write_json(release / name, content)


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


def write_onnx(release: Path, model: onnx.ModelProto) -> Path:
    """Put a graph in, with every digest beside it made anew."""
    (release / ONNX_FILE).write_bytes(model.SerializeToString(deterministic=True))
    digest = sha256_of_file(release / ONNX_FILE)
    change_json(release, "model.json", "precisions", "fp32", "sha256", value=digest)
    change_json(release, "sbom.cdx.json", "metadata", "component", "hashes", 0, "content", value=digest)
    return resealed(release)


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
        verify(release=release)


def test_nan_answers_are_found(release: Path) -> None:
    file = release / "golden/0000.safetensors"
    tensors = load_file(file)
    save_file({**tensors, "logits": np.full_like(tensors["logits"], np.nan)}, file)
    assert any("logits differ" in reason for reason in reasons(resealed(release)))


def test_a_manifest_is_its_own_only_text(release: Path) -> None:
    text = (release / "manifest.json").read_text(encoding="utf-8")
    assert Manifest.model_validate_json(text).text() == text
