"""One policy calibrated: its calibrator and, band by band, its operating point and curve.

N golden items, M validation items.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl

from calibrate.bands import BandPart, parts_of
from calibrate.bounds import FloatArray
from calibrate.capacity import awaiting_traffic
from calibrate.corrections import UNCORRECTED, Corrections
from calibrate.curve import CURVE_SCHEMA, precision_recall_curve
from calibrate.draw import EVEN, Draw, objected
from calibrate.looks import after_look, share_of
from calibrate.operating_point import Look, OperatingPoint
from calibrate.prior_shift import ESTIMATE_SHARE, choose_threshold_after_shift, ratios_left_open
from calibrate.probability import Calibrator, Reliability, as_logits, fit_platt, reliability
from calibrate.ranked import Scores, rank_labels
from calibrate.recall import choose_recall_threshold
from calibrate.slices import SliceResult, SliceRows, check_slices, whatever_holds
from calibrate.threshold import choose_threshold
from calibrate.volume import DailyVolume
from calibrate.weighted_curve import weighted_precision_recall_curve
from data.policy import Band, Policy, SliceRule

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
        """These settings as JSON values."""
        return asdict(self)


DEFAULT_SETTINGS = Settings()


@dataclass(frozen=True)
class BandCalibration:
    """A band, its operating point, the curve with what that point certifies, and the slices at its threshold.

    `volume` is None without traffic, and where the band is off.
    """

    band: Band
    point: OperatingPoint
    curve: pl.DataFrame
    slices: tuple[SliceResult, ...] = ()
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
    policy: Policy,
    scores: Scores,
    labels: Scores,
    *,
    pilot: tuple[Scores, Scores] | None,
    scale: str = "logit",
    slices: Mapping[str, SliceRows] | None = None,
    settings: Settings = DEFAULT_SETTINGS,
    draw: Draw = EVEN,
    pilot_weights: FloatArray | None = None,
    look: int | None = None,
    verdicts: Scores | None = None,
    recent_labels: Scores | None = None,
) -> PolicyCalibration:
    """Fit the calibrator on the pilot and choose every band's threshold on the golden labels.

    Args:
        policy: its bands, in order.
        scores: [N] golden scores as served.
        labels: [N] golden labels, 1, 0 or NaN.
        pilot: validation scores [M] and labels [M]; plans the walks and fits the calibrator.
        scale: of the scores, `logit` or `probability`; the calibrator always takes logits.
        slices: rows of each value, by column, of the columns that the policy's slices name; None tests no slice.
        settings: error budget, corrections, slices, ledger.
        draw: how the golden items came into their set.
        pilot_weights: [M], 1 / inclusion_prob of the validation items, for the calibrator; None for equal ones.
        look: its number among the looks at these labels; None spends nothing on others.
        verdicts: [N] of an auditor on the golden items, in [0, 1] or NaN; None does without.
        recent_labels: [R] of a recent sample, from which precision tests estimate the prior shift; None does without.
    """
    # Columns of a matrix are slow to read again and again.
    scores, labels = np.ascontiguousarray(scores), np.ascontiguousarray(labels)
    if pilot is None:
        calibrator = Calibrator(reason="no validation split was given")
    else:
        calibrator = fit_platt(as_logits(pilot[0], scale), pilot[1], weights=pilot_weights)
    known = ~np.isnan(labels)
    checked = (
        reliability(
            calibrator.probabilities(as_logits(scores, scale)),
            labels,
            n_bins=10,
            weights=None if draw.inclusion_prob is None else 1 / draw.inclusion_prob,
        )
        if known.any() and draw.no_evidence is None
        else None
    )
    return PolicyCalibration(
        policy=policy,
        calibrator=calibrator,
        reliability=checked,
        bands=tuple(
            _calibrate_band(
                band, scores, labels, pilot, policy.slices, slices, settings, draw, look, verdicts, recent_labels
            )
            for band in policy.bands
        ),
    )


def _calibrate_band(
    band: Band,
    scores: Scores,
    labels: Scores,
    pilot: tuple[Scores, Scores] | None,
    rules: list[SliceRule],
    slices: Mapping[str, SliceRows] | None,
    settings: Settings,
    draw: Draw,
    look: int | None,
    verdicts: Scores | None,
    recent_labels: Scores | None,
) -> BandCalibration:
    parts: tuple[SliceResult, ...] = ()
    if band.kind == "capacity":
        assert band.capacity_per_day is not None
        point = awaiting_traffic(band.capacity_per_day, rank_labels(scores, labels))
    else:
        assert band.confidence is not None
        delta = (1 - band.confidence) / settings.n_claims
        if look is not None and settings.reuse is None:
            delta *= share_of(look)
        objection = draw.objection(band.kind)
        if objection:
            asked = band.target_precision or band.target_recall or 0.0
            point = objected(
                scores, labels, kind=band.kind, target=asked, confidence=band.confidence, objection=objection
            )
        elif band.target_precision is not None and recent_labels is not None:
            point = choose_threshold_after_shift(
                scores,
                labels,
                recent_labels,
                target_precision=band.target_precision,
                confidence=1 - delta,
                pilot_scores=pilot[0] if pilot else None,
                pilot_labels=pilot[1] if pilot else None,
            )
        elif band.target_precision is not None:
            point = choose_threshold(
                scores,
                labels,
                target_precision=band.target_precision,
                confidence=1 - delta,
                inclusion_prob=draw.inclusion_prob,
                clusters=draw.clusters,  # type: ignore[arg-type]
                pilot_scores=pilot[0] if pilot else None,
                pilot_labels=pilot[1] if pilot else None,
                corrections=settings.corrections,
                auditor=verdicts,
            )
        else:
            assert band.target_recall is not None
            point = choose_recall_threshold(
                scores,
                labels,
                target_recall=band.target_recall,
                confidence=1 - delta,
                inclusion_prob=draw.inclusion_prob,
                clusters=draw.clusters,  # type: ignore[arg-type]
            )
        if point.kind == "precision" and slices is not None and settings.slices != "off":
            parts = _parts_of(point, scores, labels, rules, slices, settings, delta, draw)
        point = draw.described(point, scores, labels)
        if settings.n_claims > 1 and not objection:
            shared = f"{point.method}; 1 - confidence shared by {settings.n_claims:,} claims"
            point = replace(point, confidence=band.confidence, method=shared)
        if look is not None and not objection:
            seen = Look(look, delta, settings.reuse)
            point = after_look(point, seen, confidence=band.confidence, claims=settings.n_claims)
    curve = _curve_of(band, point, scores, labels, pilot, draw)
    return BandCalibration(band=band, point=point, curve=curve, slices=parts)


def _curve_of(
    band: Band,
    point: OperatingPoint,
    scores: Scores,
    labels: Scores,
    pilot: tuple[Scores, Scores] | None,
    draw: Draw,
) -> pl.DataFrame:
    confidence = band.confidence or CURVE_CONFIDENCE
    if draw.no_evidence:
        return pl.DataFrame(schema=CURVE_SCHEMA)
    if not draw.is_weighted:
        return precision_recall_curve(scores, labels, confidence=confidence, certified_range=point.certified_range)
    return weighted_precision_recall_curve(
        scores,
        labels,
        inclusion_prob=draw.inclusion_prob,
        clusters=draw.clusters,  # type: ignore[arg-type]
        confidence=confidence,
        certified_range=point.certified_range,
        pilot_scores=pilot[0] if pilot else None,
    )


def _parts_of(
    point: OperatingPoint,
    scores: Scores,
    labels: Scores,
    rules: list[SliceRule],
    slices: Mapping[str, SliceRows],
    settings: Settings,
    delta: float,
    draw: Draw,
) -> tuple[SliceResult, ...]:
    """Every rule's slices at the point's threshold; the rules share delta."""
    if point.threshold is None:
        return ()
    if point.prior_shift is None:
        return _slices_corrected(point, scores, labels, rules, slices, settings, delta, draw)
    each = [
        _slices_corrected(
            point,
            scores,
            labels,
            rules,
            slices,
            replace(settings, corrections=Corrections(prior_odds_ratio=ratio)),
            (1 - ESTIMATE_SHARE) * delta,
            draw,
        )
        for ratio in ratios_left_open(point.prior_shift)
    ]
    return tuple(whatever_holds(parts) for parts in zip(*each, strict=True))


def _slices_corrected(
    point: OperatingPoint,
    scores: Scores,
    labels: Scores,
    rules: list[SliceRule],
    slices: Mapping[str, SliceRows],
    settings: Settings,
    delta: float,
    draw: Draw,
) -> tuple[SliceResult, ...]:
    assert point.threshold is not None
    counted = settings.corrections.applied(labels.astype(np.float64)).astype(np.float32)
    return tuple(
        replace(part, target=rule.min_precision or point.target)
        for rule in rules
        for part in check_slices(
            scores,
            counted,
            slices[rule.by],
            by=rule.by,
            threshold=point.threshold,
            target=settings.corrections.tested_target(rule.min_precision or point.target),
            delta=delta / len(rules),
            min_flagged=rule.min_flagged,
            own_thresholds=settings.slices == "own",
            inclusion_prob=draw.inclusion_prob,
            clusters=draw.clusters,  # type: ignore[arg-type]
        )
    )
