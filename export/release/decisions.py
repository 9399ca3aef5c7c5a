"""policies.json: what a release decides. The graph holds the same numbers; this file is the authority.

P policies, K bands; bands are numbered through, policy by policy: their index is the column of the output `flags`.
"""

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from calibrate.operating_points_file import (
    BandRecord,
    CalibratorRecord,
    GoldenSetRecord,
    OperatingPointsFile,
    ScoresRecord,
)
from data.errors import InputError
from data.files import read_json
from data.policy import Modality, Policy, Strict, findings_of
from export.graph.decision_head import NEVER, Decision


class ServedBand(BandRecord):
    """A band with its operating point, and its column among the flags."""

    index: int


class ServedPolicy(Strict):
    """One policy: its column among logits and probabilities, its calibrator, its bands, strictest first.

    Attributes:
        evidence: which parts of an item the policy is about.
        approver: who signed its operating points; None if nobody did.
    """

    policy_id: str
    version: str
    name: str
    output_index: int
    evidence: list[Modality]
    calibrator: CalibratorRecord
    bands: tuple[ServedBand, ...]
    approver: str | None = None


class ServedPolicies(Strict):
    """The content of policies.json."""

    format: Literal["setpoint/policies/v1"] = Field(default="setpoint/policies/v1", alias="schema")
    model_digest: str
    golden_set: GoldenSetRecord
    scores: ScoresRecord
    policies: tuple[ServedPolicy, ...]

    @model_validator(mode="after")
    def _numbered(self) -> "ServedPolicies":
        columns = [policy.output_index for policy in self.policies]
        if columns != list(range(len(columns))):
            raise ValueError(f"output_index must count up from 0, found {columns}")
        indices = [band.index for policy in self.policies for band in policy.bands]
        if indices != list(range(len(indices))):
            raise ValueError(f"the index of bands must count up from 0, found {indices}")
        return self

    def decision(self) -> Decision:
        """What the graph must hold: Platt parameters [P], thresholds and policy columns [K]."""
        bands = [(policy.output_index, band) for policy in self.policies for band in policy.bands]
        thresholds = [NEVER if band.threshold is None else band.threshold for _, band in bands]
        return Decision(
            platt_scale=np.array([policy.calibrator.scale for policy in self.policies], np.float32),
            platt_offset=np.array([policy.calibrator.offset for policy in self.policies], np.float32),
            thresholds=np.array(thresholds, np.float32),
            band_policy=np.array([column for column, _ in bands], np.int64),
        )


def served_policies(points: OperatingPointsFile, policies: list[Policy], model_digest: str) -> ServedPolicies:
    """Operating points in the form that serving reads; both lists in the order of the model's outputs."""
    served = []
    index = 0
    for column, (record, policy) in enumerate(zip(points.policies, policies, strict=True)):
        bands = []
        for band in record.bands:
            bands.append(ServedBand(**band.model_dump(), index=index))
            index += 1
        served.append(
            ServedPolicy(
                policy_id=policy.policy_id,
                version=policy.version,
                name=policy.name,
                output_index=column,
                evidence=policy.evidence,
                # The graph computes in float32: say what it computes with.
                calibrator=record.calibrator.model_copy(
                    update={
                        "scale": float(np.float32(record.calibrator.scale)),
                        "offset": float(np.float32(record.calibrator.offset)),
                    }
                ),
                bands=tuple(bands),
            )
        )
    return ServedPolicies(
        model_digest=model_digest, golden_set=points.golden_set, scores=points.scores, policies=tuple(served)
    )


def read_served_policies(path: str | Path) -> ServedPolicies:
    """Read policies.json; InputError names file, key and value."""
    try:
        return ServedPolicies.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(findings_of(path, error)) from error
