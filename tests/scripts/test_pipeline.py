"""The demo, small: the whole pipeline on generated posts, twice, must give the same bytes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COUNT = 420
CODE = "from scripts.cli import main; main()"


def run_demo(folder: Path, cache: Path) -> str:
    """Run `setpoint demo` in a folder of its own; both runs share the encoder's features to save time."""
    (folder / "outputs").mkdir(parents=True)
    (folder / "outputs/cache").symlink_to(cache)
    done = subprocess.run(
        [sys.executable, "-c", CODE, "demo", f"count={COUNT}"],
        cwd=folder,
        env={**os.environ, "WANDB_MODE": "offline"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def without_clock(path: Path) -> bytes:
    """A manifest, or a ledger of one line."""
    content = json.loads(path.read_text())
    clock = ("created_at", "digest", "at")
    return json.dumps({key: value for key, value in content.items() if key not in clock}).encode()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_demos_from_one_seed_give_one_release(tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    said = [run_demo(tmp_path / name, tmp_path / "cache") for name in ("one", "two")]
    for words in ("policy", "threshold", "lower bound", "recall", "certified", "report/index.html", "releases/"):
        assert words in said[0]
    lines = said[0].splitlines()
    for step in ("generating 420 posts", "train", "export", "calibrate", "verify"):  # said before it begins
        begun = next(place for place, line in enumerate(lines) if line.endswith(f"] {step} …"))
        assert f"] {step.partition(' ')[0]}:" in lines[begun + 1] or step.startswith("generating")
    first, second = (tmp_path / name / "outputs/demo" for name in ("one", "two"))
    [release] = (first / "releases").iterdir()
    assert (second / "releases" / release.name).is_dir(), "another release id from the same seed"
    for folder in ("calibration", "releases", "split", "scores"):
        files = sorted(path for path in (first / folder).rglob("*") if path.is_file())
        assert files
        for path in files:
            other = second / path.relative_to(first)
            if path.name in ("manifest.json", "looks.jsonl"):
                assert without_clock(path) == without_clock(other)
            else:
                assert path.read_bytes() == other.read_bytes(), path.relative_to(first)
