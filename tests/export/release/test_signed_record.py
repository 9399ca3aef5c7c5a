"""Signatures in a signed folder must stand in the record, of the thresholds that the folder holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from changed_releases import verified
from two_precisions import Project

from calibrate.signing.sign import sign
from data.errors import InputError
from data.files import read_json, write_json

POINTS = "operating_points.json"
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def signed(project: Project) -> Project:
    for name in ("Ada Lovelace", "Grace Hopper"):
        sign(
            calibration=project.root / "calibration",
            signatures=project.root / "signatures.jsonl",
            out=project.root / "signed",
            by=name,
            rationale="It is right.",
        )
    return project


def sealed(project: Project, **keys: Any) -> Path:
    given = {
        "calibration": project.root / "signed",
        "signatures": project.root / "signatures.jsonl",
        "unsigned": None,
    }
    folder: Path = project.seal(**{**given, **keys}).written[0]
    return folder


def edit(file: Path, change: Change) -> None:
    content = read_json(file)
    change(content)
    write_json(file, content)


def first(content: dict[str, Any]) -> dict[str, Any]:
    band: dict[str, Any] = content["policies"][0]["bands"][0]
    return band


def nudge(content: dict[str, Any]) -> None:
    """The next number within the certified range."""
    band = first(content)
    band["threshold"] = float(np.nextafter(np.float32(band["threshold"]), np.float32(np.inf)))
    assert band["certified_range"][1] <= band["threshold"] <= band["certified_range"][0]


def test_what_people_signed_is_sealed(signed: Project) -> None:
    assert verified(sealed(signed)).ok


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (nudge, "did not sign the threshold"),
        (lambda content: first(content)["signatures"][0].update(by="Mallory"), "by Mallory is there by Ada Lovelace"),
        (lambda content: first(content)["signatures"][1].update(rationale="So."), "or in other words"),
        (
            lambda content: first(content)["signatures"][1].update(line="0" * 64),
            "by Grace Hopper does not stand there",
        ),
        (lambda content: content.update(signed_from="0" * 64), "signed another calibration"),
    ],
)
def test_a_signed_folder_that_was_edited_is_refused(signed: Project, change: Change, problem: str) -> None:
    edit(signed.root / "signed" / POINTS, change)
    before = sorted((signed.root / "releases").glob("*"))
    with pytest.raises(InputError, match=problem):
        sealed(signed)
    assert sorted((signed.root / "releases").glob("*")) == before


def test_signatures_of_a_further_precision_are_held_against_it_too(signed: Project) -> None:
    file = signed.root / "signed" / "precisions" / "int8" / POINTS
    edit(file, lambda content: content.update(signed_from="0" * 64))
    with pytest.raises(InputError, match=r"precisions/int8/operating_points.json, fire.0: .*another calibration"):
        sealed(signed)


def test_a_missing_record_is_named(signed: Project) -> None:
    missing = signed.root / "elsewhere.jsonl"
    with pytest.raises(
        InputError, match=r"elsewhere.jsonl: the signature by Ada Lovelace does not stand there.*signa"
    ):
        sealed(signed, signatures=missing)
    assert not missing.exists()
    assert verified(sealed(signed, signatures=None)).ok


def test_points_that_nobody_signed_need_no_record(project: Project) -> None:
    keys = {"calibration": project.root / "calibration", "unsigned": "a drill"}
    assert verified(sealed(project, signatures=project.root / "none.jsonl", **keys)).ok
