"""reports/tensorrt.json of a model folder or release: which TensorRT takes which of its ONNX files, and what not.

It says nothing of results or speed: those need a GPU.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationError

from data.errors import InputError
from data.files import read_json, write_json
from data.policy import Strict, findings_of
from export.tensorrt.library import LibraryName
from export.tensorrt.outcome import Refusal, Stage

REPORT = "reports/tensorrt.json"
PROVEN = "the ONNX file was parsed into a strongly typed network, and an engine was built of it"
NOT_PROVEN = [
    "that the engine gives the ONNX file's scores: nothing was run",
    "how fast it is",
    "that another version, or another of TensorRT and TensorRT-RTX, takes it too",
]


class Check(Strict):
    """One ONNX file, offered to one TensorRT for one kind of GPU.

    Attributes:
        compute_capability: of the GPUs.
        stage: as of `export.tensorrt.outcome.Outcome`.
    """

    precision: str
    model_digest: str
    library: LibraryName
    version: str
    compute_capability: str
    stage: Stage
    refusals: list[Refusal]

    @property
    def key(self) -> tuple[str, str, str]:
        """What a newer check replaces."""
        return self.library, self.compute_capability, self.precision


class TensorRtReport(Strict):
    """The content of reports/tensorrt.json."""

    format: Literal["setpoint/tensorrt/v1"] = Field(default="setpoint/tensorrt/v1", alias="schema")
    proven: str = PROVEN
    not_proven: list[str] = NOT_PROVEN
    checks: list[Check]

    def of(self, digests: Mapping[str, str]) -> "TensorRtReport":
        """What it says of these models, given by precision as digests; checks of others are left out."""
        return self.model_copy(
            update={"checks": [check for check in self.checks if digests.get(check.precision) == check.model_digest]}
        )


def read_report(folder: Path) -> TensorRtReport | None:
    """The report of a model folder or release; None where there is none.

    Raises:
        InputError: it is not such a report, with key and value.
    """
    file = folder / REPORT
    if not file.is_file():
        return None
    try:
        return TensorRtReport.model_validate(read_json(file))
    except ValidationError as error:
        raise InputError(findings_of(file, error)) from error


def add_checks(folder: Path, checks: Iterable[Check]) -> Path:
    """Put checks into the report of a model folder, in the place of earlier ones of the same; returns the file."""
    held = {check.key: check for check in earlier.checks} if (earlier := read_report(folder)) else {}
    held |= {check.key: check for check in checks}
    report = TensorRtReport(checks=[held[key] for key in sorted(held)])
    write_json(folder / REPORT, report.model_dump(mode="json", by_alias=True))
    return folder / REPORT
