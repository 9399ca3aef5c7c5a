"""The benchmark of losses fails where a claim does."""

import numpy as np
import pytest

from scripts.bench_losses import METHODS, broken_claims
from scripts.verbs import CONFIGS


@pytest.mark.parametrize(
    ("labels", "ap", "auc", "expected"),
    [
        ("all", 0.91, 0.5, []),
        ("all", 0.86, 0.99, ["focal, all labels: average precision 0.860, bce 0.900"]),
        ("all", np.nan, 0.99, ["focal, all labels: average precision nan, bce 0.900"]),
        ("rare", 0.2, 0.61, []),
        ("rare", 0.9, 0.55, ["focal, rare labels: AUC 0.550"]),
    ],
)
def test_a_claim_that_fails_is_said(labels: str, ap: float, auc: float, expected: list[str]) -> None:
    means = {"bce": np.array([0.9, 0.9]), "focal": np.array([ap, auc])}
    assert broken_claims(labels, means) == expected


def test_every_loss_is_compared() -> None:
    losses = {path.stem for path in (CONFIGS / "train" / "loss").glob("*.yaml")}
    assert losses <= set(METHODS)
