"""Certified thresholds of a further precision, at which it decides most like the first one. N golden items."""

import numpy as np

from calibrate.operating_points_file import BandRecord, PolicyRecord
from calibrate.policy_calibration import PolicyCalibration
from calibrate.ranks.ranked import Scores
from calibrate.signing.again import Moves


def following_moves(reference: PolicyRecord, before: Scores, calibration: PolicyCalibration, after: Scores) -> Moves:
    """Where the bands of a further precision go, from the loosest certified thresholds to those nearest to fp32's.

    A band that somebody switched off is off here too; one that has no certified range in either stays as it is, and
    so does one by capacity, at the lowest threshold that its own traffic fits, unless somebody moved fp32's.

    Args:
        reference: the policy in fp32, as it will serve.
        before: float32 [N], its scores.
        calibration: the policy in the further precision, certified on scores of its own.
        after: float32 [N], those.
    """
    moves: dict[tuple[str, int], float | None] = {}
    for place, (band, served) in enumerate(zip(calibration.bands, reference.bands, strict=True)):
        point = band.point
        if point.threshold is None or point.certified_range is None:
            continue
        if served.status == "switched_off":
            moves[reference.policy_id, place] = None
        elif served.threshold is not None and not _is_lowest_that_fits(served):
            threshold = nearest_threshold(before, served.threshold, after, point.certified_range)
            if threshold != point.threshold:
                moves[reference.policy_id, place] = threshold
    return moves


def _is_lowest_that_fits(served: BandRecord) -> bool:
    return bool(
        served.kind == "capacity" and served.certified_range and served.threshold == served.certified_range[1]
    )


def nearest_threshold(before: Scores, threshold: float, after: Scores, certified_range: tuple[float, float]) -> float:
    """Where in a range the fewest items change sides; of equal thresholds the nearest to the given one.

    All thresholds of a certified range hold together, so whatever chooses among them costs no confidence.

    Args:
        before: float32 [N], scores that `threshold` is for.
        threshold: flags those that are at least this.
        after: float32 [N], other scores of the same items.
        certified_range: (strictest, loosest) threshold for `after`.

    Examples:
        >>> before = np.float32([0, 1, 2, 3])
        >>> nearest_threshold(before, 2.0, before + np.float32(0.5), (3.0, 1.0))
        2.0
        >>> nearest_threshold(before, 2.0, before + np.float32(1.5), (4.0, 1.0))
        3.0
    """
    strictest, loosest = (np.float32(each) for each in certified_range)
    flagged, given = before >= np.float32(threshold), np.float32(threshold)
    inside = after[(after >= loosest) & (after <= strictest)]
    offered = np.concatenate([inside, [loosest, strictest, np.clip(given, loosest, strictest)]]).astype(np.float32)
    offered = np.unique(offered + np.float32(0))  # no -0.0
    lost = np.searchsorted(np.sort(after[flagged]), offered)
    gained = np.sort(after[~flagged])
    flips = lost + len(gained) - np.searchsorted(gained, offered)
    fewest = offered[flips == flips.min()]
    return float(fewest[np.abs(fewest.astype(np.float64) - threshold).argmin()])
