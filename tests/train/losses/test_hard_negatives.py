from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.loading import ItemDataset
from data.policy import load_policies
from train.checkpoint import read_checkpoint
from train.losses.hard_negatives import KEY, hard_negative_weights
from train.losses.settings import BCE
from train.module import PolicyClassifier
from train.parts import read_split
from train.run import train

Arguments = Callable[..., dict[str, Any]]
NAN = float("nan")


def test_weights_follow_the_highest_harmless_score() -> None:
    logits = np.array([[0, 50], [-50, 0], [50, 50], [NAN, NAN], [0, 0]], dtype=np.float32)
    labels = np.array([[0, 0], [0, 0], [1, NAN], [0, 0], [0, 1]], dtype=np.float32)
    weights = hard_negative_weights(logits, labels, 4.0)
    np.testing.assert_allclose(weights, [5.0, 3.0, 1.0, 1.0, 3.0])
    np.testing.assert_array_equal(hard_negative_weights(logits, labels, 0.0), np.ones(5))


def drawn(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The items that training asks for, in order, from now on."""
    seen: list[int] = []
    get = ItemDataset.__getitem__

    def noted(self: ItemDataset, index: int) -> Any:
        if len(self) == 32:  # the training part
            seen.append(index)
        return get(self, index)

    monkeypatch.setattr(ItemDataset, "__getitem__", noted)
    return seen


def test_hard_negatives_are_drawn_more_often(arguments: Arguments, monkeypatch: pytest.MonkeyPatch) -> None:
    given = arguments(loss=BCE(hard_negatives=30.0))
    given["optim"] = given["optim"].model_copy(update={"learning_rate": 1e-9, "probe_strength": 0.0})
    seen = drawn(monkeypatch)
    train(**given)
    content = read_checkpoint(given["out"] / "checkpoints" / "last.ckpt")[KEY]
    labels = read_split(given["split"], load_policies(given["policies"])).train.labels
    expected = hard_negative_weights(content["logits"].numpy(), labels, 30.0)
    np.testing.assert_array_equal(content["weights"].numpy(), expected)
    # The probe reads each item once; then come three epochs of 32.
    first, *others = np.array(seen[-96:]).reshape(3, 32)
    assert sorted(first) == list(range(32))
    harmless = (labels == 0).any(1)
    assert np.bincount(np.concatenate(others), minlength=32)[harmless].mean() > 2.0


class StoppedError(RuntimeError):
    pass


def test_a_stopped_run_mines_like_one_that_was_not(
    arguments: Arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, stopped = (arguments(out=tmp_path / name, loss=BCE(hard_negatives=30.0)) for name in ("whole", "stopped"))
    with monkeypatch.context() as patch:
        expected = drawn(patch)
        train(**whole)
    compute = PolicyClassifier.training_step

    def dies(self: PolicyClassifier, batch: Any) -> Any:
        if self.global_step == 6:  # in the second of three epochs
            raise StoppedError
        return compute(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(PolicyClassifier, "training_step", dies)
        with pytest.raises(StoppedError):
            train(**stopped)
    found = drawn(monkeypatch)
    summary = train(**stopped)
    assert any("continued from" in line for line in summary.lines)
    assert found[-64:] == expected[-64:]
    first, second = (read_checkpoint(one["out"] / "checkpoints" / "last.ckpt") for one in (whole, stopped))
    for key, held in first["state_dict"].items():
        assert torch.equal(held, second["state_dict"][key]), key
    for key, held in first[KEY].items():
        assert torch.equal(held, second[KEY][key]), key
