"""Bands by capacity in a further precision: set by its own traffic, after what its own stricter bands leave."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from calibrate.choice import BandChoice, Choice
from calibrate.gate_file import GateRecord, read_gate
from calibrate.operating_points_file import BandRecord, load_operating_points
from calibrate.precisions import PrecisionFiles
from calibrate.signing.sign import sign_choice
from calibrate.traffic.run import traffic
from data.errors import InputError
from data.files import sha256_of_file
from data.scores import Scores, ScoresMetadata, read_scores, write_scores
from data.tables import write_parquet

POLICIES = ["fire", "scam"]
BANDS = [
    {"action": "auto_remove", "target_precision": 0.9, "confidence": 0.95},
    {"action": "review", "capacity_per_day": 400},
    {"action": "escalate", "capacity_per_day": 300},
]
PLACES = {band["action"]: place for place, band in enumerate(BANDS)}
SERVED = {"scale": "logit", "policy_versions": {"fire": "1.0.0"}}
FP32 = {"model_digest": "ab" * 32, "runtime": "onnxruntime-test"}
INT8 = {"model_digest": "cd" * 32, "runtime": "onnxruntime-test-int8"}


def posts() -> np.ndarray:
    random = np.random.default_rng(8)
    return random.normal(size=(60_000, 2)) + 4 * (random.random((60_000, 2)) < 0.02)


def lower(values: np.ndarray) -> np.ndarray:
    """What fewer bits make of scores."""
    return values + 0.3 + np.random.default_rng(3).normal(0, 0.01, values.shape)


@dataclass(frozen=True)
class Files:
    """Scores and traffic of both precisions."""

    fp32_traffic: Path
    int8: Path
    int8_traffic: Path

    def both(self) -> dict[str, object]:
        return {
            "traffic": self.fp32_traffic,
            "precisions": {"int8": PrecisionFiles(scores=self.int8, traffic=self.int8_traffic)},
        }


@pytest.fixture
def files(calibration, tmp_path: Path) -> Files:
    file = calibration.policies / "fire.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "bands": BANDS}))

    def counted(name: str, values: np.ndarray, of: dict[str, str]) -> Path:
        frame = pl.DataFrame(values.astype(np.float32), schema=POLICIES)
        metadata = ScoresMetadata(**SERVED, **of)
        write_parquet(frame, tmp_path / f"{name}_posts.parquet", {"setpoint": metadata.model_dump_json()})
        traffic(scores=tmp_path / f"{name}_posts.parquet", out=tmp_path / f"{name}_traffic.parquet", days=10)
        return tmp_path / f"{name}_traffic.parquet"

    scores = read_scores(calibration.scores, POLICIES)
    values = lower(scores.values.astype(np.float64)).astype(np.float32)
    write_scores(
        tmp_path / "int8.parquet",
        Scores(scores.item_ids, scores.policy_ids, values, scores.metadata.model_copy(update=INT8)),
    )
    return Files(counted("fp32", posts(), FP32), tmp_path / "int8.parquet", counted("int8", lower(posts()), INT8))


def bands_of(folder: Path) -> tuple[tuple[BandRecord, ...], tuple[BandRecord, ...]]:
    first, other = (load_operating_points(each).policies[0].bands for each in (folder, folder / "precisions/int8"))
    return first, other


def gated(folder: Path) -> GateRecord:
    gate = read_gate(folder)
    assert gate is not None
    return gate.precisions[0]


@pytest.fixture
def sign(calibration, tmp_path: Path) -> Callable[..., Path]:
    """Signs other thresholds of fire in fp32; the signed folder."""

    def run(**moved: float | None) -> Path:
        choice = Choice(
            schema="setpoint/choice/v1",
            calibration=sha256_of_file(calibration.out / "operating_points.json"),
            by="Ada Lovelace",
            rationale="It is right.",
            choices=[
                BandChoice(policy_id="fire", policy_version="1.0.0", band=PLACES[action], action=action, threshold=at)
                for action, at in moved.items()
            ],
        )
        out = tmp_path / "signed"
        record = tmp_path / "signatures.jsonl"
        sign_choice(calibration.out, choice, waivers={}, signatures=record, out=out, today=None)
        return out

    return run


def test_each_precision_fits_by_its_own_traffic(calibration, files: Files) -> None:
    calibration.run(**files.both())
    assert gated(calibration.out).passed, gated(calibration.out).reasons
    fp32, int8 = bands_of(calibration.out)
    assert [band.status for band in int8] == ["certified", "fits", "fits"]
    shifted, below = lower(posts())[:, 0].astype(np.float32), np.float32(np.inf)
    for band in int8:
        threshold = np.float32(band.threshold)
        a_day = ((shifted >= threshold) & (shifted < below)).sum() / 10
        assert band.daily_volume.low < a_day < band.daily_volume.high
        below = threshold
    for band, other in zip(int8[1:], fp32[1:], strict=True):
        assert 0.9 * band.target < band.daily_volume.high <= band.target
        assert band.threshold == pytest.approx(other.threshold + 0.3, abs=0.05)
    points = load_operating_points(calibration.out / "precisions/int8")
    assert points.traffic.digest != load_operating_points(calibration.out).traffic.digest


def test_without_traffic_of_its_own_it_is_refused_and_the_reason_says_what_to_give(calibration, files: Files) -> None:
    summary = calibration.run(traffic=files.fp32_traffic, precisions={"int8": PrecisionFiles(scores=files.int8)})
    [*reasons] = gated(calibration.out).reasons
    assert any("fire, review: fits no number of posts a day as yet" in reason for reason in reasons)
    assert any("precisions={int8: {scores: FILE, traffic: FILE}}" in line for line in summary.lines)


def test_traffic_of_another_precision_is_refused(calibration, files: Files) -> None:
    with pytest.raises(InputError, match=r"fp32_traffic.parquet, model_digest = .*same model and runtime"):
        calibration.run(
            traffic=files.fp32_traffic,
            precisions={"int8": PrecisionFiles(scores=files.int8, traffic=files.fp32_traffic)},
        )


def test_signers_who_take_less_are_followed(calibration, files: Files, sign: Callable[..., Path]) -> None:
    calibration.run(**files.both())
    found, _ = bands_of(calibration.out)
    strictest, loosest = found[0].certified_range
    removal = float(np.float32((strictest + loosest) / 2))
    review = float(np.float32(found[1].threshold + 0.2))
    out = sign(auto_remove=removal, review=review, escalate=None)
    assert gated(out).passed, gated(out).reasons
    fp32, int8 = bands_of(out)
    assert [band.status for band in int8] == [band.status for band in fp32]
    assert int8[1].threshold == pytest.approx(review + 0.3, abs=0.05)
    assert int8[1].daily_volume.high <= 400
    assert (int8[2].status, int8[2].threshold) == ("switched_off", None)


def test_what_stricter_bands_leave_is_counted_after_they_have_followed(calibration, files: Files, sign) -> None:
    calibration.run(**files.both())
    found, before = bands_of(calibration.out)
    strictest, loosest = found[0].certified_range
    removal = float(np.float32(0.9 * strictest + 0.1 * loosest))
    out = sign(auto_remove=removal, review=float(np.float32(found[1].threshold + 0.5)), escalate=None)
    _, int8 = bands_of(out)
    assert int8[0].threshold > before[0].threshold
    assert int8[1].status == "fits"
    assert int8[1].daily_volume.high <= 400
