"""What one run of `calibrate` found, in all precisions, before anything is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from calibrate.gate_file import GATE_FILE, PRECISIONS, GateFile
from calibrate.outcome import Outcome
from calibrate.policy_calibration import Settings
from calibrate.production.files import Production
from calibrate.report.examples.pictures import Pictures
from data.files import write_json


@dataclass(frozen=True)
class Certification:
    """All that a calibration's folder holds.

    Attributes:
        outcome: on `scores`.
        precisions: on those of other precisions, by name.
        gate: what came of comparing them; None without.
        settings: how the bands were tested.
        review_seconds: that one review takes.
        production: what serves today; None where nothing was compared.
        pictures: makes those of the example posts; None shows none.
    """

    outcome: Outcome
    precisions: Mapping[str, Outcome]
    gate: GateFile | None
    settings: Settings
    review_seconds: float
    production: Production | None
    pictures: Pictures | None

    @property
    def passed(self) -> list[str]:
        """Names of the further precisions that passed the gate."""
        return [each.name for each in self.gate.precisions if each.passed] if self.gate else []

    def write(self, folder: Path) -> None:
        """Write operating points, curves and pages into a folder."""
        lower = [(folder / PRECISIONS / name, each, None) for name, each in self.precisions.items()]
        for place, each, gate in [(folder, self.outcome, self.gate), *lower]:
            each.write(place, self.settings, review_seconds=self.review_seconds, pictures=self.pictures, gate=gate)
        if self.gate:
            write_json(folder / GATE_FILE, self.gate.model_dump(mode="json", by_alias=True))
