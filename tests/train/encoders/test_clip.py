from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from data.errors import InputError
from data.preprocessing import Preprocessing
from train.encoders.clip import ClipEncoder, load_clip_encoder, spread_over
from train.encoders.describing import build_encoder, describe, feature_dim, state_digest

Folder = Callable[[str], str]
FAMILIES = ["videomae", "timesformer", "vjepa2"]
DIMS = {"videomae": 16, "timesformer": 16, "vjepa2": 24}


def frames_of(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randint(0, 256, (*shape, 3, 32, 32), dtype=torch.uint8, generator=generator)


def real(*counts: int, T: int) -> torch.Tensor:
    return torch.arange(T) < torch.tensor(counts).unsqueeze(1)


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_backbone_sees_normalised_frames_of_its_own_number(kind: str, encoder_folder: Folder) -> None:
    encoder = load_clip_encoder(encoder_folder(kind))
    frames = frames_of(2, 8)
    features = encoder(frames, real(8, 4, T=8))
    assert features.shape == (2, feature_dim(encoder, Preprocessing(height=32, width=32)))
    chosen = torch.stack([frames[0, [1, 3, 5, 7]], frames[1, [0, 1, 2, 3]]])
    pixels = (chosen.float() / 255 - torch.tensor([0.5, 0.4, 0.3]).view(3, 1, 1)) / 0.2
    given = {"pixel_values_videos": pixels, "skip_predictor": True} if kind == "vjepa2" else {"pixel_values": pixels}
    hidden = encoder.backbone(**given).last_hidden_state
    torch.testing.assert_close(features, hidden[:, 0] if kind == "timesformer" else hidden.mean(1))


@pytest.mark.parametrize("kind", FAMILIES)
def test_what_is_not_real_has_no_influence(kind: str, encoder_folder: Folder) -> None:
    encoder = load_clip_encoder(encoder_folder(kind))
    frames, mask = frames_of(3, 5), real(3, 0, 5, T=5)
    features = encoder(frames, mask)
    other = frames.clone()
    other[0, 3:] = 255 - other[0, 3:]
    assert torch.equal(encoder(other, mask)[[0, 2]], features[[0, 2]])
    pad = torch.nn.functional.pad
    padded = encoder(pad(frames, (0, 0, 0, 0, 0, 0, 0, 4), value=9), pad(mask, (0, 4)))
    assert torch.equal(padded, features)
    assert features.isfinite().all()


def test_places_are_spread_over_the_real_frames_alone() -> None:
    mask = torch.tensor([[True, False, True, True, False, True], [False, True, False, False, True, False]])
    assert spread_over(mask, 4).tolist() == [[0, 2, 3, 5], [1, 1, 4, 4]]
    assert spread_over(mask, 2).tolist() == [[2, 5], [1, 4]]
    assert spread_over(real(0, 1, T=3), 3).tolist() == [[0, 0, 0], [0, 0, 0]]
    for total in range(1, 30):
        # The rule by which data.media takes photos of a carousel.
        expected = [int((part + 0.5) * total / 8) for part in range(8)]
        assert spread_over(real(total, T=30), 8)[0].tolist() == expected


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_description_rebuilds_the_architecture(kind: str, encoder_folder: Folder) -> None:
    encoder = load_clip_encoder(encoder_folder(kind), layers=(-1, -2))
    rebuilt = build_encoder("clip", describe(encoder))
    rebuilt.load_state_dict(encoder.state_dict())
    assert state_digest(rebuilt) == describe(encoder)["digest"]
    frames, mask = frames_of(2, 4), real(4, 2, T=4)
    assert encoder(frames, mask).shape == (2, 2 * DIMS[kind])
    torch.testing.assert_close(rebuilt(frames, mask), encoder(frames, mask))


def test_vjepa_keeps_its_encoder_alone(encoder_folder: Folder) -> None:
    encoder = load_clip_encoder(encoder_folder("vjepa2"))
    assert not [name for name in encoder.state_dict() if "predictor" in name]


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAMILIES)
def test_it_exports_with_free_batch_and_frames(kind: str, encoder_folder: Folder) -> None:
    encoder = load_clip_encoder(encoder_folder(kind))
    axes = {0: torch.export.Dim.AUTO, 1: torch.export.Dim.AUTO}
    example = (frames_of(3, 2).float(), real(2, 1, 0, T=2))
    with torch.no_grad():
        exported = torch.export.export(encoder, example, dynamic_shapes=(axes, axes)).module()
        for counts, T in (([1], 1), ([3, 0], 3), ([9, 1, 4], 9)):
            given = frames_of(len(counts), T).float(), real(*counts, T=T)
            torch.testing.assert_close(exported(*given), encoder(*given), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("kind", "pool", "words"),
    [
        ("videomae", "cls", r"model\.clip\.pool = 'cls' does not suit"),
        ("timesformer", "pooler", r"model\.clip\.pool = 'pooler' does not suit"),
        ("vit", "auto", "is a 'vit' model; expected one of videomae"),
    ],
)
def test_what_does_not_suit_is_refused(kind: str, pool: str, words: str, encoder_folder: Folder) -> None:
    with pytest.raises(InputError, match=words):
        load_clip_encoder(encoder_folder(kind), pool=pool)  # type: ignore[arg-type]


def test_pixels_without_known_statistics_are_refused(encoder_folder: Folder, tmp_path: Path) -> None:
    from transformers import AutoModel

    AutoModel.from_pretrained(encoder_folder("videomae")).save_pretrained(tmp_path)
    with pytest.raises(InputError, match=r"model\.clip\.mean"):
        load_clip_encoder(str(tmp_path))
    assert isinstance(load_clip_encoder(str(tmp_path), mean=(0.5,) * 3, std=(0.5,) * 3), ClipEncoder)


def test_pixels_of_another_size_are_refused(encoder_folder: Folder) -> None:
    for kind in FAMILIES:
        with pytest.raises(InputError, match=r"64 x 64 pixels .it was trained on 32 x 32"):
            feature_dim(load_clip_encoder(encoder_folder(kind)), Preprocessing(height=64, width=64))
