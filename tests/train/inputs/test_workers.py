"""Processes that decode: the batches are those of one process, and a death reads as a sentence."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from data.errors import InputError
from data.loading import Collate, ItemDataset, Sample
from data.preprocessing import Preprocessing
from train.inputs.workers import dead_workers_explained, worker_settings
from train.run import train


@pytest.fixture
def photos(tmp_path: Path) -> pl.DataFrame:
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    columns = {"item_id": [f"item {index}" for index in range(40)], "media": [[str(tmp_path / "a.png")]] * 40}
    return pl.DataFrame({**columns, "media_type": ["photo"] * 40}).with_columns(
        pl.lit(None, pl.String).alias(name) for name in ("caption", "ocr_text", "asr_text")
    )


def loader_of(items: pl.DataFrame) -> DataLoader[Sample]:
    preprocessing = Preprocessing(height=8, width=8)
    dataset = ItemDataset(items, np.zeros((len(items), 1), np.float32), preprocessing=preprocessing)
    settings = worker_settings(1, seed=0, pin_memory=False)
    return DataLoader(dataset, batch_size=2, collate_fn=Collate(None, preprocessing), **settings)


def test_a_killed_worker_is_said_in_a_sentence(photos: pl.DataFrame) -> None:
    before = set(multiprocessing.active_children())
    with (
        pytest.raises(InputError, match=r"a worker that loads data died \(.* lower optim.num_workers"),
        dead_workers_explained(),
    ):
        for _ in loader_of(photos):
            (worker,) = set(multiprocessing.active_children()) - before
            assert worker.pid is not None
            os.kill(worker.pid, signal.SIGKILL)


@pytest.mark.slow
def test_workers_change_nothing_but_the_time(
    arguments: Callable[..., dict[str, Any]], tmp_path: Path, split_folder: Path
) -> None:
    digests = []
    for num_workers in (0, 2):
        given = arguments("full", out=tmp_path / str(num_workers), trainer={"max_epochs": 2})
        given["optim"] = given["optim"].model_copy(update={"num_workers": num_workers})
        train(**given)
        digests.append((given["out"] / "metrics.json").read_bytes())
        weights = torch.load(given["out"] / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        digests.append({name: held.tolist() for name, held in weights.items()})
    assert digests[:2] == digests[2:]


def test_other_errors_are_left_alone() -> None:
    with pytest.raises(RuntimeError, match="a bug"), dead_workers_explained():
        raise RuntimeError("a bug")
