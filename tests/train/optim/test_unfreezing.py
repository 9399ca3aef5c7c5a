"""Layers begin to train from the top; what is frozen does not move by a bit."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from data.errors import InputError
from data.policy import load_policies
from train.encoders.text import load_text_encoder
from train.job.checkpoint import load_checkpoint
from train.network.assemble import build_network, load_encoders
from train.network.classifier import MultimodalClassifier
from train.optim.unfreezing import drop_gradients, frozen_until
from train.run import train
from train.settings import ModelSettings

Arguments = Callable[..., dict[str, Any]]


@pytest.fixture
def network(arguments: Arguments) -> MultimodalClassifier:
    given = arguments("full")
    model: ModelSettings = given["model"]
    return build_network(model, load_encoders(model), load_policies(given["policies"]), given["preprocessing"])


def with_gradients(network: MultimodalClassifier, *, done: float) -> set[str]:
    """Names of the parameters of the text encoder that a step moves."""
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    drop_gradients(frozen_until(network, {"image": 0.0, "text": 0.4}), done=done)
    alive = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert {name for name, _ in network.named_parameters() if not name.startswith("text_encoder.")} <= alive
    return {name for name in alive if name.startswith("text_encoder.")}


def test_layers_begin_from_the_top(network: MultimodalClassifier) -> None:
    everything = {name for name, _ in network.named_parameters() if name.startswith("text_encoder.")}
    assert with_gradients(network, done=0.0) == set()
    # Three layers and the embeddings: one more after each quarter of .4.
    assert with_gradients(network, done=0.1) == {name for name in everything if "layer.2." in name}
    assert with_gradients(network, done=0.25) == {
        name for name in everything if "layer.2." in name or "layer.1." in name
    }
    assert with_gradients(network, done=0.31) == {name for name in everything if "embeddings" not in name}
    assert with_gradients(network, done=0.4) == everything


def test_a_frozen_layer_stays_what_it_was_to_the_bit(arguments: Arguments) -> None:
    """Neither momentum nor weight decay touches it; the layers above move."""
    given = arguments("full", trainer={"max_epochs": 1})
    model: ModelSettings = given["model"]
    text = model.text.model_copy(update={"unfreeze_over": 0.99})
    train(**{**given, "model": model.model_copy(update={"text": text})})
    trained = load_checkpoint(given["out"] / "checkpoints" / "last.ckpt").network.text_encoder.state_dict()
    source = load_text_encoder(text.source).state_dict()
    moved = {name for name, weight in source.items() if not torch.equal(weight, trained[name])}
    # Four steps: the last layer moves from the second on, the one under it from the third, the first in the fourth.
    assert any("layer.2." in name for name in moved)
    assert any("layer.0." in name for name in moved)
    assert not any("embeddings" in name for name in moved)


def test_a_share_of_a_run_without_end_is_refused(arguments: Arguments) -> None:
    given = arguments("full", trainer={"max_epochs": -1, "limit_train_batches": 1})
    text = given["model"].text.model_copy(update={"unfreeze_over": 0.5})
    with pytest.raises(InputError, match=r"trainer\.max_epochs or trainer\.max_steps"):
        train(**{**given, "model": given["model"].model_copy(update={"text": text})})
