"""Averages and unfreezing on weights that FSDP2 has split, in a world of one process."""

from collections.abc import Iterator
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import distributed, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from train.optim.accumulation import AccumulatedLabels
from train.optim.averaging import TRAINED, WeightAverage
from train.optim.optimiser import ParameterGroup, adamw, with_empty_state
from train.optim.unfreezing import Frozen, drop_gradients

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


@pytest.fixture
def world() -> Iterator[None]:
    distributed.init_process_group("gloo", rank=0, world_size=1, store=distributed.HashStore())
    yield
    distributed.destroy_process_group()


def sharded() -> nn.Module:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    fully_shard(module, mesh=init_device_mesh("cpu", (1,)))
    return module


def stepped(module: nn.Module, optimizer: torch.optim.Optimizer, *, done: float) -> None:
    labels = AccumulatedLabels()
    for _ in range(2):
        labels.weigh(module(torch.ones(3, 4)).square().sum(), torch.tensor(3.0)).backward()
    labels.rescale(module.parameters(), num_batches=2)
    drop_gradients([Frozen(0.5, list(module.get_submodule("0").parameters()))], done=done)
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.usefixtures("world")
def test_a_stop_while_layers_are_frozen_changes_nothing() -> None:
    def started() -> tuple[nn.Module, torch.optim.AdamW]:
        module = sharded()
        optimizer = adamw([ParameterGroup("all", 0.1, 0.1, list(module.parameters()))])
        with_empty_state(optimizer)
        return module, optimizer

    module, optimizer = started()
    before = module.get_submodule("0").weight.full_tensor().clone()  # type: ignore[operator, union-attr]
    stepped(module, optimizer, done=0.0)
    assert torch.equal(module.get_submodule("0").weight.full_tensor(), before)  # type: ignore[operator, union-attr]
    again, resumed = started()
    again.load_state_dict(module.state_dict())
    state = deepcopy(get_optimizer_state_dict(module, optimizer, options=WHOLE))  # as through a file
    set_optimizer_state_dict(again, resumed, optim_state_dict=state, options=WHOLE)
    for one, its in ((module, optimizer), (again, resumed)):
        stepped(one, its, done=0.6)
    for weight, other in zip(module.parameters(), again.parameters(), strict=True):
        assert isinstance(weight, DTensor)
        assert isinstance(other, DTensor)
        assert torch.equal(weight.full_tensor(), other.full_tensor())


@pytest.mark.usefixtures("world")
def test_split_weights_are_averaged_stored_whole_and_read_back() -> None:
    module: Any = sharded()
    average = WeightAverage(0.9)
    trainer: Any = SimpleNamespace(global_step=0)
    average.on_train_start(trainer, module)
    start = get_model_state_dict(module, options=WHOLE)
    start = {name: held.clone() for name, held in start.items()}
    with torch.no_grad():
        for weight in module.parameters():
            weight.add_(1.0)
    trainer.global_step = 1
    average.on_train_batch_end(trainer, module)
    checkpoint: dict[str, Any] = {"state_dict": get_model_state_dict(module, options=WHOLE)}
    average.on_save_checkpoint(trainer, module, checkpoint)
    for name, held in checkpoint["state_dict"].items():
        decay = 2 / 11  # (1 + n) / (10 + n) after one step
        torch.testing.assert_close(held, start[name] + 1 - decay)
        torch.testing.assert_close(checkpoint[TRAINED][name], start[name] + 1)
    again: Any = sharded()
    with torch.no_grad():
        for name, weight in again.named_parameters():
            weight.copy_(average.averages[name])  # as Lightning loads the state
    read = WeightAverage(0.9)
    read.on_load_checkpoint(trainer, again, checkpoint)
    for name, weight in again.named_parameters():
        assert torch.equal(weight.full_tensor(), checkpoint[TRAINED][name])
        assert torch.equal(read.averages[name].full_tensor(), checkpoint["state_dict"][name])  # type: ignore[attr-defined]
