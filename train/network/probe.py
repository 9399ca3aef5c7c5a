"""What the network knows before its first step: statistics of the features, and a linear fit on them.

Fine-tuning starts from a linear probe (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features"), so that
on little data the network begins where logistic regression on the same features ends.

Shapes: N items, T frames, P policies, D features of an encoder, K inputs of the linear part.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from data.loading import Batch
from train.network.classifier import MultimodalClassifier
from train.network.evidence import Evidence, EvidencePool, linear_inputs, summarise_frames
from train.network.forward import evidence_of

SMALLEST_SCALE = 0.01  # of the mean scale: features that hardly vary in training must not explode later
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
FOLDS = 3
CROSS_VALIDATED_ITEMS = 4_000


def prepare(
    network: MultimodalClassifier,
    batches: Iterable[Batch],
    groups: Sequence[int],
    *,
    strength: float | Literal["auto"],
) -> None:
    """Set the statistics and the linear part of an untrained network, in place.

    Args:
        network: its encoders are not used.
        batches: N training items with encoded frames and text, in a fixed order.
        groups: of the N items; those of a group share a creator or cluster and fall into one fold.
        strength: inverse strength C of the L2 penalty of the linear fit; "auto" finds it for each policy by
            cross-validation. 0 leaves the weights at zero and sets each bias to the log odds of the prevalence.
    """
    evidence, labels = [], []
    for batch in batches:
        evidence.append(evidence_of(batch, network))
        labels.append(batch.labels.numpy())
    set_statistics(network.pool, evidence)
    with torch.inference_mode():
        inputs_NK = np.concatenate([linear_inputs(network.pool(one)).numpy() for one in evidence]).astype(np.float64)
    labels_NP = np.concatenate(labels)
    groups_N = np.asarray(groups)
    for column, usable_K in enumerate(network.linear.allowed.numpy() > 0):
        known_N = ~np.isnan(labels_NP[:, column])
        inputs, targets = inputs_NK[known_N][:, usable_K], labels_NP[known_N, column]
        weights, bias = np.zeros(len(usable_K)), _log_odds(targets)
        if strength != 0 and len(np.unique(targets)) == 2:
            weights[usable_K], bias = fitted(inputs, targets, groups_N[known_N], strength)
        with torch.no_grad():
            network.linear.weight[column] = torch.from_numpy(weights).float()
            network.linear.bias[column] = bias


def fitted(
    inputs: npt.NDArray[np.float64],
    targets: npt.NDArray[np.float32],
    groups: npt.NDArray[np.int64],
    strength: float | Literal["auto"],
) -> tuple[npt.NDArray[np.float64], float]:
    """Weights [K] and bias of logistic regression.

    Under an L2 penalty weights lie in the span of the inputs: fewer items than K are fitted in coordinates of theirs.
    """
    basis_KN = np.linalg.qr(inputs.T)[0] if len(inputs) < inputs.shape[1] else None
    inputs = inputs if basis_KN is None else inputs @ basis_KN
    chosen = best_strength(inputs, targets, groups) if strength == "auto" else strength
    fit = LogisticRegression(C=chosen, max_iter=1000).fit(inputs, targets)
    weights = fit.coef_[0] if basis_KN is None else basis_KN @ fit.coef_[0]
    return weights, float(fit.intercept_[0])


def best_strength(
    inputs: npt.NDArray[np.float64], targets: npt.NDArray[np.float32], groups: npt.NDArray[np.int64]
) -> float:
    """The C of STRENGTHS with the smallest log loss in grouped cross-validation; of equals the smallest.

    Args:
        inputs: [N, K]; of many items an evenly spaced subset is used.
        targets: [N], 0 or 1, both of them present.
        groups: [N].
    """
    step = -(-len(targets) // CROSS_VALIDATED_ITEMS)
    inputs, targets, groups = inputs[::step], targets[::step], groups[::step]
    folds = (
        [
            (seen, unseen)
            for seen, unseen in GroupKFold(FOLDS).split(inputs, targets, groups)
            if len(np.unique(targets[seen])) == 2
        ]
        if len(np.unique(groups)) >= FOLDS
        else []
    )
    if not folds:
        return STRENGTHS[len(STRENGTHS) // 2]

    def loss(strength: float) -> float:
        total = 0.0
        for seen, unseen in folds:
            fit = LogisticRegression(C=strength, max_iter=1000).fit(inputs[seen], targets[seen])
            signed = fit.decision_function(inputs[unseen]) * (1 - 2 * targets[unseen])
            total += float(np.logaddexp(0, signed).sum())
        return total

    return min(STRENGTHS, key=loss)


def set_statistics(pool: EvidencePool, evidence: Sequence[Evidence]) -> None:
    """Centre and scale of pooled features over the items that have them; of motion the scale alone."""
    means, motions = [], []
    for one in evidence:
        mean_BD, motion_BD = summarise_frames(one.frames.double(), one.frame_mask, one.frame_times)
        means.append(mean_BD[one.frame_mask.any(1)])
        motions.append(motion_BD[motion_BD.abs().sum(1) > 0])
    _standardise_by(pool, "visual", torch.cat(means))
    motion_ND = torch.cat(motions)
    if len(motion_ND) > 1:
        # Not centred: an item without motion is at zero.
        pool.motion_scale.copy_(_floored(motion_ND.square().mean(0).sqrt()))
    for name in pool.vectors:
        _standardise_by(pool, name, torch.cat([one.vectors[name][one.present[name]].double() for one in evidence]))


def _standardise_by(pool: EvidencePool, name: str, features_ND: torch.Tensor) -> None:
    if len(features_ND) > 1:
        pool.get_buffer(f"{name}_center").copy_(features_ND.mean(0))
        pool.get_buffer(f"{name}_scale").copy_(_floored(features_ND.std(0)))


def _floored(scale_D: torch.Tensor) -> torch.Tensor:
    if scale_D.numel() == 0:
        return scale_D
    floor = SMALLEST_SCALE * float(scale_D.mean())
    return scale_D.clamp(min=floor) if floor > 0 else torch.ones_like(scale_D)


def _log_odds(targets: npt.NDArray[np.float32]) -> float:
    """Log odds of the prevalence, half an item added to either side."""
    positive = float(targets.sum())
    return float(np.log((positive + 0.5) / (len(targets) - positive + 0.5)))
