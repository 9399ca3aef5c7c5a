from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits
from torchvision.ops import sigmoid_focal_loss

from train.losses.functions import LabelLoss, asymmetric, bce, class_balanced, effective_number_weights, focal

WEIGHTS = torch.tensor([[0.3], [1.7]])
LOSSES: dict[str, LabelLoss] = {
    "bce": bce,
    "focal": partial(focal, gamma=2.0, alpha=0.25),
    "focal, a root": partial(focal, gamma=0.5, alpha=None),
    "asymmetric": partial(asymmetric, gamma_positive=1.0, gamma_negative=4.0, margin=0.05),
    "asymmetric, roots": partial(asymmetric, gamma_positive=0.1, gamma_negative=0.1, margin=0.2),
    "asymmetric, no margin": partial(asymmetric, gamma_positive=0.0, gamma_negative=0.5, margin=0.0),
    "class_balanced": partial(class_balanced, weights_2P=WEIGHTS),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=list(LOSSES))
LOGITS = torch.linspace(-8, 8, 33).unsqueeze(1)


def gradient(loss: LabelLoss, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    logits = logits.clone().requires_grad_()
    [found] = torch.autograd.grad(loss(logits, targets).sum(), logits)
    return found


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_focal_is_torchvisions(label: float) -> None:
    labels = torch.full_like(LOGITS, label)
    expected = sigmoid_focal_loss(LOGITS, labels, alpha=0.3, gamma=1.5)
    torch.testing.assert_close(focal(LOGITS, labels, gamma=1.5, alpha=0.3), expected)


@pytest.mark.parametrize("margin", [0.0, 0.05, 0.3])
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_asymmetric_is_the_papers_formula(label: float, margin: float) -> None:
    p = LOGITS.double().sigmoid()
    m = (p - margin).clamp(min=0)
    expected = -((1 - p) ** 1.5 * p.log() if label else m**4 * (1 - m).log())
    found = asymmetric(LOGITS, torch.full_like(LOGITS, label), gamma_positive=1.5, gamma_negative=4.0, margin=margin)
    torch.testing.assert_close(found.double(), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("target", [0.0, 0.4, 1.0])
def test_without_their_parameters_all_are_binary_cross_entropy(target: float) -> None:
    targets = torch.full_like(LOGITS, target)
    expected = binary_cross_entropy_with_logits(LOGITS, targets, reduction="none")
    for loss in (
        bce,
        partial(focal, gamma=0.0, alpha=None),
        partial(asymmetric, gamma_positive=0.0, gamma_negative=0.0, margin=0.0),
        partial(class_balanced, weights_2P=torch.ones(2, 1)),
    ):
        torch.testing.assert_close(loss(LOGITS, targets), expected)


@every_loss
def test_a_soft_target_costs_what_its_votes_cost_on_average(loss: LabelLoss) -> None:
    votes = [1.0, 1.0, 0.0, 0.0, 0.0]
    hard = torch.stack([loss(LOGITS, torch.full_like(LOGITS, vote)) for vote in votes]).mean(0)
    torch.testing.assert_close(loss(LOGITS, torch.full_like(LOGITS, 0.4)), hard)


@every_loss
@pytest.mark.parametrize("target", [0.0, 0.01, 0.5, 1.0])
def test_extreme_logits_have_finite_losses_and_gradients(loss: LabelLoss, target: float) -> None:
    sizes = [0.0, 1e-6, 1.0, 30.0, 88.0, 104.0, 1e4, 1e30]
    logits = torch.tensor([[sign * size] for size in sizes for sign in (1, -1)])
    targets = torch.full_like(logits, target)
    assert loss(logits, targets).isfinite().all()
    assert (loss(logits, targets) >= 0).all()
    slopes = gradient(loss, logits, targets)
    assert slopes.isfinite().all()
    if target == 1:
        assert (slopes <= 0).all()


@every_loss
@settings(max_examples=30, deadline=None)
@given(z=st.floats(-12, 12), y=st.floats(0, 1))
def test_gradients_are_those_of_finite_differences(loss: LabelLoss, z: float, y: float) -> None:
    logit, target, step = torch.tensor([[z]]).double(), torch.tensor([[y]]).double(), 1e-6
    difference = (loss(logit + step, target) - loss(logit - step, target)) / (2 * step)
    torch.testing.assert_close(gradient(loss, logit, target), difference, atol=1e-4, rtol=1e-3)


def test_effective_numbers_are_those_of_the_paper() -> None:
    counts, beta = torch.tensor([[5000.0, 50.0], [50.0, 0.0]]), 0.999
    effective = [(1 - beta**n) / (1 - beta) for n in (5000, 50, 1)]
    expected = torch.tensor(
        [
            [2 / effective[0] / (1 / effective[0] + 1 / effective[1]), 2 / effective[1] / (1 / effective[1] + 1)],
            [2 / effective[1] / (1 / effective[0] + 1 / effective[1]), 2 / (1 / effective[1] + 1)],
        ]
    )
    torch.testing.assert_close(effective_number_weights(counts, beta=beta), expected)
    near_one = effective_number_weights(counts, beta=1 - 1e-9)
    torch.testing.assert_close(near_one[1, 0] / near_one[0, 0], torch.tensor(100.0), rtol=1e-3, atol=0)
