"""Bands at thresholds that somebody chose: which promise holds there, and the figures, as the page shows them."""

from dataclasses import dataclass, replace

import numpy as np

from calibrate.evidence import Evidence
from calibrate.operating_point import OperatingPoint
from calibrate.policy_calibration import BandCalibration, PolicyCalibration, Settings, slices_at
from calibrate.report.live.numbers import PolicyNumbers
from calibrate.signing.again import Moves
from calibrate.traffic.file import PolicyTraffic, TrafficMetadata
from calibrate.traffic.policies import with_volumes
from calibrate.traffic.volume import DailyVolume
from calibrate.words import said

FITS = said("reason.moved.fits")
OPEN = said("reason.moved.waived")


@dataclass(frozen=True)
class Reasons:
    """Why a band is where it is: still certified, and off."""

    kept: str
    off: str


BY_SIGNERS = Reasons(kept=said("reason.moved"), off=said("reason.moved.off"))
FOLLOWING = Reasons(kept=said("reason.following"), off=said("reason.following.off"))


def keeps_promise(point: OperatingPoint, threshold: float, volume: DailyVolume | None) -> bool:
    """Whether a threshold is covered by what was certified, as the page decides it (templates/js/verdict.js).

    Args:
        point: as certified.
        threshold: float32 number.
        volume: posts a day in the band's own part, with the other bands where they will be; None without traffic.
    """
    if point.kind == "capacity":
        return volume is not None and volume.high <= point.target
    if point.certified_range is None:
        return False
    strictest, loosest = point.certified_range
    return loosest <= threshold <= strictest


def moved(
    calibration: PolicyCalibration,
    evidence: Evidence,
    settings: Settings,
    moves: Moves,
    traffic: tuple[PolicyTraffic, TrafficMetadata] | None,
    reasons: Reasons,
) -> PolicyCalibration:
    """A policy with some bands at other thresholds: status, volumes and slices; `described` fills in the figures."""
    mine = calibration.policy.policy_id
    chosen = {place: threshold for (policy_id, place), threshold in moves.items() if policy_id == mine}
    if not chosen:
        return calibration
    bands = [
        replace(band, point=replace(band.point, threshold=chosen.get(place, band.point.threshold)))
        for place, band in enumerate(calibration.bands)
    ]
    result = replace(calibration, bands=tuple(bands))
    if traffic:
        result = with_volumes(result, *traffic)
    return replace(
        result,
        bands=tuple(
            _stated(band, place in chosen, result, evidence, settings, reasons)
            for place, band in enumerate(result.bands)
        ),
    )


def _stated(
    band: BandCalibration,
    is_moved: bool,
    calibration: PolicyCalibration,
    evidence: Evidence,
    settings: Settings,
    reasons: Reasons,
) -> BandCalibration:
    """The band with its status, and its slices at the new threshold."""
    point = band.point
    if point.threshold is None:
        return replace(band, point=_off(point, reasons.off), slices=(), volume=None) if is_moved else band
    keeps = keeps_promise(point, point.threshold, band.volume)
    if not keeps:
        point = replace(point, status="waived", reason=OPEN)
    elif is_moved and point.kind == "capacity":
        point = replace(point, status="fits", reason=FITS)
    elif is_moved:
        point = replace(point, status="certified", reason=reasons.kept)
    if not is_moved:
        return replace(band, point=point)
    assert point.threshold is not None
    parts = slices_at(point.threshold, band.slice_tests, calibration.policy, evidence, settings)
    return replace(band, point=point, slices=parts)


def _off(point: OperatingPoint, reason: str) -> OperatingPoint:
    return replace(
        point,
        status="switched_off",
        reason=reason,
        precision=None,
        precision_lower_bound=None,
        recall=None,
        recall_interval=None,
        recall_above=None,
        n_flagged=0,
        n_flagged_labelled=0,
    )


def described(
    calibration: PolicyCalibration, evidence: Evidence, moves: Moves, numbers: PolicyNumbers
) -> PolicyCalibration:
    """A moved policy with the figures at its new thresholds, which are cuts of `numbers`."""
    bands = []
    for place, band in enumerate(calibration.bands):
        is_on = band.point.threshold is not None
        if is_on and (calibration.policy.policy_id, place) in moves:
            bands.append(replace(band, point=_read_off(band.point, band.confidence, evidence, numbers)))
        else:
            bands.append(band)
    return replace(calibration, bands=tuple(bands))


def _read_off(point: OperatingPoint, confidence: float, evidence: Evidence, numbers: PolicyNumbers) -> OperatingPoint:
    assert point.threshold is not None
    cut = int(np.searchsorted(-numbers.cuts, -np.float32(point.threshold)))
    assert numbers.cuts[cut] == np.float32(point.threshold), point.threshold
    counts, bounds = numbers.counts, numbers.bounds[confidence]
    known, right, violating = float(counts.known[cut]), float(counts.right[cut]), float(counts.right[-1])
    read = replace(
        point,
        confidence=confidence,
        precision=right / known if known else None,
        precision_lower_bound=float(bounds.lower[cut]) if known else None,
        recall=right / violating if known and violating else None,
        recall_interval=(
            (float(bounds.recall_low[cut]), float(bounds.recall_high[cut])) if known and violating else None
        ),
        n_flagged=int(counts.flagged[cut]),
        n_flagged_labelled=int(counts.labelled[cut]),
    )
    return replace(evidence.draw.described(read, evidence.scores, evidence.labels), confidence=point.confidence)
