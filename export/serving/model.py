"""What a server serves, and what it takes on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from data.preprocessing import Preprocessing
from export.graph.contract import Contract
from export.graph.decision_head import FLAGS, LOGITS, PROBABILITIES
from export.model_folder import read_model_folder
from export.release.decisions import read_served_policies
from export.release.manifest import read_manifest
from export.scoring.runtimes import OnnxRuntime
from export.serving.batching import Tensors
from export.serving.counts import Counts, counts_of

OUTPUTS = (LOGITS, PROBABILITIES, FLAGS)


@dataclass(frozen=True)
class Limits:
    """What a server takes on.

    Attributes:
        max_batch: items that run together, and items of one request, at most.
        max_delay: seconds that a request waits for others at most while the model is idle.
        max_in_flight: requests that are received, wait or run at once.
        max_body: bytes of a request.
        drain_seconds: that requests may take to be answered once the server stops.
    """

    max_batch: int = 8
    max_delay: float = 0.002
    max_in_flight: int = 256
    max_body: int = 64_000_000
    drain_seconds: int = 30


@dataclass(frozen=True, eq=False)
class Model:
    """What is served.

    Attributes:
        name: in the paths.
        version: the release's id.
        contract: its tensors.
        preprocessing: what makes its inputs.
        run: outputs by name of inputs by name.
        counts: the metrics.
    """

    name: str
    version: str
    contract: Contract
    preprocessing: Preprocessing
    run: Callable[[Tensors], Tensors]
    counts: Counts


def load_model(release: Path, *, precision: str = "fp32", name: str = "setpoint", threads: int = 0) -> Model:
    """Open a release that was verified.

    Raises:
        InputError: it has no such precision.
    """
    folder = read_model_folder(release)
    runtime = OnnxRuntime(folder, precision=precision, threads=threads)
    release_id = read_manifest(release).release_id

    def run(tensors: Tensors) -> Tensors:
        return dict(zip(OUTPUTS, runtime.session.run(list(OUTPUTS), tensors), strict=True))

    return Model(
        name=name,
        version=release_id,
        contract=folder.contract,
        preprocessing=folder.preprocessing,
        run=run,
        counts=counts_of(read_served_policies(release / "policies.json"), release_id=release_id, precision=precision),
    )
