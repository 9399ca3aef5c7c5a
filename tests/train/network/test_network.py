from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from data.preprocessing import Preprocessing
from train.encoders.describing import feature_dim
from train.encoders.image import load_image_encoder
from train.encoders.text import load_text_encoder
from train.network.classifier import MultimodalClassifier
from train.network.evidence import Evidence, summarise_frames

SMALL = Preprocessing(height=32, width=32, max_tokens=8)
EVIDENCE = [
    frozenset(names) for names in (("visual",), ("text",), ("visual", "text"), ("visual", "audio"), ("audio",))
]
VISUAL, TEXT, BOTH, WITH_AUDIO, AUDIO = range(5)


DIMS = {"image": 16, "clip": 12, "text": 32, "audio": 8}


def untrained(encoder_folder: Callable[[str], str] | None = None, **settings: object) -> MultimodalClassifier:
    """A network with random heads, for these start at zero."""
    torch.manual_seed(0)
    encoders = {}
    if encoder_folder:
        encoders["image"] = load_image_encoder(encoder_folder("vit"))
        encoders["text"] = load_text_encoder(encoder_folder("bert"), layers=(-1, -2))
    network = MultimodalClassifier(
        encoders=encoders,
        width=8,
        num_heads=2,
        **{"dims": {name: DIMS[name] for name in encoders} or DIMS, "evidence": EVIDENCE, **settings},  # type: ignore[arg-type]
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


def encoded_inputs(B: int = 4, T: int = 3) -> Evidence:
    generator = torch.Generator().manual_seed(1)
    vectors = ("clip", "text", "audio")
    return Evidence(
        frames=torch.randn(B, T, DIMS["image"], generator=generator),
        frame_mask=torch.ones(B, T, dtype=torch.bool),
        frame_times=torch.arange(T).float().expand(B, T),
        vectors={name: torch.randn(B, DIMS[name], generator=generator) for name in vectors},
        present={name: torch.ones(B, dtype=torch.bool) for name in vectors},
    )


def other(given: Evidence, name: str) -> Evidence:
    """Other content of one kind."""
    if name == "image":
        return replace(given, frames=given.frames * 2)
    return replace(given, vectors={**given.vectors, name: given.vectors[name] + 1})


def without(given: Evidence, name: str) -> Evidence:
    if name == "image":
        return replace(given, frame_mask=~given.frame_mask)
    return replace(given, present={**given.present, name: ~given.present[name]})


@pytest.mark.parametrize(
    ("name", "readers"),
    [
        ("image", [VISUAL, BOTH, WITH_AUDIO]),
        ("clip", [VISUAL, BOTH, WITH_AUDIO]),
        ("text", [TEXT, BOTH]),
        ("audio", [WITH_AUDIO, AUDIO]),
    ],
)
def test_a_logit_depends_on_declared_evidence_alone(name: str, readers: list[int]) -> None:
    network, given = untrained(), encoded_inputs()
    logits = network.fuse(given)
    for changed in (other(given, name), without(given, name)):
        differs = (network.fuse(changed) != logits).all(0)
        assert (network.fuse(changed) != logits).any(0).tolist() == differs.tolist()
        assert differs.nonzero().flatten().tolist() == readers
    # What is missing has no influence, to the bit.
    assert torch.equal(network.fuse(without(other(given, name), name)), network.fuse(without(given, name)))


def test_evidence_can_be_opened_to_all() -> None:
    network, given = untrained(evidence=[frozenset({"visual", "text"})] * 2), encoded_inputs()
    assert (network.fuse(other(given, "text")) != network.fuse(given)).all()


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


@pytest.mark.parametrize(("name", "reader"), [("text", TEXT), ("audio", AUDIO)])
def test_modality_dropout_acts_in_training_alone(name: str, reader: int) -> None:
    network, given = untrained(modality_dropout=0.5, dropout=0.0), encoded_inputs(B=64)
    assert torch.equal(network.fuse(given), network.fuse(given))
    missing = network.fuse(without(given, name))[:, reader]
    dropped = (network.train().fuse(given)[:, reader] - missing).abs() < 1e-5
    assert 10 < int(dropped.sum()) < 54


def test_modality_dropout_takes_frames_and_clip_together() -> None:
    network, given = untrained(modality_dropout=0.5, dropout=0.0), encoded_inputs(B=64)
    blind = network.fuse(without(without(given, "image"), "clip"))[:, VISUAL]
    whole, trained = network.fuse(given)[:, VISUAL], network.train().fuse(given)[:, VISUAL]
    dropped, kept = ((trained - logits).abs() < 1e-5 for logits in (blind, whole))
    assert (dropped | kept).all()
    assert 10 < int(dropped.sum()) < 54


def test_fusion_starts_at_zero() -> None:
    torch.manual_seed(0)
    network = MultimodalClassifier(encoders={}, dims=DIMS, evidence=EVIDENCE, width=8, num_heads=2).eval()
    assert torch.equal(network.fuse(encoded_inputs()), torch.zeros(4, len(EVIDENCE)))


@pytest.mark.parametrize(
    "kinds", [("vit", "bert"), pytest.param(("siglip", "siglip"), marks=pytest.mark.slow), ("timm", None)]
)
def test_it_exports_with_free_batch_frames_and_tokens(
    kinds: tuple[str | None, str | None], encoder_folder: Callable[[str], str]
) -> None:
    torch.manual_seed(0)
    encoders = {"image": load_image_encoder(encoder_folder(kinds[0]))} if kinds[0] else {}
    if kinds[1]:
        encoders["text"] = load_text_encoder(encoder_folder(kinds[1]))
    network = MultimodalClassifier(
        encoders=encoders,
        dims={name: feature_dim(encoder, SMALL) for name, encoder in encoders.items()},
        evidence=EVIDENCE,
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
