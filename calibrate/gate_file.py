"""precisions.json: which precisions of a model passed the gate, which did not and why; see `calibrate.precisions`."""

from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError, model_validator

from calibrate.operating_points_file import ScoresRecord
from data.errors import InputError
from data.files import read_json
from data.policy import Identifier, Strict, findings_of

GATE_FILE = "precisions.json"
PRECISIONS = "precisions"
"""Folder beside it, in which each precision has one as `calibrate` writes it of a single file of scores."""


class PolicyDrift(Strict):
    """What becomes of one policy.

    Attributes:
        flips: golden items decided otherwise, each precision at its own thresholds.
        flips_outside_margin: those of them whose score by the reference lies further than the margin from its
            thresholds.
        flips_at_reference: items that would be decided otherwise at the reference's thresholds: what the scores alone
            change.
        mean_score_difference, max_score_difference: of the scores, on their scale.
        mean_probability_difference, max_probability_difference: each by its own calibrator.
    """

    policy_id: str
    flips: int = Field(ge=0)
    flips_outside_margin: int = Field(ge=0)
    flips_at_reference: int = Field(ge=0)
    mean_score_difference: float
    max_score_difference: float
    mean_probability_difference: float
    max_probability_difference: float


class GateRecord(Strict):
    """One precision at the gate.

    Attributes:
        name: of the precision.
        scores: on which it was certified and compared.
        share: of the decisions that flip.
        reasons: why it is refused; none where it passed.
    """

    name: Identifier
    scores: ScoresRecord
    share: float = Field(ge=0, le=1)
    reasons: tuple[str, ...]
    policies: tuple[PolicyDrift, ...]

    @property
    def passed(self) -> bool:
        """Whether a release may hold it."""
        return not self.reasons

    @property
    def flips(self) -> int:
        """Golden decisions that are others, over all policies."""
        return sum(policy.flips for policy in self.policies)


class GateFile(Strict):
    """The content of precisions.json.

    Attributes:
        reference: the scores that the others are compared with.
        golden_digest: of the golden set, whose items they are compared on.
        n_items: of it.
        most_flips, margin: see `Limits`.
        precisions: those that were compared.
    """

    format: Literal["setpoint/precisions/v1"] = Field(default="setpoint/precisions/v1", alias="schema")
    reference: ScoresRecord
    golden_digest: str
    n_items: int = Field(ge=1)
    most_flips: float = Field(ge=0, le=1)
    margin: float = Field(ge=0)
    precisions: tuple[GateRecord, ...]

    @model_validator(mode="after")
    def _counted(self) -> "GateFile":
        names = [each.name for each in self.precisions]
        if len(set(names)) != len(names):
            raise ValueError(f"each precision stands once, found {names}")
        for each in self.precisions:
            if each.share != each.flips / (self.n_items * max(1, len(each.policies))):
                raise ValueError(f"{each.name}: a share of {each.share} is not that of {each.flips} flips")
            if each.passed and each.share > self.most_flips:
                raise ValueError(f"{each.name}: more flips than {self.most_flips}, and no reason against it")
        return self

    def of(self, name: str) -> GateRecord | None:
        """The record of a precision, None if it was not compared."""
        return next((each for each in self.precisions if each.name == name), None)

    def decisions(self, record: GateRecord) -> int:
        """How many golden decisions were compared, over all policies."""
        return self.n_items * len(record.policies)

    def lines(self) -> list[str]:
        """A line a precision, for people."""
        return [self._line(each) for each in self.precisions]

    def _line(self, record: GateRecord) -> str:
        outside = sum(policy.flips_outside_margin for policy in record.policies)
        largest = max((policy.max_score_difference for policy in record.policies), default=0.0)
        verdict = "passed" if record.passed else f"REFUSED ({'; '.join(record.reasons)})"
        return (
            f"precision {record.name}: {verdict}; {record.flips:,} of {self.decisions(record):,} decisions flip, "
            f"{outside:,} of them further than {self.margin:g} from a threshold; scores differ by up to {largest:.2g}"
        )


def read_gate(calibration: Path) -> GateFile | None:
    """precisions.json of a folder that `calibrate` wrote; None where it compared no precisions.

    Raises:
        InputError: it is not such a file, with key and value.
    """
    file = calibration / GATE_FILE
    if not file.exists():
        return None
    try:
        return GateFile.model_validate(read_json(file))
    except ValidationError as error:
        raise InputError(findings_of(file, error)) from error
