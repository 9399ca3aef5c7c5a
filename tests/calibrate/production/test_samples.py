"""What kinds of golden sets cannot say: nothing is computed there, and all else still is."""

import numpy as np
import polars as pl
import pytest
from any_policy import POLICY

from calibrate.draw import Draw
from calibrate.evidence import Evidence
from calibrate.operating_points_file import BandRecord, OperatingPointsFile, PolicyRecord
from calibrate.policy_calibration import calibrate_policy
from calibrate.production.compare import BandAgainst, PolicyAgainst, policy_against
from calibrate.production.files import Production
from calibrate.production.flips import Words, words_of
from calibrate.report.live.numbers import policy_numbers
from data.items import ITEM_SCHEMA
from data.policy import Policy
from data.scores import Scores, ScoresMetadata

N = 800
SERVED = 1.0


def policy() -> Policy:
    return Policy.model_validate(
        {
            **POLICY,
            "policy_id": "fire",
            "evidence": ["visual"],
            "bands": [{"action": "auto_remove", "target_precision": 0.8, "confidence": 0.9}],
        }
    )


def words() -> Words:
    items = pl.DataFrame({"item_id": [f"i{row}" for row in range(N)], "caption": [None] * N})
    return words_of(items.cast({"caption": ITEM_SCHEMA["caption"]}))


def compared(draw: Draw, *, lowest: float = -9) -> tuple[PolicyAgainst, BandAgainst, np.ndarray]:
    """A golden set of one policy, drawn so, against a model with other scores that serves from 1 on."""
    random = np.random.default_rng(12)
    labels = (random.random(N) < 0.5).astype(np.float32)
    scores = np.maximum(random.normal(size=N) + 3 * labels, lowest).astype(np.float32)
    before = (scores + random.normal(0, 1, N)).astype(np.float32)
    before[:5] = np.nan
    evidence = Evidence(scores, labels, draw=draw)
    calibration = calibrate_policy(policy(), evidence)
    numbers = policy_numbers(calibration, evidence, scale="logit", columns={})
    record = BandRecord.of(calibration.policy.bands[0], calibration.bands[0].point).model_copy(
        update={"threshold": SERVED, "status": "certified"}
    )
    served = PolicyRecord.model_construct(policy_id="fire", policy_version="1.0.0", bands=(record,))
    production = Production(
        OperatingPointsFile.model_construct(policies=(served,)),
        Scores([f"i{row}" for row in range(N)], ["fire"], before[:, None], ScoresMetadata()),
        {"fire": before},
        tuple(f"i{row}" for row in range(5)),
    )
    found = policy_against(production, calibration, evidence, numbers.cuts, words(), {"same": production})
    assert found is not None
    [band] = found.bands
    assert band is not None
    assert sum(found.facts.all) == N - 5
    return found, band, labels


def test_posts_drawn_alike_get_everything() -> None:
    _, band, _ = compared(Draw())
    assert band.change.p_value is not None
    assert None not in (band.change.volume.ends, band.change.precision.ends, band.change.recall.ends)
    [same] = band.facts.candidates
    assert (same.gained, same.lost, same.p_value, same.version) == (0, 0, 1, "1.0.0")
    assert same.recall.now == band.change.recall.before


@pytest.mark.parametrize("kind", ["weights", "clusters"])
def test_weighted_or_clustered_posts_get_no_test_and_no_interval(kind: str) -> None:
    random = np.random.default_rng(1)
    draw = {
        "weights": Draw(inclusion_prob=random.choice([0.1, 0.6], N)),
        "clusters": Draw(clusters=np.array([f"c{row // 2}" for row in range(N)], object)),
    }[kind]
    _, band, _ = compared(draw)
    change = band.change
    assert (change.p_value, change.volume.ends, change.precision.ends, change.recall.ends) == (None,) * 4
    assert None not in (change.volume.before, change.precision.before, change.recall.before)
    assert (band.weights is not None) == (kind == "weights")
    assert band.facts.candidates[0].p_value is None


def test_a_set_drawn_by_another_policy_counts_flags_alone() -> None:
    found, band, _ = compared(Draw(no_evidence="drawn by the scores of another policy"))
    assert found.facts.all == (0, 0, N - 5)
    assert band.change.tally.before.unknown > 0
    assert (band.change.better, band.change.worse, band.change.p_value) == (0, 0, None)
    assert band.change.volume.now is None
    assert band.facts.candidates[0].volume.now is None


def test_above_a_floor_both_are_compared_and_candidates_get_no_shares() -> None:
    """A floor is one of this model's scores: what another flags below it was not drawn."""
    _, band, _ = compared(Draw(floor=0.0), lowest=0.0)
    assert band.change.p_value is not None
    assert band.change.recall.ends is not None
    [same] = band.facts.candidates
    assert (same.p_value, same.recall.now) == (None, None)
