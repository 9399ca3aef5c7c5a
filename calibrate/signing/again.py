"""A calibration that is certified again: the same inputs, checked by their digests; no new look at any label."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from calibrate.inputs import CalibrationInputs
from calibrate.operating_points_file import OperatingPointsFile
from calibrate.traffic.file import Traffic
from data.errors import Finding, InputError

Moves = Mapping[tuple[str, int], float | None]
"""Thresholds that differ from the certified ones, by policy_id and place of the band; None switches a band off."""


@dataclass(frozen=True)
class Again:
    """What is certified again.

    Attributes:
        file: operating_points.json as it stands, for messages.
        expected: its content.
        moves: thresholds to describe instead of those that are found.
    """

    file: Path
    expected: OperatingPointsFile
    moves: Moves = field(default_factory=dict)

    def check_inputs(self, inputs: CalibrationInputs, traffic: Traffic | None) -> None:
        """Refuse inputs that have changed since; InputError names each."""
        expected, pilot = self.expected, inputs.validation_scores
        found = {
            "golden_set.digest": (expected.golden_set.digest, inputs.golden_set.record.digest),
            "scores.digest": (expected.scores.digest, inputs.scores.digest()),
            "pilot_digest": (expected.pilot_digest, pilot.digest() if pilot else None),
            "traffic.digest": (expected.traffic and expected.traffic.digest, traffic.digest() if traffic else None),
        }
        findings = [
            Finding(self.file, f"the evidence has changed since, it is {now} now; calibrate again", None, name, then)
            for name, (then, now) in found.items()
            if then != now
        ]
        if findings:
            raise InputError(findings)
