"""choice.yaml is read strictly, and held against the calibration that it was made on."""

from pathlib import Path

import pytest
import yaml

from calibrate.choice import LARGEST_FILE, check_choice, load_choice
from calibrate.operating_points_file import OperatingPointsFile, load_operating_points
from data.errors import InputError
from data.files import sha256_of_file


@pytest.fixture
def points(calibration) -> OperatingPointsFile:
    calibration.run()
    return load_operating_points(calibration.out)


@pytest.fixture
def content(calibration, points) -> dict:
    band = points.policies[0].bands[0]
    return {
        "schema": "setpoint/choice/v1",
        "calibration": sha256_of_file(calibration.out / "operating_points.json"),
        "by": "Ada",
        "rationale": None,
        "choices": [
            {
                "policy_id": "fire",
                "policy_version": "1.0.0",
                "band": 0,
                "action": "auto_remove",
                "threshold": band.threshold,
            }
        ],
    }


def write(folder: Path, content: object) -> Path:
    (folder / "choice.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder / "choice.yaml"


def test_a_choice_comes_back(tmp_path: Path, content: dict, points) -> None:
    path = write(tmp_path, content)
    choice = load_choice(path)
    check_choice(path, choice, points, content["calibration"])
    assert choice.choices[0].threshold == points.policies[0].bands[0].threshold
    off = {**content, "choices": [{**content["choices"][0], "threshold": None}]}
    assert load_choice(write(tmp_path, off)).choices[0].threshold is None


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"threshold": 0.1}, "float32 number; the nearest is 0.10000000149011612"),
        ({"threshold": float("nan")}, "finite"),
        ({"policy_id": "../../etc"}, "policy_id"),
        ({"band": -1}, "band"),
        ({"colour": 1}, "unknown key"),
    ],
)
def test_what_is_no_choice_is_refused_with_its_key(tmp_path: Path, content: dict, change: dict, part: str) -> None:
    path = write(tmp_path, {**content, "choices": [{**content["choices"][0], **change}]})
    with pytest.raises(InputError, match=part):
        load_choice(path)


@pytest.mark.parametrize(
    "text", ["- a", "{", "\x00", "!!python/object/apply:os.system ['true']", "a: &a [*a]", "[" * 9, "9" * 5000]
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "choice.yaml").write_text(text)
    with pytest.raises(InputError):
        load_choice(tmp_path / "choice.yaml")


def test_a_choice_has_a_size(tmp_path: Path) -> None:
    (tmp_path / "choice.yaml").write_text("a" * (LARGEST_FILE + 1))
    with pytest.raises(InputError, match="at most"):
        load_choice(tmp_path / "choice.yaml")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"policy_id": "smoke"}, "no such policy in this calibration; found fire, scam"),
        ({"policy_version": "2.0.0"}, "calibrated at version 1.0.0"),
        ({"band": 3}, "has 3 bands"),
        ({"action": "review"}, "band 0 of fire is auto_remove"),
    ],
)
def test_a_choice_of_something_else_is_refused(
    tmp_path: Path, content: dict, points, change: dict, part: str
) -> None:
    path = write(tmp_path, {**content, "choices": [{**content["choices"][0], **change}]})
    with pytest.raises(InputError, match=part):
        check_choice(path, load_choice(path), points, content["calibration"])


def test_a_band_is_chosen_once_and_on_this_calibration(tmp_path: Path, content: dict, points) -> None:
    path = write(tmp_path, {**content, "choices": [*content["choices"], dict(content["choices"][0])]})
    with pytest.raises(InputError, match="stands twice"):
        check_choice(path, load_choice(path), points, content["calibration"])
    with pytest.raises(InputError, match="another calibration"):
        check_choice(path, load_choice(path), points, "ab" * 32)
