"""The verbs: who uses them, what they do in a line, which function they are, and how they are called."""

import importlib
import typing
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.sweeps import register_resolvers
from scripts.wording import known_keys, nearest

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from pydantic import ValidationError

    from data.errors import Finding
    from data.summary import Summary

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
WORKSPACE_KEYS = ("project", "root", "data")  # of configs/workspace.yaml: for interpolation, no verb's arguments


@dataclass(frozen=True)
class Verb:
    """One verb; its function's keyword arguments are the keys of `configs/NAME.yaml`."""

    name: str
    line: str
    function: str


VERBS: dict[str, list[Verb]] = {
    "to look around": [
        Verb("demo", "everything below on generated posts, in minutes", "scripts.demo:demo"),
    ],
    "for the ML engineer": [
        Verb(
            "validate", "say all that is wrong with items, annotations, policies, media", "data.validation:validate"
        ),
        Verb("split", "train, validation and golden parts that share no creator or cluster", "data.splits:split"),
        Verb(
            "shard",
            "pack photos and clips into shards to train from, local or remote",
            "data.shards.packing:shard",
        ),
        Verb("train", "fine-tune a classifier for all policies", "train.run:train"),
        Verb("export", "write the serving graph as ONNX and prove that it decides alike", "export.run:export"),
        Verb("score", "raw scores of items by a checkpoint, a model folder or a release", "export.scoring.run:score"),
    ],
    "for the policy lead": [
        Verb("plan", "how many labels, above which score, each target precision takes", "calibrate.plan.run:plan"),
        Verb("golden", "draw a sample to label; freeze it, labelled, as a golden set", "data.freezing:golden"),
        Verb("calibrate", "find the thresholds that hold, with curves and a page to read", "calibrate.run:calibrate"),
        Verb("review", "the page, served to one browser: save choices and sign them", "calibrate.review.run:review"),
        Verb("sign", "vouch for thresholds by name, certified again from the data", "calibrate.signing.sign:sign"),
    ],
    "for the serving team": [
        Verb("traffic", "count production scores in histograms that add up", "calibrate.traffic.run:traffic"),
        Verb("seal", "put model, thresholds and evidence into one release", "export.release.seal:seal"),
        Verb("sign_release", "vouch for a release that verifies, with a key", "export.release.sign:sign_release"),
        Verb("verify", "check a release: every byte, every decision", "export.release.verify:verify"),
        Verb("bench", "how fast a release answers on this machine: a page and JSON", "export.bench.run:bench"),
        Verb("engine", "build TensorRT engines, or list what TensorRT does not take", "export.tensorrt.run:engine"),
        Verb("serve", "answer the Open Inference Protocol over HTTP, in batches", "export.serving.run:serve"),
        Verb("triton", "write a release as a model repository of Triton", "export.triton.run:triton"),
    ],
}


def find_verb(name: str) -> Verb | None:
    """The verb of this name, or None."""
    return next((verb for verbs in VERBS.values() for verb in verbs if verb.name == name), None)


def search_path(verb: Verb) -> list[str]:
    """Hydra's override that finds the groups which only this verb has, in `configs/NAME/`.

    They stand apart because a group's name is taken: with a group `model`, `score model=PATH` could not be said.
    """
    folder = CONFIGS / verb.name
    return [f"hydra.searchpath=[file://{folder}]"] if folder.is_dir() else []


def group_folders(verb: Verb) -> list[Path]:
    """Folders of a verb's config groups; a group may have one for all verbs and one of the verb's own."""
    shared = [CONFIGS / "data", CONFIGS / "experiment"]
    own = (CONFIGS / verb.name).iterdir() if (CONFIGS / verb.name).is_dir() else []
    return sorted([*shared, *own], key=lambda folder: folder.name)


def groups_of(verb: Verb) -> dict[str, list[str]]:
    """The config groups of a verb and their options, e.g. `{"trainer": ["cpu", "gpu"]}`."""
    groups: dict[str, list[str]] = {}
    for folder in group_folders(verb):
        groups.setdefault(folder.name, []).extend(file.stem for file in folder.glob("*.yaml"))
    return {name: sorted(options) for name, options in groups.items()}


def call(verb: Verb, config: "DictConfig") -> "Summary":
    """Check a composed config against the verb's signature and run the verb.

    Raises:
        InputError: a value is missing, of the wrong type, or refused by the verb.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import InterpolationToMissingValueError, MissingMandatoryValue, OmegaConfBaseException
    from pydantic import ConfigDict, ValidationError, validate_call

    from data.errors import InputError

    module, _, name = verb.function.partition(":")
    register_resolvers()
    try:
        arguments: dict[str, Any] = OmegaConf.to_container(config, resolve=True)  # type: ignore[assignment]
        arguments = {key: value for key, value in arguments.items() if key not in WORKSPACE_KEYS}
        missing = sorted(key for key, value in arguments.items() if value == "???")
        if missing:
            raise InputError(f"{verb.name}: {_ask_for(missing)}")
    except (InterpolationToMissingValueError, MissingMandatoryValue) as error:
        keys = [key for key in config if key not in WORKSPACE_KEYS and _is_missing(config, str(key))]
        raise InputError(f"{verb.name}: {_ask_for([str(key) for key in keys])}") from error
    except OmegaConfBaseException as error:
        raise InputError(f"{verb.name}: {str(error).splitlines()[0]}") from error

    _check_early(verb, arguments)
    function: Callable[..., Summary] = getattr(importlib.import_module(module), name)
    checked = validate_call(config=ConfigDict(coerce_numbers_to_str=True))(function)
    try:
        summary: Summary = checked(**arguments)
        return summary
    except ValidationError as error:
        if error.title != name:
            raise
        types = {key: hint for key, hint in typing.get_type_hints(function).items() if key != "return"}
        raise InputError(_findings(verb, types, error)) from error


def _check_early(verb: Verb, arguments: dict[str, Any]) -> None:
    """Refuse wrong values before the verb's module, which may take seconds to import, is imported."""
    from pydantic import ConfigDict, Field, ValidationError, create_model

    from data.errors import InputError
    from scripts.argument_types import light_types

    types = {key: hint for key, hint in light_types(verb.function).items() if key in arguments}
    fields: dict[str, Any] = {f"argument_{key}": (hint, Field(alias=key)) for key, hint in types.items()}
    model = create_model(verb.name, __config__=ConfigDict(coerce_numbers_to_str=True), **fields)
    try:
        model.model_validate({key: arguments[key] for key in types})
    except ValidationError as error:
        raise InputError(_findings(verb, types, error)) from error


def _findings(verb: Verb, types: dict[str, Any], error: "ValidationError") -> "list[Finding]":
    """What is wrong with a verb's arguments; an unknown key with the known one that is nearest."""
    from data.policy import findings_of

    findings = findings_of(f"setpoint {verb.name}", error)
    return [
        replace(finding, problem=f"unknown key; {nearest(str(one['loc'][-1]), known_keys(types, one['loc']))}")
        if one["type"] in ("extra_forbidden", "unexpected_keyword_argument")
        else finding
        for finding, one in zip(findings, error.errors(), strict=True)
    ]


def run_verb(name: str, overrides: list[str]) -> "Summary":
    """Compose `configs/NAME.yaml` with overrides and run the verb in this process, as the command line would."""
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    verb = find_verb(name)
    assert verb is not None, name
    GlobalHydra.instance().clear()  # of the verb that runs this one
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        config = compose(name, [*search_path(verb), *overrides])
    return call(verb, config)


def _is_missing(config: "DictConfig", key: str) -> bool:
    from omegaconf.errors import OmegaConfBaseException

    try:
        return bool(config[key] == "???")
    except OmegaConfBaseException:
        return True


def _ask_for(keys: list[str]) -> str:
    given = " ".join(f"{key}=…" for key in keys)
    return f"{', '.join(keys)} not set; pass {given}, or an experiment=… that sets it"
