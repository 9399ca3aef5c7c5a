"""A calibration that people signed is not replaced by accident, and one that lacks what was given before says so."""

import pytest

from calibrate.run import calibrate
from data.errors import InputError


@pytest.fixture
def again(desk):
    """Calibrates anew over the desk's calibration."""
    root = desk.calibration.parent

    def run(**arguments):
        return calibrate(
            scores=root / "scores.parquet",
            golden=root / "golden",
            policies=root / "policies",
            out=desk.calibration,
            signatures=desk.signatures,
            **{"validation": root / "validation"} | arguments,
        )

    return run


def content(folder) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_what_nobody_signed_is_replaced(desk, again) -> None:
    before = content(desk.calibration)
    assert not [line for line in again().lines if "caution: validation" in line]
    assert content(desk.calibration) == before


def test_what_somebody_signed_stays_and_no_look_is_spent(desk, again) -> None:
    desk.sign("Ada Lovelace")
    desk.sign("Grace Hopper")
    before, looks = content(desk.calibration), (desk.calibration.parent / "golden" / "looks.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"calibration: Ada Lovelace and Grace Hopper signed .* or give overwrite"):
        again(prior_odds_ratio=0.9)
    assert content(desk.calibration) == before
    assert (desk.calibration.parent / "golden" / "looks.jsonl").read_bytes() == looks


def test_told_to_it_is_replaced(desk, again) -> None:
    desk.sign("Ada Lovelace")
    before = content(desk.calibration)
    lines = again(prior_odds_ratio=0.9, overwrite=True).lines
    assert content(desk.calibration) != before
    assert "golden set: look 2: each further look is tested more strictly" in lines
    again(prior_odds_ratio=0.8)  # nobody has signed this one


def test_a_record_that_was_edited_refuses(desk, again) -> None:
    desk.sign("Ada Lovelace")
    text = desk.signatures.read_text()
    desk.signatures.write_text(text.replace("signature/v1", "signature/v9"))
    with pytest.raises(InputError, match="not a signature"):
        again()


def test_inputs_that_the_earlier_one_had_are_missed(desk, again) -> None:
    assert [line for line in again(validation=None).lines if line.startswith("caution: ")] == [
        "caution: validation was given to the calibration that stood here, and not to this one"
    ]
    assert not [line for line in again(validation=None).lines if "caution: validation" in line]


def test_made_from_that_cannot_be_read_does_not_stand_in_the_way(desk, again) -> None:
    (desk.calibration / "made_from.json").write_text("{")
    assert again().title.startswith("calibrate: ")
