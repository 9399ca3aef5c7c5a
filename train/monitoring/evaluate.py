"""How well a run orders items that it never saw, against logistic regression on the same frozen features.

For benchmarks: serving scores come from `setpoint score`, on the exported model.

Shapes: N items, T frames, P policies, D features.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from train.features.encode import Encoded, encode
from train.inputs.batches import encoded_batches
from train.inputs.parts import Part
from train.job.checkpoint import TrainedModel
from train.network.assemble import Encoders
from train.network.forward import evidence_of


def encode_like(trained: TrainedModel, items: pl.DataFrame, cache_dir: Path) -> Encoded:
    """Features of items by a run's encoders, from the cache where they are known."""
    return encode(
        items,
        encoders=Encoders(**trained.network.encoders),  # type: ignore[arg-type]
        tokenizer=trained.tokenizer,
        preprocessing=trained.preprocessing,
        cache_dir=cache_dir,
        device=torch.device("cpu"),
    )


def logits_of(trained: TrainedModel, items: pl.DataFrame, encoded: Encoded) -> npt.NDArray[np.float32]:
    """Logits [N, P] of readable items that are encoded already."""
    unknown = np.full((len(items), len(trained.policies)), np.nan, dtype=np.float32)
    batches = encoded_batches(
        Part(items, unknown, unknown, {}), encoded, network=trained.network, preprocessing=trained.preprocessing
    )
    with torch.inference_mode():
        network = trained.network
        return np.concatenate([network.fuse(evidence_of(batch, network)).numpy() for batch in batches])


def mean_frame_features(items: pl.DataFrame, encoded: Encoded) -> npt.NDArray[np.float32]:
    """Mean over frames [N, D] of each item."""
    assert encoded.frames is not None
    return np.stack([encoded.frames[item_id].features.mean(0) for item_id in items["item_id"]])


def text_features(items: pl.DataFrame, encoded: Encoded, dim: int) -> npt.NDArray[np.float32]:
    """The first `dim` text features [N, dim] of each item, those of the last layer; zeros without text."""
    texts = encoded.vectors["text"]
    nothing = np.zeros(dim, np.float32)
    return np.stack(
        [texts[item_id].features[0, :dim] if item_id in texts else nothing for item_id in items["item_id"]]
    )


def regression_scores(
    features: npt.NDArray[np.float32], labels: npt.NDArray[np.float32], unseen: npt.NDArray[np.float32]
) -> list[npt.NDArray[np.float64]]:
    """Scores of unseen items by logistic regression (C = 1), on features as they are and standardised.

    Args:
        features: [N, D] of training items.
        labels: [N], NaN where unknown.
        unseen: [M, D].
    """
    known = ~np.isnan(labels)
    plain = LogisticRegression(max_iter=2000)
    models = [plain, make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))]
    return [model.fit(features[known], labels[known]).decision_function(unseen) for model in models]


def known_auc(scores: npt.NDArray[np.floating], labels: npt.NDArray[np.float32]) -> float:
    """Area under the ROC curve over known labels; NaN where they do not define it."""
    known = ~np.isnan(labels)
    if len(np.unique(labels[known])) < 2:
        return float("nan")
    return float(roc_auc_score(labels[known] > 0.5, scores[known]))
