"""Tests and intervals for two models that decide about the same posts.

All of them take counts of posts drawn alike and one by one; none holds for weighted posts or for posts in clusters.
templates/js/differences.js computes the same in its own language.

References:
    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12 (1947); in its exact form the sign test of the posts on which the two differ.
    R. G. Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired
    data", Statistics in Medicine 17 (1998), method 10.
    G. Y. Zou and A. Donner, "Construction of confidence limits about effect measures: a general approach", Statistics
    in Medicine 27 (2008): limits of a difference from the limits of its parts and their correlation.
    C. S. Moskowitz and M. S. Pepe, "Comparing the predictive values of diagnostic tests", Clinical Trials 3 (2006).
"""

import math

from scipy.stats import binomtest

CONFIDENCE = 0.95
Z = 1.959963984540054  # of CONFIDENCE, on both sides

Ends = tuple[float, float]


def mcnemar(better: int, worse: int) -> float:
    """McNemar's exact p-value: how often luck divides the posts at least as unevenly if both err equally often.

    Args:
        better: posts on which the one is right and the other is not.
        worse: the other way round.

    Examples:
        >>> mcnemar(9, 1), mcnemar(3, 3), mcnemar(0, 0)
        (0.021484375, 1.0, 1.0)
    """
    differing = better + worse
    return float(binomtest(better, differing, 0.5).pvalue) if differing else 1.0


def paired_difference(both: int, gained: int, lost: int, n: int) -> Ends:
    """95 % interval of the difference of two shares of the same n posts, by Newcombe's method 10.

    Approximate: score intervals of both shares, put together with their correlation.

    Args:
        both: posts that both flag.
        gained: posts that the first alone flags.
        lost: posts that the second alone flags.
        n: posts, at least 1.

    Examples:
        >>> low, high = paired_difference(59, 6, 16, 161)  # Cavo et al. (2012), as R's contingencytables has it
        >>> round(low, 4), round(high, 4)
        (-0.1186, -0.0046)
    """
    neither = n - both - gained - lost
    first, second = both + gained, both + lost
    correlation = 0.0
    product = first * (n - first) * second * (n - second)
    if product > 0:
        covariance = float(both * neither - gained * lost)
        if covariance > 0:
            covariance = max(0.0, covariance - n / 2)
        correlation = covariance / math.sqrt(product)
    return _square_and_add(first, n, second, n, correlation)


def precision_difference(first: Ends, second: Ends, shared: Ends) -> Ends:
    """95 % interval of the difference of two precisions, each of the posts that one of two models flags.

    The two have posts in common and different denominators: score intervals of both precisions, put together by Zou
    and Donner's rule with the correlation that the delta method gives. With q the precision of what both flag it has
    the sign of q (1 - q) + (q - p1) (q - p2), which is never negative. Approximate, like the above.

    Args:
        first: of the first model, labels flagged and those of them that violate; at least one is flagged.
        second: of the second.
        shared: of the posts that both flag.

    Examples:
        >>> low, high = precision_difference((70, 56), (80, 48), (0, 0))  # nothing shared: Newcombe's of two samples
        >>> round(low, 4), round(high, 4)
        (0.0524, 0.3339)
    """
    (n1, k1), (n2, k2), (n12, k12) = first, second, shared
    p1, p2 = k1 / n1, k2 / n2
    product = n1 * p1 * (1 - p1) * n2 * p2 * (1 - p2)
    correlation = 0.0
    if n12 > 0 and product > 0:
        q = k12 / n12
        correlation = min(1.0, n12 * (q * (1 - q) + (q - p1) * (q - p2)) / math.sqrt(product))
    return _square_and_add(k1, n1, k2, n2, correlation)


def wilson(successes: float, trials: float) -> Ends:
    """Wilson's 95 % score interval of a proportion; `trials` at least 1.

    Examples:
        >>> low, high = wilson(81, 263)
        >>> round(low, 4), round(high, 4)
        (0.2553, 0.3662)
    """
    share, square = successes / trials, Z * Z
    middle = 2 * trials * share + square
    reach = Z * math.sqrt(square + 4 * trials * share * (1 - share))
    below = 2 * (trials + square)
    return max(0.0, (middle - reach) / below), min(1.0, (middle + reach) / below)


def _square_and_add(k1: float, n1: float, k2: float, n2: float, correlation: float) -> Ends:
    p1, p2 = k1 / n1, k2 / n2
    (low1, high1), (low2, high2) = wilson(k1, n1), wilson(k2, n2)
    difference = p1 - p2
    return (
        difference - _joined(p1 - low1, high2 - p2, correlation),
        difference + _joined(high1 - p1, p2 - low2, correlation),
    )


def _joined(first: float, second: float, correlation: float) -> float:
    return math.sqrt(max(0.0, first * first - 2 * correlation * first * second + second * second))
