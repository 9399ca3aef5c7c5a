"""The decision head: what it computes, what sealing changes, and what the model digest leaves out."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from data.errors import InputError
from export.graph.decision_head import (
    NEVER,
    Decision,
    append_decision_head,
    load_onnx,
    model_digest,
    read_decision,
    undecided,
    write_decision,
)


@pytest.fixture
def bare_model() -> onnx.ModelProto:
    """A graph that hands three logits through."""
    rows = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])]
    logits = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["logits"])], "g", rows, logits)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def run(model: onnx.ModelProto, logits: np.ndarray) -> list[np.ndarray]:
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(["logits", "probabilities", "flags"], {"x": logits.astype(np.float32)})


def test_unsealed_model_gives_sigmoid_and_no_flags(bare_model: onnx.ModelProto) -> None:
    logits, probabilities, flags = run(append_decision_head(bare_model, 3), np.array([[0, 2, -2]]))
    np.testing.assert_array_equal(logits, [[0, 2, -2]])
    np.testing.assert_allclose(probabilities, [[0.5, 0.880797, 0.119203]], atol=1e-6)
    assert flags.shape == (1, 0)
    assert flags.dtype == np.bool_


def test_graph_and_numpy_agree_on_random_decisions(bare_model: onnx.ModelProto) -> None:
    random = np.random.default_rng(5)
    model = append_decision_head(bare_model, 3)
    for band_count in (0, 1, 5):
        logits = random.normal(size=(7, 3)).astype(np.float32)
        # Thresholds that logits hit exactly: equality flags.
        band_policy = random.integers(0, 3, band_count)
        thresholds = logits[random.integers(0, 7, band_count), band_policy]
        decision = Decision(random.normal(size=3), random.normal(size=3), thresholds, band_policy)
        _, probabilities, flags = run(write_decision(model, decision), logits)
        expected_probabilities, expected_flags = decision.apply(logits)
        np.testing.assert_allclose(probabilities, expected_probabilities, atol=1e-6)
        np.testing.assert_array_equal(flags, expected_flags)


def test_threshold_is_compared_in_float32_and_inclusive(bare_model: onnx.ModelProto) -> None:
    threshold = np.float32(0.1)
    below = np.nextafter(threshold, np.float32(-1))
    decision = Decision(np.ones(3), np.zeros(3), [threshold, NEVER], [1, 1])
    model = write_decision(append_decision_head(bare_model, 3), decision)
    flags = run(model, np.array([[9, threshold, 9], [9, below, 9], [9, 3e38, 9]]))[2]
    np.testing.assert_array_equal(flags, [[True, False], [False, False], [True, False]])


def test_a_decision_is_read_back_as_written(bare_model: onnx.ModelProto) -> None:
    model = append_decision_head(bare_model, 3)
    assert read_decision(model) == undecided(3)
    decision = Decision([1.5, 2, 0.1], [0, -1, 3], [0.25, NEVER], [2, 0])
    assert read_decision(write_decision(model, decision)) == decision
    assert read_decision(model) == undecided(3), "write_decision must not change its argument"


def test_sealing_keeps_the_digest_and_any_other_change_does_not(bare_model: onnx.ModelProto, tmp_path) -> None:
    model = append_decision_head(bare_model, 3)
    digest = model_digest(model)
    sealed = write_decision(model, Decision([2, 2, 2], [1, 1, 1], [0.5, 0.6], [0, 1]))
    assert model_digest(sealed) == digest
    onnx.save(sealed, tmp_path / "model.onnx")
    assert model_digest(tmp_path / "model.onnx") == digest
    assert read_decision(sealed).thresholds.tolist() == [0.5, np.float32(0.6)], "the digest left its argument alone"
    sealed.graph.node[0].op_type = "Neg"
    assert model_digest(sealed) != digest


def test_swapped_initialisers_change_the_digest(bare_model: onnx.ModelProto) -> None:
    model = append_decision_head(bare_model, 3)
    digest = model_digest(model)
    scale = next(node for node in model.graph.node if node.name == "setpoint.scale")
    scale.input[1] = "setpoint.platt_offset"
    assert model_digest(model) != digest


@pytest.mark.parametrize(
    ("scale", "offset", "thresholds", "band_policy"),
    [
        ([1, 1], [0], [], []),
        ([1, np.nan], [0, 0], [], []),
        ([1, 1], [0, np.inf], [], []),
        ([1, 1], [0, 0], [0.5], []),
        ([1, 1], [0, 0], [np.nan], [0]),
        ([1, 1], [0, 0], [-np.inf], [0]),
        ([1, 1], [0, 0], [0.5], [2]),
        ([1, 1], [0, 0], [0.5], [-1]),
        ([[1, 1]], [0, 0], [], []),
    ],
)
def test_impossible_decisions_are_refused(scale, offset, thresholds, band_policy) -> None:
    with pytest.raises(ValueError, match=r"Platt|threshold|band|vector"):
        Decision(scale, offset, thresholds, band_policy)


def test_decision_of_another_model_is_refused(bare_model: onnx.ModelProto) -> None:
    with pytest.raises(ValueError, match="2 policies, the model has 3"):
        write_decision(append_decision_head(bare_model, 3), undecided(2))


def test_models_without_a_head_or_with_one_already(bare_model: onnx.ModelProto) -> None:
    with pytest.raises(InputError, match="not a model that `setpoint export` wrote"):
        read_decision(bare_model)
    with pytest.raises(InputError, match=r"setpoint\.platt_scale"):
        model_digest(bare_model)
    with pytest.raises(ValueError, match="one output"):
        append_decision_head(append_decision_head(bare_model, 3), 3)


def test_files_that_are_no_models(tmp_path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load_onnx(tmp_path / "model.onnx")
    for content in (b"", b"hello, this is text", b"\x00" * 64):
        (tmp_path / "model.onnx").write_bytes(content)
        with pytest.raises(InputError, match=r"model\.onnx: not an ONNX"):
            load_onnx(tmp_path / "model.onnx")
