"""Scores turned into probabilities by Platt scaling, and how far such probabilities can be trusted.

Thresholds never use these: they are certified on raw scores. N items, B bins.

References:
    J. Platt, "Probabilistic outputs for support vector machines" (1999); H.-T. Lin, C.-J. Lin and R. C. Weng, "A
    note on Platt's probabilistic outputs for support vector machines", Machine Learning 68 (2007).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit, logit

from calibrate.bounds import FloatArray, IntArray
from calibrate.ranks.ranked import Scores, checked_labels, checked_scores
from calibrate.words import said

FEWEST_PER_CLASS = 10
SMALLEST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class Calibrator:
    """probability = sigmoid(scale * logit + offset), with scale > 0: the order of posts never changes.

    Attributes:
        scale: positive.
        offset: in logits.
        n_labelled: known labels that it was fitted on; 0 if it was not.
        reason: None if fitted; else why scale 1 and offset 0 stand in.
    """

    scale: float = 1.0
    offset: float = 0.0
    n_labelled: int = 0
    reason: str | None = None

    def probabilities(self, logits: ArrayLike) -> FloatArray:
        """Calibrated probabilities, same shape as `logits`."""
        result: FloatArray = expit(self.scale * np.asarray(logits, np.float64) + self.offset)
        return result


@dataclass(frozen=True)
class Reliability:
    """Predicted probabilities against what came true, in bins of equal width; empty bins hold NaN.

    Attributes:
        edges: [B + 1], from 0 to 1.
        counts: [B] items in each bin.
        mean_probability: [B] mean predicted probability, weighted where weights were given.
        violating_share: [B] share that violates, likewise.
        expected_calibration_error: mean gap between the two, likewise; biased upwards in small samples.
    """

    edges: FloatArray
    counts: IntArray
    mean_probability: FloatArray
    violating_share: FloatArray
    expected_calibration_error: float


def fit_platt(logits: ArrayLike, labels: ArrayLike, *, weights: ArrayLike | None = None) -> Calibrator:
    """Fit Platt scaling by maximum likelihood, with Platt's prior-corrected targets.

    The targets are (n1 + 1) / (n1 + 2) for violating and 1 / (n0 + 2) for other items, so that the fit stays finite
    when the scores separate the classes.

    Args:
        logits: [N] finite scores in logits, of items that the model was not trained on.
        labels: [N], 1, 0 or NaN (left out).
        weights: [N], positive, such as 1 / inclusion_prob of a sample drawn with unequal chances; None for equal
            ones. Only their ratios count.

    Returns:
        The calibrator; with scale 1, offset 0 and a reason if either class has fewer than 10 known labels, or the
        scores are all equal or fall where violations rise.

    Raises:
        ValueError: malformed scores or labels.

    Examples:
        >>> random = np.random.default_rng(0)
        >>> logits = random.normal(size=20_000)
        >>> calibrator = fit_platt(logits, random.random(20_000) < expit(2 * logits - 1))
        >>> round(calibrator.scale, 1), round(calibrator.offset, 1)
        (2.0, -1.0)
        >>> fit_platt([0.1, 2.0], [0, 1]).reason
        'only 1 violating and 1 other posts with a known label; at least 10 of each are needed'
    """
    z, y = _known(logits, labels)
    shares = _shares(weights, labels)
    n_positive = int(y.sum())
    n_negative = len(y) - n_positive
    if min(n_positive, n_negative) < FEWEST_PER_CLASS:
        return Calibrator(
            reason=said("unfitted.too_few", n_positive=n_positive, n_other=n_negative, fewest=FEWEST_PER_CLASS)
        )
    center = float(shares @ z)
    spread = float(np.sqrt(shares @ (z - center) ** 2))
    if spread == 0:
        return Calibrator(reason=said("unfitted.equal"))
    targets = np.where(y == 1, (n_positive + 1) / (n_positive + 2), 1 / (n_negative + 2))
    x = (z - center) / spread

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        u = parameters[0] * x + parameters[1]
        gap = expit(u) - targets
        return float(shares @ (np.logaddexp(0, u) - targets * u)), np.array([shares @ (gap * x), shares.dot(gap)])

    start = np.array([0.0, np.log((n_positive + 1) / (n_negative + 1))])
    slope, intercept = minimize(loss, start, jac=True, method="BFGS", options={"gtol": 1e-9}).x
    if slope <= 0:
        return Calibrator(reason=said("unfitted.falling"))
    scale = float(slope / spread)
    return Calibrator(scale=scale, offset=float(intercept - scale * center), n_labelled=len(y))


def reliability(
    probabilities: ArrayLike, labels: ArrayLike, *, n_bins: int = 10, weights: ArrayLike | None = None
) -> Reliability:
    """Compare predicted probabilities with known labels, in `n_bins` bins of equal width.

    Args:
        probabilities: [N] in [0, 1].
        labels: [N], 1, 0 or NaN (left out); at least one known.
        n_bins: at least 1.
        weights: [N], positive, such as 1 / inclusion_prob; None for equal ones.

    Raises:
        ValueError: malformed arguments, or no known label.

    Examples:
        >>> result = reliability([0.1, 0.1, 0.9, 0.9], [0, 0, 1, 0], n_bins=2)
        >>> result.counts.tolist(), round(result.expected_calibration_error, 3)
        ([2, 2], 0.25)
    """
    p, y = _known(probabilities, labels)
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1, got {n_bins}")
    if not len(p):
        raise ValueError("labels must hold at least one known label")
    if p.min() < 0 or p.max() > 1:
        raise ValueError(f"probabilities must lie in [0, 1], got {p.min()} to {p.max()}")
    bins = np.minimum((p * n_bins).astype(np.int64), n_bins - 1)
    counts = np.bincount(bins, minlength=n_bins)
    shares = _shares(weights, labels)
    share = np.bincount(bins, weights=shares, minlength=n_bins)
    with np.errstate(invalid="ignore"):
        mean_probability = np.bincount(bins, weights=shares * p, minlength=n_bins) / share
        violating_share = np.bincount(bins, weights=shares * y, minlength=n_bins) / share
    gap = np.abs(mean_probability - violating_share)
    return Reliability(
        edges=np.linspace(0, 1, n_bins + 1),
        counts=counts.astype(np.int64),
        mean_probability=mean_probability,
        violating_share=violating_share,
        expected_calibration_error=float(np.nansum(gap * share)),
    )


def as_logits(scores: Scores, scale: str) -> NDArray[np.float64]:
    """Scores in logits, float64; probabilities are kept 1e-7 away from 0 and 1."""
    values = scores.astype(np.float64)
    if scale == "logit":
        return values
    result: NDArray[np.float64] = logit(np.clip(values, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY))
    return result


def _shares(weights: ArrayLike | None, labels: ArrayLike) -> NDArray[np.float64]:
    """Weights of the known labels as shares of their sum."""
    known = ~np.isnan(checked_labels(labels))
    if weights is None:
        return np.full(int(known.sum()), 1 / max(1, int(known.sum())))
    given = np.asarray(weights, np.float64)
    if given.shape != known.shape or not np.all(np.isfinite(given) & (given > 0)):
        raise ValueError(f"weights must be positive and finite, one a label, got {weights!r}")
    shares: NDArray[np.float64] = given[known] / given[known].sum()
    return shares


def _known(values: ArrayLike, labels: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y = checked_scores(values).astype(np.float64), checked_labels(labels)
    if len(x) != len(y):
        raise ValueError(f"scores and labels must be equally long, got {len(x)} and {len(y)}")
    return x[~np.isnan(y)], y[~np.isnan(y)]
