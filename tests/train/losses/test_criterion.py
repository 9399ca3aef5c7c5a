import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from data.errors import InputError
from train.losses.criterion import Criterion
from train.losses.settings import BCE, AnyLoss, Asymmetric, ClassBalanced, Focal
from train.losses.unknowns import priors_of

NAN = float("nan")
LABELS = np.array([[1, 0], [0, NAN], [0, 1], [NAN, NAN]], dtype=np.float32)
SHARES = np.array([[0.8, 0.2], [0, 0.5], [0.4, 1], [NAN, NAN]], dtype=np.float32)
EVERY: list[AnyLoss] = [
    BCE(),
    Focal(name="focal"),
    Asymmetric(name="asymmetric"),
    ClassBalanced(name="class_balanced"),
]
every_loss = pytest.mark.parametrize("settings", EVERY, ids=[settings.name for settings in EVERY])  # type: ignore[attr-defined]


def criterion(settings: AnyLoss, priors: tuple[float, float] = (0.1, 0.2)) -> Criterion:
    return Criterion(settings, priors, LABELS, SHARES)


def mean_of(
    made: Criterion, logits: torch.Tensor, labels: torch.Tensor, shares: torch.Tensor | None = None
) -> torch.Tensor:
    summed = made(logits, labels, labels if shares is None else shares)
    return summed.mean(num_labels=summed.num_labels, world_size=1)


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().numpy().tobytes()


def test_a_known_value() -> None:
    logits = torch.tensor([[0.0, 5.0], [2.0, -1.0]])
    labels = torch.tensor([[1.0, NAN], [NAN, 0.0]])
    expected = binary_cross_entropy_with_logits(torch.tensor([0.0, -1.0]), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(mean_of(criterion(BCE()), logits, labels), expected)


@every_loss
@pytest.mark.parametrize("soft", [False, True])
def test_a_batch_without_known_labels_is_exactly_nothing(settings: AnyLoss, soft: bool) -> None:
    made = criterion(settings.model_copy(update={"soft_targets": soft}))
    logits = torch.tensor([[1e4, -1e4], [-3.0, NAN], [float("inf"), 0.5]], requires_grad=True)
    loss = mean_of(made, logits, torch.full((3, 2), NAN))
    loss.backward()
    assert bits(loss) == bits(torch.tensor(0.0))
    assert logits.grad is not None
    assert bits(logits.grad) == bits(torch.zeros(3, 2))


@every_loss
def test_an_item_without_known_labels_is_exactly_nothing(settings: AnyLoss) -> None:
    made = criterion(settings)
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(4, 2, generator=generator), torch.from_numpy(LABELS)
    whole, without = logits.clone().requires_grad_(), logits[:3].clone().requires_grad_()
    first, second = mean_of(made, whole, labels), mean_of(made, without, labels[:3])
    first.backward()
    second.backward()
    assert whole.grad is not None
    assert without.grad is not None
    assert bits(mean_of(made, torch.full((4, 2), NAN).where(labels.isnan(), logits), labels)) == bits(first)
    torch.testing.assert_close(first, second, rtol=1e-6, atol=0)  # sums of other lengths round otherwise
    assert bits(whole.grad[:3]) == bits(without.grad)
    assert bits(whole.grad[3]) == bits(torch.zeros(2))
    assert bits(whole.grad[1, 1]) == bits(torch.tensor(0.0))


@every_loss
def test_under_autocast_it_is_computed_in_float32(settings: AnyLoss) -> None:
    made, labels = criterion(settings), torch.from_numpy(LABELS)
    logits = torch.tensor([[1e4, -1e4], [-7.3, 2.0], [0.01, -12.0], [1.0, 1.0]]).bfloat16()
    plain = mean_of(made, logits.float(), labels)
    low = logits.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = mean_of(made, low, labels)
    found.backward()
    assert found.dtype == torch.float32
    assert bits(found) == bits(plain)
    assert low.grad is not None
    assert low.grad.isfinite().all()


@every_loss
def test_processes_that_know_different_numbers_of_labels_give_the_gradient_of_one(settings: AnyLoss) -> None:
    made, labels = criterion(settings), torch.from_numpy(LABELS)
    logits = torch.tensor([[0.3, -2.0], [1.0, 0.1], [-1.5, 2.0], [0.2, 0.4]])
    whole = logits.clone().requires_grad_()
    mean_of(made, whole, labels).backward()
    apart = logits.clone().requires_grad_()
    sums = [made(apart[rows], labels[rows], labels[rows]) for rows in (slice(0, 1), slice(1, 4))]
    total = sums[0].num_labels + sums[1].num_labels
    assert [float(one.num_labels) for one in sums] == [2.0, 3.0]
    for one in sums:
        one.mean(num_labels=total, world_size=2).backward()
    assert whole.grad is not None
    assert apart.grad is not None
    torch.testing.assert_close(apart.grad / 2, whole.grad)


def test_soft_targets_are_the_annotators_shares_and_ties_take_part() -> None:
    logits = torch.tensor([[0.3, -2.0], [1.0, 0.1], [-1.5, 2.0], [0.2, 0.4]])
    labels, shares = torch.from_numpy(LABELS), torch.from_numpy(SHARES)
    known = ~shares.isnan()
    expected = binary_cross_entropy_with_logits(logits[known], shares[known])
    torch.testing.assert_close(mean_of(criterion(BCE(soft_targets=True)), logits, labels, shares), expected)
    assert int(known.sum()) == int((~labels.isnan()).sum()) + 1


def test_unknown_labels_pull_weakly_towards_their_prior() -> None:
    made = criterion(BCE(unknown="negative_by_prior", unknown_weight=0.5))
    labels = torch.tensor([[1.0, NAN]])
    logits = torch.tensor([[0.0, 0.2]], requires_grad=True)
    mean_of(made, logits, labels).backward()
    assert logits.grad is not None
    # Of two labels that take part, the unknown one at half weight; its prior is 0.2.
    expected = [(0.5 - 1) / 2, 0.5 * (1 / (1 + np.exp(-0.2)) - 0.2) / 2]
    torch.testing.assert_close(logits.grad, torch.tensor([expected], dtype=torch.float32))
    at_prior = torch.tensor([[0.0, float(np.log(0.2 / 0.8))]], requires_grad=True)
    mean_of(made, at_prior, torch.full((1, 2), NAN)).backward()
    assert at_prior.grad is not None
    assert abs(float(at_prior.grad[0, 1])) < 1e-7


def test_what_was_assumed_is_counted() -> None:
    assert criterion(BCE()).summary() == []
    [line] = criterion(BCE(unknown="negative_by_prior")).summary()
    assert line.startswith("assumed: 3 unknown labels of the train part, violating at a prior of 0.1, 0.2, each")
    [line] = criterion(BCE(unknown="negative_by_prior", soft_targets=True)).summary()
    assert line.startswith("assumed: 2 unknown labels")


def test_class_balanced_counts_the_train_part() -> None:
    made = criterion(ClassBalanced(name="class_balanced", beta=0.9999))
    weights = made.class_weights
    torch.testing.assert_close(weights.sum(0), torch.full((2,), 2.0))
    torch.testing.assert_close(weights[1] / weights[0], torch.tensor([2.0, 1.0]), rtol=1e-3, atol=0)
    assert made.state_dict() == {}


def test_priors_by_policy_are_for_all_policies() -> None:
    by_policy = BCE(unknown="negative_by_prior", unknown_prior={"b": 0.2, "a": 0.1})
    assert priors_of(by_policy, ["a", "b"]) == [0.1, 0.2]
    assert priors_of(BCE(unknown_prior=0.3), ["a", "b"]) == [0.3, 0.3]
    with pytest.raises(
        InputError, match=r"loss.unknown_prior: expected a number, or one for each of a, c; found b, a"
    ):
        priors_of(by_policy, ["a", "c"])
