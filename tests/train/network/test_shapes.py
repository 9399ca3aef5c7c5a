"""Batches for a GPU are filled up to few sizes, and what fills them changes nothing."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import train.network.forward
from data.loading import Batch
from train.encoders.image import load_image_encoder
from train.encoders.text import load_text_encoder
from train.network.classifier import MultimodalClassifier
from train.network.forward import evidence_of
from train.network.shapes import filled_up, recurring


def test_few_numbers_recur_and_are_little_more() -> None:
    numbers = range(1, 1025)
    assert all(number <= recurring(number) < 1.25 * number for number in numbers)
    assert len({recurring(number) for number in numbers}) < 40


def test_rows_are_filled_up_away_from_the_cpu() -> None:
    rows = torch.arange(18).view(9, 2)
    assert filled_up(rows) is rows
    elsewhere = rows.to("meta")
    assert filled_up(elsewhere).shape == (10, 2)
    assert filled_up(elsewhere, 32).shape == (32, 2)


@pytest.mark.parametrize("seen", [5, 0])
def test_what_fills_a_batch_has_no_part_in_scores_and_gradients(
    seen: int, encoder_folder: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = MultimodalClassifier(
        encoders={
            "image": load_image_encoder(encoder_folder("vit")),
            "text": load_text_encoder(encoder_folder("bert"), layers=(-1,)),
        },
        dims={"image": 16, "text": 16},
        evidence=[frozenset(["visual", "text"])],
        width=8,
        num_heads=2,
    ).eval()
    with torch.no_grad():
        network.linear.weight.normal_()
    mask = torch.zeros(3, 3, dtype=torch.bool)
    mask.view(-1)[:seen] = True
    nothing: dict[str, Any] = {"frame_features": None, "log_mel": None, "audio_mask": None, "vectors": {}}
    batch = Batch(
        frames=torch.randint(0, 256, (3, 3, 3, 32, 32), dtype=torch.uint8),
        frame_mask=mask,
        frame_times=torch.zeros(3, 3),
        token_ids=torch.randint(4, 14, (3, 6)),
        token_mask=torch.ones(3, 6, dtype=torch.bool),
        present={"text": torch.tensor([True, False, seen > 0])},
        labels=torch.zeros(3, 1),
        p_violating=torch.zeros(3, 1),
        index=torch.arange(3),
        **nothing,
    )

    def scores_and_gradients() -> tuple[Tensor, list[Tensor]]:
        network.zero_grad()
        logits = network.fuse(evidence_of(batch, network))
        logits.sum().backward()
        return logits.detach(), [one.grad.clone() for one in network.parameters() if one.grad is not None]

    logits, gradients = scores_and_gradients()
    monkeypatch.setattr(train.network.forward, "filled_up", lambda rows: torch.cat([rows, rows[:1], rows[:1]]))
    filled_logits, filled_gradients = scores_and_gradients()
    torch.testing.assert_close(filled_logits, logits)
    torch.testing.assert_close(filled_gradients, gradients)
    assert len(gradients) == len(list(network.parameters()))
