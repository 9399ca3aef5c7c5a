"""The texts of `setpoint --help` and `setpoint VERB --help`, from the config files as they stand.

Comments in them describe the keys. Nothing is imported for it: help answers at once.
"""

from pathlib import Path

from scripts.verbs import CONFIGS, VERBS, Verb, group_folders, groups_of


def overview() -> str:
    """The text of `setpoint --help`."""
    lines = ["Setpoint: classifiers for content policies, with thresholds that hold.", ""]
    lines += ["usage: setpoint VERB key=value …", ""]
    width = max(len(verb.name) for verbs in VERBS.values() for verb in verbs)
    for user, verbs in VERBS.items():
        lines.append(f"{user}:")
        lines += [f"  {verb.name:<{width}} {verb.line}" for verb in verbs]
        lines.append("")
    lines.append(
        "`setpoint VERB --help` lists a verb's keys; `--cfg job` shows their values; `-m` sweeps over lists."
    )
    return "\n".join(lines)


def verb_help(verb: Verb) -> str:
    """The text of `setpoint VERB --help`: groups and options, the verb's keys, the keys of the groups it takes."""
    text = (CONFIGS / f"{verb.name}.yaml").read_text(encoding="utf-8")
    head, _, keys = text.partition("\n\n")
    groups = [f"  {group}={'|'.join(options)}" for group, options in groups_of(verb).items()]
    usage = [f"setpoint {verb.name}: {verb.line}", "", f"usage: setpoint {verb.name} key=value …", ""]
    lines = [*usage, *groups, "", "keys and their defaults:", "", keys.rstrip()]
    shared = (CONFIGS / "workspace.yaml").read_text(encoding="utf-8").partition("\n\n")[0]
    for group, option in (_chosen(shared) | _chosen(head)).items():
        found = [folder / f"{option}.yaml" for folder in group_folders(verb) if folder.name == group]
        nested = "\n".join(_lines_of(file) for file in found if file.is_file() and _is_nested(file)).rstrip()
        if nested:
            lines += ["", f"{group}.KEY, as {group}={option} sets it:", "", nested]
    return "\n".join(lines)


def _chosen(head: str) -> dict[str, str]:
    """The groups of a defaults list and their options; groups without one are left out."""
    items = [line.strip().removeprefix("- ").partition("#")[0] for line in head.splitlines()]
    pairs = [item.partition(":") for item in items if ": " in item and not item.startswith("defaults")]
    return {group.strip(): option.strip() for group, _, option in pairs if option.strip() != "null"}


def _is_nested(file: Path) -> bool:
    """Whether an option's keys stand below its group's name; those of an experiment do not."""
    return "@package _global_" not in file.read_text(encoding="utf-8")


def _lines_of(file: Path) -> str:
    """A config file's lines. Those of a file that it starts from come first, with its own values in their place."""
    text = file.read_text(encoding="utf-8")
    head, separator, rest = text.partition("\n\n") if "defaults:\n" in text else ("", "", text)
    if not separator:
        return rest
    names = [line.strip().removeprefix("- ") for line in head.splitlines() if line.startswith("  - ")]
    lines = [
        line for name in names if name != "_self_" for line in _lines_of(file.with_name(f"{name}.yaml")).splitlines()
    ]
    for line in rest.splitlines():
        key, colon, _ = line.partition(":")
        place = next((at for at, base in enumerate(lines) if colon and base.startswith(f"{key}:")), None)
        if place is None:
            lines.append(line)
        else:
            comment = lines[place].partition(" #")[2]
            lines[place] = f"{line} #{comment}" if comment and "#" not in line else line
    return "\n".join(lines)
