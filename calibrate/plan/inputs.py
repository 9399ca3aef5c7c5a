"""What `plan` reads: a labelled pilot, an unlabelled pool, or a pool with probabilities of an earlier calibration."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from calibrate.bounds import FloatArray
from calibrate.draw import EVEN, draw_of
from calibrate.inputs import (
    LabelledScores,
    check_drawn_by,
    check_golden_versions,
    check_same_model,
    check_score_versions,
    labelled_scores,
)
from calibrate.operating_points_file import load_operating_points
from calibrate.probability import Calibrator, as_logits, fit_platt
from calibrate.ranks.ranked import Labels
from calibrate.ranks.ranked import Scores as ScoreArray
from data.annotations import read_annotations
from data.errors import InputError
from data.files import existing_file, existing_folder, sha256_of_file
from data.golden import GoldenSet, load_golden
from data.items import read_items
from data.policy import Policy, load_policies
from data.pool import read_column
from data.scores import Scores, ScoresMetadata, read_scores, read_scores_metadata

MOST_TRAFFIC = 1_000_000


@dataclass(frozen=True)
class PolicyInputs:
    """What is known of one policy before its golden set is drawn.

    Attributes:
        traffic: float32 [N], scores of posts as they come.
        traffic_weights: [N], posts that each stands for; None for equal ones.
        pilot: scores [M] and labels [M]; None where a calibrator is taken at its word.
        calibrator: of the scores.
        missing: why nothing can be planned; None if something can.
        above: floor of the golden set that is the pilot: traffic is what scores at least that; None for all.
    """

    traffic: ScoreArray
    traffic_weights: FloatArray | None
    pilot: tuple[ScoreArray, Labels] | None
    calibrator: Calibrator
    missing: str | None = None
    above: float | None = None


@dataclass(frozen=True)
class PlanInputs:
    """All policies, and what the plan rests on.

    Attributes:
        policies: sorted by policy_id.
        metadata: of the scores.
        scores_digest: of the pilot's scores; None without a pilot.
        pool: None if the pilot's own scores stand for the traffic.
        pool_sha256: of its file.
        calibrators: of an earlier calibration, by policy_id; None with a pilot.
        pilot: scores and labels of all policies; None without.
        golden_set: that the pilot is; None for a validation split.
    """

    policies: list[Policy]
    metadata: ScoresMetadata
    scores_digest: str | None
    pool: Path | None
    pool_sha256: str | None
    calibrators: dict[str, Calibrator] | None
    pilot: LabelledScores | None
    golden_set: GoldenSet | None

    def of(self, column: int) -> PolicyInputs:
        """What is known of one policy; its column of the pool is read here."""
        policy_id = self.policies[column].policy_id
        pool = None if self.pool is None else _thinned(read_column(self.pool, policy_id))
        if self.calibrators is not None:
            assert pool is not None
            calibrator = self.calibrators[policy_id]
            unfitted = f"the calibration has no probabilities: {calibrator.reason}" if calibrator.reason else None
            return PolicyInputs(pool, None, None, calibrator, unfitted)
        assert self.pilot is not None
        scores, labels = self.pilot.scores[:, column], self.pilot.labels[:, column].astype(np.float64)
        draw = draw_of(self.golden_set, policy_id) if self.golden_set else EVEN
        missing = draw.no_evidence
        if pool is not None and draw.floor is not None:
            pool = pool[pool >= np.float32(draw.floor)]
        if np.isnan(labels).all():
            missing = "the pilot holds no known label of this policy"
        return PolicyInputs(
            traffic=scores if pool is None else pool,
            traffic_weights=self.pilot.weights if pool is None else None,
            pilot=(scores, labels),
            calibrator=fit_platt(as_logits(scores, self.metadata.scale), labels, weights=self.pilot.weights),
            missing=missing,
            above=draw.floor,
        )


def read_plan_inputs(
    *,
    policies: Path,
    scores: Path | None,
    validation: Path | None,
    golden: Path | None,
    pool: Path | None,
    calibration: Path | None,
) -> PlanInputs:
    """Read and cross-check the inputs of `plan`.

    Raises:
        InputError: a file is wrong, they do not belong together, or there is neither a pilot nor a calibration.
    """
    all_policies = load_policies(policies)
    pool_metadata = None if pool is None else read_scores_metadata(existing_file(pool))
    digest = None if pool is None else sha256_of_file(pool)
    if pool is not None and pool_metadata is not None:
        check_score_versions(pool, pool_metadata, all_policies)
    if calibration is not None:
        if pool is None or pool_metadata is None:
            raise InputError("calibration=…: needs pool=, the scored posts that its probabilities are for")
        calibrators = _calibrators(calibration, pool, pool_metadata, all_policies)
        return PlanInputs(all_policies, pool_metadata, None, pool, digest, calibrators, None, None)
    if scores is None or (validation is None and golden is None):
        raise InputError(
            "plan: expected a pilot: scores= and one of validation= and golden=; or pool= with calibration="
        )
    served = read_scores(scores, [policy.policy_id for policy in all_policies])
    check_score_versions(scores, served.metadata, all_policies)
    if pool is not None and pool_metadata is not None:
        check_same_model(scores, served.metadata, pool, pool_metadata)
    golden_set = None if golden is None else load_golden(golden)
    if golden_set is not None and golden is not None:
        check_golden_versions(golden, golden_set, all_policies)
        check_drawn_by(scores, served, golden_set)
        pilot = labelled_scores(
            golden_set.items, golden_set.annotations, all_policies, served, scores, folder=golden_set.folder
        )
    else:
        assert validation is not None
        pilot = _validation(existing_folder(validation), all_policies, served, scores)
    return PlanInputs(all_policies, served.metadata, served.digest(), pool, digest, None, pilot, golden_set)


def _thinned(traffic: ScoreArray) -> ScoreArray:
    """A million scores drawn at random, always the same, where there are more: only their distribution counts."""
    if len(traffic) <= MOST_TRAFFIC:
        return traffic
    return traffic[np.random.default_rng(0).integers(0, len(traffic), MOST_TRAFFIC)]


def _validation(folder: Path, policies: list[Policy], served: Scores, scores: Path) -> LabelledScores:
    items = read_items(folder / "items.parquet")
    annotations = read_annotations(folder / "annotations.parquet", items, policies)
    return labelled_scores(items, annotations, policies, served, scores, folder=folder)


def _calibrators(path: Path, pool: Path, metadata: ScoresMetadata, policies: list[Policy]) -> dict[str, Calibrator]:
    content = load_operating_points(path)
    check_same_model(path, ScoresMetadata(**content.scores.model_dump(exclude={"digest"})), pool, metadata)
    found = {record.policy_id: record for record in content.policies}
    for policy in policies:
        record = found.get(policy.policy_id)
        if record is None or record.policy_version != policy.version:
            version = record.policy_version if record else "missing"
            raise InputError(
                f"{path}, {policy.policy_id} = {version!r}: the policy is at version {policy.version}; "
                "give a calibration of it"
            )
    return {
        policy_id: Calibrator(**record.calibrator.model_dump(exclude={"expected_calibration_error"}))
        for policy_id, record in found.items()
    }
