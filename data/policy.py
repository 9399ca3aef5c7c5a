"""Policies: what violates, on which evidence, and what a band of scores shall do about it. One YAML file each.

Thresholds never stand here: a band states an intent, `calibrate` finds the threshold that carries it.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from data.errors import Finding, InputError
from data.files import existing_folder

Probability = Annotated[float, Field(gt=0, lt=1)]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$", description="semantic version, e.g. 1.0.0")]
Modality = Literal["visual", "audio", "text"]


class Strict(BaseModel):
    """A record of a file: immutable, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Rule(Strict):
    """One clause of a policy, with the reason code that annotators use for it."""

    code: str
    text: str


class Band(Strict):
    """What happens to posts above a threshold, and which claim the threshold must carry.

    Exactly one kind: `target_precision` with `confidence`, `target_recall` with `confidence`, or
    `capacity_per_day`.
    """

    action: Literal["auto_remove", "restrict", "review", "llm_review", "escalate"]
    queue: str | None = None
    target_precision: Probability | None = None
    target_recall: Probability | None = None
    capacity_per_day: Annotated[int, Field(gt=0)] | None = None
    confidence: Probability | None = None

    @property
    def kind(self) -> Literal["precision", "recall", "capacity"]:
        """Which of the three claims the band makes."""
        if self.target_precision is not None:
            return "precision"
        return "recall" if self.target_recall is not None else "capacity"

    @model_validator(mode="after")
    def _one_kind(self) -> "Band":
        given = [
            name
            for name in ("target_precision", "target_recall", "capacity_per_day")
            if getattr(self, name) is not None
        ]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(
                f"a band needs exactly one of target_precision, target_recall, capacity_per_day; found {found}"
            )
        if self.kind == "capacity" and self.confidence is not None:
            raise ValueError("a band by capacity_per_day takes no confidence")
        if self.kind != "capacity" and self.confidence is None:
            raise ValueError(f"a band by {given[0]} needs a confidence, e.g. confidence: 0.95")
        return self


class SliceRule(Strict):
    """A column whose every value is tested at the global threshold."""

    by: str
    min_flagged: Annotated[int, Field(gt=0)]
    min_precision: Probability | None = None


class Policy(Strict):
    """One content policy, version by version; its fields are described in CONTRIBUTING.md."""

    format: Literal["setpoint/policy/v1"] = Field(alias="schema")
    policy_id: Identifier
    version: Version
    name: str
    parent_id: str | None = None
    owner: str
    definition: str
    violates: list[Rule] = Field(min_length=1)
    allows: list[Rule] = Field(default_factory=list)
    evidence: list[Modality] = Field(min_length=1)
    bands: list[Band] = Field(min_length=1)
    slices: list[SliceRule] = Field(default_factory=list)
    preview: Literal["show", "blur", "none"] = "blur"
    supersedes: Version | None = None
    change_type: Literal["clarify", "narrow", "broaden", "split", "merge"] | None = None
    label_migration: Literal["keep", "relabel", "drop"] | None = None
    effective_from: str | None = None
    locales: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _distinct(self) -> "Policy":
        named: dict[str, list[str]] = {
            "evidence": [*self.evidence],
            "band": [f"{band.action} {band.queue or ''}".strip() for band in self.bands],
            "reason code": [rule.code for rule in [*self.violates, *self.allows]],
        }
        for what, names in named.items():
            repeated = sorted({name for name in names if names.count(name) > 1})
            if repeated:
                raise ValueError(f"{what} {repeated[0]!r} stands twice")
        return self

    def as_dict(self) -> dict[str, Any]:
        """The policy as it would stand in its file; `Policy.model_validate` reads it back."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def load_policies(folder: str | Path) -> list[Policy]:
    """Read every `*.yaml` of a folder.

    Returns:
        The policies sorted by policy_id: the order of score columns and of the network's outputs.

    Raises:
        InputError: with file, key, value and what was expected, for every file that is wrong.
    """
    policies, findings = check_policies(folder)
    if findings:
        raise InputError(findings)
    return policies


def check_policies(folder: str | Path) -> tuple[list[Policy], list[Finding]]:
    """Like `load_policies`, but returns the good policies and all findings."""
    files = sorted(existing_folder(folder).glob("*.yaml"))
    if not files:
        return [], [Finding(folder, "no *.yaml file in this folder; expected one policy a file")]
    policies: dict[str, Policy] = {}
    findings: list[Finding] = []
    for file in files:
        policy, wrong = _read_policy(file)
        findings += wrong
        if policy is None:
            continue
        if policy.policy_id in policies:
            findings.append(
                Finding(file, "another file of this folder has this policy_id", None, "policy_id", policy.policy_id)
            )
        policies[policy.policy_id] = policy
    return [policies[policy_id] for policy_id in sorted(policies)], findings


def _read_policy(file: Path) -> tuple[Policy | None, list[Finding]]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return None, [Finding(file, f"not a YAML file: {' '.join(str(error).split())}")]
    if not isinstance(content, dict):
        return None, [Finding(file, "expected a mapping with the keys of setpoint/policy/v1")]
    try:
        return Policy.model_validate(content), []
    except ValidationError as error:
        return None, findings_of(file, error)


def findings_of(file: str | Path, error: ValidationError) -> list[Finding]:
    """Turn pydantic's errors into findings: one a key, in words that name the key and the value."""
    findings = []
    for problem in error.errors():
        field = ".".join(str(part) for part in problem["loc"]) or None
        value = problem["input"]
        if problem["type"] == "extra_forbidden":
            text = "unknown key"
        elif problem["type"] == "missing":
            text, value = "this key is missing", None
        else:
            text = problem["msg"].removeprefix("Value error, ")
            text = text[0].lower() + text[1:]
        findings.append(Finding(file, text, None, field, value if not isinstance(value, dict | list) else None))
    return findings
