"""How many labels a sample stratified by score takes, tested by betting: simulated on what a pilot expects."""

import numpy as np

from calibrate.bets.weighted import search_by_betting, weighting
from calibrate.bounds import fewest_labels
from calibrate.plan.power import Outlook, fewest_with_power
from calibrate.plan.prospect import Prospect
from calibrate.ranks.ranked import rank_labels

N_STRATA, N_SIMULATED = 5, 80
MOST_LABELS, STEP = 12_000, 1.25


def stratified_outlook(
    prospect: Prospect, labels: int, *, target: float, delta: float, keep_recall: float
) -> Outlook:
    """Simulate golden sets of all traffic in five strata: the lower half by score, half of the rest, and so on.

    Each stratum gives as many labels, as `setpoint golden design=stratified` draws by default; 80 draws of the
    precision curve are used.
    """
    ends = 0.5 ** np.arange(N_STRATA - 1, -1, -1)
    masses = np.diff(ends, prepend=0.0)
    counts = np.full(N_STRATA, labels // N_STRATA)
    stratum = np.repeat(np.arange(N_STRATA), counts)
    cells = np.append(0.0, prospect.shares)
    best, total = prospect.best_recall(target), np.maximum(prospect.caught[:, -1], 1e-12)
    random = np.random.default_rng(2)
    shares, successes = np.zeros(N_SIMULATED), np.zeros(N_SIMULATED, bool)
    for draw in range(N_SIMULATED):
        place = (ends - masses)[stratum] + masses[stratum] * random.random(len(stratum))
        precision = np.diff(prospect.caught[draw], prepend=0.0) / np.diff(cells)
        violating = random.random(len(place)) < precision[np.searchsorted(prospect.shares, place)]
        scores, values = (1 - place).astype(np.float32), violating.astype(np.float64)
        weighted = weighting(scores, values, (masses / counts)[stratum], None)
        search = search_by_betting(rank_labels(scores, values), weighted, None, target=target, delta=delta)
        if not len(search.thresholds):
            continue
        share = np.array([[1 - float(search.thresholds[-1])]])
        caught = float(Prospect(prospect.shares, prospect.caught[draw : draw + 1], ()).caught_at(share)[0, 0])
        if caught >= (target - 1e-9) * float(share[0, 0]):
            shares[draw] = caught / total[draw]
            successes[draw] = best[draw] > 0 and shares[draw] >= keep_recall * best[draw]
    return Outlook(labels, float(successes.mean()), float(shares.mean()))


def labels_in_strata(
    prospect: Prospect, *, target: float, delta: float, power: float, keep_recall: float
) -> Outlook | None:
    """The fewest labels with which the power is reached, to a quarter; None beyond 12,000 labels."""

    def tried(labels: int) -> Outlook:
        return stratified_outlook(prospect, labels, target=target, delta=delta, keep_recall=keep_recall)

    fewest = max(10 * N_STRATA, 2 * fewest_labels(target, delta))
    return fewest_with_power(tried, power, fewest=fewest, most=MOST_LABELS, step=STEP)
