import json
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch

from data.errors import InputError
from data.files import sha256_of_file
from data.loading import Collate, ItemDataset
from train.inputs.parts import read_split
from train.job.checkpoint import load_checkpoint, read_checkpoint
from train.run import train

Arguments = Callable[..., dict[str, Any]]
Stopped = Callable[[int], AbstractContextManager[None]]


def checkpoint(arguments: dict[str, Any], name: str = "last") -> Path:
    path: Path = arguments["out"] / "checkpoints" / f"{name}.ckpt"
    return path


def test_it_learns_what_the_policies_say(arguments: Arguments) -> None:
    given = arguments()
    summary = train(**given)
    assert summary.ok
    metrics = json.loads((given["out"] / "metrics.json").read_text())["validation"]
    assert metrics["red"]["auc"] == 1.0
    assert metrics["both"]["auc"] > 0.9
    assert {path.name for path in given["out"].iterdir()} == {
        "checkpoints",
        "config.yaml",
        "metrics.json",
        "quarantine.json",
        "throughput.json",
        "tokenizer.json",
    }


@pytest.mark.parametrize("tune", ["frozen", "full"])
def test_a_checkpoint_gives_the_network_back(arguments: Arguments, tune: str) -> None:
    given = arguments(tune)
    given["trainer"]["max_epochs"] = 1
    train(**given)
    content = read_checkpoint(checkpoint(given))
    stored = [name for name in content["state_dict"] if "_encoder." in name]
    assert bool(stored) == (tune == "full")
    trained = load_checkpoint(checkpoint(given))
    assert trained.policy_ids == ["both", "red", "rude"]
    assert not trained.network.training
    for name, held in content["state_dict"].items():
        assert torch.equal(trained.network.state_dict()[name.removeprefix("network.")], held)
    assert str(given["out"]) not in repr({name: held for name, held in content.items() if name != "state_dict"})


def test_cached_features_give_the_logits_of_pixels_and_tokens(arguments: Arguments) -> None:
    """What was trained on the cache is what serves from files."""
    from train.monitoring.evaluate import encode_like, logits_of

    given = arguments()
    train(**given)
    trained = load_checkpoint(checkpoint(given))
    part = read_split(given["split"], trained.policies).validation
    cached = logits_of(trained, part.items, encode_like(trained, part.items, given["cache_dir"]))
    dataset = ItemDataset(part.items, part.labels, preprocessing=trained.preprocessing)
    batch = Collate(trained.tokenizer, trained.preprocessing)([dataset[index] for index in range(len(dataset))])
    with torch.inference_mode():
        logits = trained.network(batch.frames, batch.frame_mask, batch.frame_times, batch.token_ids, batch.token_mask)
    torch.testing.assert_close(torch.from_numpy(cached), logits, atol=1e-4, rtol=1e-4)


def test_one_seed_gives_the_same_bytes(arguments: Arguments, tmp_path: Path) -> None:
    first, second, third = (
        arguments(out=tmp_path / name, cache_dir=tmp_path / f"cache {name}", seed=seed)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    for given in (first, second, third):
        train(**given)
    for name in ("best", "last"):
        assert sha256_of_file(checkpoint(first, name)) == sha256_of_file(checkpoint(second, name))
        assert sha256_of_file(checkpoint(first, name)) != sha256_of_file(checkpoint(third, name))
    for name in ("metrics.json", "config.yaml", "quarantine.json"):
        assert (first["out"] / name).read_bytes() == (second["out"] / name).read_bytes()


@pytest.mark.parametrize("tune", ["frozen", "full"])
def test_a_stopped_run_ends_like_one_that_was_not(
    arguments: Arguments, tmp_path: Path, stopped_before: Stopped, tune: str
) -> None:
    whole, stopped = arguments(tune, out=tmp_path / "whole"), arguments(tune, out=tmp_path / "stopped")
    train(**whole)
    with stopped_before(6):  # in the second of three epochs
        train(**stopped)
    summary = train(**stopped)
    assert any("continued from" in line for line in summary.lines)
    for name in ("best", "last"):
        first, second = read_checkpoint(checkpoint(whole, name)), read_checkpoint(checkpoint(stopped, name))
        for key, held in first["state_dict"].items():
            assert torch.equal(held, second["state_dict"][key]), key
    assert (whole["out"] / "metrics.json").read_bytes() == (stopped["out"] / "metrics.json").read_bytes()


def test_a_folder_that_is_taken_is_refused(arguments: Arguments) -> None:
    given = arguments()
    train(**given)
    with pytest.raises(InputError, match="holds a finished run"):
        train(**given)
    (given["out"] / "metrics.json").unlink()
    with pytest.raises(InputError, match="another configuration"):
        train(**{**given, "seed": 7})
    with pytest.raises(InputError, match="unfinished run"):
        train(**{**given, "ckpt_path": None})
    keep = given["out"] / "mine.txt"
    keep.write_text("not of this run")
    train(**{**given, "seed": 7, "overwrite": True})
    assert keep.exists()


def test_a_run_that_is_to_be_replaced_stays_until_the_new_one_has_a_checkpoint(
    arguments: Arguments, stopped_before: Callable[[int], AbstractContextManager[None]]
) -> None:
    given = arguments()
    train(**given)
    before = {path: path.read_bytes() for path in given["out"].rglob("*") if path.is_file()}
    again = {**given, "seed": 7, "overwrite": True}
    with stopped_before(1):
        train(**again)
    assert {path: path.read_bytes() for path in given["out"].rglob("*") if path.is_file()} == before
    train(**{**again, "trainer": {**given["trainer"], "fast_dev_run": True}})  # keeps nothing, so replaces nothing
    assert {path: path.read_bytes() for path in given["out"].rglob("*") if path.is_file()} == before
    with stopped_before(5):  # an epoch of 4 steps has its checkpoint
        train(**again)
    assert not (given["out"] / "metrics.json").exists()
    assert not list(given["out"].glob(".setpoint-tmp-*"))
    assert "continued from" in " ".join(train(**{**again, "overwrite": False}).lines)


def test_a_truncated_checkpoint_is_refused(arguments: Arguments, tmp_path: Path) -> None:
    given = arguments()
    train(**given)
    content = checkpoint(given).read_bytes()
    foreign = tmp_path / "foreign.ckpt"
    torch.save({"state_dict": {}}, foreign)
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    with pytest.raises(InputError, match="not a checkpoint of"):
        load_checkpoint(foreign)
    with pytest.raises(InputError, match="not a whole checkpoint"):
        load_checkpoint(tmp_path / "text.ckpt")
    with pytest.raises(InputError, match="no such file"):
        load_checkpoint(tmp_path / "none.ckpt")
    (given["out"] / "metrics.json").unlink()
    for size in (0, 10, len(content) // 2, len(content) - 1):
        checkpoint(given).write_bytes(content[:size])
        with pytest.raises(InputError, match="not a whole checkpoint"):
            load_checkpoint(checkpoint(given))
        with pytest.raises(InputError, match="not a whole checkpoint"):
            train(**given)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "was here"),)

    torch.save({"setpoint": Evil(), "state_dict": {}}, tmp_path / "evil.ckpt")
    with pytest.raises(InputError):
        load_checkpoint(tmp_path / "evil.ckpt")
    assert not (tmp_path / "was here").exists()


def test_other_weights_at_a_frozen_source_are_refused(arguments: Arguments, tmp_path: Path) -> None:
    from transformers import AutoModel

    given = arguments()
    source = tmp_path / "encoder"
    shutil.copytree(given["model"].text.source, source)
    given["model"] = given["model"].model_copy(
        update={"text": given["model"].text.model_copy(update={"source": str(source)})}
    )
    train(**given)
    load_checkpoint(checkpoint(given))
    model = AutoModel.from_pretrained(source)
    with torch.no_grad():
        next(model.parameters()).add_(1e-3)
    model.save_pretrained(source)
    with pytest.raises(InputError, match="other weights"):
        load_checkpoint(checkpoint(given))


def test_unreadable_posts_are_left_out_up_to_a_limit(
    arguments: Arguments, split_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(split_folder, tmp_path / "split")
    (tmp_path / "split" / "train" / "media" / "3.png").write_bytes(b"broken")
    given = arguments(split=tmp_path / "split")
    summary = train(**given)
    assert "1 quarantined" in summary.title
    assert json.loads((given["out"] / "quarantine.json").read_text())["items"] == [
        {"part": "train", "item_id": "train03", "reason": "not a photo of a known format"}
    ]
    with pytest.raises(InputError, match="1 of 48 items cannot be read"):
        train(**{**given, "overwrite": True, "max_unreadable_fraction": 0.01})


def test_wrong_trainer_settings_are_said_before_work(arguments: Arguments, tmp_path: Path) -> None:
    for changes, words in (
        ({"max_epoch": 3}, "max_epoch: unknown key; did you mean 'max_epochs'"),
        ({"precision": "fp7"}, "fp7"),
        ({"max_epochs": 0}, r"trainer\.max_epochs = 0: nothing would be trained; expected at least 1"),
        ({"max_steps": 0}, r"trainer\.max_steps = 0: nothing would be trained"),
        ({"limit_train_batches": 0.0}, r"trainer\.limit_train_batches = 0\.0: nothing would be trained"),
        *([] if torch.cuda.is_available() else [({"accelerator": "gpu"}, "no CUDA device here; use trainer=cpu")]),
    ):
        with pytest.raises(InputError, match=words):
            train(**arguments(trainer=changes, split=tmp_path / "not looked at"))


def test_a_text_policy_needs_a_text_encoder(arguments: Arguments) -> None:
    given = arguments()
    given["model"] = given["model"].model_copy(update={"text": None})
    with pytest.raises(InputError, match="policy rude: its evidence is text, and the model reads visual only"):
        train(**given)


def test_fast_dev_run_keeps_nothing(arguments: Arguments) -> None:
    given = arguments(trainer={"fast_dev_run": True})
    assert "nothing was kept" in train(**given).title
    assert not given["out"].exists() or not list(given["out"].iterdir())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("tune", ["frozen", "full"])
def test_it_trains_in_bfloat16_on_a_gpu(arguments: Arguments, tune: str) -> None:
    given = arguments(tune, trainer={"accelerator": "gpu", "precision": "bf16-mixed"})
    train(**given)
    trained = load_checkpoint(checkpoint(given))
    assert all(weight.dtype == torch.float32 for weight in trained.network.parameters())
