"""The tables: one row a band, a slice, a threshold, a piece of evidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from calibrate.operating_point import OperatingPoint
from calibrate.policy_calibration import PolicyCalibration
from calibrate.report.live.consequences import NOTHING, Consequences, consequences
from calibrate.report.live.numbers import PolicyNumbers
from calibrate.report.live.reached import everything, reached_at
from calibrate.report.schema import EvidenceFacts
from calibrate.report.text import shown_text

BANDS: dict[str, type[pl.DataType]] = {
    "policy_id": pl.String,
    "policy": pl.String,
    "version": pl.String,
    "band": pl.String,
    "status": pl.String,
    "promise": pl.String,
    "target": pl.Float64,
    "confidence": pl.Float64,
    "threshold": pl.Float64,
    "strictest_certified": pl.Float64,
    "loosest_certified": pl.Float64,
    "precision": pl.Float64,
    "precision_lower_bound": pl.Float64,
    "recall": pl.Float64,
    "recall_low": pl.Float64,
    "recall_high": pl.Float64,
    "recall_above": pl.Float64,
    "flagged_golden_posts": pl.Int64,
    "flagged_labels": pl.Int64,
    "known_labels": pl.Int64,
    "violating_labels": pl.Int64,
    "unknown_labels": pl.Int64,
    "labels_needed": pl.Int64,
    "posts_a_day": pl.Float64,
    "posts_a_day_low": pl.Float64,
    "posts_a_day_high": pl.Float64,
    "wrongful_a_day": pl.Float64,
    "violations_left_a_day": pl.Float64,
    "reason": pl.String,
    "method": pl.String,
}
SLICES: dict[str, type[pl.DataType]] = {
    "policy_id": pl.String,
    "band": pl.String,
    "column": pl.String,
    "value": pl.String,
    "status": pl.String,
    "target": pl.Float64,
    "precision": pl.Float64,
    "flagged_labels": pl.Int64,
    "known_labels": pl.Int64,
    "more_labels": pl.Int64,
    "own_threshold": pl.Float64,
    "posts_a_day": pl.Float64,
    "posts_a_day_low": pl.Float64,
    "posts_a_day_high": pl.Float64,
}


@dataclass(frozen=True)
class Tables:
    """What goes into spreadsheets; `thresholds` holds those of the page, once for each confidence of its bounds.

    `production` and `flips` stand where the calibration was compared with what serves.
    """

    bands: pl.DataFrame
    slices: pl.DataFrame
    thresholds: pl.DataFrame
    evidence: pl.DataFrame
    production: pl.DataFrame | None = None
    flips: pl.DataFrame | None = None

    def named(self) -> dict[str, pl.DataFrame]:
        """Those that there are, by name, in the order of the sheets."""
        names = ("bands", "slices", "production", "flips", "thresholds", "evidence")
        return {name: frame for name in names if (frame := getattr(self, name)) is not None}


def tables_of(
    calibrations: Sequence[PolicyCalibration], numbers: Sequence[PolicyNumbers], evidence: EvidenceFacts
) -> Tables:
    """The tables of a calibration.

    Args:
        calibrations: P policies.
        numbers: of each.
        evidence: that all of them share.
    """
    pairs = list(zip(calibrations, numbers, strict=True))
    bands = [row for calibration, each in pairs for row in _band_rows(calibration, each)]
    slices = [row for calibration in calibrations for row in _slice_rows(calibration)]
    return Tables(
        bands=pl.DataFrame(bands, schema=BANDS, orient="row"),
        slices=pl.DataFrame(slices, schema=SLICES, orient="row"),
        thresholds=pl.concat(_threshold_frames(pairs)),
        evidence=_evidence_frame(evidence),
    )


def _band_rows(calibration: PolicyCalibration, numbers: PolicyNumbers) -> list[dict[str, Any]]:
    rows, policy = [], calibration.policy
    for band, part in zip(calibration.bands, calibration.parts, strict=True):
        point = band.point
        strictest, loosest = point.certified_range or (None, None)
        low, high = point.recall_interval or (None, None)
        effects = _effects(point, part.below, numbers)
        rows.append(
            {
                "policy_id": policy.policy_id,
                "policy": shown_text(policy.name, 200),
                "version": policy.version,
                "band": shown_text(band.title, 120),
                "status": point.status,
                "promise": point.kind,
                "target": point.target,
                "confidence": point.confidence,
                "threshold": point.threshold,
                "strictest_certified": strictest,
                "loosest_certified": loosest,
                "precision": point.precision,
                "precision_lower_bound": point.precision_lower_bound,
                "recall": point.recall,
                "recall_low": low,
                "recall_high": high,
                "recall_above": point.recall_above,
                "flagged_golden_posts": point.n_flagged if point.threshold is not None else None,
                "flagged_labels": point.n_flagged_labelled if point.threshold is not None else None,
                "known_labels": point.n_labelled,
                "violating_labels": point.n_positive,
                "unknown_labels": point.n_unknown,
                "labels_needed": point.labels_needed,
                "posts_a_day": band.volume.expected if band.volume else None,
                "posts_a_day_low": band.volume.low if band.volume else None,
                "posts_a_day_high": band.volume.high if band.volume else None,
                "wrongful_a_day": effects.wrongful if effects else None,
                "violations_left_a_day": effects.left if effects else None,
                "reason": shown_text(point.reason),
                "method": shown_text(point.method),
            }
        )
    return rows


def _effects(point: OperatingPoint, below: float | None, numbers: PolicyNumbers) -> Consequences | None:
    if point.threshold is None or numbers.traffic is None:
        return None
    taken = NOTHING if below is None else reached_at(numbers, below)
    return consequences(reached_at(numbers, point.threshold), taken, everything(numbers))


def _slice_rows(calibration: PolicyCalibration) -> list[dict[str, Any]]:
    rows = []
    for band in calibration.bands:
        volumes = {(each.by, each.value): each for each in (band.volume.slices if band.volume else ())}
        for part in band.slices:
            volume = volumes.get((part.by, part.value))
            rows.append(
                {
                    "policy_id": calibration.policy.policy_id,
                    "band": shown_text(band.title, 120),
                    "column": shown_text(part.by, 80),
                    "value": shown_text(part.value, 120),
                    "status": part.status,
                    "target": part.target,
                    "precision": part.precision,
                    "flagged_labels": part.n_flagged_labelled,
                    "known_labels": part.n_labelled,
                    "more_labels": part.more_labels,
                    "own_threshold": part.threshold,
                    "posts_a_day": volume.expected if volume else None,
                    "posts_a_day_low": volume.low if volume else None,
                    "posts_a_day_high": volume.high if volume else None,
                }
            )
    return rows


def _threshold_frames(pairs: Sequence[tuple[PolicyCalibration, PolicyNumbers]]) -> list[pl.DataFrame]:
    frames = []
    for calibration, numbers in pairs:
        counts, n = numbers.counts, len(numbers.cuts)
        with np.errstate(invalid="ignore"):
            precision, recall = counts.right / counts.known, counts.right / counts.right[-1]
        for confidence, bounds in numbers.bounds.items():
            columns: Mapping[str, Any] = {
                "policy_id": [calibration.policy.policy_id] * n,
                "confidence": np.full(n, confidence),
                "threshold": numbers.cuts.astype(np.float64),
                "flagged_golden_posts": counts.flagged,
                "flagged_labels": counts.labelled,
                "violating_labels": counts.positive,
                "precision": precision,
                "precision_lower_bound": bounds.lower,
                "precision_bound_at_all_thresholds": (np.full(n, np.nan) if bounds.ribbon is None else bounds.ribbon),
                "recall": recall,
                "recall_low": bounds.recall_low,
                "recall_high": bounds.recall_high,
            }
            frames.append(pl.DataFrame(columns).fill_nan(None))
    return frames


def _evidence_frame(evidence: EvidenceFacts) -> pl.DataFrame:
    golden = evidence.golden_set.model_dump(mode="json")
    traffic = evidence.traffic.model_dump(mode="json") if evidence.traffic else {}
    served = evidence.production.model_dump(mode="json", exclude={"candidates"}) if evidence.production else {}
    others = evidence.production.candidates if evidence.production else []
    said = {
        **{f"golden set: {name}": value for name, value in golden.items()},
        **{f"scores: {name}": value for name, value in evidence.scores.model_dump(mode="json").items()},
        **{f"production: {name}": value for name, value in served.items()},
        **{f"candidate {each.name}: scores digest": each.scores_digest for each in others},
        **{f"traffic: {name}": value for name, value in traffic.items()},
        "error budget": f"{evidence.error_budget.mode}, {evidence.error_budget.n_claims} claims",
        "validation digest": evidence.pilot_digest,
        "posts from": " to ".join(evidence.created or ()),
        "labelled": " to ".join(evidence.annotated or ()),
        "looks": evidence.looks,
        "reuse": evidence.reuse,
        "corrections": " ".join(evidence.corrections),
    }
    rows = [(name, shown_text(str(value))) for name, value in said.items() if value not in (None, "")]
    return pl.DataFrame(rows, schema={"what": pl.String, "value": pl.String}, orient="row")
