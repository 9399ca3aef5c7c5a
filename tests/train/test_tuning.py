"""Runs that tune their encoders: what trains, what checkpoints hold, and that a stopped run ends like a whole one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from data.errors import InputError
from train.checkpoint import load_checkpoint, read_checkpoint
from train.lora import ADAPTER
from train.run import train
from train.settings import EncoderSettings, FusionSettings, ImageSettings, LoraSettings, ModelSettings, TextSettings

Arguments = Callable[..., dict[str, Any]]


@pytest.fixture
def lora_model(encoder_folder: Callable[[str], str]) -> ModelSettings:
    """Adapters on a vision and a text transformer."""
    adapters: dict[str, Any] = {"tune": "lora", "lora": LoraSettings(rank=2, alpha=4, dropout=0.1)}
    return ModelSettings(
        image=ImageSettings(source=encoder_folder("vit"), **adapters),
        text=TextSettings(source=encoder_folder("bert"), **adapters, layers=(-1, -2)),
        fusion=FusionSettings(width=16, num_heads=2),
    )


def checkpoint(arguments: dict[str, Any], name: str = "last") -> Path:
    path: Path = arguments["out"] / "checkpoints" / f"{name}.ckpt"
    return path


def test_a_checkpoint_holds_adapters_and_gives_merged_weights(
    arguments: Arguments, lora_model: ModelSettings
) -> None:
    given = arguments(model=lora_model, trainer={"max_epochs": 1})
    train(**given)
    content = read_checkpoint(checkpoint(given))
    in_encoders = [name for name in content["state_dict"] if "_encoder." in name]
    assert in_encoders
    assert all(ADAPTER in name for name in in_encoders)
    moved = [name for name in in_encoders if "lora_B" in name and content["state_dict"][name].abs().max() > 0]
    assert any(name.startswith("network.image_encoder.") for name in moved)
    assert any(name.startswith("network.text_encoder.") for name in moved)
    trained, again = load_checkpoint(checkpoint(given)), load_checkpoint(checkpoint(given))
    assert trained.digest == again.digest
    assert not any("lora" in name for name in trained.network.state_dict())


def test_settings_that_mean_nothing_for_a_frozen_encoder_are_refused() -> None:
    for name, value in (("layer_decay", 0.8), ("unfreeze_over", 0.5), ("gradient_checkpointing", True)):
        with pytest.raises(ValidationError, match=f"{name} has no meaning with tune: frozen"):
            EncoderSettings.model_validate({"source": "x", name: value})
        EncoderSettings.model_validate({"source": "x", "tune": "full", name: value})


def test_wrong_targets_are_said_before_anything_is_encoded(
    arguments: Arguments, encoder_folder: Callable[[str], str], lora_model: ModelSettings
) -> None:
    image = lora_model.image.model_copy(update={"source": encoder_folder("timm")})
    given = arguments(model=lora_model.model_copy(update={"image": image}))
    with pytest.raises(InputError, match="has no attention projections"):
        train(**given)
    assert not given["cache_dir"].exists()


def test_adapters_alone_move(arguments: Arguments, lora_model: ModelSettings) -> None:
    """Of the encoders, with everything else of the network."""
    from data.policy import load_policies
    from train.assemble import build_network, load_encoders
    from train.tuning import start_tuning, unstored_names

    given = arguments()
    network = build_network(
        lora_model, load_encoders(lora_model), load_policies(given["policies"]), given["preprocessing"]
    )
    start_tuning(network, lora_model)
    trains = {name for name, weight in network.named_parameters() if weight.requires_grad}
    assert trains == {name for name, _ in network.named_parameters() if "_encoder." not in name or ADAPTER in name}
    assert trains.isdisjoint(unstored_names(network, lora_model))
    assert {name for name in network.state_dict() if "_encoder." not in name}.isdisjoint(
        unstored_names(network, lora_model)
    )
