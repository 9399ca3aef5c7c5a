"""Posts of the traffic at every cut, and on the axis of the score histogram. C cuts, S slices."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from calibrate.bounds import FloatArray, IntArray
from calibrate.ranks.ranked import Scores
from calibrate.traffic.file import PolicyTraffic, Slice, TrafficMetadata
from calibrate.traffic.volume import at_or_above


@dataclass(frozen=True)
class TrafficAtCuts:
    """Posts counted at or above each cut, as `calibrate.traffic.volume.AtOrAbove` has them.

    Attributes:
        exposure: days times share scored: counts over this are posts a day.
        total: posts counted.
        above: [C].
        inside: [C].
        share: [C].
        sliced_by: columns whose values were counted apart.
        slice_above: [S, C], 0 for slices that were not counted.
        slice_inside: [S, C].
    """

    exposure: float
    total: int
    above: IntArray
    inside: IntArray
    share: FloatArray
    sliced_by: tuple[str, ...]
    slice_above: IntArray
    slice_inside: IntArray


def traffic_at(
    cuts: Scores, traffic: PolicyTraffic, metadata: TrafficMetadata, slices: Sequence[Slice]
) -> TrafficAtCuts:
    """Count the traffic of one policy at every cut.

    Args:
        cuts: float32 [C].
        traffic: histograms of the policy.
        metadata: of the traffic.
        slices: column and value of each of S slices.
    """
    whole = at_or_above(traffic.counts, cuts, metadata.scale)
    above, inside = (np.zeros((len(slices), len(cuts)), np.int64) for _ in range(2))
    for row, key in enumerate(slices):
        if key in traffic.slices:
            part = at_or_above(traffic.slices[key], cuts, metadata.scale)
            above[row], inside[row] = part.above, part.inside
    return TrafficAtCuts(
        exposure=metadata.exposure,
        total=int(traffic.counts.sum()),
        above=whole.above,
        inside=whole.inside,
        share=whole.share,
        sliced_by=tuple(dict.fromkeys(by for by, _ in traffic.slices)),
        slice_above=above,
        slice_inside=inside,
    )
