"""The README's pictures: taken of a page, small, all of those that the README shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser import need_chromium
from page_calibration import PageCalibration, write_page_calibration
from page_production import write_compared
from PIL import Image

PROJECT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PageCalibration:
    need_chromium()
    return write_page_calibration(tmp_path_factory.mktemp("page"))


def take(calibration: Path, policy_id: str, out: Path) -> subprocess.CompletedProcess[str]:
    """Run the script in a process of its own: another browser may be open in this one."""
    command = [sys.executable, "-m", "scripts.screenshots", str(calibration), policy_id, "--out", str(out)]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


def test_the_readme_shows_what_the_script_takes(made: PageCalibration, tmp_path: Path) -> None:
    compared = write_compared(made, tmp_path)
    done = take(compared.out, "fire", tmp_path / "pictures")
    assert done.returncode == 0, done.stderr
    taken = sorted((tmp_path / "pictures").iterdir())
    for path in taken:
        with Image.open(path) as image:
            assert image.width >= 600
            assert len(image.convert("RGB").getcolors(1 << 16) or []) > 4, f"{path.name} is empty"
    shown = re.findall(r"\(docs/screenshots/([a-z]+\.png)\)", (PROJECT / "README.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(path.name for path in taken)
    for name in shown:
        assert 0 < (PROJECT / "docs" / "screenshots" / name).stat().st_size < 100_000


@pytest.mark.parametrize(
    ("policy_id", "problem"),
    [("nobody", "no policy 'nobody' on it"), ("fire", "no comparison on it; calibrate with")],
)
def test_what_is_not_on_the_page_is_said(made: PageCalibration, tmp_path: Path, policy_id: str, problem: str) -> None:
    done = take(made.out, policy_id, tmp_path / "out")
    assert done.returncode == 2
    assert problem in done.stderr
    assert not (tmp_path / "out").exists()
