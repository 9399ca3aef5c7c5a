"""choice.yaml: which thresholds a policy lead chose on the page. A wish, not a certificate: it is tested again."""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import Field, FiniteFloat, ValidationError, field_validator

from calibrate.operating_points_file import OperatingPointsFile
from calibrate.refused import RefusedError
from calibrate.words import said
from data.errors import Finding, InputError
from data.files import existing_file
from data.policy import Identifier, Strict, Version, findings_of

LARGEST_FILE = 1 << 20
DEEPEST = 8


class BandChoice(Strict):
    """One band: which policy and version, its place in the policy (0 is the strictest), its action, its threshold.

    `threshold` is a float32 number on the served scale; None switches the band off.
    """

    policy_id: Identifier
    policy_version: Version
    band: Annotated[int, Field(ge=0)]
    action: str
    threshold: FiniteFloat | None

    @field_validator("threshold")
    @classmethod
    def _float32(cls, threshold: float | None) -> float | None:
        if threshold is not None and float(np.float32(threshold)) != threshold:
            raise ValueError(f"a threshold must be a float32 number; the nearest is {float(np.float32(threshold))!r}")
        return threshold


class Choice(Strict):
    """The content of choice.yaml.

    Attributes:
        calibration: SHA-256 of the operating_points.json that it was made on.
        by: who chose; None if nobody said.
        rationale: why; None if nobody said.
        choices: at least one band.
    """

    format: Literal["setpoint/choice/v1"] = Field(alias="schema")
    calibration: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    by: Annotated[str, Field(max_length=200)] | None = None
    rationale: Annotated[str, Field(max_length=8000)] | None = None
    choices: Annotated[list[BandChoice], Field(min_length=1)]


def load_choice(path: str | Path) -> Choice:
    """Read choice.yaml.

    Raises:
        InputError: it is missing, no YAML, too large, or not what the page writes; names key, value and what was
            expected.
    """
    path = existing_file(path)
    if path.stat().st_size > LARGEST_FILE:
        raise InputError(f"{path}: {path.stat().st_size:,} bytes; a choice has at most {LARGEST_FILE:,}")
    try:
        return parse_choice(path.read_text(encoding="utf-8"), path)
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a YAML file ({error})") from error


def parse_choice(text: str, where: str | Path) -> Choice:
    """Read the text of a choice.yaml, which `where` names in messages.

    Raises:
        InputError: as of `load_choice`.
    """
    try:
        content = yaml.load(text, Loader=_PlainLoader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: no such date, endless numbers
        raise InputError(f"{where}: not a YAML file ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise InputError(f"{where}: expected a mapping with the keys of setpoint/choice/v1")
    try:
        return Choice.model_validate(content)
    except ValidationError as error:
        raise InputError(findings_of(where, error)) from error


class _PlainLoader(yaml.SafeLoader):
    """Reads no aliases, by which a few lines can stand for endless ones, and nothing deep, which takes long.

    No tags, and no key twice, of which only the last would count.
    """

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias, and a choice has none")
        if getattr(self.peek_event(), "tag", None):
            raise yaml.YAMLError("a tag, and a choice has none")
        self.depth += 1
        if self.depth > DEEPEST:
            raise yaml.YAMLError(f"more than {DEEPEST} levels, and a choice has 4")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value:
            if key.tag != "tag:yaml.org,2002:str":
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: a key is a plain word")
            if key.value in seen:
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: the key {key.value[:40]!r} stands twice")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def check_choice(path: str | Path, choice: Choice, points: OperatingPointsFile, digest: str) -> None:
    """Refuse a choice that was made on another calibration, or that names bands which this one does not have.

    Args:
        path: of the choice, for messages.
        choice: as read.
        points: of the calibration.
        digest: SHA-256 of its operating_points.json.

    Raises:
        InputError: with every finding.
    """
    if choice.calibration != digest:
        raise RefusedError(
            f"{path}, calibration = {choice.calibration}: chosen on another calibration than {digest}; open the page "
            "of this one and choose again",
            told=said("refused.other_calibration"),
        )
    policies = {policy.policy_id: policy for policy in points.policies}
    findings, seen = [], set()
    for place, each in enumerate(choice.choices):
        where, policy = f"choices.{place}", policies.get(each.policy_id)
        if policy is None:
            problem = f"no such policy in this calibration; found {', '.join(policies)}"
            findings.append(Finding(path, problem, None, f"{where}.policy_id", each.policy_id))
        elif policy.policy_version != each.policy_version:
            problem = f"the policy was calibrated at version {policy.policy_version}"
            findings.append(Finding(path, problem, None, f"{where}.policy_version", each.policy_version))
        elif each.band >= len(policy.bands):
            problem = f"{each.policy_id} has {len(policy.bands)} bands, counted from 0"
            findings.append(Finding(path, problem, None, f"{where}.band", each.band))
        elif policy.bands[each.band].action != each.action:
            problem = f"band {each.band} of {each.policy_id} is {policy.bands[each.band].action}"
            findings.append(Finding(path, problem, None, f"{where}.action", each.action))
        elif (each.policy_id, each.band) in seen:
            findings.append(Finding(path, "this band stands twice", None, where, f"{each.policy_id}, {each.band}"))
        seen.add((each.policy_id, each.band))
    if findings:
        raise InputError(findings)
