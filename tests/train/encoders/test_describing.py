from collections.abc import Callable

import pytest

from data.errors import InputError
from data.preprocessing import Preprocessing
from train.encoders.describing import feature_dim, state_digest
from train.encoders.image import load_image_encoder
from train.encoders.text import load_text_encoder

Folder = Callable[[str], str]


def test_the_digest_sees_every_weight_and_nothing_else(encoder_folder: Folder) -> None:
    first, second = (load_image_encoder(encoder_folder("vit")) for _ in range(2))
    assert state_digest(first) == state_digest(second)
    next(second.backbone.parameters()).data.view(-1)[0] += 1e-3
    assert state_digest(first) != state_digest(second)


def test_a_size_that_the_encoder_does_not_take_is_refused(encoder_folder: Folder) -> None:
    with pytest.raises(InputError, match="64 x 64 pixels"):
        feature_dim(load_image_encoder(encoder_folder("vit")), Preprocessing(height=64, width=64))
    with pytest.raises(InputError, match="64 tokens"):
        feature_dim(load_text_encoder(encoder_folder("bert")), Preprocessing(max_tokens=64))
