"""A small calibration to run: policies, a golden set, a validation split and scores, all generated."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from browser import chromium
from numpy.typing import NDArray
from playwright.sync_api import Browser
from scipy.special import expit

from calibrate.run import calibrate
from data.golden import GoldenDescription, freeze_golden
from data.items import read_items
from data.policy import load_policies
from data.scores import Scores, ScoresMetadata, write_scores
from data.summary import Summary

HOSTILE = "<script>alert('x')</script> & \"Fire\""


@dataclass
class Calibration:
    """Paths that `calibrate` takes; tests change one and run."""

    scores: Path
    golden: Path
    policies: Path
    out: Path
    validation: Path | None
    validation_scores: Path | None = None

    def run(self, **keys) -> Summary:
        return calibrate(**vars(self), **keys)


def policy_content(policy_id: str, bands: list[dict]) -> dict:
    return {
        "schema": "setpoint/policy/v1",
        "policy_id": policy_id,
        "version": "1.0.0",
        "name": f"{HOSTILE} {policy_id}",
        "owner": "<b>safety</b>",
        "definition": "</style><img src=x onerror=alert(1)>",
        "violates": [{"code": "F1", "text": "Flames."}],
        "evidence": ["visual"],
        "bands": bands,
    }


def write_part(
    folder: Path, prefix: str, n: int, random: np.random.Generator, *, duplicates: bool = False
) -> tuple[list[str], np.ndarray]:
    """items.parquet and annotations.parquet of n items under `fire` (easy) and `scam` (hopeless); their scores."""
    folder.mkdir(parents=True)
    item_ids = [f"{prefix}{index:04d}" for index in range(n)]
    pl.DataFrame(
        {
            "item_id": item_ids,
            "media": [[f"{name}.jpg"] for name in item_ids],
            "media_type": ["photo"] * n,
            "cluster_id": [*item_ids[:-1], item_ids[0 if duplicates else -1]],
            "inclusion_prob": [0.01] * n,
        }
    ).write_parquet(folder / "items.parquet")
    violating = random.random((n, 2)) < 0.3
    scores = random.normal(size=(n, 2)) + 4 * violating * np.array([1, 0])
    rows = [
        {
            "item_id": item_id,
            "policy_id": policy_id,
            "policy_version": "1.0.0",
            "annotator_id": "a",
            "source": "human",
            "value": "unsure" if row % 10 == 0 else "violating" if violating[row, column] else "not_violating",
            "round": "blind",
        }
        for row, item_id in enumerate(item_ids)
        for column, policy_id in enumerate(("fire", "scam"))
    ]
    pl.DataFrame(rows).write_parquet(folder / "annotations.parquet")
    return item_ids, scores.astype(np.float32)


@pytest.fixture
def make_calibration(tmp_path: Path) -> Callable[..., Calibration]:
    """Write the inputs of a calibration: `fire` has three bands of every kind, `scam` cannot be attained."""

    def make(*, scale: str = "logit", n_golden: int = 600, duplicates: bool = False) -> Calibration:
        random = np.random.default_rng(4)
        policies = tmp_path / "policies"
        policies.mkdir()
        precise = {"action": "auto_remove", "target_precision": 0.9, "confidence": 0.95}
        bands = [
            precise,
            {"action": "review", "queue": "<i>night</i>", "target_recall": 0.9, "confidence": 0.9},
            {"action": "escalate", "capacity_per_day": 400},
        ]
        for policy_id, content in (("fire", bands), ("scam", [precise])):
            (policies / f"{policy_id}.yaml").write_text(yaml.safe_dump(policy_content(policy_id, content)))
        golden_ids, golden_scores = write_part(tmp_path / "sample", "g", n_golden, random, duplicates=duplicates)
        validation_ids, validation_scores = write_part(tmp_path / "validation", "v", 400, random)
        freeze_golden(
            tmp_path / "golden",
            read_items(tmp_path / "sample" / "items.parquet"),
            pl.read_parquet(tmp_path / "sample" / "annotations.parquet"),
            load_policies(policies),
            GoldenDescription(name="spring", version="1.0.0", design="simple_random", population="<u>all posts</u>"),
        )
        values = np.concatenate([golden_scores, validation_scores])
        if scale == "probability":
            values = (1 / (1 + np.exp(-values))).astype(np.float32)
        metadata = ScoresMetadata(
            scale=scale, model_digest="ab" * 32, runtime="onnxruntime-test", policy_versions={"fire": "1.0.0"}
        )
        write_scores(
            tmp_path / "scores.parquet", Scores(golden_ids + validation_ids, ["fire", "scam"], values, metadata)
        )
        return Calibration(
            scores=tmp_path / "scores.parquet",
            golden=tmp_path / "golden",
            policies=policies,
            out=tmp_path / "calibration",
            validation=tmp_path / "validation",
        )

    return make


@pytest.fixture
def calibration(make_calibration: Callable[..., Calibration]) -> Calibration:
    """The usual inputs."""
    return make_calibration()


@pytest.fixture(scope="session")
def first_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the first test's workspace is kept for the others."""
    return tmp_path_factory.mktemp("first") / "workspace"


@pytest.fixture
def calibrated(first_workspace: Path, make_calibration: Callable[..., Calibration], tmp_path: Path) -> Path:
    """The folder of the usual calibration, which ran once for all tests, in a workspace of this test's own."""
    if first_workspace.is_dir():
        shutil.copytree(first_workspace, tmp_path, dirs_exist_ok=True)
    else:
        make_calibration().run()
        shutil.copytree(tmp_path, first_workspace)
    return tmp_path / "calibration"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all pages: Playwright runs once a process."""
    with chromium() as browser:
        yield browser


RandomSet = Callable[[np.random.Generator, int], tuple[NDArray, NDArray]]


@pytest.fixture(scope="session")
def random_set() -> RandomSet:
    """Draws scores with ties of several kinds, and labels with unknowns."""
    return _random_set


def _random_set(random: np.random.Generator, n: int) -> tuple[NDArray, NDArray]:
    z = random.normal(size=n) * random.choice([0.01, 1.0, 100.0])
    spread = z.std() or 1.0
    labels = (random.random(n) < expit(random.choice([0.5, 2.0, 8.0]) * (z / spread + 0.5))).astype(float)
    kind = random.integers(4)
    if kind == 0:
        z = np.round(z / spread, int(random.integers(0, 3)))
    elif kind == 1:
        z = 1 + np.floor(8 * z / spread) * 2.0**-23  # neighbours in float32
    elif kind == 2:
        z = z + 1e-9 * random.normal(size=n)  # distinct in float64 alone
    labels[random.random(n) < random.choice([0.0, 0.1, 0.6])] = np.nan
    return z, labels
