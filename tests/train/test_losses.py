import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import binary_cross_entropy_with_logits

from train.losses import masked_bce

NAN = float("nan")


def test_known_value() -> None:
    logits = torch.tensor([[0.0, 5.0], [2.0, -1.0]])
    labels = torch.tensor([[1.0, NAN], [NAN, 0.0]])
    expected = binary_cross_entropy_with_logits(torch.tensor([0.0, -1.0]), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(masked_bce(logits, labels), expected)


def test_without_known_labels_loss_and_gradient_are_zero() -> None:
    logits = torch.randn(3, 2, requires_grad=True)
    loss = masked_bce(logits, torch.full((3, 2), NAN))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert torch.equal(logits.grad, torch.zeros(3, 2))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-50, 50), st.sampled_from([0.0, 1.0, NAN])), min_size=1, max_size=8))
def test_unknown_labels_change_nothing(cells: list[tuple[float, float]]) -> None:
    logits = torch.tensor([[value for value, _ in cells]], requires_grad=True)
    labels = torch.tensor([[label for _, label in cells]])
    known = ~labels.isnan()
    loss = masked_bce(logits, labels)
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert (logits.grad[~known] == 0).all()
    if known.any():
        torch.testing.assert_close(loss, binary_cross_entropy_with_logits(logits[known], labels[known]))
