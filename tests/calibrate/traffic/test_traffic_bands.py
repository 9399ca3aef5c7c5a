"""`calibrate traffic=…`: volumes of each band's own part, thresholds of bands by capacity, and files that belong."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from page_facts import page_facts

from calibrate.operating_points_file import load_operating_points
from calibrate.traffic.run import traffic
from data.errors import InputError
from data.scores import ScoresMetadata
from data.tables import write_parquet

N_POSTS = 60_000
REMOVAL = {"action": "auto_remove", "target_precision": 0.9, "confidence": 0.95}
ESCALATION = {"action": "escalate", "capacity_per_day": 400}
SERVED = {"model_digest": "ab" * 32, "runtime": "onnxruntime-test", "policy_versions": {"fire": "1.0.0"}}


def posts(scale: str = "logit") -> pl.DataFrame:
    random = np.random.default_rng(8)
    scores = random.normal(size=(N_POSTS, 2)) + 4 * (random.random((N_POSTS, 2)) < 0.02)
    values = (scores if scale == "logit" else 1 / (1 + np.exp(-scores))).astype(np.float32)
    market = random.choice(["de", "fr"], N_POSTS, p=[0.8, 0.2])
    return pl.DataFrame({"fire": values[:, 0], "scam": values[:, 1], "market": market})


def write_traffic(folder: Path, *, days: float = 10, scale: str = "logit", **changes: object) -> Path:
    metadata = ScoresMetadata(**{**SERVED, "scale": scale, **changes})
    write_parquet(posts(scale), folder / "production.parquet", {"setpoint": metadata.model_dump_json()})
    traffic(scores=folder / "production.parquet", out=folder / "traffic.parquet", days=days, slices=("market",))
    return folder / "traffic.parquet"


def edit_bands(calibration, bands: list[dict], **keys: object) -> None:
    file = calibration.policies / "fire.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "bands": bands, **keys}))


@pytest.mark.parametrize("scale", ["logit", "probability"])
def test_each_band_gets_the_posts_of_its_own_part(make_calibration, tmp_path: Path, scale: str) -> None:
    calibration = make_calibration(scale=scale)
    edit_bands(calibration, [REMOVAL, {"action": "review", "target_recall": 0.98, "confidence": 0.9}, ESCALATION])
    summary = calibration.run(traffic=write_traffic(tmp_path, scale=scale))
    content = load_operating_points(calibration.out)
    assert content.traffic is not None
    assert (content.traffic.days, content.traffic.sampled_share, content.traffic.n_posts) == (10, 1, N_POSTS)
    fire, scam = content.policies
    assert scam.bands[0].daily_volume is None
    assert [band.status for band in fire.bands] == ["certified", "certified", "fits"]
    scores, below = posts(scale)["fire"].to_numpy(), np.float32(np.inf)
    for band in fire.bands:
        volume, threshold = band.daily_volume, np.float32(band.threshold)
        a_day = ((scores >= threshold) & (scores < below)).sum() / 10
        assert volume.low < a_day < volume.high
        assert volume.expected == pytest.approx(a_day, rel=0.01)
        assert volume.high - volume.low < 0.2 * a_day
        below = min(below, threshold)
    capacity = fire.bands[2]
    assert (capacity.kind, capacity.confidence, capacity.target) == ("capacity", None, 400)
    assert 300 < capacity.daily_volume.high <= 400
    assert capacity.certified_range == (fire.bands[1].threshold, capacity.threshold)
    assert any("Poisson" in sentence for sentence in capacity.assumptions)
    assert any("Traffic stays as it was" in sentence for sentence in capacity.assumptions)
    assert 0 < capacity.precision_lower_bound < capacity.precision < 1
    assert summary.title.startswith("calibrate: 2 of 3 bands certified")
    assert summary.lines[0].endswith("posts a day")
    assert any(" ± " in line and "escalate" in line for line in summary.lines)


def test_slices_that_the_policy_declares_have_volumes(make_calibration, tmp_path: Path) -> None:
    calibration = make_calibration()
    counted = write_traffic(tmp_path)
    calibration.run(traffic=counted)
    assert load_operating_points(calibration.out).policies[0].bands[0].daily_volume.slices == ()
    edit_bands(calibration, [REMOVAL], slices=[{"by": "market", "min_flagged": 5}])
    calibration.run(traffic=counted, slices="off")
    volume = load_operating_points(calibration.out).policies[0].bands[0].daily_volume
    german, french = volume.slices
    assert [(part.by, part.value) for part in volume.slices] == [("market", "de"), ("market", "fr")]
    assert german.expected + french.expected == pytest.approx(volume.expected)
    assert german.expected == pytest.approx(4 * french.expected, rel=0.2)
    shown = page_facts(calibration.out)["policies"][0]
    assert ("market", "de") in [(part["by"], part["value"]) for part in shown["slices"]]
    assert shown["traffic"]["sliced_by"] == ["market"]


def test_capacity_first_and_a_band_that_it_leaves_nothing(make_calibration, tmp_path: Path) -> None:
    calibration = make_calibration()
    edit_bands(calibration, [{"action": "escalate", "capacity_per_day": 5500}, REMOVAL])
    summary = calibration.run(traffic=write_traffic(tmp_path))
    first, second = load_operating_points(calibration.out).policies[0].bands
    assert 5400 < first.daily_volume.high <= 5500
    assert second.threshold > first.threshold
    assert (second.daily_volume.low, second.daily_volume.expected, second.daily_volume.high) == (0, 0, 0)
    assert any("auto_remove never sees a post of its own" in line for line in summary.lines)
    volume = page_facts(calibration.out)["policies"][0]["bands"][1]["daily_volume"]
    assert (volume["low"], volume["expected"], volume["high"]) == (0, 0, 0)


def test_the_page_tells_volumes_and_what_fits(make_calibration, tmp_path: Path) -> None:
    calibration = make_calibration()
    calibration.run(traffic=write_traffic(tmp_path))
    facts = page_facts(calibration.out)
    assert (facts["evidence"]["traffic"]["days"], facts["evidence"]["traffic"]["n_posts"]) == (10, 60_000)
    band = facts["policies"][0]["bands"][2]
    assert (band["record"]["status"], band["record"]["target"]) == ("fits", 400)
    assert band["daily_volume"]["high"] <= 400
    again = (calibration.out / "report" / "index.html").read_bytes()
    calibration.run(traffic=tmp_path / "traffic.parquet")
    assert (calibration.out / "report" / "index.html").read_bytes() == again


def test_a_capacity_that_nothing_fits(make_calibration, tmp_path: Path) -> None:
    calibration = make_calibration()
    edit_bands(calibration, [{"action": "review", "capacity_per_day": 3}])
    calibration.run(traffic=write_traffic(tmp_path, days=1))
    band = load_operating_points(calibration.out).policies[0].bands[0]
    assert (band.status, band.threshold, band.daily_volume) == ("not_attainable", None, None)
    assert "Even the highest scores cannot be shown to bring at most 3 posts a day" in band.reason
    assert page_facts(calibration.out)["policies"][0]["bands"][0]["record"]["reason"] == band.reason


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"runtime": "tensorrt"}, "runtime = 'tensorrt': the scores have 'onnxruntime-test'"),
        ({"model_digest": "cd" * 32}, "model_digest = 'cdcd"),
        ({"scale": "probability"}, "scale = 'probability': the scores have 'logit'"),
    ],
)
def test_traffic_of_another_model_is_refused(calibration, tmp_path: Path, changes: dict, words: str) -> None:
    with pytest.raises(InputError, match=r"traffic\.parquet, ") as caught:
        calibration.run(traffic=write_traffic(tmp_path, **changes))
    assert words in str(caught.value)
    assert not calibration.out.exists()


def test_traffic_without_a_policy_and_scores_in_its_place_are_refused(calibration, tmp_path: Path) -> None:
    write_traffic(tmp_path)
    about = {"setpoint": ScoresMetadata(**SERVED).model_dump_json()}
    write_parquet(posts().drop("scam"), tmp_path / "production.parquet", about)
    traffic(scores=tmp_path / "production.parquet", out=tmp_path / "traffic.parquet", days=1)
    with pytest.raises(InputError, match="counts no scores of scam; found fire"):
        calibration.run(traffic=tmp_path / "traffic.parquet")
    with pytest.raises(InputError, match="is no traffic file"):
        calibration.run(traffic=calibration.scores)


def test_files_of_earlier_calibrations_still_load(calibration) -> None:
    calibration.run()
    path = calibration.out / "operating_points.json"
    content = json.loads(path.read_text())
    del content["traffic"]
    for policy in content["policies"]:
        for band in policy["bands"]:
            del band["daily_volume"]
    path.write_text(json.dumps(content))
    assert load_operating_points(path).policies[0].bands[0].daily_volume is None
