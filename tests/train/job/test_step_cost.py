"""What a step leaves out to be cheap changes nothing that is drawn or logged."""

import csv
from collections.abc import Callable
from typing import Any

import torch

from train.job.module import seed_device
from train.run import train


def test_seeding_the_device_draws_what_seeding_everything_draws() -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    seed_device(torch.device("cpu"), 7)
    assert torch.equal(torch.rand(3), expected)


def test_the_loss_is_logged_when_lightning_logs(arguments: Callable[..., dict[str, Any]]) -> None:
    given = arguments()
    given["trainer"] |= {"log_every_n_steps": 5}
    given["logger"] = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(given["out"])}
    train(**given)
    (logged,) = given["out"].rglob("metrics.csv")
    with logged.open() as file:
        steps = [int(row["step"]) for row in csv.DictReader(file) if row["train/loss"]]
    assert steps == [4, 9]  # of 12, 4 an epoch
