import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from calibrate.probability import Calibrator, fit_platt, reliability


@pytest.mark.parametrize(("n", "scale", "offset"), [(60, 1.0, 0.0), (400, 0.3, 2.0), (3000, 5.0, -1.0)])
def test_agrees_with_scikit_learn_on_platts_targets(n: int, scale: float, offset: float) -> None:
    random = np.random.default_rng(n)
    logits = random.normal(3, 2, size=n)
    labels = (random.random(n) < 1 / (1 + np.exp(-(scale * (logits - 3) + offset)))).astype(float)
    fitted = fit_platt(logits, labels)
    positive, negative = labels.sum(), (1 - labels).sum()
    soft = np.where(labels == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    # Each item twice, once a class, weighted by its target: the cross-entropy of soft targets.
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(
        np.tile(logits.astype(np.float32), 2)[:, None],
        np.repeat([1, 0], n),
        sample_weight=np.concatenate([soft, 1 - soft]),
    )
    assert (fitted.scale, fitted.offset) == pytest.approx(
        (reference.coef_[0, 0], reference.intercept_[0]), rel=1e-3, abs=1e-3
    )
    assert (fitted.n_labelled, fitted.reason) == (n, None)


def test_separated_classes_stay_finite() -> None:
    fitted = fit_platt(np.concatenate([np.full(50, 1e4), np.full(50, -1e4)]), np.repeat([1, 0], 50))
    assert fitted.reason is None
    assert np.isfinite([fitted.scale, fitted.offset]).all()
    assert fitted.probabilities([1e4, -1e4]) == pytest.approx([51 / 52, 1 / 52], abs=1e-4)


@pytest.mark.parametrize(
    ("logits", "labels", "reason"),
    [
        (np.arange(100), np.ones(100), "100 violating and 0 other"),
        (np.arange(100), np.full(100, np.nan), "0 violating and 0 other"),
        (np.zeros(100), np.tile([0, 1], 50), "all scores are equal"),
        (-np.arange(100), np.repeat([0, 1], 50), "do not go with more violations"),
    ],
)
def test_what_cannot_be_fitted_is_left_alone_with_a_reason(logits, labels, reason: str) -> None:
    fitted = fit_platt(logits, labels)
    assert (fitted.scale, fitted.offset, fitted.n_labelled) == (1.0, 0.0, 0)
    assert reason in fitted.reason


def test_unknown_labels_are_left_out() -> None:
    random = np.random.default_rng(1)
    logits, labels = random.normal(size=200), random.integers(0, 2, 200).astype(float)
    extended = fit_platt(np.concatenate([logits, [50.0] * 20]), np.concatenate([labels, [np.nan] * 20]))
    assert extended == fit_platt(logits, labels)


def test_reliability_by_hand() -> None:
    result = reliability([0.0, 0.05, 0.5, 0.95, 1.0, 0.3], [0, 1, 1, 1, 0, np.nan], n_bins=10)
    assert result.counts.tolist() == [2, 0, 0, 0, 0, 1, 0, 0, 0, 2]
    assert result.expected_calibration_error == pytest.approx((2 * 0.475 + 0.5 + 2 * 0.475) / 5)
    assert np.isnan(result.mean_probability[1])


def test_a_perfect_calibrator_has_a_small_error() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=50_000)
    labels = random.random(50_000) < Calibrator().probabilities(logits)
    assert reliability(Calibrator().probabilities(logits), labels).expected_calibration_error < 0.01
    assert reliability(Calibrator(scale=5).probabilities(logits), labels).expected_calibration_error > 0.1


def test_reliability_refuses_what_is_no_probability() -> None:
    with pytest.raises(ValueError, match=r"probabilities must lie in \[0, 1\]"):
        reliability([1.5], [1])
    with pytest.raises(ValueError, match="at least one known label"):
        reliability([0.5], [np.nan])


def test_weights_undo_an_uneven_sample() -> None:
    random = np.random.default_rng(3)
    logits = random.normal(size=40_000)
    labels = (random.random(40_000) < expit(2 * logits - 2)).astype(float)
    chance = np.where(labels == 1, 1.0, 0.2)  # drawn by label: unweighted, the offset would be off by log 5
    taken = random.random(40_000) < chance
    weighted = fit_platt(logits[taken], labels[taken], weights=1 / chance[taken])
    assert (weighted.scale, weighted.offset) == (pytest.approx(2, abs=0.15), pytest.approx(-2, abs=0.15))
    assert fit_platt(logits[taken], labels[taken]).offset > -1
    same = fit_platt(logits[:500], labels[:500], weights=np.full(500, 7.0))
    assert same.offset == pytest.approx(fit_platt(logits[:500], labels[:500]).offset)
    with pytest.raises(ValueError, match="weights must be positive"):
        fit_platt(logits[:2], labels[:2], weights=[1.0, 0.0])
