import csv
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch

from data.media import Frames
from train.monitoring import throughput
from train.run import train

Arguments = Callable[..., dict[str, Any]]
Stopped = Callable[[int], AbstractContextManager[None]]
STEPS = 12  # 32 items in batches of 8, three epochs


def report_of(given: dict[str, Any]) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((given["out"] / "throughput.json").read_text())
    return content


def logged_rows(given: dict[str, Any]) -> list[dict[str, str]]:
    (path,) = given["out"].rglob("metrics.csv")
    with path.open() as file:
        return list(csv.DictReader(file))


def test_all_steps_but_the_first_are_counted_and_said(arguments: Arguments) -> None:
    given = arguments()
    summary = train(**given)
    report = report_of(given)
    assert (report["first_step"], report["steps"], report["items"]) == (0, STEPS - 1, 8 * (STEPS - 1))
    assert report["share_decode"] + report["share_wait"] + report["share_compute"] == pytest.approx(1)
    assert report["share_decode"] == 0  # features are cached
    assert report["model_flops_utilisation"] is None  # no GPU
    (line,) = [line for line in summary.lines if line.startswith("throughput: ")]
    assert "items/s" in line
    table = summary.lines[summary.lines.index("train labels  violating      known    unknown") :][1:4]
    assert [row.split() for row in table] == [
        ["both", "8", "28", "4"],
        ["red", "16", "28", "4"],
        ["rude", "16", "28", "4"],
    ]


def test_figures_are_logged_every_n_steps_and_counts_once(arguments: Arguments) -> None:
    given = arguments(trainer={"log_every_n_steps": 4})
    given["logger"] = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(given["out"])}
    train(**given)
    rows = logged_rows(given)
    rates = [row for row in rows if row["throughput/items_per_second"]]
    assert [int(row["step"]) for row in rates] == [3, 7, 11]
    assert all(float(row["throughput/items_per_second"]) > 0 for row in rates)
    left = [float(row["throughput/seconds_left"]) for row in rates]
    assert left[0] > left[-1] == 0
    (counts,) = [row for row in rows if row["labels/red/known"]]
    assert (counts["labels/red/known"], counts["labels/red/violating"], counts["unreadable"]) == (
        "28.0",
        "16.0",
        "0.0",
    )


def test_decoding_is_measured_where_it_happens(arguments: Arguments, monkeypatch: pytest.MonkeyPatch) -> None:
    import data.loading

    decode = data.loading.load_frames

    def slow(*given: Any) -> Frames:
        time.sleep(0.01)
        return decode(*given)

    monkeypatch.setattr(data.loading, "load_frames", slow)
    given = arguments("full", trainer={"max_epochs": 1})
    train(**given)
    report = report_of(given)
    assert report["share_decode"] * report["steps"] / report["steps_per_second"] >= 0.01 * report["items"]
    assert report["share_wait"] < report["share_decode"]


def test_a_slow_loader_is_warned_about_and_a_fast_one_is_not(
    arguments: Arguments, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import data.loading

    monkeypatch.setattr(throughput, "WATCHED_STEPS", 5)
    monkeypatch.setattr(throughput, "STARVED_SHARE", 0.8)
    two_epochs = {"max_epochs": 2, "limit_val_batches": 1}
    given = arguments("full", out=tmp_path / "fast", trainer=two_epochs)
    train(**given)
    assert "waiting" not in capsys.readouterr().err
    decode = data.loading.load_frames

    def slow(*given: Any) -> Frames:
        time.sleep(0.04)
        return decode(*given)

    monkeypatch.setattr(data.loading, "load_frames", slow)
    monkeypatch.setattr(throughput, "STARVED_SHARE", 0.3)
    train(**arguments("full", out=tmp_path / "slow", trainer=two_epochs))
    (warning,) = [line for line in capsys.readouterr().err.splitlines() if "waiting" in line]
    assert "raise optim.num_workers (now 0" in warning


def test_a_resumed_run_counts_its_own_steps(arguments: Arguments, stopped_before: Stopped) -> None:
    given = arguments()
    with stopped_before(6):
        train(**given)
    assert not (given["out"] / "throughput.json").exists()
    train(**given)
    report = report_of(given)
    assert report["first_step"] in (4, 6)
    assert report["steps"] == STEPS - report["first_step"] - 1
    assert report["items"] == 8 * report["steps"]


def test_validation_is_neither_waiting_nor_computing(arguments: Arguments, monkeypatch: pytest.MonkeyPatch) -> None:
    from train.job.module import PolicyClassifier

    monkeypatch.setattr(PolicyClassifier, "on_validation_epoch_start", lambda self: time.sleep(1), raising=False)
    given = arguments(trainer={"max_epochs": 1, "val_check_interval": 2})
    train(**given)
    report = report_of(given)
    assert report["steps"] / report["steps_per_second"] < 1


def test_flops_of_a_step_are_those_of_its_products() -> None:
    from train.monitoring.flops import StepFlops, number_format, peak_flops

    layer = torch.nn.Linear(32, 16, bias=False)
    counter = StepFlops()
    counter.start()
    layer(torch.ones(8, 32)).sum().backward()
    assert counter.stop() == 2 * (2 * 8 * 32 * 16)  # forward, and the gradient of the weights
    torch.compiler.reset()
    assert peak_flops("NVIDIA H100 80GB HBM3", "half") == 989e12
    assert peak_flops("NVIDIA H100 PCIe", "half") == 756e12
    assert peak_flops("NVIDIA L40S", "half") == 362e12
    assert peak_flops("NVIDIA L4", "tf32") == 60e12
    assert peak_flops("Tesla V100-SXM2-16GB", "tf32") is None
    assert peak_flops("NVIDIA A10G", "half") is None
    assert [number_format(one) for one in ("bf16-mixed", "16-true", "32-true")] == ["half", "half", "fp32"]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_says_what_share_of_its_peak_is_used(arguments: Arguments, monkeypatch: pytest.MonkeyPatch) -> None:
    import train.monitoring.monitor

    monkeypatch.setattr(train.monitoring.monitor, "peak_flops", lambda name, number_format: 1e15)
    given = arguments("full", trainer={"accelerator": "gpu", "precision": "bf16-mixed"})
    train.run.train(**given)
    report = report_of(given)
    assert 0 < report["model_flops_utilisation"] < 1
    assert report["steps"] == STEPS - 2
