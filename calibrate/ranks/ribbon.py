"""Lower bounds of precision that hold at all thresholds together: what a ribbon around a curve may show.

Construction: a union bound over ranks. Ranks grow by one in ten; given the next lower score, the top n posts are an
independent sample of what lies above it, so a Clopper-Pearson bound holds for the precision there although the
rank's threshold comes from the data. With J ranks each bound is taken at 1 - delta / J, and all hold together with
probability at least 1 - delta, whatever the curve looks like. Between two of these ranks the bound of the deeper one
is shown, which holds as long as precision does not rise on the way down to it.
"""

import numpy as np

from calibrate.bounds import FloatArray, lower_bound
from calibrate.ranks.ranked import RankedLabels
from calibrate.ranks.walk import grid_steps

ONE_IN, FIRST_RANK = 10, 5


def simultaneous_lower_bounds(ranked: RankedLabels, *, confidence: float) -> FloatArray:
    """A lower bound of the precision at each distinct score, [R]; all of them hold together.

    Args:
        ranked: a simple random sample.
        confidence: of all bounds together, in (0, 1).

    Examples:
        >>> from calibrate.ranks.ranked import rank_labels
        >>> ranked = rank_labels(range(1000), [0] * 200 + [1] * 800)
        >>> bounds = simultaneous_lower_bounds(ranked, confidence=0.95)
        >>> bounds[[9, 99, 799, 999]].round(2).tolist()
        [0.5, 0.94, 0.88, 0.76]
    """
    if not ranked.n_labelled:
        return np.zeros(0)
    steps = grid_steps(ranked, min(FIRST_RANK, ranked.n_labelled), one_in=ONE_IN)
    flagged = ranked.n_flagged[steps]
    right = flagged - ranked.false_positives[steps]
    bounds = lower_bound(right, flagged, confidence=1 - (1 - confidence) / len(steps))
    shown: FloatArray = bounds[np.searchsorted(steps, np.arange(len(ranked.scores)))]
    return shown
