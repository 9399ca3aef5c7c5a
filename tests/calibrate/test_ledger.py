"""The ledger: what a look costs, that it is written before its result, and what becomes of a damaged file."""

import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from page_facts import page_facts

from calibrate.ledger import record_looks
from calibrate.looks import share_of
from calibrate.operating_points_file import load_operating_points
from calibrate.run import POINTS_FILE
from data.errors import InputError
from data.golden import LOOKS, load_golden


@pytest.fixture
def calibration(make_calibration):
    """Without a pilot to plan on, which takes time."""
    made = make_calibration()
    made.validation = None
    return made


def look(folder: Path, **digests: str) -> dict[str, int]:
    return record_looks(folder, digests, model_digest="ab", reuse=None)


def bands(calibration, policy: int = 0):
    return load_operating_points(calibration.out).policies[policy].bands


def test_all_looks_together_spend_delta_and_no_more() -> None:
    spent = [share_of(number) for number in range(1, 100_001)]
    assert math.fsum(spent) < 1
    assert math.fsum(spent) == pytest.approx(1, abs=1e-5)


def test_a_look_is_counted_once_and_by_policy(tmp_path: Path) -> None:
    assert look(tmp_path, fire="a", scam="a") == {"fire": 1, "scam": 1}
    assert look(tmp_path, fire="b") == {"fire": 2}
    assert look(tmp_path, fire="c", scam="b") == {"fire": 3, "scam": 2}
    content = (tmp_path / LOOKS).read_bytes()
    assert look(tmp_path, fire="a", scam="b") == {"fire": 1, "scam": 2}
    assert (tmp_path / LOOKS).read_bytes() == content
    assert [json.loads(line)["looks"] for line in content.splitlines()] == [
        {"fire": "a", "scam": "a"},
        {"fire": "b"},
        {"fire": "c", "scam": "b"},
    ]


def test_looks_at_the_same_time_get_different_numbers(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = pool.map(lambda digest: look(tmp_path, fire=str(digest))["fire"], range(40))
    assert sorted(numbers) == list(range(1, 41))


def test_a_line_that_was_cut_off_counts_as_a_look(tmp_path: Path) -> None:
    look(tmp_path, fire="a")
    with (tmp_path / LOOKS).open("ab") as file:
        file.write(b'{"schema": "setpoint/look/v1", "at": "2026-')
    assert look(tmp_path, fire="a") == {"fire": 1}
    assert look(tmp_path, fire="b", scam="b") == {"fire": 3, "scam": 2}
    assert look(tmp_path, fire="c") == {"fire": 4}
    assert len((tmp_path / LOOKS).read_text().splitlines()) == 4


def test_a_line_that_lacks_its_end_only_is_completed(tmp_path: Path) -> None:
    look(tmp_path, fire="a")
    (tmp_path / LOOKS).write_bytes((tmp_path / LOOKS).read_bytes().rstrip())
    assert look(tmp_path, fire="b") == {"fire": 2}
    assert look(tmp_path, fire="a") == {"fire": 1}
    assert len((tmp_path / LOOKS).read_text().splitlines()) == 2


@pytest.mark.parametrize("line", ["not json", "", '{"schema": "setpoint/look/v1"}', "[]"])
def test_a_line_that_is_no_look_is_refused(tmp_path: Path, line: str) -> None:
    look(tmp_path, fire="a")
    before = (tmp_path / LOOKS).read_text()
    (tmp_path / LOOKS).write_text(before + line + "\n" + before)
    with pytest.raises(InputError, match=r"looks\.jsonl, line 2.*restore it"):
        look(tmp_path, fire="b")


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch) -> None:
    look(tmp_path, fire="a")
    true_open = os.open

    def read_only(path, flags, *more):
        if flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied", str(path))
        return true_open(path, flags, *more)

    monkeypatch.setattr("calibrate.ledger.os.open", read_only)
    assert look(tmp_path, fire="a") == {"fire": 1}  # nothing to write
    for folder in (tmp_path, tmp_path / "other"):
        folder.mkdir(exist_ok=True)
        with pytest.raises(InputError, match=r"looks\.jsonl: cannot be written .*Make the folder writable, or copy"):
            look(folder, fire="b")


def test_a_full_disk_leaves_the_ledger_as_it_was(tmp_path: Path, monkeypatch) -> None:
    look(tmp_path, fire="a")
    before = (tmp_path / LOOKS).read_bytes()
    true_write = os.write
    monkeypatch.setattr("calibrate.ledger.os.write", lambda file, text: true_write(file, text[:20]))
    with pytest.raises(InputError, match="No space left"):
        look(tmp_path, fire="b")
    assert (tmp_path / LOOKS).read_bytes() == before


def test_the_verb_spends_confidence_by_look(calibration) -> None:
    calibration.run()
    first = bands(calibration)
    [line] = (calibration.golden / LOOKS).read_text().splitlines()
    assert set(json.loads(line)["looks"]) == {"fire", "scam"}
    assert load_golden(calibration.golden).digest == load_operating_points(calibration.out).golden_set.digest
    assert (first[0].look.number, first[0].look.spent) == (1, pytest.approx(0.05 * 6 / math.pi**2))
    assert (first[0].confidence, first[2].look) == (0.95, None)

    calibration.run(error_budget="all", slices="off")
    second = bands(calibration)
    assert second[0].look.spent == pytest.approx(0.05 / 3 * share_of(2))
    assert "look 2 at this golden set: tested at 1 - 0.05/3*6/(pi^2*4)" in second[0].method
    assert any("if no model, target or setting was chosen" in sentence for sentence in second[0].assumptions)
    assert second[0].threshold > first[0].threshold
    assert page_facts(calibration.out)["evidence"]["looks"] == "look 2"


def test_the_same_run_is_the_same_look_wherever_it_writes(calibration, tmp_path: Path) -> None:
    calibration.run()
    before = (calibration.golden / LOOKS).read_bytes()
    first = (calibration.out / POINTS_FILE).read_bytes()
    calibration.run(slices="off")
    calibration.out = tmp_path / "elsewhere"
    summary = calibration.run()
    assert (calibration.out / POINTS_FILE).read_bytes() == first
    assert (calibration.golden / LOOKS).read_bytes().startswith(before)
    assert "golden set: look 1" in summary.lines


def test_a_killed_run_has_looked(calibration, monkeypatch) -> None:
    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("calibrate.procedure.calibrate_policy", killed)
    with pytest.raises(KeyboardInterrupt):
        calibration.run()
    monkeypatch.undo()
    calibration.run(slices="off")
    assert bands(calibration)[0].look.number == 2
    calibration.run()
    assert bands(calibration)[0].look.number == 1


def test_nothing_is_looked_at_where_results_cannot_be_written(calibration) -> None:
    calibration.out = Path("/proc/nowhere/calibration")
    with pytest.raises(OSError, match="proc"):
        calibration.run()
    assert not (calibration.golden / LOOKS).exists()


def test_another_policy_or_action_costs_nothing(calibration) -> None:
    calibration.run()
    file = calibration.policies / "fire.yaml"
    file.write_text(file.read_text().replace("auto_remove", "restrict"))
    calibration.run()
    assert bands(calibration)[0].look.number == 1
    file.write_text(file.read_text().replace("target_precision: 0.9", "target_precision: 0.91"))
    calibration.run()
    assert [bands(calibration, policy)[0].look.number for policy in (0, 1)] == [2, 1]


def test_switched_off_in_writing(calibration) -> None:
    calibration.run(error_budget="all")
    calibration.run(reuse="a <drill> of the team")
    [band, *_] = bands(calibration)
    assert (band.look.number, band.look.spent, band.look.reuse) == (2, pytest.approx(0.05), "a <drill> of the team")
    assert any("switched off in these words: “a <drill> of the team”" in each for each in band.assumptions)
    assert page_facts(calibration.out)["evidence"]["reuse"] == "a <drill> of the team"
    assert json.loads((calibration.golden / LOOKS).read_text().splitlines()[1])["reuse"] == "a <drill> of the team"
    calibration.run(reuse="the same, in other words")
    assert bands(calibration)[0].look.number == 2
    with pytest.raises(InputError, match="reuse: empty"):
        calibration.run(reuse=" ")
