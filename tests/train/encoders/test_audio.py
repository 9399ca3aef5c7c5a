from collections.abc import Callable

import numpy as np
import pytest
import torch

from data.errors import InputError
from data.preprocessing import LogMel, Preprocessing
from data.sound import SAMPLE_RATE, log_mel_of, padded_log_mels
from train.encoders.audio import AudioEncoder, load_audio_encoder
from train.encoders.describing import build_encoder, describe, feature_dim, state_digest

Folder = Callable[[str], str]
FAMILIES = ["whisper", "ast"]
SECONDS = 2


def sound(seconds: float) -> np.ndarray:
    time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    noise = np.random.default_rng(int(seconds * 100)).normal(0, 0.01, len(time))
    return (0.4 * np.sin(3000 * time * (1 + time)) + noise).astype(np.float32)


def heard(encoder: AudioEncoder, *seconds: float) -> tuple[torch.Tensor, torch.Tensor]:
    mels = [log_mel_of(sound(length), encoder.log_mel, SECONDS) for length in seconds]
    log_mel, mask = padded_log_mels(mels)
    return torch.from_numpy(log_mel), torch.from_numpy(mask)


def test_whisper_hears_short_sound_as_its_own_extractor_pads_it(encoder_folder: Folder) -> None:
    from transformers import WhisperFeatureExtractor, WhisperModel

    encoder = load_audio_encoder(encoder_folder("whisper"), audio_seconds=3)
    assert encoder.log_mel == LogMel("whisper", 20)
    extractor = WhisperFeatureExtractor(feature_size=20, chunk_length=3)
    given = extractor([sound(1.5), sound(0.4)], sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
    model = WhisperModel.from_pretrained(encoder_folder("whisper")).encoder.eval()
    with torch.no_grad():
        hidden = model(given).last_hidden_state
    mels = [log_mel_of(sound(length), encoder.log_mel, 3) for length in (1.5, 0.4)]
    log_mel, mask = (torch.from_numpy(array) for array in padded_log_mels(mels))
    expected = torch.stack([hidden[0, :76].mean(0), hidden[1, :21].mean(0)])
    assert mask.sum(1).tolist() == [152, 42]
    torch.testing.assert_close(encoder(log_mel, mask), expected, atol=1e-3, rtol=1e-3)


def test_ast_hears_short_sound_as_its_own_extractor_pads_it(encoder_folder: Folder) -> None:
    from transformers import ASTFeatureExtractor, ASTModel

    encoder = load_audio_encoder(encoder_folder("ast"), audio_seconds=SECONDS)
    assert encoder.log_mel == LogMel("ast", 32, -4.0, 5.0)
    extractor = ASTFeatureExtractor.from_pretrained(encoder_folder("ast"))
    given = extractor([sound(1.5), sound(0.4)], sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values
    model = ASTModel.from_pretrained(encoder_folder("ast")).eval()
    with torch.no_grad():
        expected = model(given).pooler_output
    torch.testing.assert_close(encoder(*heard(encoder, 1.5, 0.4)), expected, atol=1e-4, rtol=1e-4)
    by_mean = load_audio_encoder(encoder_folder("ast"), pool="mean", audio_seconds=SECONDS)
    with torch.no_grad():
        hidden = model(given[1:]).last_hidden_state[0, 2:].unflatten(0, (2, 25))
    # Of 38 places in time, patches begin at 0, 10, 20 and 30.
    torch.testing.assert_close(by_mean(*heard(encoder, 0.4))[0], hidden[:, :4].mean((0, 1)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind", FAMILIES)
def test_what_is_not_sound_has_no_influence(kind: str, encoder_folder: Folder) -> None:
    encoder = load_audio_encoder(encoder_folder(kind), audio_seconds=SECONDS, layers=(-1, -2))
    log_mel, mask = heard(encoder, 1.0, 0.5, 0.01)
    features = encoder(log_mel, mask)
    assert features.isfinite().all()
    assert features.shape == (3, 2 * 16)
    assert torch.equal(encoder(torch.where(mask.unsqueeze(1), log_mel, torch.nan), mask), features)
    pad = torch.nn.functional.pad
    assert torch.equal(encoder(pad(log_mel, (0, 300), value=5.0), pad(mask, (0, 300))), features)
    alone = encoder(*heard(encoder, 0.5))
    torch.testing.assert_close(alone[0], features[1], atol=1e-5, rtol=1e-5)


def test_a_shorter_whisper_keeps_its_first_positions(encoder_folder: Folder) -> None:
    whole = load_audio_encoder(encoder_folder("whisper"), audio_seconds=3)
    cut = load_audio_encoder(encoder_folder("whisper"), audio_seconds=SECONDS)
    assert (whole.num_places, cut.num_places) == (300, 200)
    positions = whole.backbone.embed_positions.weight
    assert torch.equal(cut.backbone.embed_positions.weight, positions[:100])
    assert state_digest(cut) != state_digest(whole)
    assert not any("decoder" in name for name in cut.state_dict())


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_description_rebuilds_the_architecture(kind: str, encoder_folder: Folder) -> None:
    encoder = load_audio_encoder(encoder_folder(kind), audio_seconds=SECONDS)
    rebuilt = build_encoder("audio", describe(encoder))
    rebuilt.load_state_dict(encoder.state_dict())
    assert state_digest(rebuilt) == describe(encoder)["digest"]
    given = heard(encoder, 1.0, 0.3)
    torch.testing.assert_close(rebuilt(*given), encoder(*given))
    assert feature_dim(encoder, Preprocessing()) == 16


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("whisper", {"pool": "pooler"}, r"model\.audio\.pool = 'pooler' does not suit"),
        ("ast", {"pool": "cls"}, r"model\.audio\.pool = 'cls' does not suit"),
        ("bert", {}, "is a 'bert' model; expected a Whisper model"),
        ("whisper", {"audio_seconds": 4}, "hears 3 seconds at most; set 3"),
        ("ast", {"audio_seconds": 3}, r"hears 2\.56 seconds at most; set 2"),
    ],
)
def test_what_does_not_suit_is_refused(kind: str, settings: dict, words: str, encoder_folder: Folder) -> None:
    with pytest.raises(InputError, match=words):
        load_audio_encoder(encoder_folder(kind), **{"audio_seconds": SECONDS, **settings})
