import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from data.errors import InputError
from data.files import atomic_file, atomic_folder, existing_file, existing_folder, read_json, write_json

WRITER = """
import sys
from data.files import atomic_folder
while True:
    with atomic_folder(sys.argv[1]) as folder:
        for name in range(20):
            (folder / str(name)).write_bytes(b"x" * 10000)
    print("written", flush=True)
"""


def test_a_failing_block_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"old": 1})
    with pytest.raises(RuntimeError), atomic_file(tmp_path / "a.json") as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert read_json(tmp_path / "a.json") == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_not_a_number_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kill_after", [0.0, 0.01, 0.02, 0.05, 0.08, 0.13])
def test_a_killed_writer_leaves_a_whole_folder_and_the_next_one_cleans_up(tmp_path: Path, kill_after: float) -> None:
    target = tmp_path / "folder"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(target)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(kill_after)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with atomic_folder(target) as folder:
        (folder / "new").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    assert [path.name for path in target.iterdir()] == ["new"]


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    """/dev/full answers every write as a full disk does."""
    write_json(tmp_path / "a.json", {"old": 1})

    def write_to_full_disk() -> None:
        with atomic_file(tmp_path / "a.json") as temporary:
            temporary.unlink()
            temporary.symlink_to("/dev/full")
            temporary.write_text("new")

    with pytest.raises(OSError) as error:
        write_to_full_disk()
    assert error.value.errno == errno.ENOSPC
    assert read_json(tmp_path / "a.json") == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("train/checkpoints/best.ckpt", "`setpoint train` writes it"),
        ("split/golden/golden/1", "`setpoint split` writes it"),
        ("split/validation/items.parquet", "`setpoint split` writes it"),
        ("golden/mine/1", "`setpoint golden` writes it"),
        ("calibration/operating_points.json", "`setpoint calibrate` writes it"),
        ("mine.parquet", "no such file$"),
    ],
)
def test_who_misses_a_file_learns_where_it_comes_from(name: str, words: str, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        existing_file(name) if "." in Path(name).name else existing_folder(name)
