"""The words of a command line before Hydra reads them: which is no setting, has no value, or is no flag."""

import re

from scripts.verbs import CONFIGS, Verb, groups_of, search_path
from scripts.wording import near

# Hydra's own; argparse would take any beginning of one, such as --experiment, for the whole.
FLAGS = ("--cfg", "--info", "--multirun", "--package", "--resolve", "--version", "-c", "-i", "-m", "-p")
VALUES_OF = {
    "--cfg": ("job", "hydra", "all"),
    "--info": ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath"),
    "--package": None,  # any name
}
LONG = {"-c": "--cfg", "-i": "--info", "-p": "--package"}


def flags_and_settings(words: list[str]) -> tuple[list[str], list[str]]:
    """The words parted: flags with their values, and key=value; argparse takes the latter in one row only."""
    flags: list[str] = []
    settings: list[str] = []
    for word, before in zip(words, ["", *words], strict=False):
        of_a_flag = "=" not in word and LONG.get(before, before) in VALUES_OF
        (flags if word.startswith("-") or of_a_flag else settings).append(word)
    return flags, settings


def problem_of(verb: Verb, flags: list[str], settings: list[str]) -> str | None:
    """What is wrong with the first word that cannot be read, if any."""
    for place, flag in enumerate(flags):
        name, _, given = flag.partition("=")
        if flag.startswith("-") and name not in FLAGS:
            return f"no option {name!r}; keys are given without dashes, as in key=value"
        allowed = VALUES_OF.get(LONG.get(name, name))
        value = given or next(iter(flags[place + 1 : place + 2]), "")
        if allowed is not None and value not in allowed and not (name in ("--info", "-i") and not value):
            return f"{name} {value}: expected one of {', '.join(allowed)}".replace(" :", ":")
    return next((problem for word in settings if (problem := _problem_of_setting(verb, word)) is not None), None)


def _problem_of_setting(verb: Verb, word: str) -> str | None:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    key, equals, _ = word.partition("=")
    if equals and not key:
        return f"`{word}` names no setting; settings are key=value"
    if not equals and not key.startswith("~"):  # Hydra's word for taking a key away
        return _without_value(verb, word)
    if not re.fullmatch(r"[~+]{0,2}[\w./@:$-]+", key):
        return f"`{key}` is no setting; settings are key=value, and a key has letters, digits, '_' and '.' alone"
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        return (
            f"`{word}`: its value cannot be read; a value with one of = , : ( ) [ ] {{ }} or quotes in it goes into "
            f"quotes that the shell leaves: '{key}=\"…\"'"
        )
    return None


def _without_value(verb: Verb, word: str) -> str:
    groups = groups_of(verb)
    if word in groups:
        return f"`{word}` has no value; expected {word}=OPTION, of {', '.join(groups[word])}"
    settings = _settings_of(verb)
    if word in settings:
        return f"`{word}` has no value; expected {word}=…"
    hints = [f"{group}={word}" for group, options in groups.items() if word in options]
    found = near(word, [*settings, *groups])
    hints = hints or ([f"{found}=…"] if found else [])
    advice = f"did you mean {' or '.join(hints)}?" if hints else f"`setpoint {verb.name} --help` lists them"
    return f"`{word}` is no setting; settings are key=value; {advice}"


def _settings_of(verb: Verb) -> list[str]:
    """All keys of a verb, dotted where nested, as its config composes by itself."""
    from hydra import compose, initialize_config_dir

    from scripts.wording import dotted_keys

    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        return dotted_keys(compose(verb.name, search_path(verb)))
