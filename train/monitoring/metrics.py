"""Validation metrics of a policy, on known labels only. None where the labels do not define them."""

import numpy as np
import numpy.typing as npt
from pydantic import Field
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from data.policy import Policy, Strict


class PolicyMetrics(Strict):
    """How well one policy's scores order the validation items.

    Attributes:
        n_known: items with a known label.
        n_violating: those that violate.
        average_precision: area under the precision-recall curve.
        auc: area under the ROC curve.
        recall_at_target: largest recall at an empirical precision of at least `target_precision`. Not a
            guarantee: certified thresholds come from `calibrate`.
        target_precision: of the policy's strictest precision band.
    """

    n_known: int = Field(ge=0)
    n_violating: int = Field(ge=0)
    average_precision: float | None = None
    auc: float | None = None
    recall_at_target: float | None = None
    target_precision: float | None = None


def policy_metrics(
    logits: npt.NDArray[np.float32], labels: npt.NDArray[np.float32], target_precision: float | None
) -> PolicyMetrics:
    """Metrics of one policy.

    Args:
        logits: [N].
        labels: [N], NaN where unknown.
        target_precision: of the policy; None leaves `recall_at_target` out.

    >>> policy_metrics(np.array([2.0, 1.0, 0.0]), np.array([1.0, np.nan, 0.0]), 0.9).auc
    1.0
    """
    known = ~np.isnan(labels)
    scores, truth = logits[known], labels[known] > 0.5
    n_violating = int(truth.sum())
    if n_violating in (0, len(truth)):
        return PolicyMetrics(n_known=len(truth), n_violating=n_violating, target_precision=target_precision)
    recall = None
    if target_precision is not None:
        precisions, recalls, _ = precision_recall_curve(truth, scores)
        recall = float(recalls[precisions >= target_precision].max(initial=0.0))
    return PolicyMetrics(
        n_known=len(truth),
        n_violating=n_violating,
        average_precision=float(average_precision_score(truth, scores)),
        auc=float(roc_auc_score(truth, scores)),
        recall_at_target=recall,
        target_precision=target_precision,
    )


def target_precision_of(policy: Policy) -> float | None:
    """Target of the policy's strictest precision band; None if it has none."""
    return next((band.target_precision for band in policy.bands if band.target_precision is not None), None)


def mean_average_precision(metrics: dict[str, PolicyMetrics]) -> float | None:
    """Mean over the policies that have one; None if none has."""
    known = [one.average_precision for one in metrics.values() if one.average_precision is not None]
    return float(np.mean(known)) if known else None
