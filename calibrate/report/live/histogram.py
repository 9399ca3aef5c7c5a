"""How the golden labels and the traffic are spread over the scores: what stands behind the slider."""

from dataclasses import dataclass

import numpy as np

from calibrate.bounds import IntArray
from calibrate.probability import as_logits
from calibrate.ranks.ranked import Scores
from calibrate.traffic.histogram import BIN_COUNT, BINS_PER_LOGIT, HALF

MOST_BARS = 96
REACH = HALF / BINS_PER_LOGIT  # logits from the middle to either end; scores beyond are counted at the ends


@dataclass(frozen=True)
class ScoreHistogram:
    """Counts in B bars of equal width in logits.

    Attributes:
        start: logit where the first bar begins.
        width: of a bar, in logits.
        violating, other, unknown: [B], golden items by label.
        traffic: [B], posts counted; None without traffic.
    """

    start: float
    width: float
    violating: IntArray
    other: IntArray
    unknown: IntArray
    traffic: IntArray | None


def score_histogram(
    scores: Scores, labels: Scores, *, scale: str, thresholds: Scores, traffic: IntArray | None
) -> ScoreHistogram:
    """Count golden items, and traffic, in bars from the lowest golden score to the highest.

    Args:
        scores: float32 [N], as served.
        labels: [N], 1, 0 or NaN.
        scale: of the scores.
        thresholds: that must lie on the axis.
        traffic: int64 [BIN_COUNT], a traffic histogram; posts outside the axis are left out.
    """
    logits = np.clip(as_logits(scores, scale), -REACH, REACH)
    ends = np.clip(as_logits(thresholds, scale), -REACH, REACH)
    low, high = min(logits.min(), ends.min(initial=np.inf)), max(logits.max(), ends.max(initial=-np.inf))
    # Bars of whole bins of the traffic: its counts can be added up.
    bins = max(1, int(np.ceil((high - low) * BINS_PER_LOGIT / MOST_BARS)))
    first = min(int(np.floor(low * BINS_PER_LOGIT)) + HALF, BIN_COUNT - 1)
    n_bars = max(1, int(np.ceil((high * BINS_PER_LOGIT + HALF - first) / bins)))
    bars = np.clip(((logits * BINS_PER_LOGIT + HALF - first) / bins).astype(np.int64), 0, n_bars - 1)

    def counted(chosen: np.ndarray) -> IntArray:
        return np.bincount(bars[chosen], minlength=n_bars).astype(np.int64)

    return ScoreHistogram(
        start=(first - HALF) / BINS_PER_LOGIT,
        width=bins / BINS_PER_LOGIT,
        violating=counted(labels == 1),
        other=counted(labels == 0),
        unknown=counted(np.isnan(labels)),
        traffic=None if traffic is None else _in_bars(traffic, first, bins, n_bars),
    )


def _in_bars(traffic: IntArray, first: int, bins: int, n_bars: int) -> IntArray:
    upto = np.append(0, np.cumsum(traffic))
    edges = np.minimum(first + bins * np.arange(n_bars + 1), BIN_COUNT)
    return np.diff(upto[edges])
