"""What came of a build: an engine, or the nodes that TensorRT refuses, with its reasons."""

from collections import Counter
from typing import Literal

from pydantic import Field

from data.policy import Strict

Stage = Literal["built", "parsing", "building", "ended"]
SHOWN_GROUPS = 5


class Refusal(Strict):
    """One thing that TensorRT does not take.

    Attributes:
        node: name of the ONNX node, or of its first output where it has no name; empty where TensorRT does not say.
        operator: its ONNX operator; empty likewise.
        reason: in TensorRT's words.
    """

    node: str
    operator: str
    reason: str


class Outcome(Strict):
    """What came of a build.

    Attributes:
        stage: how far it came: "built"; or refused while "parsing" the ONNX, or while "building" the engine; or
            "ended", by a crash or after too long a time, which tells nothing of the model.
        refusals: at least one where there is no engine.
        num_layers: of TensorRT's network, before layers are fused; 0 where parsing was refused.
        seconds: that parsing and building took.
    """

    stage: Stage
    refusals: list[Refusal] = Field(default_factory=list)
    num_layers: int = 0
    seconds: float = 0.0

    @property
    def built(self) -> bool:
        """Whether there is an engine."""
        return self.stage == "built"

    def words(self) -> str:
        """Why there is no engine, in one line."""
        head = f"refused while {self.stage}" if self.stage != "ended" else "not built"
        return f"{head}: {'; '.join(described(self.refusals))}"


def described(refusals: list[Refusal]) -> list[str]:
    """A line for each operator and reason, with the number of nodes and the first one.

    >>> odd = [Refusal(node=node, operator="QuantizeLinear", reason="no zero point") for node in ("q1", "q2")]
    >>> described([*odd, Refusal(node="d", operator="Det", reason="no such operator")])
    ['QuantizeLinear (2 nodes, first q1): no zero point', 'Det (d): no such operator']
    """
    counts = Counter((refusal.operator, refusal.reason) for refusal in refusals)
    first: dict[tuple[str, str], str] = {}
    for refusal in refusals:
        first.setdefault((refusal.operator, refusal.reason), refusal.node)
    lines = []
    for (operator, reason), count in list(counts.items())[:SHOWN_GROUPS]:
        node = first[operator, reason] or "unnamed"
        where = f"{operator} ({f'{count} nodes, first {node}' if count > 1 else node}): " if operator else ""
        lines.append(where + reason)
    more = len(counts) - SHOWN_GROUPS
    return [*lines, *([f"… and {more} more"] if more > 0 else [])]
