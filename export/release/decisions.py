"""policies.json: what a release decides. The graph holds the same numbers; this file is the authority.

P policies, K bands; bands are numbered through, policy by policy, pack by pack: their index is the column of the
output `flags`. A pack is one calibration of the policies, for a market or a product; most releases have one.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, ValidationError, model_validator

from calibrate.operating_points_file import (
    BandRecord,
    CalibratorRecord,
    GoldenSetRecord,
    OperatingPointsFile,
    PolicyRecord,
    ScoresRecord,
)
from calibrate.signing.needed import names_of
from data.errors import InputError
from data.files import read_json
from data.policy import Identifier, Modality, Policy, Strict, findings_of
from export.graph.decision_head import NEVER, Decision
from export.model_folder import FP32


class ServedBand(BandRecord):
    """A band with its operating point, and its column among the flags."""

    index: int


class ServedPolicy(Strict):
    """One policy: its column among logits and probabilities, its calibrator, its bands, strictest first.

    Attributes:
        evidence: which parts of an item the policy is about.
        approver: who signed its operating points, each name once; None if nobody did.
    """

    policy_id: str
    version: str
    name: str
    output_index: int
    evidence: list[Modality]
    calibrator: CalibratorRecord
    bands: tuple[ServedBand, ...]
    approver: str | None = None


class ServedPack(Strict):
    """One calibration of all policies: its evidence, its thresholds and its calibrators.

    Attributes:
        name: of the pack; None where it is alone and needs none.
    """

    name: Identifier | None
    golden_set: GoldenSetRecord
    scores: ScoresRecord
    policies: tuple[ServedPolicy, ...]


class ServedPolicies(Strict):
    """The content of policies.json.

    Attributes:
        golden_set, scores, policies: of the first pack, whose calibrators give the graph's probabilities.
        pack: its name; None where it is alone and needs none.
        packs: the further ones. Their bands are flags of the graph like any other; their probabilities follow from
            the logits by the calibrators that stand here.
        precisions: what further precisions decide, by their names: models of their own, each with its certificates.
            Their bands are the same columns.
        unsigned: why it was sealed without signatures that its operating points need, in somebody's words.
    """

    format: Literal["setpoint/policies/v1"] = Field(default="setpoint/policies/v1", alias="schema")
    model_digest: str
    golden_set: GoldenSetRecord
    scores: ScoresRecord
    policies: tuple[ServedPolicy, ...]
    pack: Identifier | None = None
    packs: tuple[ServedPack, ...] = ()
    precisions: dict[Identifier, "ServedPolicies"] = Field(default_factory=dict)
    unsigned: str | None = None

    @model_validator(mode="after")
    def _numbered(self) -> "ServedPolicies":
        for pack in self.all_packs():
            columns = [policy.output_index for policy in pack.policies]
            if columns != list(range(len(self.policies))):
                raise ValueError(f"output_index must count up from 0, found {columns}")
        indices = [band.index for _, _, band in self.all_bands()]
        if indices != list(range(len(indices))):
            raise ValueError(f"the index of bands must count up from 0, found {indices}")
        names = [pack.name for pack in self.all_packs()]
        if len(set(names)) != len(names) or (self.packs and None in names):
            raise ValueError(f"packs need names of their own, found {names}")
        for name, lower in self.precisions.items():
            if name == FP32 or lower.precisions:
                raise ValueError(f"precisions: {name} cannot stand here, or holds precisions itself")
            if lower._columns() != self._columns():
                raise ValueError(f"precisions: {name} has other packs, policies or bands")
        return self

    def _columns(self) -> list[tuple[object, ...]]:
        return [
            (pack.name, policy.policy_id, policy.version, band.action, band.queue, band.kind, band.target)
            for pack, policy, band in self.all_bands()
        ]

    def by_precision(self) -> dict[str, "ServedPolicies"]:
        """What each precision decides, fp32 first."""
        return {FP32: self, **self.precisions}

    def all_packs(self) -> tuple[ServedPack, ...]:
        """The first pack and the further ones."""
        first = ServedPack(name=self.pack, golden_set=self.golden_set, scores=self.scores, policies=self.policies)
        return (first, *self.packs)

    def all_bands(self) -> Iterator[tuple[ServedPack, ServedPolicy, ServedBand]]:
        """Every column of the output `flags`, in order."""
        for pack in self.all_packs():
            for policy in pack.policies:
                for band in policy.bands:
                    yield pack, policy, band

    def content(self) -> dict[str, Any]:
        """As JSON values; of packs and precisions nothing is said where there is one alone."""
        left_out = {name for name in ("pack", "packs", "unsigned") if not getattr(self, name)}
        content = self.model_dump(mode="json", by_alias=True, exclude={*left_out, "precisions"})
        lower = {name: each.content() for name, each in self.precisions.items()}
        return {**content, "precisions": lower} if lower else content

    def decision(self) -> Decision:
        """What the graph must hold: Platt parameters [P], thresholds and policy columns [K]."""
        bands = [(policy.output_index, band) for _, policy, band in self.all_bands()]
        thresholds = [NEVER if band.threshold is None else band.threshold for _, band in bands]
        return Decision(
            platt_scale=np.array([policy.calibrator.scale for policy in self.policies], np.float32),
            platt_offset=np.array([policy.calibrator.offset for policy in self.policies], np.float32),
            thresholds=np.array(thresholds, np.float32),
            band_policy=np.array([column for column, _ in bands], np.int64),
        )


def served_policies(
    packs: Sequence[tuple[str | None, OperatingPointsFile, list[Policy]]], model_digest: str
) -> ServedPolicies:
    """Operating points in the form that serving reads.

    Args:
        packs: name, operating points and policies of each; policies in the order of the model's outputs.
        model_digest: of the model that all were certified for.
    """
    served: list[ServedPack] = []
    index = 0
    for name, points, policies in packs:
        columns = []
        for column, (record, policy) in enumerate(zip(points.policies, policies, strict=True)):
            columns.append(_served_policy(record, policy, column, index))
            index += len(record.bands)
        served.append(
            ServedPack(name=name, golden_set=points.golden_set, scores=points.scores, policies=tuple(columns))
        )
    first, *further = served
    return ServedPolicies(
        model_digest=model_digest,
        golden_set=first.golden_set,
        scores=first.scores,
        policies=first.policies,
        pack=first.name,
        packs=tuple(further),
    )


def _served_policy(record: PolicyRecord, policy: Policy, column: int, index: int) -> ServedPolicy:
    return ServedPolicy(
        policy_id=policy.policy_id,
        version=policy.version,
        name=policy.name,
        output_index=column,
        evidence=policy.evidence,
        calibrator=in_float32(record.calibrator),
        approver=", ".join(names_of(record.bands)) or None,
        bands=tuple(ServedBand(**band.model_dump(), index=index + place) for place, band in enumerate(record.bands)),
    )


def in_float32(calibrator: CalibratorRecord) -> CalibratorRecord:
    """A calibrator with the numbers that the graph computes with."""
    rounded = {name: float(np.float32(getattr(calibrator, name))) for name in ("scale", "offset")}
    return calibrator.model_copy(update=rounded)


def reports_of(precision: str, further_pack: str | None = None) -> str:
    """Folder of a release with the certificate of a precision and pack; the first pack is not named."""
    folder = "reports/decisions" if precision == FP32 else f"reports/precisions/{precision}"
    return f"{folder}/{further_pack}" if further_pack else folder


def read_served_policies(path: str | Path) -> ServedPolicies:
    """Read policies.json; InputError names file, key and value."""
    try:
        return ServedPolicies.model_validate(read_json(path))
    except ValidationError as error:
        raise InputError(findings_of(path, error)) from error
