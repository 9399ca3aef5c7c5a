"""The verb as people type it."""

import pytest
import yaml

from calibrate.operating_points_file import load_operating_points
from scripts.cli import run


def typed(desk, *words: str) -> int:
    root = desk.calibration.parent
    places = [f"calibration={desk.calibration}", f"signatures={desk.signatures}", f"out={desk.out}"]
    return run(["sign", f"root={root}", *places, *words])


def test_two_people_sign(desk, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(desk, "by=Ada Lovelace", "rationale=It is right") == 0
    said = capsys.readouterr().out
    assert "still missing: one more signature, by another name, for fire, auto_remove" in said
    assert "signed/report/index.html" in said
    assert typed(desk, "by=Grace Hopper", "rationale=It is right") == 0
    assert "all signatures are there" in capsys.readouterr().out
    assert typed(desk, "by=Ada Lovelace", "rationale=It is right") == 2
    assert "a second signature needs another name" in capsys.readouterr().err


def test_a_choice_with_a_waiver(desk, tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    choice = desk.choice("Somebody Else", auto_remove=-3.0)
    file = tmp_path / "choice.yaml"
    file.write_text(yaml.safe_dump(choice.model_dump(mode="json", by_alias=True)))
    assert typed(desk, f"choice={file}", "by=Ada Lovelace") == 2
    assert 'waivers={fire.0: "why"}' in capsys.readouterr().err
    assert typed(desk, f"choice={file}", "by=Ada Lovelace", 'waivers={fire.0: "a day, no longer"}') == 0
    [signature] = load_operating_points(desk.out).policies[0].bands[0].signatures
    assert (signature.by, signature.waiver, signature.rationale) == (
        "Ada Lovelace",
        "a day, no longer",
        "It is right.",
    )


@pytest.mark.parametrize(("words", "missing"), [(["rationale=x"], "by"), (["by=Ada Lovelace"], "rationale")])
def test_both_name_and_reason_must_be_there(desk, capsys: pytest.CaptureFixture[str], words, missing) -> None:
    assert typed(desk, *words) == 2
    assert f'{missing}: None says nothing; give words, as in {missing}="…"' in capsys.readouterr().err


def test_no_calibration(desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.calibration = desk.calibration.parent / "calibration-of-nothing"
    assert typed(desk, "by=Ada", "rationale=x") == 2
    assert "no such folder" in capsys.readouterr().err
