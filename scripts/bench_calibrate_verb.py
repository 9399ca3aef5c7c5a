"""The verb `calibrate` at full size, for bench_calibrate: from arrays, and from files."""

import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
import yaml
from numpy.typing import NDArray

from calibrate.inputs import CalibrationInputs, LabelledScores
from calibrate.run import calibrate
from data.golden import GoldenDescription, GoldenSet, freeze_golden, load_golden
from data.items import ITEM_SCHEMA, read_items
from data.policy import Policy, load_policies
from data.scores import Scores, ScoresMetadata, write_scores

N_VALIDATION, N_MARKETS = 20_000, 30
BANDS = [
    {"action": "auto_remove", "target_precision": 0.95, "confidence": 0.95},
    {"action": "restrict", "target_precision": 0.8, "confidence": 0.95},
    {"action": "review", "queue": "humans", "target_recall": 0.9, "confidence": 0.9},
]


def verb_from_arrays(n_policies: int, n_items: int) -> float:
    """Seconds of everything that the verb does once scores and labels are in memory, writing included."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = arrays(n_policies, n_items, folder)
        with patch("calibrate.certify.read_inputs", return_value=inputs):
            began = time.perf_counter()
            calibrate(scores=folder, golden=folder / "golden", policies=folder / "policies", out=folder / "out")
            return time.perf_counter() - began


def arrays(n_policies: int, n_items: int, folder: Path) -> CalibrationInputs:
    """What `calibrate` finds instead of reading it from files; writes policies and a golden set to the folder."""
    policies = _policies(folder / "policies", n_policies)
    golden, validation = (_draw(n_policies, n, seed) for seed, n in enumerate((n_items, N_VALIDATION)))
    golden_set = _frozen(folder / "golden", policies, 10, 0)
    items = _items(n_items)
    scores = Scores(items["item_id"].to_list(), [each.policy_id for each in policies], golden.scores, METADATA)
    return CalibrationInputs(
        policies=policies,
        scores=scores,
        golden_set=GoldenSet(golden_set.folder, golden_set.record, items, golden_set.annotations),
        golden=golden,
        validation=validation,
        validation_scores=scores,
    )


def verb_from_files(n_policies: int, n_items: int) -> float:
    """Seconds of the verb from scores.parquet and a golden set with one annotation an item and policy."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        policies = _policies(folder / "policies", n_policies)
        golden_set = _frozen(folder / "golden", policies, n_items, 1)
        item_ids = golden_set.items["item_id"].to_list()
        values = _draw(n_policies, n_items, 1).scores
        write_scores(
            folder / "scores.parquet", Scores(item_ids, [each.policy_id for each in policies], values, METADATA)
        )
        del golden_set, item_ids, values
        began = time.perf_counter()
        calibrate(
            scores=folder / "scores.parquet",
            golden=folder / "golden",
            policies=folder / "policies",
            out=folder / "out",
        )
        return time.perf_counter() - began


METADATA = ScoresMetadata(model_digest="ab" * 32, runtime="none")


def _policies(folder: Path, n_policies: int) -> list[Policy]:
    folder.mkdir()
    for number in range(n_policies):
        content = {
            "schema": "setpoint/policy/v1",
            "policy_id": f"policy_{number:02d}",
            "version": "1.0.0",
            "name": f"Policy {number}",
            "owner": "bench",
            "definition": "Generated.",
            "violates": [{"code": "G1", "text": "Generated."}],
            "evidence": ["text"],
            "bands": BANDS,
            "slices": [{"by": "market", "min_flagged": 100}],
        }
        (folder / f"{content['policy_id']}.yaml").write_text(yaml.safe_dump(content))
    return load_policies(folder)


def _draw(n_policies: int, n_items: int, seed: int) -> LabelledScores:
    """Logits and labels, a tenth violating, one in twenty unknown."""
    random = np.random.default_rng(seed)
    scores, labels = (np.empty((n_items, n_policies), np.float32) for _ in range(2))
    for column in range(n_policies):
        violating = random.random(n_items) < 0.1
        scores[:, column] = random.normal(np.where(violating, 2.0, -2.0), 1.5)
        labels[:, column] = violating
        labels[random.random(n_items) < 0.05, column] = np.nan
    return LabelledScores(scores, labels)


def _items(n_items: int) -> pl.DataFrame:
    names = pl.select(pl.format("item_{}", pl.int_range(n_items))).to_series()
    markets = np.random.default_rng(0).integers(0, N_MARKETS, n_items)
    given = {
        "item_id": names,
        "media": (names + ".jpg").reshape((n_items, 1)).arr.to_list(),
        "media_type": pl.repeat("photo", n_items, eager=True),
        "market": pl.Series(markets).cast(pl.String),
        "inclusion_prob": pl.repeat(0.01, n_items, eager=True),
    }
    absent = {name: pl.repeat(None, n_items, dtype=dtype, eager=True) for name, dtype in ITEM_SCHEMA.items()}
    return pl.DataFrame({**absent, **given})


def _annotations(items: pl.DataFrame, policies: list[Policy], labels: NDArray[np.float32]) -> pl.DataFrame:
    said = np.array(["not_violating", "violating", "unsure"])
    return pl.concat(
        pl.DataFrame(
            {"item_id": items["item_id"], "value": said[np.nan_to_num(labels[:, column], nan=2).astype(int)]}
        ).with_columns(
            policy_id=pl.lit(policy.policy_id),
            policy_version=pl.lit(policy.version),
            annotator_id=pl.lit("bench"),
            source=pl.lit("human"),
            round=pl.lit("blind"),
        )
        for column, policy in enumerate(policies)
    )


def _frozen(folder: Path, policies: list[Policy], n_items: int, seed: int) -> GoldenSet:
    items = _items(n_items)
    source = folder.parent / "items.parquet"
    items.write_parquet(source)
    annotations = _annotations(items, policies, _draw(len(policies), n_items, seed).labels)
    description = GoldenDescription(name="bench", version="1", design="simple_random", population="generated")
    freeze_golden(folder, read_items(source), annotations, policies, description)
    return load_golden(folder)
