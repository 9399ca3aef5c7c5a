"""What `--help` prints: columns that line up, and no key twice."""

import re

import pytest

from scripts.help import overview, verb_help
from scripts.verbs import VERBS

ALL = [verb for verbs in VERBS.values() for verb in verbs]


def test_the_lines_of_all_verbs_begin_in_one_column() -> None:
    lines = overview().splitlines()
    found = {verb.name: [line for line in lines if line.startswith(f"  {verb.name} ")] for verb in ALL}
    begins = {line.index(verb.line) for verb in ALL for line in found[verb.name]}
    assert len(begins) == 1
    assert sum(line.startswith("  ") for line in lines) == len(ALL)


@pytest.mark.parametrize("verb", ALL, ids=lambda verb: verb.name)
def test_no_key_stands_twice_in_a_part(verb) -> None:
    for part in re.split(r"^\S.*:$\n\n", verb_help(verb), flags=re.MULTILINE)[1:]:
        keys = re.findall(r"^(\w+):", part, flags=re.MULTILINE)
        assert len(keys) == len(set(keys)), keys


def test_an_option_that_starts_from_another_shows_its_own_values_in_place() -> None:
    text = verb_help(next(verb for verb in ALL if verb.name == "train"))
    assert text.count("_target_: lightning.Trainer\n") == 1
    assert "\naccelerator: cpu\n" in text
    assert "\ndevices: 1 # a number, a list of indices, or auto for all\n" in text
    assert "accelerator: auto" not in text
