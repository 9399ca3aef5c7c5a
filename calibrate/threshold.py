"""The lowest threshold that keeps a target precision with a stated confidence, from a simple random sample."""

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from calibrate.bounds import fewest_labels, lower_bound
from calibrate.labels_needed import labels_needed
from calibrate.operating_point import OperatingPoint, checked_share, described_at, unanswered
from calibrate.ranked import Labels, RankedLabels, Scores, checked_labels, checked_scores, rank_labels
from calibrate.walk import MOST_STARTS, planned_start, shared_starts, walk_from

SAMPLE = (
    "The labelled items are a simple random sample of the posts that the threshold will decide on, drawn "
    "independently of one another; near-duplicates and posts of one creator are not independent."
)
KNOWN = "Whether a label is known depends neither on the post's score nor on whether it violates."
RIGHT = "The known labels are right: a labelling error counts as if it were the truth."
FRESH = "These labels had no part in training the model, and no earlier threshold was chosen on them."
SAME = "The scores come from the model and runtime that will serve, and traffic stays as it was when sampled."
FALLING = "Precision does not rise again as the threshold falls (checked by nothing; look at the curve)."
PILOT = "The pilot shares no items with these labels; it decides only where the walk starts."


def choose_threshold(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    target_precision: float,
    confidence: float = 0.95,
    pilot_scores: ArrayLike | None = None,
    pilot_labels: ArrayLike | None = None,
) -> OperatingPoint:
    """Choose the lowest threshold whose precision is at least `target_precision`, with confidence.

    Statement. Let delta = 1 - confidence. Under the assumptions that the result lists, the probability, over the
    draw of the labelled sample, that the result is certified with a threshold whose true precision
    P(violating | score >= threshold) lies below the target is at most delta, at every sample size.

    Method. With known labels only, sort the scores from the highest down; FP(n) is the number of false positives
    among the top n. Ranks n_1 < n_2 < … grow by 5 % and end on tie boundaries. Going down them, "the precision at
    n_j is at most the target" is rejected while p_j = P(Bin(n_j, 1 - target) <= FP(n_j)) <= delta; the first
    failure ends the walk, and the last rank that passed is chosen. Ranks and start never depend on the labels
    under test: with a pilot, one walk at full delta from the rank the pilot recommends
    (`calibrate.walk.planned_start`); without, two walks at delta / 2 from ranks fixed by the number of labels
    and the target, of which the one that gets deeper counts. The threshold is the float32 midpoint between the
    last flagged known score and the next lower one.

    Why a walk may be read at its end. Let t* be where the precision falls through the target. If precision does
    not rise again below t*, the first rank tested past t* has FP stochastically at least Bin(n, 1 - target), so it
    passes with probability at most delta, and going deeper requires passing it (fixed-sequence testing). Walks
    that share delta add up by the union bound.

    Not claimed. Nothing is said about the precision within parts of the flagged posts (a market, a language), about
    populations other than the sampled one, or jointly about several policies or bands: of M results, the chance
    that any is wrong is bounded by M delta only. The precision and recall reported beside the target are pointwise
    (see `OperatingPoint`). Where precision rises again as the threshold falls, the guarantee does not hold.

    Args:
        scores: [N] finite numbers of the labelled sample, on the scale that is served; compared in float32.
        labels: [N], 1 violating, 0 not violating, NaN unknown (left out, counted).
        target_precision: in (0, 1).
        confidence: 1 - delta, in (0, 1).
        pilot_scores: [M] scores of other items, such as the validation split; only plan the start.
        pilot_labels: [M] their labels. A pilot without known labels is no pilot.

    Returns:
        The operating point: certified, or not attainable with `labels_needed`.

    Raises:
        ValueError: an argument is out of range or malformed; the message names it and its value.

    References:
        Maurer, Hothorn and Lehmacher (1995), fixed-sequence testing. Clopper and Pearson (1934). Angelopoulos,
        Bates, Candès, Jordan and Lei, "Learn then test: calibrating predictive algorithms to achieve risk
        control", Annals of Applied Statistics (2025).

    Examples:
        >>> import numpy as np
        >>> random = np.random.default_rng(7)
        >>> scores = random.normal(size=4000)
        >>> labels = random.random(4000) < 1 / (1 + np.exp(-5 * scores))
        >>> point = choose_threshold(scores, labels, target_precision=0.9)
        >>> point.status, point.n_flagged == (scores.astype(np.float32) >= np.float32(point.threshold)).sum()
        ('certified', np.True_)
        >>> few = choose_threshold(scores[:100], labels[:100], target_precision=0.9)
        >>> few.status, few.threshold, few.labels_needed
        ('not_attainable', None, 233)
    """
    target = checked_share("target_precision", target_precision)
    delta = 1 - checked_share("confidence", confidence)
    ranked = rank_labels(scores, labels)
    pilot = _checked_pilot(pilot_scores, pilot_labels)
    assumptions: tuple[str, ...] = (SAMPLE, KNOWN, RIGHT, FRESH, SAME, FALLING)
    if pilot:
        starts = [planned_start(ranked, *pilot, target=target, delta=delta)]
        method = f"fixed-sequence walk over golden ranks, start at rank {starts[0]:,} planned on a pilot"
        assumptions += (PILOT,)
    else:
        starts = shared_starts(ranked.n_labelled, target=target, delta=delta)
        where = " and ".join(f"{start:,}" for start in starts)
        method = (
            f"fixed-sequence walks over golden ranks from ranks {where}, sharing 1 - confidence"
            if len(starts) > 1
            else f"fixed-sequence walk over golden ranks from rank {where}"
        )
    level = delta / len(starts)
    walks = [walk_from(ranked, start, target=target, level=level) for start in starts]
    point = unanswered(
        ranked, kind="precision", target=target, confidence=confidence, method=method, assumptions=assumptions
    )
    deepest = max(walks, key=lambda walk: int(walk.passed[-1]) if len(walk.passed) else -1)
    if not len(deepest.passed):
        # A larger set would be tested at this level, from this rank on.
        level = delta if pilot else delta / MOST_STARTS
        first_rank = (1 if pilot else 2) * fewest_labels(target, level)
        estimate, advice = labels_needed(ranked, target=target, level=level, first_rank=first_rank)
        failure = _why_not(ranked, starts, target)
        return replace(point, labels_needed=estimate, reason=f"{failure} {advice}")
    step = int(deepest.passed[-1])
    flagged, wrong = int(ranked.n_flagged[step]), int(ranked.false_positives[step])
    end = "down to the lowest score" if flagged == ranked.n_labelled else "the next lower one failed"
    return replace(
        described_at(ranked, step, point),
        status="certified",
        precision_lower_bound=float(lower_bound(flagged - wrong, flagged, confidence=1 - level)),
        certified_range=(ranked.threshold(int(deepest.passed[0])), ranked.threshold(step)),
        reason=(
            f"{wrong:,} of the {flagged:,} flagged posts with a known label do not violate; "
            f"{len(deepest.passed):,} thresholds passed the test, {end}."
        ),
    )


def _why_not(ranked: RankedLabels, starts: list[int], target: float) -> str:
    steps = [ranked.step_at(start) for start in starts if start <= ranked.n_labelled]
    if not steps:
        return f"The test begins at {starts[0]:,} flagged labels, and {ranked.n_labelled:,} are known."
    tried = " and ".join(
        f"{ranked.false_positives[step]:,} of the {ranked.n_flagged[step]:,} best-scored" for step in steps
    )
    return f"{tried} posts do not violate: too many to show a precision of {target:.4g}."


def _checked_pilot(scores: ArrayLike | None, labels: ArrayLike | None) -> tuple[Scores, Labels] | None:
    if scores is None and labels is None:
        return None
    if scores is None or labels is None:
        missing = "pilot_scores" if scores is None else "pilot_labels"
        raise ValueError(f"pilot_scores and pilot_labels go together, got no {missing}")
    pilot_scores = checked_scores(scores, "pilot_scores")
    pilot_labels = checked_labels(labels, "pilot_labels")
    if len(pilot_scores) != len(pilot_labels):
        raise ValueError(
            f"pilot_scores and pilot_labels must be equally long, got {len(pilot_scores)} and {len(pilot_labels)}"
        )
    return (pilot_scores, pilot_labels) if not np.isnan(pilot_labels).all() else None
