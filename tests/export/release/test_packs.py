"""Several packs of thresholds over one network: numbered through, verified each by its own certificates."""

import shutil
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import yaml
from changed_releases import change_json, reasons, resealed, verified
from safetensors.numpy import load_file

from data.errors import InputError
from data.files import read_json, write_json
from export.graph.decision_head import load_onnx, model_digest, read_decision
from export.release.bundle import bundle_predict
from export.release.decisions import read_served_policies

POINTS = "operating_points.json"
ONNX_FILE = "onnx/fp32/model.onnx"
US_POINTS = f"reports/decisions/us/{POINTS}"


@pytest.fixture
def two(parts):
    """Parts with a second calibration and second policies, in which fire has one band instead of two."""
    for folder in ("calibration", "policies"):
        shutil.copytree(parts.root / folder, parts.root / f"us-{folder}")
    fire = parts.root / "us-policies" / "fire.yaml"
    policy = yaml.safe_load(fire.read_text())
    fire.write_text(yaml.safe_dump({**policy, "bands": policy["bands"][:1]}))
    points = read_json(parts.root / "us-calibration" / POINTS)
    points["policies"][0]["bands"] = points["policies"][0]["bands"][:1]
    points["policies"][0]["bands"][0]["threshold"] = 1.25
    points["policies"][0]["calibrator"]["scale"] = 2.5
    write_json(parts.root / "us-calibration" / POINTS, points)
    return parts


def packs(two) -> dict:
    from export.release.seal import Pack

    us = Pack(calibration=two.root / "us-calibration", policies=two.root / "us-policies")
    return {"eu": two.root / "calibration", "us": us}


@pytest.fixture
def release_of_two(two) -> Path:
    folder: Path = two.seal(packs=packs(two)).written[0]
    return folder


def test_bands_are_numbered_through_and_each_pack_has_its_certificates(release_of_two: Path, release: Path) -> None:
    decision = read_decision(load_onnx(release_of_two / ONNX_FILE))
    assert decision.thresholds.tolist() == [np.float32(2.1), 0.5, np.inf, 1.25, np.inf]
    assert decision.band_policy.tolist() == [0, 0, 1, 0, 1]
    assert decision.platt_scale.tolist() == [np.float32(1.3)] * 2, "the first pack's"
    served = read_served_policies(release_of_two / "policies.json")
    assert [(pack.name, band.index) for pack, _, band in served.all_bands()] == [
        ("eu", 0),
        ("eu", 1),
        ("eu", 2),
        ("us", 3),
        ("us", 4),
    ]
    assert read_json(release_of_two / US_POINTS)["policies"][0]["bands"][0]["threshold"] == 1.25
    assert load_file(release_of_two / "golden/0000.safetensors")["flags"].shape == (1, 5)
    assert verified(release_of_two).ok, verified(release_of_two).lines
    card = (release_of_two / "MODEL_CARD.md").read_text()
    assert "### Pack eu\n" in card
    assert "### Pack us\n" in card
    assert model_digest(load_onnx(release_of_two / ONNX_FILE)) == model_digest(load_onnx(release / ONNX_FILE))


def test_a_release_of_one_pack_says_nothing_of_packs(release: Path) -> None:
    content = read_json(release / "policies.json")
    assert list(content) == ["schema", "model_digest", "golden_set", "scores", "policies"]
    assert "### Pack" not in (release / "MODEL_CARD.md").read_text()


def test_one_pack_alone_keeps_its_name(two) -> None:
    folder = two.seal(packs={"eu": two.root / "calibration"}).written[0]
    assert read_json(folder / "policies.json")["pack"] == "eu"
    assert "### Pack eu\n" in (folder / "MODEL_CARD.md").read_text()
    assert verified(folder).ok, verified(folder).lines


def test_predict_decides_by_a_pack(release_of_two: Path) -> None:
    predict = types.ModuleType("predict_of_packs")
    sys.modules[predict.__name__] = predict
    exec(compile(bundle_predict(), "predict.py", "exec"), predict.__dict__)
    by_name = {
        name: predict.load(release_of_two, pack=name).predict(caption="fire sale") for name in (None, "eu", "us")
    }
    assert by_name[None] == by_name["eu"]
    eu, us = by_name["eu"][0], by_name["us"][0]
    assert eu.logit == us.logit == 2.5
    assert [band.threshold for band in us.bands] == [1.25]
    assert us.bands[0].flagged
    assert eu.probability == pytest.approx(1 / (1 + np.exp(-(1.3 * 2.5 - 0.1))), abs=1e-6)
    assert us.probability == pytest.approx(1 / (1 + np.exp(-(2.5 * 2.5 - 0.1))), abs=1e-6)
    with pytest.raises(predict.ReleaseError, match=r"no pack 'jp'; found eu, us"):
        predict.load(release_of_two, pack="jp")


@pytest.mark.parametrize(
    ("name", "keys", "value", "message"),
    [
        (
            "policies.json",
            ("packs", 0, "policies", 0, "bands", 0, "threshold"),
            0.25,
            "setpoint.thresholds is not what",
        ),
        ("policies.json", ("packs", 0, "policies", 0, "bands", 0, "threshold"), 0.25, "pack us: policies, bands or"),
        (
            "policies.json",
            ("packs", 0, "policies", 0, "calibrator", "scale"),
            9.0,
            "pack us: its calibrators are not",
        ),
        ("policies.json", ("packs", 0, "name"), "eu", "packs need names of their own"),
        ("policies.json", ("packs", 0, "name"), "../us", "name"),
        ("policies.json", ("packs", 0, "policies", 0, "bands", 0, "index"), 0, "must count up"),
        ("policies.json", ("packs", 0, "policies", 1, "version"), "9.0.0", "not those of model.json"),
        (
            "policies.json",
            ("packs",),
            [],
            "reports/decisions/us/operating_points.json is of no pack or precision here",
        ),
        (US_POINTS, ("scores", "model_digest"), "0" * 64, "pack us: the operating points are for another model"),
    ],
)
def test_a_changed_pack_is_found_under_a_manifest_made_anew(release_of_two, name, keys, value, message) -> None:
    change_json(release_of_two, name, *keys, value=value)
    found = reasons(resealed(release_of_two))
    assert any(message in reason for reason in found), found


def test_reports_of_each_pack_stand_where_they_belong(release_of_two: Path) -> None:
    page = release_of_two / "reports/decisions/us/index.html"
    (page.parent / "old").mkdir()
    page.rename(page.parent / "old" / page.name)
    found = reasons(resealed(release_of_two))
    assert "policies.json: reports/decisions/us/index.html is missing" in found
    assert "policies.json: reports/decisions/us/old/index.html is of no pack or precision here" in found


def test_every_pack_is_checked_against_the_model_and_its_policies(two) -> None:
    change_json(two.root / "us-calibration", POINTS, "scores", "model_digest", value="6" * 64)
    with pytest.raises(InputError, match="certified for another model"):
        two.seal(packs=packs(two))
    with pytest.raises(InputError, match=r"bands of fire .* are not those that were certified"):
        two.seal(packs={"eu": two.root / "calibration", "us": two.root / "us-calibration"})


def test_packs_move_and_go_with_a_parent(two, release_of_two: Path) -> None:
    shutil.rmtree(two.root / "model")
    change_json(two.root / "us-calibration", POINTS, "policies", 0, "bands", 0, "threshold", value=1.5)
    moved = two.seal(parent=release_of_two, packs=packs(two))
    assert verified(moved.written[0]).ok
    assert read_decision(load_onnx(moved.written[0] / ONNX_FILE)).thresholds[3] == 1.5
    alone = two.seal(parent=release_of_two)
    assert "without the packs eu, us of its parent" in alone.lines
    assert verified(alone.written[0]).ok
