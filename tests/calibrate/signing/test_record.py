"""The record of signatures: a chain that only grows, whatever happens to those who write it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from calibrate.operating_points_file import load_operating_points
from calibrate.signing.record import digest_of, locked_record
from data.errors import InputError
from data.files import read_json, write_json

SIGN = """
import sys
from pathlib import Path
from calibrate.signing.sign import sign
root = Path(sys.argv[1])
sign(calibration=root / "calibration", signatures=root / "signatures.jsonl", out=root / "signed", by=sys.argv[2],
     rationale="It is right.")
"""


def start(desk, name: str) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", SIGN, str(desk.calibration.parent), name], stderr=subprocess.PIPE)


def names(folder: Path) -> list[str]:
    return [each.by for each in load_operating_points(folder).policies[0].bands[0].signatures]


def test_a_line_says_who_signed_what(desk) -> None:
    desk.sign("Ada Lovelace")
    desk.sign("Grace Hopper")
    first, second = desk.signatures.read_bytes().splitlines()
    line = json.loads(second)
    assert line["previous"] == digest_of(first)
    assert (line["by"], line["rationale"], line["waivers"]) == ("Grace Hopper", "It is right.", {})
    assert [each["threshold"] for each in line["thresholds"]] == [
        band.threshold for policy in desk.points.policies for band in policy.bands
    ]
    held = load_operating_points(desk.out).policies[0].bands[0].signatures
    assert [each.line for each in held] == [digest_of(first), digest_of(second)]


def test_signers_at_once_lose_nothing(desk) -> None:
    people = ["Ada Lovelace", "Grace Hopper", "Emmy Noether"]
    running = [start(desk, name) for name in people]
    for process in running:
        _, said = process.communicate(timeout=120)
        assert process.returncode == 0, said.decode()
    with locked_record(desk.signatures) as record:
        assert sorted(line.by for line, _ in record.lines) == sorted(people)
    assert sorted(names(desk.out)) == sorted(people)


def test_an_edited_line_is_found(desk) -> None:
    desk.sign("Ada Lovelace")
    desk.sign("Grace Hopper")
    desk.signatures.write_text(desk.signatures.read_text().replace("Ada Lovelace", "Eva Lovelace"))
    with pytest.raises(InputError, match=r"line 2, previous.*edited, added or taken out"):
        desk.sign("Emmy Noether")


@pytest.mark.parametrize("kept", [0, 1])
def test_a_last_line_that_was_edited_or_taken_out_is_found_by_the_signed_folder(desk, kept) -> None:
    desk.sign("Ada Lovelace")
    text = desk.signatures.read_text()
    desk.signatures.write_text(text.replace("Ada", "Eva") if kept else "")
    with pytest.raises(InputError, match=r"lacks a signature that .*signed holds"):
        desk.sign("Emmy Noether")


def test_a_line_that_is_no_signature(desk) -> None:
    desk.signatures.write_text('{"schema": "setpoint/look/v1"}\n')
    with pytest.raises(InputError, match=r"line 1.*not a signature"):
        desk.sign()


def test_a_line_cut_off_signed_nothing_and_is_written_over(desk) -> None:
    desk.sign("Ada Lovelace")
    whole = desk.signatures.read_bytes()
    desk.signatures.write_bytes(whole + whole[:100])
    desk.sign("Grace Hopper")
    assert desk.signatures.read_bytes().startswith(whole)
    assert names(desk.out) == ["Ada Lovelace", "Grace Hopper"]
    assert len(desk.signatures.read_bytes().splitlines()) == 2


def test_a_line_that_lacks_its_end_counts(desk) -> None:
    desk.sign("Ada Lovelace")
    desk.signatures.write_bytes(desk.signatures.read_bytes().rstrip(b"\n"))
    desk.sign("Grace Hopper")
    assert names(desk.out) == ["Ada Lovelace", "Grace Hopper"]


def test_whoever_was_killed_before_the_folder_stood_signs_again(desk, monkeypatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("calibrate.signing.sign.write_signed", killed)
    with pytest.raises(KeyboardInterrupt):
        desk.sign("Ada Lovelace")
    monkeypatch.undo()
    line = desk.signatures.read_bytes()
    assert not desk.out.exists()
    result = desk.sign("Ada Lovelace")
    assert "had signed already" in result.title
    assert desk.signatures.read_bytes() == line
    assert names(desk.out) == ["Ada Lovelace"]


@pytest.mark.parametrize("after", [3.0, 3.5, 4.0])
def test_a_signer_that_is_killed_leaves_no_half(desk, after) -> None:
    process = start(desk, "Ada Lovelace")
    try:
        process.wait(after)
    except subprocess.TimeoutExpired:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    if process.stderr:
        process.stderr.close()
    if desk.out.exists():
        assert names(desk.out) == ["Ada Lovelace"]
    desk.sign("Grace Hopper")
    assert names(desk.out)[-1] == "Grace Hopper"


def test_a_full_disk_signs_nothing(desk, monkeypatch) -> None:
    desk.sign("Ada Lovelace")
    before, true_write = desk.signatures.read_bytes(), os.write
    monkeypatch.setattr("calibrate.appending.os.write", lambda file, text: true_write(file, text[:20]))
    with pytest.raises(InputError, match="nothing was signed"):
        desk.sign("Grace Hopper")
    monkeypatch.undo()
    assert desk.signatures.read_bytes() == before
    assert names(desk.out) == ["Ada Lovelace"]


def test_an_expired_golden_set(desk) -> None:
    content = read_json(desk.calibration / "operating_points.json")
    content["golden_set"]["expires_at"] = "2026-06-30"
    write_json(desk.calibration / "operating_points.json", content)
    desk.today = date(2026, 7, 1)
    with pytest.raises(InputError, match="nothing is signed on it any more"):
        desk.sign()


@pytest.mark.parametrize("changed", ["scores", "looks", "policy", "points", "validation"])
def test_changed_evidence_is_refused(desk, changed) -> None:
    root = desk.calibration.parent
    if changed == "scores":
        table = pl.read_parquet(root / "scores.parquet")
        from data.scores import Scores, read_scores, write_scores

        before = read_scores(root / "scores.parquet", ["fire", "scam"])
        values = before.of(table["item_id"].to_list()) + 0.25
        write_scores(
            root / "scores.parquet", Scores(table["item_id"].to_list(), ["fire", "scam"], values, before.metadata)
        )
    elif changed == "looks":
        (root / "golden" / "looks.jsonl").unlink()
    elif changed == "policy":
        file = root / "policies" / "fire.yaml"
        file.write_text(file.read_text().replace("target_precision: 0.9", "target_precision: 0.5"))
    elif changed == "points":
        content = read_json(desk.calibration / "operating_points.json")
        band = content["policies"][0]["bands"][0]
        band["certified_range"][1] -= 2.0
        band["threshold"] = band["certified_range"][1]
        write_json(desk.calibration / "operating_points.json", content)
    else:
        shutil.rmtree(root / "validation")
    with pytest.raises(InputError, match=r"changed since|holds no such look|not what its data give|validation"):
        desk.sign()
    assert not desk.signatures.exists()


def test_a_calibration_of_an_earlier_version_is_made_again_first(desk) -> None:
    (desk.calibration / "made_from.json").unlink()
    with pytest.raises(InputError, match="calibrate again if it is older"):
        desk.sign()


def test_a_signed_copy_is_not_signed(desk) -> None:
    desk.sign()
    with pytest.raises(InputError, match="this is a signed copy"):
        desk.calibration = desk.out
        desk.out = desk.out.parent / "other"
        desk.sign("Grace Hopper")


def test_nothing_but_an_earlier_signed_folder_is_replaced(desk) -> None:
    desk.out = desk.calibration.parent / "policies"
    with pytest.raises(InputError, match="no earlier signed calibration"):
        desk.sign()
    desk.out = desk.calibration
    with pytest.raises(InputError, match="is the calibration itself"):
        desk.sign()
