from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from train.encoders.image import load_image_encoder
from train.encoders.text import load_text_encoder
from train.evidence import summarise_frames
from train.network import MultimodalClassifier

EVIDENCE = [frozenset(names) for names in (("visual",), ("text",), ("visual", "text"), ("visual", "audio"))]
VISUAL, TEXT, BOTH, WITH_AUDIO = range(4)


def untrained(encoder_folder: Callable[[str], str] | None = None, **settings: object) -> MultimodalClassifier:
    """A network with random heads, for these start at zero."""
    torch.manual_seed(0)
    image = load_image_encoder(encoder_folder("vit")) if encoder_folder else None
    text = load_text_encoder(encoder_folder("bert"), layers=(-1, -2)) if encoder_folder else None
    network = MultimodalClassifier(
        image_encoder=image,
        text_encoder=text,
        visual_dim=16,
        text_dim=32,
        width=8,
        num_heads=2,
        **{"evidence": EVIDENCE, **settings},  # type: ignore[arg-type]
    )
    with torch.no_grad():
        network.linear.weight.normal_()
        network.linear.bias.normal_()
        if network.fusion is not None:
            network.fusion.head.normal_()
    return network.eval()


def raw_inputs(B: int, T: int, L: int) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(B * 100 + T * 10 + L)
    frames = torch.randint(0, 256, (B, T, 3, 32, 32), dtype=torch.uint8, generator=generator)
    frame_mask = torch.rand(B, T, generator=generator) > 0.3
    frame_mask[0] = False
    frame_times = torch.arange(T).float().expand(B, T) * 0.2
    token_ids = torch.randint(4, 14, (B, L), generator=generator)
    token_mask = torch.arange(L)[None] < torch.randint(0, L + 1, (B, 1), generator=generator)
    token_mask[0] = False
    return frames, frame_mask, frame_times.contiguous(), token_ids, token_mask


def encoded_inputs(B: int = 4, T: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {
        "frame_features": torch.randn(B, T, 16, generator=generator),
        "frame_mask": torch.ones(B, T, dtype=torch.bool),
        "frame_times": torch.arange(T).float().expand(B, T),
        "text_features": torch.randn(B, 32, generator=generator),
        "has_text": torch.ones(B, dtype=torch.bool),
    }


def test_a_logit_depends_on_declared_evidence_alone() -> None:
    network, given = untrained(), encoded_inputs()
    logits = network.fuse(**given)
    other_text = network.fuse(**{**given, "text_features": given["text_features"] + 1})
    no_text = network.fuse(**{**given, "has_text": ~given["has_text"]})
    other_frames = network.fuse(**{**given, "frame_features": given["frame_features"] * 2})
    no_frames = network.fuse(**{**given, "frame_mask": ~given["frame_mask"]})
    for changed in (other_text, no_text):
        assert torch.equal(changed[:, [VISUAL, WITH_AUDIO]], logits[:, [VISUAL, WITH_AUDIO]])
        assert (changed[:, [TEXT, BOTH]] != logits[:, [TEXT, BOTH]]).all()
    for changed in (other_frames, no_frames):
        assert torch.equal(changed[:, TEXT], logits[:, TEXT])
        assert (changed[:, [VISUAL, BOTH]] != logits[:, [VISUAL, BOTH]]).all()


def test_evidence_can_be_opened_to_all() -> None:
    network, given = untrained(evidence=[frozenset({"visual", "text"})] * 2), encoded_inputs()
    changed = network.fuse(**{**given, "text_features": given["text_features"] + 1})
    assert (changed != network.fuse(**given)).all()


def test_padding_changes_nothing(encoder_folder: Callable[[str], str]) -> None:
    network = untrained(encoder_folder)
    frames, frame_mask, frame_times, token_ids, token_mask = raw_inputs(3, 2, 4)
    pad = torch.nn.functional.pad
    with torch.inference_mode():
        plain = network(frames, frame_mask, frame_times, token_ids, token_mask)
        padded = network(
            pad(frames, (0, 0, 0, 0, 0, 0, 0, 3), value=7),
            pad(frame_mask, (0, 3)),
            pad(frame_times, (0, 3)),
            pad(token_ids, (0, 2)),
            pad(token_mask, (0, 2)),
        )
    torch.testing.assert_close(plain, padded, atol=1e-5, rtol=1e-5)


def test_an_item_without_any_evidence_is_finite_and_trains(encoder_folder: Callable[[str], str]) -> None:
    network = untrained(encoder_folder).train()
    frames, frame_mask, frame_times, token_ids, token_mask = raw_inputs(2, 1, 1)
    none = torch.zeros_like(frame_mask), torch.zeros_like(token_mask)
    logits = network(frames, none[0], frame_times, token_ids, none[1])
    logits.sum().backward()
    assert logits.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters() if parameter.grad is not None)


def test_photos_and_carousels_have_no_motion() -> None:
    features = torch.tensor([[[1.0], [4.0], [2.0], [100.0]]]).expand(3, 4, 1)
    mask = torch.tensor([[True, True, True, False]] * 3)
    times = torch.tensor([[0.0, 0.5, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.5, 0.5]])
    mean, motion = summarise_frames(features, mask, times)
    torch.testing.assert_close(mean.flatten(), torch.full((3,), 7 / 3))
    assert motion.flatten().tolist() == [2.5, 0.0, 3.0]


def test_modality_dropout_acts_in_training_alone() -> None:
    network, given = untrained(modality_dropout=0.5, dropout=0.0), encoded_inputs(B=64)
    assert torch.equal(network.fuse(**given), network.fuse(**given))
    missing = network.fuse(**{**given, "has_text": ~given["has_text"]})[:, TEXT]
    dropped = (network.train().fuse(**given)[:, TEXT] - missing).abs() < 1e-5
    assert 10 < int(dropped.sum()) < 54


def test_fusion_starts_at_zero() -> None:
    torch.manual_seed(0)
    settings = {"image_encoder": None, "text_encoder": None, "visual_dim": 16, "text_dim": 32, "evidence": EVIDENCE}
    network = MultimodalClassifier(**settings, width=8, num_heads=2).eval()
    assert torch.equal(network.fuse(**encoded_inputs()), torch.zeros(4, 4))


@pytest.mark.parametrize("kinds", [("vit", "bert"), ("siglip", "siglip"), ("timm", None)])
def test_it_exports_with_free_batch_frames_and_tokens(
    kinds: tuple[str | None, str | None], encoder_folder: Callable[[str], str]
) -> None:
    torch.manual_seed(0)
    image = load_image_encoder(encoder_folder(kinds[0])) if kinds[0] else None
    text = load_text_encoder(encoder_folder(kinds[1])) if kinds[1] else None
    dims = {None: 0, "timm": 128}
    read = frozenset({"visual"} if image else set()) | frozenset({"text"} if text else set())
    network = MultimodalClassifier(
        image_encoder=image,
        text_encoder=text,
        visual_dim=0 if image is None else image(torch.zeros(1, 3, 32, 32)).shape[-1],
        text_dim=dims.get(kinds[1], 16),
        evidence=[evidence & read for evidence in EVIDENCE],
        width=8,
        num_heads=2,
    ).eval()
    with torch.no_grad():
        network.linear.weight.normal_()
        assert network.fusion is not None
        network.fusion.head.normal_()
    auto = torch.export.Dim.AUTO
    axes = {0: auto, 1: auto}
    with torch.no_grad():
        program = torch.export.export(network, raw_inputs(3, 2, 5), dynamic_shapes=(axes, axes, axes, axes, axes))
        exported = program.module()
        for sizes in ((1, 1, 1), (2, 3, 4), (7, 1, 8), (1, 4, 2)):
            given = raw_inputs(*sizes)
            expected = network(*given)
            assert expected.isfinite().all()
            torch.testing.assert_close(exported(*given), expected, atol=1e-5, rtol=1e-4)
