"""From signatures to the release: who must have signed, what the release says of it, which thresholds it flags by."""

from pathlib import Path

import numpy as np
import pytest
from changed_releases import change_json, verified
from two_precisions import Project

from calibrate.choice import BandChoice, Choice
from calibrate.gate_file import read_gate
from calibrate.operating_points_file import load_operating_points
from calibrate.signing.result import SignResult
from calibrate.signing.sign import sign, sign_choice
from data.errors import InputError
from data.files import read_json, sha256_of_file
from export.graph.decision_head import load_onnx, read_decision
from export.release.predict import main as predict

POINTS = "operating_points.json"


def signed_by(project: Project, name: str) -> None:
    root = project.root
    sign(
        calibration=root / "calibration",
        signatures=root / "signatures.jsonl",
        out=root / "signed",
        by=name,
        rationale=f"{name} | looked",
    )


def moved_by(
    project: Project, name: str, threshold: float | None, waivers: dict[str, str] | None = None
) -> SignResult:
    root = project.root
    chosen = BandChoice(policy_id="fire", policy_version="1.0.0", band=0, action="auto_remove", threshold=threshold)
    choice = Choice(
        schema="setpoint/choice/v1",
        calibration=sha256_of_file(root / "calibration" / POINTS),
        by=name,
        rationale="It is right.",
        choices=[chosen],
    )
    return sign_choice(
        root / "calibration",
        choice,
        waivers=waivers or {},
        signatures=root / "signatures.jsonl",
        out=root / "signed",
        today=None,
    )


def sealed(project: Project, **keys: object) -> Path:
    folder: Path = project.seal(**{"calibration": project.root / "signed", "unsigned": None, **keys}).written[0]
    return folder


def test_unsigned_points_are_refused(project: Project) -> None:
    with pytest.raises(InputError, match=r"auto_remove of fire is not signed: 2 more, by `setpoint sign`.*unsigned="):
        sealed(project, calibration=project.root / "calibration")
    signed_by(project, "Ada Lovelace")
    with pytest.raises(InputError, match="auto_remove of fire is signed by Ada Lovelace alone: 1 more") as told:
        sealed(project)
    assert "review" not in str(told.value)


def test_why_points_are_unsigned_is_repeated(project: Project) -> None:
    with pytest.raises(InputError, match=r"unsigned: ' ' says nothing"):
        sealed(project, calibration=project.root / "calibration", unsigned=" ")
    folder = sealed(project, calibration=project.root / "calibration", unsigned="a drill | of one day")
    assert read_json(folder / "policies.json")["unsigned"] == "a drill | of one day"
    card = (folder / "MODEL_CARD.md").read_text()
    assert "No one has signed these operating points. They were sealed all the same, because: a drill \\| of" in card
    said = verified(folder)
    assert said.ok
    assert any("not signed as it must be: fire, auto_remove" in line and "a drill" in line for line in said.lines)


def test_who_signed_stands_in_the_release(project: Project) -> None:
    signed_by(project, "Ada Lovelace")
    signed_by(project, "Grace Hopper")
    folder = sealed(project, unsigned="not needed")
    served = read_json(folder / "policies.json")
    assert served["policies"][0]["approver"] == "Ada Lovelace, Grace Hopper"
    assert "unsigned" not in served
    bands = [*served["policies"][0]["bands"], *served["precisions"]["int8"]["policies"][0]["bands"]]
    for band in bands:
        assert [each["by"] for each in band["signatures"]] == ["Ada Lovelace", "Grace Hopper"]
    card = (folder / "MODEL_CARD.md").read_text()
    assert "Signed by Ada Lovelace and Grace Hopper." in card
    assert "No one has signed" not in card
    assert "| fire, auto_remove | Ada Lovelace |" in card
    assert "Ada Lovelace \\| looked" in card
    said = verified(folder)
    assert said.ok, said.lines
    assert "operating points signed by Ada Lovelace, Grace Hopper" in said.lines
    assert any(line.startswith("files: no signature (") for line in said.lines)  # which is another thing
    assert "Grace Hopper" in (folder / "reports/decisions/index.html").read_text()
    assert not list(folder.rglob("made_from.json"))
    assert not list(folder.rglob("signatures.jsonl"))


def test_moved_thresholds_are_those_that_the_release_flags_by(project: Project) -> None:
    found = load_operating_points(project.root / "calibration").policies[0].bands[0]
    strictest, loosest = found.certified_range or (0.0, 0.0)
    threshold = float(np.float32((strictest + loosest) / 2))
    assert threshold not in (found.threshold, strictest)
    assert not moved_by(project, "Ada Lovelace", threshold).complete
    assert moved_by(project, "Grace Hopper", threshold).complete
    gate = read_gate(project.root / "signed")
    assert gate is not None
    assert gate.precisions[0].passed, "int8 follows where it is certified"
    own = load_operating_points(project.root / "signed" / "precisions" / "int8").policies[0].bands[0]
    assert own.certified_range is not None
    assert own.certified_range[1] <= own.threshold <= own.certified_range[0]
    assert abs(own.threshold - threshold) < abs(own.certified_range[1] - threshold)
    summary = project.seal(calibration=project.root / "signed", unsigned=None)
    folder = summary.written[0]
    int8 = read_decision(load_onnx(folder / "onnx/int8/model.onnx")).thresholds[0]
    assert int8 == np.float32(own.threshold)
    assert read_decision(load_onnx(folder / "onnx/fp32/model.onnx")).thresholds[0] == np.float32(threshold)
    assert read_json(folder / "policies.json")["policies"][0]["bands"][0]["threshold"] == threshold
    assert verified(folder).ok, verified(folder).lines


def test_a_waived_band_is_told_as_waived(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    found = load_operating_points(project.root / "calibration").policies[0].bands[0]
    assert found.certified_range is not None
    threshold = float(np.float32(found.certified_range[1] - 5))
    for name in ("Ada Lovelace", "Grace Hopper"):
        moved_by(project, name, threshold, {"fire.0": "one day only"})
    folder = sealed(project)
    band = read_json(folder / "policies.json")["policies"][0]["bands"][0]
    assert (band["status"], band["threshold"]) == ("waived", threshold)
    assert "| waived |" in (folder / "MODEL_CARD.md").read_text()
    said = verified(folder)
    assert said.ok, said.lines
    assert any("without a promise: one day only (Grace Hopper)" in line for line in said.lines)
    photo = next((project.root / "posts").glob("*.png"))
    assert predict([str(photo), "--release", str(folder)]) == 0
    assert "no promise" in capsys.readouterr().out


def test_a_band_switched_off_never_flags(project: Project) -> None:
    assert moved_by(project, "Ada Lovelace", None).complete
    folder = sealed(project)
    assert read_decision(load_onnx(folder / "onnx/fp32/model.onnx")).thresholds[0] == np.inf
    assert "switched off" in (folder / "MODEL_CARD.md").read_text()
    assert verified(folder).ok


def test_one_name_written_twice_is_one_signature(project: Project) -> None:
    signed_by(project, "Ada Lovelace")
    signed_by(project, "Grace Hopper")
    path = ("policies", 0, "bands", 0, "signatures", 1, "by")
    change_json(project.root / "signed", POINTS, *path, value="ADA  lovelace")
    with pytest.raises(InputError, match="1 more, by `setpoint sign`"):
        sealed(project)
