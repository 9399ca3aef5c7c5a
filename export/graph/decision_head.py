"""The last nodes of a served graph: from logits to calibrated probabilities and flags.

Sealing fills four initialisers and changes nothing else. The model digest leaves out what they hold: scores
taken before sealing stay scores of the sealed model. Made by surgery on the ONNX, not traced through torch.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

from data.errors import InputError
from data.files import existing_file

# P policies, K bands

LOGITS = "logits"
PROBABILITIES = "probabilities"
FLAGS = "flags"
PLATT_SCALE = "setpoint.platt_scale"
PLATT_OFFSET = "setpoint.platt_offset"
THRESHOLDS = "setpoint.thresholds"
BAND_POLICY = "setpoint.band_policy"
DECISION_NAMES = (PLATT_SCALE, PLATT_OFFSET, THRESHOLDS, BAND_POLICY)
NEVER = float("inf")
"""The threshold of a band that never flags because it is not certified."""


@dataclass(frozen=True, eq=False)
class Decision:
    """What a graph does with its logits.

    Attributes:
        platt_scale: float32 [P]; probability = sigmoid(scale * logit + offset).
        platt_offset: float32 [P].
        thresholds: float32 [K] on raw logits; flagged where logit >= threshold; `NEVER` (+inf) never flags.
        band_policy: int64 [K], the policy column that each band reads.
    """

    platt_scale: NDArray[np.float32]
    platt_offset: NDArray[np.float32]
    thresholds: NDArray[np.float32]
    band_policy: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name in ("platt_scale", "platt_offset", "thresholds"):
            object.__setattr__(self, name, _vector(getattr(self, name), np.float32))
        object.__setattr__(self, "band_policy", _vector(self.band_policy, np.int64))
        if len(self.platt_scale) != len(self.platt_offset):
            raise ValueError(f"{len(self.platt_scale)} Platt scales but {len(self.platt_offset)} offsets")
        if not (np.isfinite(self.platt_scale).all() and np.isfinite(self.platt_offset).all()):
            raise ValueError("Platt scales and offsets must be finite")
        if len(self.thresholds) != len(self.band_policy):
            raise ValueError(f"{len(self.thresholds)} thresholds but {len(self.band_policy)} band policies")
        if np.isnan(self.thresholds).any() or np.isneginf(self.thresholds).any():
            raise ValueError("thresholds must be finite, or +inf for a band that never flags")
        if ((self.band_policy < 0) | (self.band_policy >= len(self.platt_scale))).any():
            raise ValueError(f"band policies must lie in 0 … {len(self.platt_scale) - 1}")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Decision):
            return NotImplemented
        return all(np.array_equal(mine, theirs) for mine, theirs in zip(_arrays(self), _arrays(other), strict=True))

    __hash__ = None  # type: ignore[assignment]  # it holds arrays; mypy takes None for no method

    def apply(self, logits_BP: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Probabilities float32 [B, P] and flags bool [B, K] of raw float32 logits, like the graph."""
        calibrated = logits_BP * self.platt_scale + self.platt_offset
        probabilities = 1 / (1 + np.exp(-calibrated.astype(np.float64)))
        return probabilities.astype(np.float32), logits_BP[:, self.band_policy] >= self.thresholds


def undecided(policy_count: int) -> Decision:
    """The decision of a model that is not sealed: probability = sigmoid(logit), and no bands."""
    ones = np.ones(policy_count, np.float32)
    return Decision(ones, 0 * ones, np.zeros(0, np.float32), np.zeros(0, np.int64))


def append_decision_head(model: onnx.ModelProto, policy_count: int) -> onnx.ModelProto:
    """A copy of `model`, which gives `logits` [batch, policies], that gives probabilities and flags too.

    Raises:
        ValueError: the model's outputs are not `logits` alone: it has a head already, or is another graph.
    """
    outputs = [output.name for output in model.graph.output]
    if outputs != [LOGITS]:
        raise ValueError(f"expected a graph with the one output 'logits', found {outputs}")
    with_head = onnx.ModelProto()
    with_head.CopyFrom(model)
    graph = with_head.graph
    graph.node.extend(
        [
            helper.make_node("Mul", [LOGITS, PLATT_SCALE], ["setpoint.scaled"], name="setpoint.scale"),
            helper.make_node(
                "Add", ["setpoint.scaled", PLATT_OFFSET], ["setpoint.calibrated"], name="setpoint.offset"
            ),
            helper.make_node("Sigmoid", ["setpoint.calibrated"], [PROBABILITIES], name="setpoint.sigmoid"),
            helper.make_node(
                "Gather", [LOGITS, BAND_POLICY], ["setpoint.band_logits"], name="setpoint.gather", axis=1
            ),
            helper.make_node(
                "GreaterOrEqual", ["setpoint.band_logits", THRESHOLDS], [FLAGS], name="setpoint.compare"
            ),
        ]
    )
    graph.output.extend(
        [
            helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["batch", policy_count]),
            helper.make_tensor_value_info(FLAGS, TensorProto.BOOL, ["batch", "bands"]),
        ]
    )
    decision = undecided(policy_count)
    graph.initializer.extend(
        numpy_helper.from_array(array, name) for name, array in zip(DECISION_NAMES, _arrays(decision), strict=True)
    )
    return with_head


def read_decision(model: onnx.ModelProto) -> Decision:
    """What the graph's decision initialisers hold; InputError when it has no decision head."""
    tensors = _decision_tensors(model)
    scale, offset, thresholds, band_policy = (numpy_helper.to_array(tensors[name]) for name in DECISION_NAMES)
    return Decision(scale, offset, thresholds, band_policy)


def write_decision(model: onnx.ModelProto, decision: Decision) -> onnx.ModelProto:
    """A copy of `model` that holds `decision`; its model digest is that of `model`.

    Raises:
        ValueError: the decision is for another number of policies.
        InputError: the model has no decision head.
    """
    policy_count = len(read_decision(model).platt_scale)
    if len(decision.platt_scale) != policy_count:
        raise ValueError(f"a decision for {len(decision.platt_scale)} policies, the model has {policy_count}")
    decided = onnx.ModelProto()
    decided.CopyFrom(model)
    tensors = _decision_tensors(decided)
    for name, array in zip(DECISION_NAMES, _arrays(decision), strict=True):
        tensors[name].CopyFrom(numpy_helper.from_array(array, name))
    return decided


def model_digest(model: onnx.ModelProto | str | Path) -> str:
    """Hex SHA-256 of the ONNX, serialised with the four decision initialisers emptied.

    Args:
        model: the model, or the path of its file.

    Raises:
        InputError: no such file, no ONNX, or no decision head.
    """
    emptied = onnx.ModelProto()
    if isinstance(model, onnx.ModelProto):
        emptied.CopyFrom(model)
    else:
        emptied = load_onnx(model)
    for name, tensor in _decision_tensors(emptied).items():
        tensor.CopyFrom(TensorProto(name=name, data_type=tensor.data_type, dims=[0]))
    return hashlib.sha256(emptied.SerializeToString(deterministic=True)).hexdigest()


def load_onnx(path: str | Path) -> onnx.ModelProto:
    """Read an ONNX file; InputError names the file when it is missing, truncated or no ONNX."""
    path = existing_file(path)
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise InputError(f"{path}: not an ONNX model, or a truncated one ({error})") from error
    if not model.graph.node:
        raise InputError(f"{path}: not an ONNX model, or a truncated one (no nodes)")
    return model


def _decision_tensors(model: onnx.ModelProto) -> dict[str, TensorProto]:
    found = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name in DECISION_NAMES}
    missing = [name for name in DECISION_NAMES if name not in found]
    if missing:
        raise InputError(f"the ONNX model has no initialiser {missing[0]}: not a model that `setpoint export` wrote")
    return found


def _arrays(decision: Decision) -> tuple[NDArray[np.float32] | NDArray[np.int64], ...]:
    return decision.platt_scale, decision.platt_offset, decision.thresholds, decision.band_policy


def _vector(values: ArrayLike, dtype: type) -> NDArray[np.float32] | NDArray[np.int64]:
    vector: NDArray[np.float32] | NDArray[np.int64] = np.ascontiguousarray(values, dtype)
    if vector.ndim != 1:
        raise ValueError(f"expected a vector, found shape {vector.shape}")
    return vector
