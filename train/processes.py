"""What several processes of one run agree on."""

import torch
from lightning import Trainer


def largest(trainer: Trainer, value: int) -> int:
    """The largest of the values that the processes hold, on all of them alike."""
    if trainer.world_size == 1:
        return value
    held = torch.tensor(value, device=trainer.strategy.root_device)
    return int(trainer.strategy.reduce(held, reduce_op="max"))
