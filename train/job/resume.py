"""Whether a run starts afresh, goes on from where it was killed, or is refused because its folder is taken."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.errors import InputError
from data.files import existing_file
from train.job.checkpoint import read_checkpoint, record_of
from train.job.replacing import settle
from train.monitoring.loggers import LOGS, WANDB_RUN_ID

CHECKPOINTS, METRICS, CONFIG, TOKENIZER, QUARANTINE, THROUGHPUT = (
    "checkpoints",
    "metrics.json",
    "config.yaml",
    "tokenizer.json",
    "quarantine.json",
    "throughput.json",
)
LAST = f"{CHECKPOINTS}/last.ckpt"
# What a run writes.
WRITTEN = (METRICS, CONFIG, TOKENIZER, QUARANTINE, THROUGHPUT, WANDB_RUN_ID, CHECKPOINTS, LOGS)


@dataclass(frozen=True)
class Start:
    """Where a run goes on.

    Attributes:
        path: the checkpoint.
        place: epoch of the next batch, and its number within it, from 0.
        weights: names of those that it holds.
    """

    path: Path
    place: tuple[int, int]
    weights: frozenset[str]

    def path_holding(self, expected: frozenset[str]) -> Path:
        """The path; whoever loads it does so loosely, for frozen weights are absent: all others must be there."""
        assert self.weights == expected, "the checkpoint's record matches, its weights do not"
        return self.path


def starting_point(out: Path, *, fingerprint: str, ckpt_path: str | None, overwrite: bool) -> Start | None:
    """Where a run starts.

    Args:
        out: the run's folder.
        fingerprint: of the run that is to start, `RunRecord.fingerprint`.
        ckpt_path: "auto" continues an unfinished run in `out`; None never does; else the checkpoint to go on from.
        overwrite: what an earlier run left in `out` is to be replaced, by `train.job.replacing`.

    Returns:
        None to start afresh.

    Raises:
        InputError: `out` holds a finished run or one of another configuration or data, or the checkpoint does.
    """
    last = out / LAST
    given = None if ckpt_path in (None, "auto") else existing_file(str(ckpt_path))
    if overwrite and given is not None and given.resolve().is_relative_to(out.resolve()):
        raise InputError(f"ckpt_path={ckpt_path}: overwrite=true would delete it; copy it elsewhere first")
    if not overwrite and (out / METRICS).exists():
        raise InputError(f"{out}: holds a finished run; choose another out=, or overwrite=true")
    if not overwrite and ckpt_path is None and last.exists():
        raise InputError(f"{out}: holds an unfinished run; continue it with ckpt_path=auto, or overwrite=true")
    start = given or (last if last.exists() and not overwrite else None)
    if start is None:
        return None
    content = read_checkpoint(start)
    if record_of(content, start).fingerprint != fingerprint:
        raise InputError(
            f"{start}: comes from a run of another configuration or other data; "
            + ("choose another out=, or overwrite=true" if start == last else "give the settings it was trained with")
        )
    return Start(start, _place(content), frozenset(content["state_dict"]))


def settled(starting: Callable[[], Start | None], out: Path) -> Callable[[], Start | None]:
    """`starting`, once a replacement that was killed halfway has come to an end; for one process alone."""

    def begin() -> Start | None:
        settle(out, WRITTEN, out / LAST)
        return starting()

    return begin


def _place(content: dict[str, Any]) -> tuple[int, int]:
    """Epoch and batch that come next, by the progress that Lightning keeps in a checkpoint."""
    progress = content["loops"]["fit_loop"]
    epochs, batches = progress["epoch_progress"]["current"], progress["epoch_loop.batch_progress"]["current"]
    ended = epochs["processed"] == epochs["started"]
    return epochs["processed"], 0 if ended else batches["processed"]
