"""Every command of the README, word for word, in a fresh folder beside the real posts."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent.parent
README = (PROJECT / "README.md").read_text(encoding="utf-8")


def commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def test_the_two_commands_are_targets_of_the_makefile() -> None:
    makes = [command for command in commands() if command.startswith("make ")]
    assert makes == ["make demo", "make test"]
    for command in makes:
        subprocess.run([*command.split(), "--dry-run"], cwd=PROJECT, check=True, capture_output=True)


def test_the_python_example_runs() -> None:
    import numpy as np

    [example] = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    rng = np.random.default_rng(0)
    labels = rng.random(1000) < 0.3
    names = {"scores": rng.normal(labels * 4.0), "labels": labels.astype(float)}
    exec(example, names)  # the README's own words
    assert names["point"].status == "certified"  # type: ignore[attr-defined]


def test_commands_take_the_newest_of_several_releases(tmp_path: Path) -> None:
    """What stands for the release is one folder, and the one that was sealed last, whatever its name."""
    releases = tmp_path / "outputs/moderation_mini/releases"
    for age, name in enumerate(("bbb", "ccc", "aaa")):
        (releases / name).mkdir(parents=True)
        os.utime(releases / name, (1_000_000 - age, 1_000_000 - age))
    named = [
        part for line in commands() for part in re.findall(r"\$\([^)]*\)|\S*releases\S*", line) if "releases" in part
    ]
    assert len(named) >= 8
    for part in set(named):
        answer = subprocess.run(
            ["bash", "-c", f"echo {part}"], cwd=tmp_path, capture_output=True, text=True, check=True
        )
        assert answer.stdout.split() == ["outputs/moderation_mini/releases/bbb"], part


@contextmanager
def in_the_background(command: str, folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """A server of the README, stopped at the end."""
    with subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=folder, env=environment) as process:
        yield
        process.terminate()
        assert process.wait(60) == 0, command


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_command_runs_as_written(tmp_path: Path, moderation_mini: Path) -> None:
    (tmp_path / "shared").symlink_to(moderation_mini.parent.parent)
    workspace = tmp_path / "workspace"
    (workspace / "outputs").mkdir(parents=True)
    # Features are known by their content: what is computed here need not be computed again by the next run.
    (PROJECT / "outputs" / "cache").mkdir(parents=True, exist_ok=True)
    (workspace / "outputs" / "cache").symlink_to(PROJECT / "outputs" / "cache")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1"}
    with ExitStack() as servers:
        for command in commands():
            if command.startswith("make "):
                continue
            if command.endswith(" &"):
                servers.enter_context(in_the_background(command.removesuffix(" &"), workspace, environment))
                continue
            done = subprocess.run(
                ["bash", "-c", command], cwd=workspace, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    project = workspace / "outputs/moderation_mini"
    assert (project / "calibration/report/index.html").is_file()
    parity = json.loads((project / "model/reports/parity.json").read_text())  # of the packaged encoders
    assert parity["max_logit_difference"] < 1e-3
    assert parity["min_cosine"] > 0.999999
    assert {shape["batch"] for shape in parity["shapes"]} == {1, 2, 3, 7}
