"""The tables of the comparison with production: one row a band, one an item that flips."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from calibrate.policy_calibration import PolicyCalibration
from calibrate.production.changes import ByLabel, Shift
from calibrate.production.compare import BandAgainst, PolicyAgainst
from calibrate.production.record import CandidateBand
from calibrate.report.text import shown_text

Compared = Sequence[tuple[PolicyCalibration, PolicyAgainst | None]]
SHARES = ("flagged", "precision", "recall")
PRODUCTION: dict[str, type[pl.DataType]] = {
    "policy_id": pl.String,
    "version": pl.String,
    "production_version": pl.String,
    "model": pl.String,
    "band": pl.String,
    "production_band": pl.String,
    "threshold": pl.Float64,
    "production_threshold": pl.Float64,
    "gained": pl.Int64,
    "lost": pl.Int64,
    **{f"{part}_{kind}": pl.Int64 for part in ("gained", "lost") for kind in ("violating", "other", "unknown")},
    "right_now_alone": pl.Int64,
    "right_before_alone": pl.Int64,
    "mcnemar_p_value": pl.Float64,
    **{f"{share}_{part}": pl.Float64 for share in SHARES for part in ("before", "now", "change_low", "change_high")},
}
FLIPS: dict[str, type[pl.DataType]] = {
    "policy_id": pl.String,
    "band": pl.String,
    "item_id": pl.String,
    "change": pl.String,
    "label": pl.String,
    "score": pl.Float64,
    "production_score": pl.Float64,
    "caption": pl.String,
}


def production_frame(compared: Compared) -> pl.DataFrame:
    """Every band, at its calibrated threshold; empty cells where production has no such band."""
    rows = []
    for calibration, against in compared:
        bands = against.bands if against else (None,) * len(calibration.bands)
        for band, other in zip(calibration.bands, bands, strict=True):
            row: dict[str, Any] = {
                "policy_id": calibration.policy.policy_id,
                "version": calibration.policy.version,
                "production_version": against.facts.version if against else None,
                "model": "this calibration",
                "band": shown_text(band.title, 120),
            }
            row_here = {**row, "threshold": band.point.threshold}
            rows.append(row_here if other is None else {**row_here, **_figures(other)})
            rows += [] if other is None else [{**row, **_candidate(each, other)} for each in other.facts.candidates]
    return pl.DataFrame(rows, schema=PRODUCTION, orient="row")


def flips_frame(compared: Compared) -> pl.DataFrame:
    """Items that flip at the calibrated thresholds, of each band the clearest first, see `MOST_LISTED`."""
    rows = [
        {
            "policy_id": calibration.policy.policy_id,
            "band": shown_text(band.title, 120),
            "item_id": flip.item_id,
            "change": "gained" if flip.is_gained else "lost",
            "label": {"other": "not violating"}.get(flip.label, flip.label),
            "score": flip.now,
            "production_score": flip.before,
            "caption": flip.caption,
        }
        for calibration, against in compared
        if against
        for band, other in zip(calibration.bands, against.bands, strict=True)
        if other
        for flip in other.flips
    ]
    return pl.DataFrame(rows, schema=FLIPS, orient="row")


def _figures(band: BandAgainst) -> dict[str, Any]:
    change = band.change
    return {
        "production_band": band.facts.title,
        "production_threshold": band.facts.threshold,
        "gained": band.facts.gained,
        "lost": band.facts.lost,
        **_by_label("gained", change.tally.gained),
        **_by_label("lost", change.tally.lost),
        "right_now_alone": change.better,
        "right_before_alone": change.worse,
        "mcnemar_p_value": change.p_value,
        **_shift("flagged", change.volume),
        **_shift("precision", change.precision),
        **_shift("recall", change.recall),
    }


def _candidate(candidate: CandidateBand, band: BandAgainst) -> dict[str, Any]:
    if candidate.version is None:
        return {"model": candidate.name}
    shares = {"flagged": candidate.volume, "precision": candidate.precision, "recall": candidate.recall}
    found = {
        "model": candidate.name,
        "threshold": candidate.threshold,
        "production_band": band.facts.title,
        "production_threshold": band.facts.threshold,
        "gained": candidate.gained,
        "lost": candidate.lost,
        "right_now_alone": candidate.better,
        "right_before_alone": candidate.worse,
        "mcnemar_p_value": candidate.p_value,
    }
    for name, share in shares.items():
        low, high = share.ends or (None, None)
        found |= {f"{name}_now": share.now, f"{name}_change_low": low, f"{name}_change_high": high}
    return found


def _by_label(name: str, counts: ByLabel) -> dict[str, int]:
    return {
        f"{name}_violating": int(counts.violating),
        f"{name}_other": int(counts.other),
        f"{name}_unknown": int(counts.unknown),
    }


def _shift(name: str, shift: Shift) -> dict[str, float | None]:
    low, high = shift.ends or (None, None)
    return {
        f"{name}_before": shift.before,
        f"{name}_now": shift.now,
        f"{name}_change_low": low,
        f"{name}_change_high": high,
    }
