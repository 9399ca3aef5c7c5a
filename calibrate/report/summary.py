"""What `calibrate` prints: a line a band, then what to be careful about."""

from pathlib import Path

from calibrate.looks import described_looks
from calibrate.operating_points_file import BandRecord, OperatingPointsFile
from calibrate.policy_calibration import PolicyCalibration
from calibrate.report.shown import (
    described_shift,
    out_of_order,
    percent,
    promise,
    recall_seen,
    shown_threshold,
    shown_volume,
)
from calibrate.traffic.volume import DailyVolume
from data.summary import Summary


def summary_of(
    content: OperatingPointsFile, calibrations: list[PolicyCalibration], *, written: list[Path]
) -> Summary:
    """The closing words of a calibration: a table of its bands, and cautions."""
    bands = [(policy.policy_id, band) for policy in content.policies for band in policy.bands]
    heads = [
        "policy",
        "band",
        "promise",
        "status",
        "threshold",
        "precision",
        "lower bound",
        "recall",
        "labels needed in all",
    ]
    rows = [[*heads, "posts a day"] if content.traffic else heads]
    for policy_id, band in bands:
        cells = [
            policy_id,
            f"{band.action} ({band.queue})" if band.queue else band.action,
            promise(band),
            _status(band),
            "" if band.threshold is None else shown_threshold(band.threshold),
            "" if band.precision is None else percent(band.precision),
            "" if band.precision_lower_bound is None else percent(band.precision_lower_bound),
            "" if band.recall is None else recall_seen(band),
            "" if band.labels_needed is None else f"{band.labels_needed:,}",
        ]
        rows.append([*cells, _volume(band)] if content.traffic else cells)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += [
        f"caution: {calibration.policy.policy_id}: {sentence}"
        for calibration in calibrations
        for sentence in out_of_order(calibration.parts)
    ]
    lines += [
        f"slice: {policy_id}, {band.action}: {part.by}={part.value} is below {percent(part.target)} at this threshold"
        for policy_id, band in bands
        for part in band.slices
        if part.status == "below"
    ]
    lines += [
        f"prior shift: {policy_id}, {band.action}: {described_shift(band.prior_shift)}"
        for policy_id, band in bands
        if band.prior_shift is not None
    ]
    looks = {policy_id: band.look.number for policy_id, band in bands if band.look is not None}
    stricter = ": each further look is tested more strictly" if max(looks.values(), default=1) > 1 else ""
    lines.append(f"golden set: {described_looks(looks) or 'its labels were not looked at'}{stricter}")
    sharing = content.golden_set.n_sharing_cluster
    if sharing:
        lines.append(
            f"{sharing:,} of {content.golden_set.n_items:,} golden items are near-duplicates of another "
            "(cluster_id): tested by betting on whole clusters, which takes more labels"
        )
    promised = [band for _, band in bands if band.kind != "capacity"]
    certified = sum(band.status == "certified" for band in promised)
    by_capacity = f", {len(bands) - len(promised)} more by posts a day" if len(bands) > len(promised) else ""
    return Summary(
        f"calibrate: {certified} of {len(promised)} bands certified on {content.golden_set.name} "
        f"{content.golden_set.version}{by_capacity}",
        written,
        lines,
    )


def _status(band: BandRecord) -> str:
    is_waiting = band.kind == "capacity" and band.method == "none"
    return "waits for traffic" if is_waiting else band.status.replace("_", " ")


def _volume(band: BandRecord) -> str:
    volume = band.daily_volume
    return "" if volume is None else shown_volume(DailyVolume(volume.expected, volume.low, volume.high))
