"""A run that replaces another one: the old run is moved aside, and deleted when the new one has its first checkpoint.

A new run that ends before that, in whichever way, gives the old one back: at once where it fails, at the next start
where it was killed. The old run is moved name by name into MOVING, which is then renamed to REPLACED: what stands in
MOVING has nothing new beside it, what stands in REPLACED may have.
"""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from data.files import TEMPORARY_PREFIX

MOVING, REPLACED = f"{TEMPORARY_PREFIX}moving", f"{TEMPORARY_PREFIX}replaced"


@contextmanager
def replacing(out: Path, names: Sequence[str], first_checkpoint: Path) -> Iterator[None]:
    """Move what an earlier run left in `out` aside, and put it back if the block fails before the first checkpoint.

    Args:
        out: the run's folder.
        names: of files and folders in it that a run writes; all others are left alone.
        first_checkpoint: the file whose existence says that the new run can go on by itself.
    """
    settle(out, names, first_checkpoint)
    _move(out, out / MOVING, names)
    if (out / MOVING).exists():
        (out / MOVING).rename(out / REPLACED)
    try:
        yield
    finally:
        settle(out, names, first_checkpoint)


def settle(out: Path, names: Sequence[str], first_checkpoint: Path) -> None:
    """End a replacement that was left halfway: delete the old run if the new one has a checkpoint, else put it back.

    Args:
        out: as of `replacing`.
        names: as of `replacing`.
        first_checkpoint: as of `replacing`.
    """
    if (out / REPLACED).exists():
        if first_checkpoint.exists():
            forget(out)
        else:
            _remove(out, names)
            (out / REPLACED).rename(out / MOVING)
    if (out / MOVING).exists():
        _move(out / MOVING, out, names)
        (out / MOVING).rmdir()


def forget(out: Path) -> None:
    """Delete the run that was moved aside, if any."""
    shutil.rmtree(out / REPLACED, ignore_errors=True)


def _move(source: Path, target: Path, names: Sequence[str]) -> None:
    found = [name for name in names if (source / name).exists()]
    if found:
        target.mkdir(parents=True, exist_ok=True)
    for name in found:
        (source / name).rename(target / name)


def _remove(out: Path, names: Sequence[str]) -> None:
    for name in names:
        if (out / name).is_dir():
            shutil.rmtree(out / name)
        else:
            (out / name).unlink(missing_ok=True)
