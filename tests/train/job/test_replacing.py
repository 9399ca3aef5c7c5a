"""A killed replacement loses neither run: whatever it was doing, one of the two is whole afterwards."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from train.job.replacing import forget, replacing, settle

NAMES = ("metrics.json", "config.yaml", "tokenizer.json", "checkpoints")
LAST = Path("checkpoints/last.ckpt")


def write_run(out: Path, text: str, *names: str) -> None:
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text(text)


def content(out: Path) -> dict[str, str]:
    return {str(path.relative_to(out)): path.read_text() for path in out.rglob("*") if path.is_file()}


OLD = {"metrics.json": "old", "config.yaml": "old", "checkpoints/last.ckpt": "old", "mine.txt": "old"}
NEW = {"config.yaml": "new", "tokenizer.json": "new", "checkpoints/last.ckpt": "new", "mine.txt": "old"}


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with a finished run, and a file that no run wrote."""
    write_run(tmp_path / "run", "old", *OLD)
    return tmp_path / "run"


def replace_it(out: Path) -> None:
    with replacing(out, NAMES, out / LAST):
        write_run(out, "new", "config.yaml", "tokenizer.json", "checkpoints/best.ckpt")
        (out / "checkpoints/best.ckpt").unlink()
        write_run(out, "new", "checkpoints/last.ckpt")
        forget(out)


def killed_at(count: int, work: Callable[[], None]) -> bool:
    """Do the work in a process that dies at the count-th change of a file; whether it got so far."""
    child = os.fork()
    if child == 0:
        done = 0

        def counted(change: Callable[..., Any]) -> Callable[..., Any]:
            def changed(*given: Any, **named: Any) -> Any:
                nonlocal done
                done += 1
                if done == count:
                    os._exit(9)
                return change(*given, **named)

            return changed

        for name in ("rename", "unlink", "rmdir", "write_text"):
            setattr(Path, name, counted(getattr(Path, name)))
        shutil.rmtree = counted(shutil.rmtree)  # type: ignore[assignment]
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_a_new_run_takes_the_place_of_the_old_one(out: Path) -> None:
    replace_it(out)
    assert content(out) == NEW


def test_a_run_that_fails_before_its_first_checkpoint_gives_the_old_one_back(out: Path) -> None:
    with pytest.raises(RuntimeError), replacing(out, NAMES, out / LAST):
        assert content(out).get("config.yaml") is None
        write_run(out, "new", "config.yaml", "tokenizer.json")
        raise RuntimeError
    assert content(out) == OLD


def test_a_folder_without_a_run_is_left_as_the_new_run_leaves_it(tmp_path: Path) -> None:
    with replacing(tmp_path, NAMES, tmp_path / LAST):
        write_run(tmp_path, "new", "config.yaml")
    assert content(tmp_path) == {"config.yaml": "new"}


def test_a_kill_at_any_change_leaves_one_whole_run(out: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    results = []
    for count in range(1, 100):
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(out, copy)
        if not killed_at(count, lambda: replace_it(copy)):
            break
        # The next start may be killed too, at any of its own changes.
        second = 1
        while killed_at(second, lambda: settle(copy, NAMES, copy / LAST)):
            second += 1
        results.append(content(copy))
    assert all(found in (OLD, NEW) for found in results)
    assert OLD in results
    assert NEW in results
    assert count < 99
