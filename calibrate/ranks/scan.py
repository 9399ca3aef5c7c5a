"""The scan: start anywhere the budget allows, walk on from there, all of it calibrated exactly.

Under the null hypothesis false positives arrive like the successes of a Bernoulli(1 - target) walk S. A scan has two
boundaries over the tested ranks n_1 < n_2 < …. FP(n_j) <= start_j begins a run of certified ranks anywhere;
FP(n_j) <= keep_j carries a run on from the rank before. A single start at full delta is the fixed-sequence walk of
`calibrate.ranks.walk`; a start_j everywhere, without the carrying on, is a group-sequential boundary.

J tested ranks, S simulated golden sets.

References:
    K. K. G. Lan and D. L. DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70 (1983): a
    spending function turned into a boundary. B. L. Wiens, "A fixed sequence Bonferroni procedure for testing multiple
    endpoints", Pharmaceutical Statistics 2 (2003): budgets along a sequence, carried on by what passes.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from calibrate.bounds import FloatArray, IntArray, most_false_positives

# Mass further from the mean than this many standard deviations (and counts) is below 1e-16 and left out.
WIDTH_IN_DEVIATIONS, WIDTH_IN_COUNTS = 9, 40
PRODUCTS_BEFORE_FFT = 200_000
# From this rank on, once little of the budget is left, it is spent by the union bound: see `calibrated_boundaries`.
DEEP, LITTLE = 30_000, 0.01


@dataclass(frozen=True)
class Boundaries:
    """Most false positives that are allowed at each tested rank; -1 where none are few enough.

    Attributes:
        start: [J], to begin a run; never falls.
        keep: [J], to carry a run on; at least `start`.
        spent: P(S(n_j) <= start_j for any j), at most delta; an upper bound where there are deep ranks.
    """

    start: IntArray
    keep: IntArray
    spent: float


def calibrated_boundaries(ranks: IntArray, budget: FloatArray, *, target: float, delta: float) -> Boundaries:
    """The boundaries that spend `budget`, by dynamic programming over the walk of false positives.

    start_j is the largest count that keeps the chance of any start up to n_j within budget_1 + … + budget_j (what
    whole numbers leave over is spent later). keep_j is then the largest count with
    P(S(n_j) <= keep_j, or S(n_m) <= start_m for some m > j) <= delta: a run that is false at n_j needs the first,
    or a later start.

    Past rank 30,000 and once 1 % of delta is left to spend, probabilities are added instead: start_j is the largest
    count with P(S(n_j) <= start_j) <= budget_j, and keep_j with P(S(n_j) <= keep_j) <= delta - budget_j+1 - …. The
    ranks before have what is left there taken off their delta. So the work does not grow with the size of the set.

    Args:
        ranks: [J] tested ranks, rising.
        budget: [J] non-negative; sums to at most `delta`.
        target: precision under test.
        delta: chance of a false certificate.

    Examples:
        >>> ranks, budget = np.array([59, 93, 124]), np.array([0.05, 0, 0])
        >>> one_start = calibrated_boundaries(ranks, budget, target=0.95, delta=0.05)
        >>> one_start.start.tolist(), one_start.keep.tolist()
        ([0, 0, 0], [0, 1, 2])
    """
    assert len(ranks) == len(budget)
    assert float(np.sum(budget)) <= delta * (1 + 1e-9)
    ranks = np.asarray(ranks, np.int64)
    start, keep, spent = _boundaries(ranks.tobytes(), np.asarray(budget, np.float64).tobytes(), target, delta)
    return Boundaries(start=start.copy(), keep=keep.copy(), spent=spent)


def certified_steps(false_positives: IntArray, boundaries: Boundaries) -> NDArray[np.bool_]:
    """Which of the tested ranks a scan certifies.

    Args:
        false_positives: [J] or [S, J], at the tested ranks.
        boundaries: of the same ranks.

    Returns:
        Booleans of the same shape.

    Examples:
        >>> boundaries = Boundaries(start=np.array([0, 0, 1]), keep=np.array([0, 1, 2]), spent=0.05)
        >>> certified_steps(np.array([[0, 1, 3], [1, 1, 1], [1, 1, 2]]), boundaries).tolist()
        [[True, True, False], [False, False, True], [False, False, False]]
    """
    places = np.arange(false_positives.shape[-1])
    last_start = np.maximum.accumulate(np.where(false_positives <= boundaries.start, places, -1), axis=-1)
    last_end = np.maximum.accumulate(np.where(false_positives > boundaries.keep, places, -1), axis=-1)
    certified: NDArray[np.bool_] = last_start > last_end
    return certified


@dataclass(frozen=True)
class _Band:
    """Probabilities of consecutive counts, the first being `low`."""

    low: int
    mass: FloatArray


@lru_cache(maxsize=256)
def _boundaries(
    rank_bytes: bytes, budget_bytes: bytes, target: float, delta: float
) -> tuple[IntArray, IntArray, float]:
    ranks = np.frombuffer(rank_bytes, np.int64)
    allowed = np.cumsum(np.frombuffer(budget_bytes, np.float64))
    later = allowed[-1] - allowed
    n_exact = min(len(ranks), 1 + int(np.argmax((ranks > DEEP) & (later <= LITTLE * delta) | (later <= 0))))
    jumps = [_binomial(int(m), 1 - target) for m in np.diff(ranks[:n_exact], prepend=0)]
    start, spent = _start_boundary(jumps, allowed[:n_exact])
    keep = _keep_boundary(ranks[:n_exact], jumps, start, 1 - target, delta - later[n_exact - 1])
    if n_exact < len(ranks):
        deep, spent = ranks[n_exact:], spent + float(later[n_exact - 1])
        deep_start = most_false_positives(deep, target, np.diff(allowed)[n_exact - 1 :])
        start = np.maximum.accumulate(np.append(start, deep_start))
        keep = np.maximum(start, np.append(keep, most_false_positives(deep, target, delta - later[n_exact:])))
    return start, keep, spent


def _start_boundary(jumps: list[_Band], allowed: FloatArray) -> tuple[IntArray, float]:
    start = np.full(len(jumps), -1, np.int64)
    alive, spent = _Band(0, np.ones(1)), 0.0
    for step, jump in enumerate(jumps):
        mass = _trimmed(_Band(alive.low + jump.low, _convolved(alive.mass, jump.mass)))
        below = spent + np.cumsum(mass.mass)
        n_absorbed = int(np.searchsorted(below, allowed[step], side="right"))
        start[step] = max(start[step - 1] if step else -1, mass.low + n_absorbed - 1 if n_absorbed else -1)
        spent = float(below[n_absorbed - 1]) if n_absorbed else spent
        alive = _Band(mass.low + n_absorbed, mass.mass[n_absorbed:])
    return start, spent


def _keep_boundary(ranks: IntArray, jumps: list[_Band], start: IntArray, chance: float, delta: float) -> IntArray:
    keep = start.copy()
    later: _Band | None = None  # chance of a start at a later rank, for each count at this one
    for step in range(len(ranks) - 1, -1, -1):
        here = _binomial(int(ranks[step]), chance)
        counts = here.low + np.arange(len(here.mass))
        if later is None:
            chance_later = np.zeros(len(counts))
        else:
            jump = jumps[step + 1]
            reached = _convolved(later.mass, jump.mass[::-1])  # index i: count i + later.low - last jump
            chance_later = _looked_up(reached, later.low - jump.low - len(jump.mass) + 1, counts)
        chance_later = np.clip(chance_later, 0, 1)
        chance_later[counts <= start[step]] = 1.0
        union = float(here.mass @ chance_later) + np.cumsum(here.mass * (1 - chance_later))
        n_kept = int(np.searchsorted(union, delta, side="right"))
        keep[step] = max(start[step], here.low + n_kept - 1) if n_kept else start[step]
        later = _Band(here.low, chance_later)
    return keep


def _looked_up(values: FloatArray, low: int, counts: IntArray) -> FloatArray:
    """Chances by count: 0 beyond the last one; the first value below the first one."""
    inside = np.clip(counts - low, 0, len(values) - 1)
    return np.where(counts - low < len(values), values[inside], 0.0)


def _binomial(n: int, chance: float) -> _Band:
    """Bin(n, chance) by the ratios of neighbouring probabilities, outwards from the mode."""
    reach = WIDTH_IN_DEVIATIONS * np.sqrt(n * chance * (1 - chance)) + WIDTH_IN_COUNTS
    low, high = max(0, int(n * chance - reach)), min(n, int(n * chance + reach))
    counts = np.arange(low, high)
    ratios = (n - counts) / (counts + 1) * (chance / (1 - chance))
    mode = min(max(int((n + 1) * chance), low), high) - low
    mass = np.ones(high - low + 1)
    np.cumprod(ratios[mode:], out=mass[mode + 1 :])
    mass[:mode] = np.cumprod(1 / ratios[:mode][::-1])[::-1]
    return _Band(low, mass / mass.sum())


def _convolved(left: FloatArray, right: FloatArray) -> FloatArray:
    """As scipy.signal.convolve, without what that spends on finding out how: many short arrays come through here."""
    if len(left) * len(right) <= PRODUCTS_BEFORE_FFT:
        return np.convolve(left, right)
    length = len(left) + len(right) - 1
    padded = fft.next_fast_len(length, real=True)
    convolved: FloatArray = fft.irfft(fft.rfft(left, padded) * fft.rfft(right, padded), padded)[:length]
    return convolved


def _trimmed(band: _Band) -> _Band:
    worthwhile = np.flatnonzero(band.mass > 1e-18)
    if not len(worthwhile):
        return _Band(band.low, np.zeros(1))
    return _Band(band.low + int(worthwhile[0]), np.maximum(band.mass[worthwhile[0] : worthwhile[-1] + 1], 0))
