"""bench.json and its page: what was measured, on what, of which release."""

from pathlib import Path
from typing import Literal

from jinja2 import Environment, StrictUndefined
from pydantic import Field, ValidationError

from data.errors import InputError
from data.files import atomic_file, read_json, write_json
from data.policy import Strict, findings_of
from export.machine import Machine

TEMPLATE = Path(__file__).with_name("page.html.j2")


class Row(Strict):
    """One way to run the release, in a process of its own.

    Attributes:
        runtime: onnxruntime and where it runs.
        precision: which ONNX file.
        batch_size: items a request; each is one golden input, repeated.
        threads: of one operator; 0: ONNX Runtime's choice, as predict.py runs.
        load_ms: opening the session.
        first_inference_ms: the first request.
        p50_ms: of a request; likewise p95 and p99, of `n_requests`.
        items_per_second: one request after the other.
        peak_memory_mb: of the process, VmHWM; None where the system does not say.
        memory_before_mb: of that, before the model was loaded.
    """

    runtime: str
    precision: str
    batch_size: int
    threads: int
    load_ms: float
    first_inference_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    items_per_second: float
    n_requests: int
    peak_memory_mb: float | None
    memory_before_mb: float | None


class Skipped(Strict):
    """What could not be measured here, and why."""

    what: str
    reason: str


class BenchReport(Strict):
    """The content of bench.json."""

    format: Literal["setpoint/bench/v1"] = Field(default="setpoint/bench/v1", alias="schema")
    release: str
    model_digests: dict[str, str]
    machine: Machine
    versions: dict[str, str]
    n_inputs: int
    rows: list[Row] = Field(min_length=1)
    skipped: list[Skipped]


def write_report(folder: Path, report: BenchReport) -> list[Path]:
    """Write bench.json and index.html; the page stands alone."""
    write_json(folder / "bench.json", report.model_dump(mode="json", by_alias=True))
    template = Environment(undefined=StrictUndefined, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    fastest = max(row.items_per_second for row in report.rows)
    page = template.from_string(TEMPLATE.read_text(encoding="utf-8")).render(report=report, fastest=fastest)
    with atomic_file(folder / "index.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    return [folder / "index.html", folder / "bench.json"]


def read_report(folder: Path) -> BenchReport:
    """Read bench.json; InputError names file, key and value."""
    try:
        return BenchReport.model_validate(read_json(folder / "bench.json"))
    except ValidationError as error:
        raise InputError(findings_of(folder / "bench.json", error)) from error
