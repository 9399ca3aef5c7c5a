from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from data.loading import Batch
from train.network.classifier import MultimodalClassifier
from train.network.forward import evidence_of
from train.network.probe import STRENGTHS, best_strength, fitted, prepare

N, D = 120, 6
NAN = float("nan")


@pytest.fixture
def batch() -> Batch:
    """Photos and clips; policy 0 hangs on the mean frame, policy 1 on motion, policy 2 on text."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(N, 3, D, generator=generator) * 2 + 1
    mask = torch.ones(N, 3, dtype=torch.bool)
    mask[::2, 1:] = False
    times = torch.arange(3.0).expand(N, 3) * mask
    text = torch.randn(N, D, generator=generator)
    has_text = torch.rand(N, generator=generator) > 0.3
    labels = torch.full((N, 4), NAN)
    labels[:, 0] = (features[:, 0, 0] > 1).float()
    labels[:, 1] = (mask[:, 1] & ((features[:, 1, 1] - features[:, 0, 1]).abs() > 1.5)).float()
    labels[:, 2] = (has_text & (text[:, 2] > 0)).float()
    labels[: N // 2, 3] = 1.0
    labels[10:20, 0] = NAN
    return Batch(
        frames=None,
        frame_features=features * mask.unsqueeze(-1),
        frame_mask=mask,
        frame_times=times,
        token_ids=None,
        token_mask=None,
        log_mel=None,
        audio_mask=None,
        vectors={"text": text * has_text.unsqueeze(-1)},
        present={"text": has_text},
        labels=labels,
        p_violating=labels,
        index=torch.arange(N),
    )


def untrained() -> MultimodalClassifier:
    torch.manual_seed(0)
    evidence = [frozenset({"visual"}), frozenset({"visual"}), frozenset({"text"}), frozenset({"visual", "text"})]
    return MultimodalClassifier(
        encoders={}, dims={"image": D, "text": D}, evidence=evidence, width=8, num_heads=2
    ).eval()


def test_training_starts_from_logistic_regression(batch: Batch) -> None:
    network = untrained()
    prepare(network, [batch], list(range(N)), strength=0.1)
    logits = network.fuse(evidence_of(batch, network)).detach().numpy()
    has_text = batch.present["text"].numpy()
    text = batch.vectors["text"].numpy()
    center, scale = text[has_text].mean(0), text[has_text].std(0, ddof=1)
    inputs = np.concatenate([(text - center) / scale * has_text[:, None], has_text[:, None]], 1)
    labels = batch.labels[:, 2].numpy()
    expected = LogisticRegression(C=0.1, max_iter=1000).fit(inputs, labels).decision_function(inputs)
    np.testing.assert_allclose(logits[:, 2], expected, atol=2e-3)


def test_statistics_leave_out_what_is_missing(batch: Batch) -> None:
    network = untrained()
    prepare(network, [batch], list(range(N)), strength=0)
    pooled = network.pool(evidence_of(batch, network))
    assert pooled.mean.mean(0).abs().max() < 1e-5
    torch.testing.assert_close(pooled.mean.std(0), torch.ones(D))
    clips, texts = batch.frame_mask[:, 1], batch.present["text"]
    torch.testing.assert_close(pooled.motion[clips].square().mean(0).sqrt(), torch.ones(D))
    assert pooled.motion[~clips].abs().max() == 0
    torch.testing.assert_close(pooled.vectors["text"][texts].std(0), torch.ones(D))
    assert pooled.vectors["text"][~texts].abs().max() == 0


def test_without_probe_a_bias_is_the_log_odds_of_the_prevalence(batch: Batch) -> None:
    network = untrained()
    prepare(network, [batch], list(range(N)), strength=0)
    assert network.linear.weight.abs().max() == 0
    known = batch.labels[:, 0][~batch.labels[:, 0].isnan()]
    odds = (known.sum() + 0.5) / (len(known) - known.sum() + 0.5)
    torch.testing.assert_close(network.linear.bias[0], odds.log())


@pytest.mark.parametrize("strength", [0.01, "auto"])
def test_a_policy_with_one_kind_of_label_has_a_finite_start(batch: Batch, strength: float) -> None:
    network = untrained()
    prepare(network, [batch], list(range(N)), strength=strength)  # type: ignore[arg-type]
    assert network.linear.weight.isfinite().all()
    assert network.linear.weight[3].abs().max() == 0
    assert network.linear.bias[3] > 4


def test_features_that_never_vary_do_not_explode(batch: Batch) -> None:
    assert batch.frame_features is not None
    batch.frame_features[..., 0] = 3.0
    network = untrained()
    prepare(network, [batch], list(range(N)), strength=0.1)
    evidence = evidence_of(batch, network)
    changed = network.pool(replace(evidence, frames=evidence.frames + 0.01))
    assert changed.mean.abs().max() < 100


def noise(informative: float) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(90, 60))
    targets = (informative * inputs[:, 0] + generator.normal(size=90) > 0).astype(np.float32)
    return inputs, targets


def test_noise_wants_a_strong_penalty_and_a_clear_case_a_weak_one() -> None:
    groups = np.arange(90)
    assert best_strength(*noise(0.0), groups) == min(STRENGTHS)
    assert best_strength(*noise(20.0), groups) > 0.03


def test_items_of_a_group_do_not_vouch_for_each_other() -> None:
    """Ten copies of each item: only with groups is memorising them seen for what it is."""
    inputs, targets = (np.repeat(part, 10, axis=0) for part in noise(0.0))
    groups = np.repeat(np.arange(90), 10)
    assert best_strength(inputs, targets, groups) < best_strength(inputs, targets, np.arange(900))


def test_a_single_group_gives_the_middle_strength() -> None:
    assert best_strength(*noise(1.0), np.zeros(90, dtype=np.int64)) == STRENGTHS[3]


@pytest.mark.parametrize("count", [30, 200])
def test_fewer_items_than_inputs_give_the_same_fit(count: int) -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(count, 80))
    targets = (inputs[:, 0] + rng.normal(size=count) > 0).astype(np.float32)
    weights, bias = fitted(inputs, targets, np.arange(count), 0.1)
    expected = LogisticRegression(C=0.1, tol=1e-9, max_iter=10_000).fit(inputs, targets)
    np.testing.assert_allclose(weights, expected.coef_[0], atol=5e-3)
    assert bias == pytest.approx(float(expected.intercept_[0]), abs=5e-3)
