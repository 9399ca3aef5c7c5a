"""Thresholds move without the model folder: a release that follows another over the same network."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from changed_releases import change_json, reasons, resealed, verified
from signing_keys import make_key

from data.errors import InputError
from data.files import read_json
from export.graph.decision_head import load_onnx, model_digest, read_decision

POINTS = "operating_points.json"
ONNX_FILE = "onnx/fp32/model.onnx"


@pytest.fixture
def parent(parts) -> Path:
    folder: Path = parts.seal().written[0]
    shutil.rmtree(parts.root / "model")
    calibration = parts.root / "calibration"
    change_json(calibration, POINTS, "policies", 0, "bands", 1, "threshold", value=0.75)
    change_json(calibration, POINTS, "policies", 1, "calibrator", "scale", value=2.5)
    return folder


@pytest.fixture
def child(parts, parent: Path) -> Path:
    folder: Path = parts.seal(parent=parent).written[0]
    return folder


def test_thresholds_and_calibrators_move_and_the_model_stays(parent: Path, child: Path) -> None:
    before, after = (load_onnx(folder / ONNX_FILE) for folder in (parent, child))
    assert model_digest(before) == model_digest(after)
    assert read_decision(before).thresholds.tolist() == [np.float32(2.1), 0.5, np.inf]
    assert read_decision(after).thresholds.tolist() == [np.float32(2.1), 0.75, np.inf]
    assert read_decision(after).platt_scale.tolist() == [np.float32(1.3), 2.5]
    manifest = read_json(child / "manifest.json")
    assert (manifest["parent"], manifest["rollback_to"]) == (parent.name, parent.name)
    assert child.name == manifest["id"] != parent.name
    summary = verified(child)
    assert summary.ok, summary.lines
    assert f"follows release {parent.name}, which lies beside it, with the same model; go back to {parent.name}" in (
        summary.lines
    )
    assert verified(parent).ok


def test_a_release_stands_without_its_parent(child: Path, tmp_path: Path) -> None:
    alone = shutil.copytree(child, tmp_path / child.name)
    assert any("which does not lie beside it" in line for line in verified(alone).lines)


def test_a_chain_is_checked_as_far_as_it_lies_there(parts, parent: Path, child: Path) -> None:
    change_json(parts.root / "calibration", POINTS, "policies", 0, "bands", 1, "threshold", value=1.25)
    grandchild = parts.seal(parent=child).written[0]
    assert verified(grandchild).ok
    (parent / "requirements.txt").write_text("")
    for folder in (child, grandchild):
        assert any(
            f"parent {parent.name}, which lies beside it: requirements.txt" in each for each in reasons(folder)
        )


def test_another_release_in_the_place_of_the_parent_is_found(child: Path, parent: Path, older_release: Path) -> None:
    shutil.rmtree(parent)
    shutil.copytree(older_release, parent)
    assert any(f"it is the release {older_release.name}" in reason for reason in reasons(child))


def test_nothing_follows_a_parent_that_does_not_verify(parts, parent: Path) -> None:
    change_json(parent, "policies.json", "policies", 0, "bands", 1, "threshold", value=0.25)
    with pytest.raises(InputError, match=r"does not verify, and nothing can follow it: policies\.json"):
        parts.seal(parent=parent)
    changed = resealed(parent)
    with pytest.raises(InputError, match="not those of the operating points"):
        parts.seal(parent=changed)
    assert [folder.name for folder in (parts.root / "releases").iterdir()] == [changed.name]


def test_a_trust_root_holds_for_the_parent_too(parts, parent: Path, tmp_path: Path) -> None:
    key = make_key(tmp_path, "ours")
    with pytest.raises(InputError, match="nothing can follow it: the files have no signature"):
        parts.seal(parent=parent, trust=key.public)


def test_a_calibration_of_another_model_cannot_follow(parts, parent: Path) -> None:
    change_json(parts.root / "calibration", POINTS, "scores", "model_digest", value="6" * 64)
    with pytest.raises(InputError, match="certified for another model"):
        parts.seal(parent=parent)
