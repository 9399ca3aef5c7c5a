from pathlib import Path

import pytest
import yaml

from data.errors import InputError
from data.policy import Policy, load_policies


def edit(folder: Path, **changes: object) -> Path:
    file = folder / "fire.yaml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **changes}))
    return folder


def test_policies_come_sorted_and_survive_a_round_trip(policy_folder: Path) -> None:
    policies = load_policies(policy_folder)
    assert [policy.policy_id for policy in policies] == ["fire", "scam"]
    assert Policy.model_validate(policies[0].as_dict()) == policies[0]


def test_the_real_policies_load(moderation_mini: Path) -> None:
    policies = load_policies(moderation_mini / "policies")
    assert [policy.policy_id for policy in policies] == ["fire_hazard", "firearms", "hateful_text", "physical_fight"]
    assert policies[0].bands[1].kind == "capacity"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"treshold": 0.5}, ["fire.yaml", "treshold", "unknown key"]),
        ({"version": "1"}, ["fire.yaml", "version", "'1'"]),
        ({"evidence": ["smell"]}, ["evidence", "smell"]),
        ({"evidence": ["visual", "visual"]}, ["visual", "twice"]),
        ({"bands": [{"action": "auto_remove", "target_precision": 1.2, "confidence": 0.95}]}, ["1.2", "less than 1"]),
        ({"bands": [{"action": "auto_remove", "target_precision": 0.9}]}, ["confidence"]),
        ({"bands": [{"action": "review"}]}, ["exactly one of"]),
        ({"bands": [{"action": "review", "capacity_per_day": 3, "target_recall": 0.9, "confidence": 0.9}]}, ["and"]),
        ({"bands": [{"action": "explode", "capacity_per_day": 3}]}, ["explode", "auto_remove"]),
        ({"policy_id": "scam"}, ["another file", "scam"]),
        ({"policy_id": "../evil"}, ["policy_id"]),
    ],
)
def test_a_wrong_policy_is_refused_with_file_key_and_value(
    policy_folder: Path, changes: dict[str, object], words: list[str]
) -> None:
    with pytest.raises(InputError) as error:
        load_policies(edit(policy_folder, **changes))
    for word in words:
        assert word in str(error.value)


def test_all_wrong_files_are_named_at_once(policy_folder: Path) -> None:
    (policy_folder / "a.yaml").write_text("{not yaml")
    (policy_folder / "b.yaml").write_text("- a list")
    with pytest.raises(InputError) as error:
        load_policies(edit(policy_folder, surprise=1))
    assert {Path(finding.file).name for finding in error.value.findings} == {"a.yaml", "b.yaml", "fire.yaml"}


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="one policy a file"):
        load_policies(tmp_path)
