"""The README's pictures: taken of a page, small, all of those that the README shows."""

import re
import sys
from pathlib import Path

import pytest
from browser import CHROMIUM
from page_calibration import PageCalibration, write_page_calibration
from page_production import write_compared
from PIL import Image

from scripts import screenshots

PROJECT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> PageCalibration:
    if not Path(CHROMIUM).is_file():
        pytest.skip(f"no Chromium at {CHROMIUM}")
    return write_page_calibration(tmp_path_factory.mktemp("page"))


def test_the_readme_shows_what_the_script_takes(made: PageCalibration, tmp_path: Path) -> None:
    compared = write_compared(made, tmp_path)
    taken = screenshots.screenshots(compared.out, "fire", tmp_path / "pictures")
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
def test_what_is_not_on_the_page_is_said(made: PageCalibration, tmp_path: Path, capsys, policy_id, problem) -> None:
    sys_argv = ["screenshots", str(made.out), policy_id, "--out", str(tmp_path / "out")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", sys_argv)
        assert screenshots.main() == 2
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
