"""The moving average: what it is, that it is what is validated, kept and exported, and that resuming is exact."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor

from data.errors import InputError
from export.run import export
from train.inputs.parts import read_split
from train.job.checkpoint import load_checkpoint, read_checkpoint
from train.job.module import PolicyClassifier
from train.monitoring.evaluate import encode_like, logits_of
from train.optim.averaging import TRAINED, WeightAverage
from train.run import train
from train.settings import FusionSettings, ImageSettings, ModelSettings, OptimSettings, TextSettings

Arguments = Callable[..., dict[str, Any]]
Stopped = Callable[[int], AbstractContextManager[None]]
OPTIM = OptimSettings(batch_size=8, learning_rate=1e-2, encoder_learning_rate=1e-3, ema_decay=0.9, probe_strength=0.1)


def checkpoint(arguments: dict[str, Any], name: str = "last") -> dict[str, Any]:
    return read_checkpoint(arguments["out"] / "checkpoints" / f"{name}.ckpt")


def test_the_average_forgets_by_its_decay(arguments: Arguments, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the definition, step by step in float64."""
    expected: dict[str, Tensor] = {}
    average = WeightAverage.on_train_batch_end

    def followed(self: WeightAverage, trainer: Any, module: Any, *rest: Any) -> None:
        decay = min(0.9, (1 + trainer.global_step) / (10 + trainer.global_step))
        for name, weight in module.named_parameters():
            if weight.requires_grad:
                expected[name] = decay * expected[name] + (1 - decay) * weight.detach().double()
        average(self, trainer, module, *rest)

    def starts(self: PolicyClassifier) -> None:
        expected.update({name: weight.detach().double() for name, weight in self.named_parameters()})

    monkeypatch.setattr(WeightAverage, "on_train_batch_end", followed)
    monkeypatch.setattr(PolicyClassifier, "on_train_start", starts)
    given = arguments(optim=OPTIM)
    train(**given)
    content = checkpoint(given)
    assert set(content[TRAINED]) == {name for name in expected if "_encoder." not in name}
    assert any(not torch.equal(content[TRAINED][name], content["state_dict"][name]) for name in content[TRAINED])
    for name in content[TRAINED]:
        torch.testing.assert_close(content["state_dict"][name].double(), expected[name], atol=1e-6, rtol=1e-5)


def test_what_is_validated_is_what_is_kept_and_exported(
    arguments: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    validated: list[Tensor] = []
    step = PolicyClassifier.validation_step

    def watched(self: PolicyClassifier, batch: Any) -> None:
        validated.append(self.network.linear.weight.detach().clone())
        step(self, batch)

    monkeypatch.setattr(PolicyClassifier, "validation_step", watched)
    given = arguments(optim=OPTIM, trainer={"max_epochs": 1})
    train(**given)
    exported = load_checkpoint(given["out"] / "checkpoints" / "best.ckpt").network.linear.weight
    assert validated
    assert all(torch.equal(weight, exported) for weight in validated)
    assert not torch.equal(checkpoint(given, "best")[TRAINED]["network.linear.weight"], exported)


def test_a_stopped_run_with_everything_on_ends_like_one_that_was_not(
    arguments: Arguments, encoder_folder: Callable[[str], str], tmp_path: Path, stopped_before: Stopped
) -> None:
    """Averages, adapters, lower rates below, unfreezing, clipping, accumulation: the same bits."""
    shared: dict[str, Any] = {"tune": "lora", "unfreeze_over": 0.8, "layer_decay": 0.5}
    model = ModelSettings(
        image=ImageSettings(source=encoder_folder("vit"), **shared),
        text=TextSettings(source=encoder_folder("bert"), **shared),
        fusion=FusionSettings(width=16, num_heads=2),
    )
    shared = {
        "model": model,
        "optim": OPTIM,
        "trainer": {"max_epochs": 3, "gradient_clip_val": 1.0, "accumulate_grad_batches": 2},
    }
    whole = arguments(**shared, out=tmp_path / "whole")
    stopped = arguments(**shared, out=tmp_path / "stopped")
    train(**whole)
    with stopped_before(3):  # in the second of three epochs
        train(**stopped)
    assert any("continued from" in line for line in train(**stopped).lines)
    for name in ("best", "last"):
        first, second = checkpoint(whole, name), checkpoint(stopped, name)
        for part in ("state_dict", TRAINED):
            assert set(first[part]) == set(second[part])
            for key, held in first[part].items():
                assert torch.equal(held, second[part][key]), key
        moments = [one["optimizer_states"][0]["state"] for one in (first, second)]
        assert moments[0].keys() == moments[1].keys()
        for key, state in moments[0].items():
            assert all(torch.equal(held, moments[1][key][each]) for each, held in state.items())
    assert (whole["out"] / "metrics.json").read_bytes() == (stopped["out"] / "metrics.json").read_bytes()
    names = set(checkpoint(whole)[TRAINED])
    assert any("lora_A" in name for name in names)
    assert not any("base_layer" in name for name in names)


def test_a_strategy_that_flattens_weights_is_refused() -> None:
    given: Any = SimpleNamespace(strategy=FSDPStrategy())
    with pytest.raises(InputError, match="FSDPStrategy flattens the weights; use DDP or FSDP2"):
        WeightAverage(0.9).setup(given, None, "fit")


@pytest.mark.slow
def test_a_run_with_adapters_and_averages_exports_what_it_validated(
    arguments: Arguments, encoder_folder: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logits in training, after merging, and of the ONNX, in whose graph no adapter is left."""
    seen: list[Tensor] = []
    logits = PolicyClassifier.logits

    def watched(self: PolicyClassifier, batch: Any) -> Tensor:
        found = logits(self, batch)
        if not self.training:
            seen.append(found.detach().clone())
        return found

    monkeypatch.setattr(PolicyClassifier, "logits", watched)
    model = ModelSettings(
        image=ImageSettings(source=encoder_folder("vit"), tune="lora"),
        text=TextSettings(source=encoder_folder("bert"), tune="lora"),
        fusion=FusionSettings(width=16, num_heads=2),
    )
    given = arguments(model=model, optim=OPTIM, trainer={"max_epochs": 1})
    train(**given)
    best = given["out"] / "checkpoints" / "best.ckpt"
    trained = load_checkpoint(best)
    part = read_split(given["split"], trained.policies).validation
    merged_NP = logits_of(trained, part.items, encode_like(trained, part.items, tmp_path / "features"))
    torch.testing.assert_close(torch.from_numpy(merged_NP), torch.cat(seen), atol=1e-5, rtol=1e-5)
    summary = export(checkpoint=best, split=given["split"], out=tmp_path / "model", parity_items=4)
    assert summary.ok
    assert b"lora" not in (tmp_path / "model" / "onnx" / "fp32" / "model.onnx").read_bytes()
