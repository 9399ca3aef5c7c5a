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
from train.evidence import EvidencePool, linear_inputs, summarise_frames
from train.network import MultimodalClassifier

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
    batches = list(batches)
    set_statistics(network.pool, batches)
    with torch.inference_mode():
        parts = [linear_inputs(network.pool(*evidence_of(batch))).numpy() for batch in batches]
    inputs_NK = np.concatenate(parts).astype(np.float64)
    labels_NP = np.concatenate([batch.labels.numpy() for batch in batches])
    groups_N = np.asarray(groups)
    for column, usable_K in enumerate(network.linear.allowed.numpy() > 0):
        known_N = ~np.isnan(labels_NP[:, column])
        inputs, targets = inputs_NK[known_N][:, usable_K], labels_NP[known_N, column]
        weights, bias = np.zeros(len(usable_K)), _log_odds(targets)
        if strength != 0 and len(np.unique(targets)) == 2:
            chosen = best_strength(inputs, targets, groups_N[known_N]) if strength == "auto" else strength
            fit = LogisticRegression(C=chosen, max_iter=1000).fit(inputs, targets)
            weights[usable_K], bias = fit.coef_[0], float(fit.intercept_[0])
        with torch.no_grad():
            network.linear.weight[column] = torch.from_numpy(weights).float()
            network.linear.bias[column] = bias


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


def set_statistics(pool: EvidencePool, batches: list[Batch]) -> None:
    """Centre and scale of pooled features over the items that have them; of motion the scale alone."""
    means, motions, texts = [], [], []
    for batch in batches:
        features_BTD, mask_BT, times_BT, text_BD, has_text_B = evidence_of(batch)
        mean_BD, motion_BD = summarise_frames(features_BTD.double(), mask_BT, times_BT)
        means.append(mean_BD[mask_BT.any(1)])
        motions.append(motion_BD[motion_BD.abs().sum(1) > 0])
        texts.append(text_BD[has_text_B].double())
    mean_ND, motion_ND, text_ND = torch.cat(means), torch.cat(motions), torch.cat(texts)
    if len(mean_ND) > 1:
        pool.visual_center.copy_(mean_ND.mean(0))
        pool.visual_scale.copy_(_floored(mean_ND.std(0)))
    if len(motion_ND) > 1:
        # Not centred: an item without motion is at zero.
        pool.motion_scale.copy_(_floored(motion_ND.square().mean(0).sqrt()))
    if len(text_ND) > 1:
        pool.text_center.copy_(text_ND.mean(0))
        pool.text_scale.copy_(_floored(text_ND.std(0)))


def evidence_of(batch: Batch) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """The arguments of `MultimodalClassifier.fuse` in a batch of encoded items."""
    B, T = batch.frame_mask.shape
    features = torch.zeros(B, T, 0) if batch.frame_features is None else batch.frame_features
    text = torch.zeros(B, 0) if batch.text_features is None else batch.text_features
    return features, batch.frame_mask, batch.frame_times, text, batch.has_text


def _floored(scale_D: torch.Tensor) -> torch.Tensor:
    if scale_D.numel() == 0:
        return scale_D
    floor = SMALLEST_SCALE * float(scale_D.mean())
    return scale_D.clamp(min=floor) if floor > 0 else torch.ones_like(scale_D)


def _log_odds(targets: npt.NDArray[np.float32]) -> float:
    """Log odds of the prevalence, half an item added to either side."""
    positive = float(targets.sum())
    return float(np.log((positive + 0.5) / (len(targets) - positive + 0.5)))
