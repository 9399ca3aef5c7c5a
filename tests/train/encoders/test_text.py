from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from data.errors import InputError
from train.encoders.describing import build_encoder, describe
from train.encoders.text import load_text_encoder

Folder = Callable[[str], str]


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


def test_a_text_description_rebuilds_the_architecture(encoder_folder: Folder) -> None:
    for kind in ("bert", "clip", "siglip"):
        encoder = load_text_encoder(encoder_folder(kind), layers=(-1, -2))
        rebuilt = build_encoder("text", describe(encoder))
        rebuilt.load_state_dict(encoder.state_dict())
        ids = torch.tensor([[2, 5, 3]])
        mask = torch.ones_like(ids, dtype=torch.bool)
        assert torch.equal(rebuilt.eval()(ids, mask), encoder(ids, mask))


def test_a_checkpoint_without_all_weights_is_refused(encoder_folder: Folder, tmp_path: Path) -> None:
    from transformers import AutoModel

    model = AutoModel.from_pretrained(encoder_folder("bert"))
    state = {name: held for name, held in model.state_dict().items() if "layer.1" not in name}
    model.save_pretrained(tmp_path, state_dict=state)
    with pytest.raises(InputError, match="lacks weights"):
        load_text_encoder(str(tmp_path))
