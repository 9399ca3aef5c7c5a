"""The lowest threshold that keeps a target precision with a stated confidence, from a simple random sample."""

from dataclasses import replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from calibrate.bounds import lower_bound
from calibrate.labels_needed import labels_needed
from calibrate.operating_point import OperatingPoint, checked_share, described_at, unanswered
from calibrate.ranked import Labels, RankedLabels, Scores, checked_labels, checked_scores, rank_labels
from calibrate.search import Search, search_by_scan, search_by_walk

SAMPLE = (
    "The labelled items are a simple random sample of the posts that the threshold will decide on, drawn "
    "independently of one another; near-duplicates and posts of one creator are not independent."
)
KNOWN = "Whether a label is known depends neither on the post's score nor on whether it violates."
RIGHT = "The known labels are right: a labelling error counts as if it were the truth."
FRESH = "These labels had no part in training the model, and no earlier threshold was chosen on them."
SAME = "The scores come from the model and runtime that will serve, and traffic stays as it was when sampled."
FALLING = "Precision does not rise again as the threshold falls (checked by nothing; look at the curve)."
PILOT = "The pilot shares no items with these labels; it only plans where the test spends its confidence."

Method = Literal["auto", "scan", "walk"]
METHODS = get_args(Method)


def choose_threshold(
    scores: ArrayLike,
    labels: ArrayLike,
    *,
    target_precision: float,
    confidence: float = 0.95,
    pilot_scores: ArrayLike | None = None,
    pilot_labels: ArrayLike | None = None,
    method: Method = "auto",
) -> OperatingPoint:
    """Choose the lowest threshold whose precision is at least `target_precision`, with confidence.

    Statement. Let delta = 1 - confidence. Under the assumptions that the result lists, the probability, over the
    draw of the labelled sample, that the result is certified with a threshold whose true precision
    P(violating | score >= threshold) lies below the target is at most delta, at every sample size.

    Method. With known labels only, sort the scores from the highest down; FP(n) is the number of false positives
    among the top n. Tested ranks grow by 2 % and end on tie boundaries. Were the precision exactly at the target
    from the first post on, FP would be a Bernoulli(1 - target) walk. Over that walk two boundaries are calibrated
    exactly, by dynamic programming (`calibrate.scan`): FP(n) <= start(n) begins a run of certified ranks,
    FP(n) <= keep(n) carries it on to the next rank; the lowest certified rank is chosen. How delta is spent on starts
    depends on the number of labels and the target alone, or on a pilot (`calibrate.planning`), never on the labels
    under test. So a few mislabelled posts at the top delay a run and do not end the search. Method "walk" is the
    simpler fixed-sequence test that a scan with a single start comes down to. The threshold is the float32 midpoint
    between the last flagged known score and the next lower one.

    Why this may be read at its end. Let t* be where the precision falls through the target. If precision does not
    rise again below t*, FP at every rank past t* is stochastically at least that of the Bernoulli walk, jointly. To
    certify one of them, a run must be carried over the first, or begin at it or at a later one: the boundaries
    leave that a probability of at most delta, wherever t* is.

    Not claimed. Nothing is said about the precision within parts of the flagged posts (a market, a language), about
    populations other than the sampled one, or jointly about several policies or bands: of M results, the chance
    that any is wrong is bounded by M delta only. The precision and recall reported beside the target are pointwise
    (see `OperatingPoint`). Where precision rises again as the threshold falls, the guarantee does not hold.

    Args:
        scores: [N] finite numbers of the labelled sample, on the scale that is served; compared in float32.
        labels: [N], 1 violating, 0 not violating, NaN unknown (left out, counted).
        target_precision: in (0, 1).
        confidence: 1 - delta, in (0, 1).
        pilot_scores: [M] scores of other items, such as the validation split; only plan how delta is spent.
        pilot_labels: [M] their labels. A pilot without known labels is no pilot.
        method: "scan", or "walk"; "auto" is the scan.

    Returns:
        The operating point: certified, or not attainable with `labels_needed`.

    Raises:
        ValueError: an argument is out of range or malformed; the message names it and its value.

    References:
        Lan and DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70 (1983). Maurer, Hothorn
        and Lehmacher (1995), fixed-sequence testing. Clopper and Pearson (1934). Angelopoulos,
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
        ('not_attainable', None, 188)
    """
    target = checked_share("target_precision", target_precision)
    delta = 1 - checked_share("confidence", confidence)
    ranked = rank_labels(scores, labels)
    pilot = _checked_pilot(pilot_scores, pilot_labels)
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, got {method!r}")
    search = (search_by_walk if method == "walk" else search_by_scan)(ranked, pilot, target=target, delta=delta)
    point = unanswered(
        ranked,
        kind="precision",
        target=target,
        confidence=confidence,
        method=search.method,
        assumptions=(SAMPLE, KNOWN, RIGHT, FRESH, SAME, FALLING, *((PILOT,) if pilot else ())),
    )
    if not len(search.certified):
        estimate, advice = labels_needed(ranked, target=target, level=search.next_level, first_rank=search.first_rank)
        return replace(point, labels_needed=estimate, reason=f"{_why_not(ranked, search, target)} {advice}")
    step = int(search.certified[-1])
    flagged, wrong = int(ranked.n_flagged[step]), int(ranked.false_positives[step])
    end = "down to the lowest score" if flagged == ranked.n_labelled else "the next lower one failed"
    return replace(
        described_at(ranked, step, point),
        status="certified",
        precision_lower_bound=float(lower_bound(flagged - wrong, flagged, confidence=1 - search.level)),
        certified_range=(ranked.threshold(int(search.certified[0])), ranked.threshold(step)),
        reason=(
            f"{wrong:,} of the {flagged:,} flagged posts with a known label do not violate; "
            f"{len(search.certified):,} thresholds passed the test, {end}."
        ),
    )


def _why_not(ranked: RankedLabels, search: Search, target: float) -> str:
    steps = [ranked.step_at(start) for start in search.starts if start <= ranked.n_labelled]
    if not steps:
        return f"The test begins at {search.starts[0]:,} flagged labels, and {ranked.n_labelled:,} are known."
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
