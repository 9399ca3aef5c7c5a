"""One policy calibrated: its calibrator and, band by band, its operating point and curve."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl

from calibrate.bands import BandPart, parts_of
from calibrate.bets.curve import weighted_precision_recall_curve
from calibrate.corrections import UNCORRECTED, Corrections
from calibrate.curve import CURVE_SCHEMA, precision_recall_curve
from calibrate.draw import objected
from calibrate.evidence import Evidence
from calibrate.looks import after_look, share_of
from calibrate.operating_point import Look, OperatingPoint
from calibrate.prior_shift import ESTIMATE_SHARE, choose_threshold_after_shift, ratios_left_open
from calibrate.probability import Calibrator, Reliability, as_logits, fit_platt, reliability
from calibrate.ranks.ranked import rank_labels
from calibrate.recall import choose_recall_threshold
from calibrate.slice_tests import SliceTest, at_threshold, examine_slices
from calibrate.slices import SliceLabels, SliceResult, slice_labels, whatever_holds
from calibrate.threshold import choose_threshold
from calibrate.traffic.capacity import awaiting_traffic
from calibrate.traffic.volume import DailyVolume
from calibrate.words import said
from data.policy import Band, Policy, SliceRule

_Sliced = Mapping[str, Mapping[str, SliceLabels]]
CURVE_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Settings:
    """How bands are tested.

    Attributes:
        n_claims: claims that share 1 - confidence; 1 if each has its own.
        corrections: of the precision tests.
        slices: `off`, `test` at the band's threshold, or `own` thresholds besides.
        reuse: why earlier looks at these labels need not be paid for, in someone's words; None pays for them.
    """

    n_claims: int = 1
    corrections: Corrections = UNCORRECTED
    slices: Literal["off", "test", "own"] = "test"
    reuse: str | None = None

    def deciding(self) -> dict[str, Any]:
        """These settings as JSON values; of `reuse`, whether it is given and not in which words."""
        return {**asdict(self), "reuse": self.reuse is not None}


DEFAULT_SETTINGS = Settings()


@dataclass(frozen=True)
class BandCalibration:
    """A band with its answer and with what is needed to answer for other thresholds.

    Attributes:
        band: what the policy asks for.
        point: its operating point.
        curve: precision and recall at all thresholds, with those that the point certifies.
        confidence: of the bounds in the curve: 1 - what the band's test was given to spend.
        slices: at its threshold; empty if the band is off.
        slice_tests: of the same slices at whatever threshold, once for every target that is left open.
        volume: posts a day; None without traffic, and where the band is off.
    """

    band: Band
    point: OperatingPoint
    curve: pl.DataFrame
    confidence: float
    slices: tuple[SliceResult, ...] = ()
    slice_tests: tuple[tuple[SliceTest, ...], ...] = ()
    volume: DailyVolume | None = None

    @property
    def title(self) -> str:
        """The action, and the queue it feeds where there is one."""
        return f"{self.band.action} ({self.band.queue})" if self.band.queue else self.band.action


@dataclass(frozen=True)
class PolicyCalibration:
    """A policy with its bands, strictest first; `reliability` on golden labels, None if none is known."""

    policy: Policy
    calibrator: Calibrator
    reliability: Reliability | None
    bands: tuple[BandCalibration, ...]

    @property
    def parts(self) -> tuple[BandPart, ...]:
        """The part of the score axis that each band serves."""
        return parts_of((band.title, band.point.threshold) for band in self.bands)


def calibrate_policy(
    policy: Policy, evidence: Evidence, *, scale: str = "logit", settings: Settings = DEFAULT_SETTINGS
) -> PolicyCalibration:
    """Fit the calibrator on the pilot and choose every band's threshold on the golden labels.

    Args:
        policy: its bands, in order.
        evidence: golden scores and labels, and what stands beside them.
        scale: of the scores, `logit` or `probability`; the calibrator always takes logits.
        settings: error budget, corrections, slices, ledger.
    """
    calibrator = _calibrator(evidence, scale)
    counted = evidence.counted(settings.corrections)
    sliced = _sliced(policy, counted, settings)
    return PolicyCalibration(
        policy=policy,
        calibrator=calibrator,
        reliability=_reliability(evidence, calibrator, scale),
        bands=tuple(_calibrate_band(band, counted, policy.slices, sliced, settings) for band in policy.bands),
    )


def slices_at(
    threshold: float,
    tests: tuple[tuple[SliceTest, ...], ...],
    policy: Policy,
    evidence: Evidence,
    settings: Settings,
) -> tuple[SliceResult, ...]:
    """What a band's slice tests say at another threshold than its own; `evidence` as it was counted."""
    sliced = _sliced(policy, evidence, settings) if tests else None
    return _parts_of(threshold, tests, sliced, settings) if sliced else ()


def _sliced(policy: Policy, evidence: Evidence, settings: Settings) -> _Sliced | None:
    if evidence.slices is None or settings.slices == "off":
        return None
    rows, draw = evidence.slices, evidence.draw
    return {
        rule.by: slice_labels(evidence.scores, evidence.labels, rows[rule.by], draw.inclusion_prob, draw.clusters)
        for rule in policy.slices
    }


def _calibrator(evidence: Evidence, scale: str) -> Calibrator:
    if evidence.pilot_scores is None or evidence.pilot_labels is None:
        return Calibrator(reason=said("unfitted.no_validation"))
    return fit_platt(as_logits(evidence.pilot_scores, scale), evidence.pilot_labels, weights=evidence.pilot_weights)


def _reliability(evidence: Evidence, calibrator: Calibrator, scale: str) -> Reliability | None:
    draw = evidence.draw
    if np.isnan(evidence.labels).all() or draw.no_evidence is not None:
        return None
    return reliability(
        calibrator.probabilities(as_logits(evidence.scores, scale)),
        evidence.labels,
        n_bins=10,
        weights=None if draw.inclusion_prob is None else 1 / draw.inclusion_prob,
    )


def _calibrate_band(
    band: Band, evidence: Evidence, rules: list[SliceRule], sliced: _Sliced | None, settings: Settings
) -> BandCalibration:
    if band.capacity_per_day is not None:
        point = awaiting_traffic(band.capacity_per_day, rank_labels(evidence.scores, evidence.labels))
        return BandCalibration(band, point, _curve_of(point, evidence, CURVE_CONFIDENCE), CURVE_CONFIDENCE)
    assert band.confidence is not None
    delta = (1 - band.confidence) / settings.n_claims
    if evidence.look is not None and settings.reuse is None:
        delta *= share_of(evidence.look)
    objection = evidence.draw.objection(band.kind)
    if objection:
        point = objected(
            evidence.scores,
            evidence.labels,
            kind=band.kind,
            target=band.target_precision or band.target_recall or 0.0,
            confidence=band.confidence,
            objection=objection,
        )
        return BandCalibration(band, point, _curve_of(point, evidence, 1 - delta), 1 - delta)
    if band.target_precision is not None:
        point = _precision_point(band.target_precision, evidence, settings, delta)
    else:
        assert band.target_recall is not None
        point = choose_recall_threshold(
            evidence.scores,
            evidence.labels,
            target_recall=band.target_recall,
            confidence=1 - delta,
            inclusion_prob=evidence.draw.inclusion_prob,
            clusters=evidence.draw.clusters,
        )
    tests = _tests_of(point, rules, sliced, settings, delta) if point.kind == "precision" and sliced else ()
    parts = _parts_of(point.threshold, tests, sliced, settings) if tests and sliced else ()
    point = evidence.draw.described(point, evidence.scores, evidence.labels)
    if settings.n_claims > 1:
        shared = said("method.claims", method=point.method, n_claims=settings.n_claims)
        point = replace(point, confidence=band.confidence, method=shared)
    if evidence.look is not None:
        seen = Look(evidence.look, delta, settings.reuse)
        point = after_look(point, seen, confidence=band.confidence, claims=settings.n_claims)
    curve = _curve_of(point, evidence, 1 - delta)
    return BandCalibration(band, point, curve, 1 - delta, slices=parts, slice_tests=tests)


def _precision_point(target: float, evidence: Evidence, settings: Settings, delta: float) -> OperatingPoint:
    if evidence.recent_labels is not None:
        return choose_threshold_after_shift(
            evidence.scores,
            evidence.labels,
            evidence.recent_labels,
            target_precision=target,
            confidence=1 - delta,
            pilot_scores=evidence.pilot_scores,
            pilot_labels=evidence.pilot_labels,
        )
    return choose_threshold(
        evidence.scores,
        evidence.labels,
        target_precision=target,
        confidence=1 - delta,
        inclusion_prob=evidence.draw.inclusion_prob,
        clusters=evidence.draw.clusters,
        pilot_scores=evidence.pilot_scores,
        pilot_labels=evidence.pilot_labels,
        corrections=settings.corrections,
        auditor=evidence.verdicts,
    )


def _curve_of(point: OperatingPoint, evidence: Evidence, confidence: float) -> pl.DataFrame:
    draw = evidence.draw
    if draw.no_evidence:
        return pl.DataFrame(schema=CURVE_SCHEMA)
    if not draw.is_weighted:
        return precision_recall_curve(
            evidence.scores, evidence.labels, confidence=confidence, certified_range=point.certified_range
        )
    return weighted_precision_recall_curve(
        evidence.scores,
        evidence.labels,
        inclusion_prob=draw.inclusion_prob,
        clusters=draw.clusters,
        confidence=confidence,
        certified_range=point.certified_range,
        pilot_scores=evidence.pilot_scores,
    )


def _tests_of(
    point: OperatingPoint, rules: list[SliceRule], sliced: _Sliced, settings: Settings, delta: float
) -> tuple[tuple[SliceTest, ...], ...]:
    """The tests of every rule's slices, which share delta; once for each prior shift that is left open."""
    if point.prior_shift is None:
        return (_tests_corrected(point.target, rules, sliced, settings.corrections, delta),)
    return tuple(
        _tests_corrected(
            point.target, rules, sliced, Corrections(prior_odds_ratio=ratio), (1 - ESTIMATE_SHARE) * delta
        )
        for ratio in ratios_left_open(point.prior_shift)
    )


def _tests_corrected(
    target: float, rules: list[SliceRule], sliced: _Sliced, corrections: Corrections, delta: float
) -> tuple[SliceTest, ...]:
    return tuple(
        test
        for rule in rules
        for test in examine_slices(
            sliced[rule.by],
            by=rule.by,
            target=rule.min_precision or target,
            tested_target=corrections.tested_target(rule.min_precision or target),
            delta=delta / len(rules),
            min_flagged=rule.min_flagged,
        )
    )


def _parts_of(
    threshold: float | None, tests: tuple[tuple[SliceTest, ...], ...], sliced: _Sliced, settings: Settings
) -> tuple[SliceResult, ...]:
    """What all tests say at the threshold."""
    if threshold is None:
        return ()
    own = settings.slices == "own"
    each = [at_threshold(examined, sliced, threshold, own_thresholds=own) for examined in tests]
    return tuple(whatever_holds(parts) for parts in zip(*each, strict=True))
