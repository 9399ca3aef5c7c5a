"""Sound: the spectrograms are those of the encoders' own extractors, and what cannot be heard is said."""

from pathlib import Path

import av
import numpy as np
import pytest

from data.media import load_frames, load_log_mel
from data.preprocessing import LogMel, MediaError, Preprocessing
from data.sound import SAMPLE_RATE, decode_sound, log_mel_of

WHISPER, AST = LogMel("whisper", 80), LogMel("ast", 128, -4.2677393, 4.5689974)
SETTINGS = Preprocessing(height=16, width=16, num_frames=2, audio_seconds=4, log_mel=WHISPER)


def tones(seconds: float, rate: int = SAMPLE_RATE) -> np.ndarray:
    """A rising tone, a hum and some noise."""
    time = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(0).normal(0, 0.01, len(time))
    return (0.4 * np.sin(2 * np.pi * (200 + 300 * time) * time) + 0.2 * np.sin(400 * time) + noise).astype(np.float32)


def write_clip(path: Path, sound: np.ndarray, *, rate: int = SAMPLE_RATE, codec: str = "pcm_s16le") -> Path:
    """A clip of two seconds and its sound, float32 [channels, N]."""
    layout = "mono" if len(sound) == 1 else "stereo"
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", rate=5)
        video.width = video.height = 32
        audio = container.add_stream(codec, rate=rate, layout=layout)
        for level in range(10):
            container.mux(video.encode(av.VideoFrame.from_ndarray(np.full((32, 32, 3), level * 20, np.uint8))))
        container.mux(video.encode())
        packed = (np.clip(sound.T, -1, 1) * 32767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
        frame.sample_rate = rate
        container.mux(audio.encode(frame))
        container.mux(audio.encode())
    return path


@pytest.mark.parametrize("num_mels", [80, 128])
@pytest.mark.parametrize("seconds", [0.03, 1.0, 3.98, 3.9999, 4.0])
def test_whisper_hears_what_its_own_extractor_gives(seconds: float, num_mels: int) -> None:
    from transformers import WhisperFeatureExtractor

    samples = tones(seconds)
    mine = log_mel_of(samples, LogMel("whisper", num_mels), 4)
    theirs = WhisperFeatureExtractor(feature_size=num_mels, chunk_length=4)
    expected = theirs(samples, sampling_rate=SAMPLE_RATE, return_tensors="np")["input_features"][0]
    # Theirs computes in float32, so the quietest values, where the logarithm is steep, differ most.
    np.testing.assert_allclose(mine, expected[:, : mine.shape[1]], atol=2e-3)
    assert np.abs(mine - expected[:, : mine.shape[1]]).mean() < 1e-5
    silence = max(-1.5, float(mine.max()) - 2)
    np.testing.assert_allclose(expected[:, mine.shape[1] :], silence, atol=1e-5)
    assert mine.shape[1] == min(400, int(np.ceil(len(samples) / 160 + 1.25)))


@pytest.mark.parametrize("seconds", [0.03, 1.0, 4.0])
def test_ast_hears_what_its_own_extractor_gives(seconds: float) -> None:
    from transformers import ASTFeatureExtractor

    samples = tones(seconds)
    mine = log_mel_of(samples, AST, 4)
    expected = ASTFeatureExtractor(max_length=500)(samples, sampling_rate=SAMPLE_RATE, return_tensors="np")
    expected = expected["input_values"][0].T
    assert mine.shape == (128, 1 + (len(samples) - 400) // 160)
    np.testing.assert_allclose(mine, expected[:, : mine.shape[1]], atol=1e-4)
    np.testing.assert_allclose(expected[:, mine.shape[1] :], -AST.mean / (2 * AST.std), atol=1e-6)


def test_silence_is_finite_and_less_than_a_window_is_no_sound() -> None:
    for settings in (WHISPER, AST):
        assert np.isfinite(log_mel_of(np.zeros(1600, np.float32), settings, 4)).all()
        assert log_mel_of(np.zeros(399, np.float32), settings, 4).shape == (settings.num_mels, 0)


def test_samples_are_those_of_the_track(tmp_path: Path) -> None:
    sound = tones(2.0)[None]
    clip = write_clip(tmp_path / "a.mov", sound)
    with clip.open("rb") as file:
        np.testing.assert_allclose(decode_sound(file, 4), sound[0], atol=1e-4)
        assert len(decode_sound(file, 1)) == SAMPLE_RATE


def test_channels_are_mixed_and_rates_brought_to_one(tmp_path: Path) -> None:
    left = tones(2.0, rate=44_100)
    clip = write_clip(tmp_path / "a.mov", np.stack([left, -0.5 * left]), rate=44_100)
    mono = write_clip(tmp_path / "b.mov", 0.25 * left[None], rate=44_100)
    with clip.open("rb") as mixed, mono.open("rb") as plain:
        heard, expected = decode_sound(mixed, 4), decode_sound(plain, 4)
    assert abs(len(heard) - 2 * SAMPLE_RATE) < 40
    np.testing.assert_allclose(heard, expected, atol=2e-4)


def test_a_lossy_track_is_heard(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", tones(2.0)[None], codec="aac")
    heard = load_log_mel([str(clip)], "video", SETTINGS)
    assert heard.shape[0] == 80
    assert 195 < heard.shape[1] < 215
    expected = log_mel_of(tones(2.0), WHISPER, 4)
    assert np.corrcoef(heard[:, 20:190].ravel(), expected[:, 20:190].ravel())[0, 1] > 0.9


def test_photos_and_clips_without_sound_have_none(tmp_path: Path) -> None:
    assert load_log_mel(["gone.png"], "photo", SETTINGS).shape == (80, 0)
    silent = tmp_path / "silent.mp4"
    with av.open(silent, "w") as container:
        video = container.add_stream("mpeg4", rate=5)
        video.width = video.height = 32
        container.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        container.mux(video.encode())
    loaded = load_frames([str(silent)], "video", SETTINGS)
    assert loaded.log_mel is not None
    assert loaded.log_mel.shape == (80, 0)
    assert len(loaded.frames) == 1


def test_sound_is_read_only_where_it_is_asked_for(tmp_path: Path) -> None:
    clip = str(write_clip(tmp_path / "a.mov", tones(2.0)[None]))
    assert load_frames([clip], "video", Preprocessing(height=16, width=16)).log_mel is None
    both = load_frames([clip], "video", SETTINGS)
    assert both.log_mel is not None
    assert np.array_equal(both.log_mel, load_log_mel([clip], "video", SETTINGS))


def test_a_broken_track_makes_the_clip_unreadable_to_who_listens(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mkv", tones(2.0)[None], codec="aac")
    content = bytearray(clip.read_bytes())
    with av.open(clip) as container:
        for packet in container.demux(audio=0):
            if packet.size > 100:
                place = content.find(bytes(packet))
                content[place : place + packet.size] = b"\xff" * packet.size
    clip.write_bytes(content)
    with pytest.raises(MediaError, match="sound that cannot be decoded"):
        load_frames([str(clip)], "video", SETTINGS)
    assert len(load_frames([str(clip)], "video", Preprocessing(height=16, width=16, num_frames=2)).frames) == 2


def test_preprocessing_says_what_is_heard() -> None:
    for settings in (SETTINGS, Preprocessing(log_mel=AST, audio_seconds=7)):
        assert Preprocessing.from_dict(settings.to_dict()) == settings
    deaf = Preprocessing().to_dict()
    assert not {"log_mel", "audio_seconds"} & set(deaf)
    assert Preprocessing.from_dict(deaf) == Preprocessing()
    other = {**SETTINGS.to_dict(), "log_mel": {"kind": "mfcc", "num_mels": 80, "mean": 0.0, "std": 0.5}}
    with pytest.raises(ValueError, match="this version knows"):
        Preprocessing.from_dict(other)
