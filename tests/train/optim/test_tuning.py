"""Runs that tune their encoders: what trains, what checkpoints hold, and that a stopped run ends like a whole one."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from transformers import BertConfig, BertModel

from data.errors import InputError
from data.policy import load_policies
from data.preprocessing import Preprocessing
from train.job.checkpoint import load_checkpoint, read_checkpoint
from train.network.assemble import build_network, load_encoders
from train.network.classifier import MultimodalClassifier
from train.optim.lora import ADAPTER
from train.optim.tuning import check_tuning, start_tuning, unstored_names
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


def test_a_run_goes_on_with_recomputed_activations_and_not_with_other_rates(
    arguments: Arguments, lora_model: ModelSettings
) -> None:
    given = arguments(model=lora_model, trainer={"max_epochs": 1})
    train(**given)
    (given["out"] / "metrics.json").unlink()

    def changed(**settings: Any) -> dict[str, Any]:
        text = lora_model.text.model_copy(update=settings)
        return {**given, "model": lora_model.model_copy(update={"text": text})}

    with pytest.raises(InputError, match="another configuration"):
        train(**changed(layer_decay=0.5))
    assert any("continued from" in line for line in train(**changed(gradient_checkpointing=True)).lines)


def test_adapters_alone_move(arguments: Arguments, lora_model: ModelSettings) -> None:
    """Of the encoders, with everything else of the network."""

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


@pytest.mark.parametrize(("image", "tune"), [("vit", "lora"), ("siglip", "full"), ("efficientnet", "full")])
def test_recomputed_activations_give_the_same_gradients(
    image: str, tune: str, encoder_folder: Callable[[str], str], small: Preprocessing, split_folder: Path
) -> None:
    """To the bit, with dropout."""

    def gradients(*, recompute: bool) -> dict[str, Tensor]:
        shared: dict[str, Any] = {"tune": tune, "gradient_checkpointing": recompute, "lora": {"dropout": 0.5}}
        model = ModelSettings.model_validate(
            {
                "image": {"source": encoder_folder(image), **shared},
                "text": {"source": encoder_folder("bert"), **shared, "layers": (-1, -2)},
            }
        )
        torch.manual_seed(0)
        network = build_network(model, load_encoders(model), load_policies(split_folder / "policies"), small)
        check_tuning(network, model)
        start_tuning(network, model)
        calls: list[str] = []
        inner = network.text_encoder.backbone.encoder.layer[0].intermediate.dense
        inner.register_forward_hook(lambda *_: calls.append("text"))
        frames = torch.randint(0, 256, (2, 3, 3, 32, 32), dtype=torch.uint8)
        inputs = (frames, torch.ones(2, 3, dtype=torch.bool), torch.arange(3.0).expand(2, 3))
        tokens = torch.randint(4, 14, (2, 6))
        torch.nn.init.normal_(network.linear.weight)
        network(*inputs, tokens, torch.ones_like(tokens, dtype=torch.bool)).square().sum().backward()
        assert len(calls) == (2 if recompute else 1)
        return {name: one.grad for name, one in network.named_parameters() if one.grad is not None}

    kept, recomputed = gradients(recompute=False), gradients(recompute=True)
    assert set(kept) == set(recomputed)
    assert any("image_encoder" in name for name in kept)
    for name, gradient in kept.items():
        assert torch.equal(gradient, recomputed[name]), name


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile wants a C++ compiler")
def test_a_compiled_encoder_trains_under_the_same_names(
    encoder_folder: Callable[[str], str], split_folder: Path, small: Preprocessing, tmp_path: Path
) -> None:
    config = BertConfig.from_pretrained(encoder_folder("bert"), num_hidden_layers=1)
    BertModel(config).save_pretrained(tmp_path)

    def stepped(*, compiled: bool) -> tuple[MultimodalClassifier, dict[str, Tensor]]:
        text = {"source": str(tmp_path), "tune": "full", "compile": compiled}
        model = ModelSettings.model_validate({"image": None, "text": text, "fusion": {"num_layers": 0}})
        policies = [one for one in load_policies(split_folder / "policies") if "text" in one.evidence]
        torch.manual_seed(0)
        network = build_network(model, load_encoders(model), policies, small)
        start_tuning(network, model)
        network.eval()  # dropout draws other numbers when compiled
        tokens = torch.arange(10).reshape(2, 5) + 4
        network.text_encoder(tokens, torch.ones_like(tokens, dtype=torch.bool)).square().sum().backward()
        return network, {name: one.grad for name, one in network.named_parameters() if one.grad is not None}

    (plain, expected), (fast, found) = stepped(compiled=False), stepped(compiled=True)
    assert list(plain.state_dict()) == list(fast.state_dict())
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert set(expected) == set(found)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-4, rtol=1e-4)
