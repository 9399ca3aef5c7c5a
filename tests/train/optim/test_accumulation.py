"""Steps over several batches have the gradients of one, however unevenly their labels are known."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from train.job.module import PolicyClassifier
from train.run import train
from train.settings import FusionSettings, OptimSettings

Arguments = Callable[..., dict[str, Any]]


def test_several_batches_have_the_gradients_of_one(
    arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To float32's rounding. In the data of the fixture one item of eight has no known label."""
    gradients: list[dict[str, Tensor]] = []
    before_step = PolicyClassifier.on_before_optimizer_step

    def watched(self: PolicyClassifier, optimizer: torch.optim.Optimizer) -> None:
        before_step(self, optimizer)
        gradients.append({name: one.grad.clone() for name, one in self.named_parameters() if one.grad is not None})

    monkeypatch.setattr(PolicyClassifier, "on_before_optimizer_step", watched)

    def steps(name: str, batch_size: int, accumulated: int) -> list[dict[str, Tensor]]:
        gradients.clear()
        without_chance = FusionSettings(width=16, num_heads=2, dropout=0.0, modality_dropout=0.0)
        train(
            **arguments(
                out=tmp_path / name,
                model=arguments()["model"].model_copy(update={"fusion": without_chance}),
                # Hardly moving, so that all steps can be compared.
                optim=OptimSettings(batch_size=batch_size, learning_rate=1e-12, probe_strength=0.0),
                trainer={"max_epochs": 1, "accumulate_grad_batches": accumulated},
            )
        )
        return list(gradients)

    whole, halves, thirds = steps("whole", 8, 1), steps("halves", 4, 2), steps("thirds", 4, 3)
    assert (len(whole), len(halves), len(thirds)) == (4, 4, 3)
    # The last of three steps has two batches alone, those of the last of four.
    for expected, found in [*zip(whole, halves, strict=True), (whole[-1], thirds[-1])]:
        assert set(expected) == set(found)
        assert expected["network.linear.weight"].abs().max() > 1e-2
        for name, gradient in expected.items():
            torch.testing.assert_close(found[name], gradient, atol=1e-6, rtol=1e-4)
