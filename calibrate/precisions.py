"""The gate between precisions: a model in fewer bits is another model, and serves if it decides what the first does.

Each precision is certified on its own scores by the complete procedure; that is its guarantee. The gate asks two
things besides: that no certificate is lost, and that decisions on the golden items stay what they were, each
precision at its own thresholds. A decision is the strictest band that flags an item under a policy; where that
differs it flips.

N golden items, P policies, K bands of a policy.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from calibrate.gate_file import GateFile, GateRecord, PolicyDrift
from calibrate.inputs import CalibrationInputs
from calibrate.operating_points_file import BandRecord, OperatingPointsFile, PolicyRecord
from calibrate.outcome import Outcome
from calibrate.probability import Calibrator, as_logits
from data.errors import InputError

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Limits:
    """What passes.

    Attributes:
        most_flips: largest share of decisions, over golden items and policies, that may flip.
        margin: flips are told apart by whether the reference's score lies within this distance of one of its
            thresholds: there the reference itself was near to deciding otherwise.
    """

    most_flips: float = 0.005
    margin: float = 0.1


def compare_precisions(reference: Outcome, others: Mapping[str, Outcome], limits: Limits) -> GateFile:
    """Hold each of `others`, by name, against the reference; all are of one golden set and the same policies."""
    n_items = len(reference.inputs.golden_set.items)
    return GateFile(
        reference=reference.content.scores,
        golden_digest=reference.content.golden_set.digest,
        n_items=n_items,
        most_flips=limits.most_flips,
        margin=limits.margin,
        precisions=tuple(_compare(name, reference, other, limits) for name, other in others.items()),
    )


def check_precision(name: str, path: Path, inputs: CalibrationInputs, reference: CalibrationInputs) -> None:
    """Refuse scores that are not those of another precision.

    Raises:
        InputError: names the file.
    """
    found, other = inputs.scores.metadata, reference.scores.metadata
    if found.scale != other.scale:
        raise InputError(f"{path}, scale = {found.scale!r}: those of scores= are {other.scale!r}; give both on one")
    if (found.model_digest, found.runtime) == (other.model_digest, other.runtime):
        raise InputError(
            f"precisions.{name}: {path} holds scores of {found.runtime} and the same model as scores=; "
            f"score with precision={name} out=FOLDER"
        )
    if found.runtime is not None and not found.runtime.endswith(f"-{name}"):
        raise InputError(f"precisions.{name}: {path} holds scores of {found.runtime}, not of {name}")


def _compare(name: str, reference: Outcome, other: Outcome, limits: Limits) -> GateRecord:
    drifts = tuple(
        _drift(before, after, *_columns(column, reference, other), reference.content.scores.scale, limits.margin)
        for column, (before, after) in enumerate(zip(reference.content.policies, other.content.policies, strict=True))
    )
    flips = sum(drift.flips for drift in drifts)
    decisions = len(reference.inputs.golden_set.items) * len(drifts)
    reasons = list(_lost(reference.content, other.content))
    if flips / decisions > limits.most_flips:
        reasons.append(f"{flips / decisions:.2%} of decisions flip, at most {limits.most_flips:.2%} may")
    return GateRecord(
        name=name,
        scores=other.content.scores,
        share=flips / decisions,
        reasons=tuple(reasons),
        policies=drifts,
    )


def _columns(column: int, reference: Outcome, other: Outcome) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return reference.inputs.golden.scores[:, column], other.inputs.golden.scores[:, column]


def _lost(reference: OperatingPointsFile, other: OperatingPointsFile) -> Iterator[str]:
    for before, after in zip(reference.policies, other.policies, strict=True):
        for had, has in zip(before.bands, after.bands, strict=True):
            if had.status in ("certified", "fits") and has.status != had.status:
                lost = "does not fit" if had.status == "fits" else "not certified on its own scores"
                yield f"{before.policy_id}, {had.action}: {lost} ({has.reason})"


def _drift(
    before: PolicyRecord,
    after: PolicyRecord,
    scores: NDArray[np.float32],
    others: NDArray[np.float32],
    scale: str,
    margin: float,
) -> PolicyDrift:
    decided = _decided(scores, before.bands)
    flips = decided != _decided(others, after.bands)
    thresholds = np.array([band.threshold for band in before.bands if band.threshold is not None], np.float64)
    away = np.abs(scores[:, None] - thresholds).min(axis=1, initial=np.inf)
    score_differences = np.abs(scores.astype(np.float64) - others)
    probability_differences = np.abs(_probabilities(scores, before, scale) - _probabilities(others, after, scale))
    return PolicyDrift(
        policy_id=before.policy_id,
        flips=int(flips.sum()),
        flips_outside_margin=int((flips & (away > margin)).sum()),
        flips_at_reference=int((decided != _decided(others, before.bands)).sum()),
        mean_score_difference=float(score_differences.mean()),
        max_score_difference=float(score_differences.max()),
        mean_probability_difference=float(probability_differences.mean()),
        max_probability_difference=float(probability_differences.max()),
    )


def _decided(scores_N: NDArray[np.float32], bands: tuple[BandRecord, ...]) -> NDArray[np.intp]:
    """The place of the strictest band that flags each item; K where none does."""
    thresholds_K = np.array([np.inf if band.threshold is None else band.threshold for band in bands], np.float32)
    flags_NK = scores_N[:, None] >= thresholds_K
    none_N1 = np.ones((len(scores_N), 1), bool)
    place_N: NDArray[np.intp] = np.concatenate([flags_NK, none_N1], axis=1).argmax(axis=1)
    return place_N


def _probabilities(scores_N: NDArray[np.float32], policy: PolicyRecord, scale: str) -> Vector:
    calibrator = Calibrator(scale=policy.calibrator.scale, offset=policy.calibrator.offset)
    return calibrator.probabilities(as_logits(scores_N, scale))
