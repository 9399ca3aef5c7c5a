"""Everything that `seal` reads, made by hand around the hand-made model; and a release sealed from it."""

import shutil
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnxruntime
import polars as pl
import pytest
import yaml
from PIL import Image

from calibrate.operating_points_file import OperatingPointsFile, write_operating_points
from data.annotations import read_annotations
from data.files import read_json, write_json
from data.golden import GoldenDescription, freeze_golden
from data.items import read_items
from data.policy import load_policies
from export.release.seal import seal

BANDS = {
    "fire": [
        {"action": "auto_remove", "target_precision": 0.9, "confidence": 0.95},
        {"action": "review", "queue": "night|shift", "target_recall": 0.8, "confidence": 0.9},
    ],
    "scam": [{"action": "restrict", "target_precision": 0.99, "confidence": 0.95}],
}
THRESHOLDS = {"fire": [float(np.float32(2.1)), 0.5], "scam": [None]}
NO_POINT: dict[str, Any] = {
    "reason": "a reason",
    "method": "by hand",
    "assumptions": ["none"],
    "n_labelled": 30,
    "n_unknown": 0,
    "n_positive": 10,
    "precision": None,
    "precision_lower_bound": None,
    "recall": None,
    "recall_interval": None,
    "n_flagged": 0,
    "n_flagged_labelled": 0,
    "certified_range": None,
    "labels_needed": 500,
}


@dataclass(frozen=True)
class SealArguments:
    """The folders that `seal` takes; `root` holds them all."""

    root: Path

    @property
    def paths(self) -> dict[str, Path]:
        names = ("model", "calibration", "golden", "policies", "releases")
        return {name: self.root / name for name in names}

    def seal(self, **changed: Any) -> Any:
        return seal(**{**self.paths, "replay": 6, **changed})

    def freeze_again(self, *, expires_at: date) -> None:
        """Another golden set of the same items, and operating points certified on it."""
        shutil.rmtree(self.root / "golden")
        write_golden(self.root, expires_at=expires_at)
        write_operating_points(self.root / "calibration" / "operating_points.json", operating_points(self.root))


@pytest.fixture(scope="session")
def untouched_parts(hand_made_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("parts")
    shutil.copytree(hand_made_model, root / "model")
    write_json(root / "model" / "reports" / "parity.json", parity())
    (root / "policies").mkdir()
    for policy_id, version, evidence in (("fire", "1.0.0", "visual"), ("scam", "2.1.0", "text")):
        policy = {
            "schema": "setpoint/policy/v1",
            "policy_id": policy_id,
            "version": version,
            "name": policy_id.title(),
            "owner": "safety",
            "definition": "What it says.",
            "violates": [{"code": "V1", "text": "It."}],
            "evidence": [evidence],
            "bands": BANDS[policy_id],
        }
        (root / "policies" / f"{policy_id}.yaml").write_text(yaml.safe_dump(policy))
    write_golden(root)
    write_operating_points(root / "calibration" / "operating_points.json", operating_points(root))
    (root / "calibration" / "report").mkdir()
    (root / "calibration" / "report" / "index.html").write_text("<!doctype html><title>report</title>")
    return root


@pytest.fixture
def parts(untouched_parts: Path, tmp_path: Path) -> SealArguments:
    """A copy that a test may change."""
    return SealArguments(shutil.copytree(untouched_parts, tmp_path / "parts"))


@pytest.fixture(scope="session")
def untouched_release(untouched_parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    releases = tmp_path_factory.mktemp("sealed") / "releases"
    summary = SealArguments(untouched_parts).seal(releases=releases)
    return summary.written[0]


@pytest.fixture(scope="session")
def older_release(untouched_parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another release of the same model, by another calibration: one threshold differs."""
    parts = SealArguments(shutil.copytree(untouched_parts, tmp_path_factory.mktemp("older") / "parts"))
    points = read_json(parts.root / "calibration" / "operating_points.json")
    points["policies"][0]["bands"][1]["threshold"] = 0.75
    write_json(parts.root / "calibration" / "operating_points.json", points)
    return parts.seal(replay=5).written[0]


@pytest.fixture
def release(untouched_release: Path, tmp_path: Path) -> Path:
    """A copy of a sealed release that a test may change."""
    return shutil.copytree(untouched_release, tmp_path / "releases" / untouched_release.name)


def parity() -> dict[str, Any]:
    return {
        "schema": "setpoint/parity/v1",
        "reference": "torch",
        "exported": "onnxruntime",
        "items": 4,
        "tolerance": 1e-3,
        "max_logit_difference": 0.0,
        "max_probability_difference": 0.0,
        "min_cosine": 1.0,
        "shapes": [],
    }


def operating_points(root: Path) -> OperatingPointsFile:
    golden = yaml.safe_load((root / "golden" / "golden.yaml").read_text())
    model = read_json(root / "model" / "model.json")
    policies = []
    for policy in load_policies(root / "policies"):
        bands = []
        for band, threshold in zip(policy.bands, THRESHOLDS[policy.policy_id], strict=True):
            target = band.target_precision or band.target_recall
            point = {"kind": band.kind, "target": target, "confidence": band.confidence, "threshold": threshold}
            status = "not_attainable" if threshold is None else "certified"
            look = {"number": 2, "spent": 0.0076, "reuse": None}
            shown = {"status": status, "action": band.action, "queue": band.queue, "look": look}
            bands.append({**NO_POINT, **point, **shown})
        calibrator = {"scale": 1.3, "offset": -0.1, "n_labelled": 30, "reason": None}
        policies.append(
            {
                "policy_id": policy.policy_id,
                "policy_version": policy.version,
                "calibrator": {**calibrator, "expected_calibration_error": 0.04},
                "bands": bands,
            }
        )
    golden_fields = ("name", "version", "digest", "design", "population", "window", "floor", "expires_at", "n_items")
    return OperatingPointsFile.model_validate(
        {
            "golden_set": {**{name: golden[name] for name in golden_fields}, "n_sharing_cluster": 0},
            "scores": {
                "digest": "5" * 64,
                "scale": "logit",
                "model_digest": model["model_digest"],
                "runtime": f"onnxruntime-{onnxruntime.__version__}-cpu-fp32",
            },
            "pilot_digest": None,
            "policies": policies,
        }
    )


def write_golden(root: Path, *, expires_at: date | None = None) -> None:
    """Twelve items: photos, a carousel, clips, with and without a caption."""
    media = root / "media"
    media.mkdir(exist_ok=True)
    rows = []
    for index in range(12):
        files = [f"{index}.mp4"] if index % 4 == 3 else [f"{index}-{photo}.png" for photo in range(1 + index % 2)]
        for file in files:
            if file.endswith(".mp4"):
                write_clip(media / file, [10 * index + 20 * frame for frame in range(6)])
            else:
                Image.new("RGB", (20, 10), (20 * index, 40, 90)).save(media / file)
        rows.append(
            {
                "item_id": f"g{index:02d}",
                "media": [f"media/{file}" for file in files],
                "media_type": "video" if index % 4 == 3 else "photo",
                "caption": "fire sale" if index % 3 == 0 else None,
                "inclusion_prob": 0.5,
            }
        )
    pl.DataFrame(rows).write_parquet(root / "items.parquet")
    items = read_items(root / "items.parquet")
    policies = load_policies(root / "policies")
    annotations = pl.DataFrame(
        [
            {
                "item_id": row["item_id"],
                "policy_id": policy.policy_id,
                "policy_version": policy.version,
                "annotator_id": "a",
                "source": "human",
                "value": "violating",
                "round": "adjudication",
            }
            for row in rows
            for policy in policies
        ]
    )
    annotations.write_parquet(root / "annotations.parquet")
    checked = read_annotations(root / "annotations.parquet", items, policies)
    description = GoldenDescription(
        name="mini", version="1", design="simple_random", population="posts of a test", expires_at=expires_at
    )
    freeze_golden(root / "golden", items, checked, policies, description)


def write_clip(path: Path, levels: list[int]) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for index, level in enumerate(levels):
            frame = av.VideoFrame.from_image(Image.new("RGB", (32, 32), (level, level, level)))
            frame.pts, frame.time_base = index, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
