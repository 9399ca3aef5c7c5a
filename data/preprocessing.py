"""The settings by which photos and clips become tensors, and the reason why one did not.

Shared by all modules that decode; they and this one go into a release's predict.py.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Literal

SAMPLINGS = {
    "uniform": "uniform: the frame on screen at the middle of each of num_frames equal parts",
    "keyframes": "keyframes: the key frame at or before the middle of each of num_frames equal parts, each once",
    "dense": "dense: num_frames frames at frame_rate a second from the middle of each of num_clips equal parts",
}
LOG_MELS = {
    "whisper": "whisper: 16 kHz mono, Hann windows of 400 every 160 samples, Slaney mels, log10 of the power, at "
    "most 8 below the loudest, (x + 4) / 4",
    "ast": "ast: 16 kHz mono, Kaldi filter bank (windows of 400 every 160 samples, Hann, preemphasis 0.97, 512 "
    "points, 20 Hz to 8 kHz), log of the power, (x - mean) / (2 std)",
}
DENSE_ALONE = ("frame_rate", "num_clips")  # said, and part of what features hang on, where they count
SOUND_ALONE = ("audio_seconds", "log_mel")


class MediaError(Exception):
    """A photo or clip that cannot be read; the message is the reason, one short sentence without a path."""


@dataclass(frozen=True)
class LogMel:
    """The spectrogram of sound that an audio encoder was trained on; see data.sound.

    Attributes:
        kind: "whisper" or "ast".
        num_mels: frequencies.
        mean: of the values, for "ast".
        std: likewise.
    """

    kind: Literal["whisper", "ast"]
    num_mels: int
    mean: float = 0.0
    std: float = 0.5


@dataclass(frozen=True)
class Preprocessing:
    """From files to tensors: the settings behind preprocess.json.

    Attributes:
        height: pixels; frames are stretched to height x width.
        width: pixels.
        num_frames: frames taken from a clip (each dense clip), and photos from a carousel, at most.
        max_pixels: photos and clips with more pixels a frame are refused before they are decoded.
        max_bytes: larger files are refused.
        max_tokens: tokens kept of a text, special tokens included.
        sampling: which frames of a clip: "uniform" (spread evenly over its time), "keyframes" (as uniform, but the
            key frame before; nothing else is decoded) or "dense" (consecutive frames).
        frame_rate: dense frames a second; a clip of fewer gives its own.
        num_clips: dense clips an item, spread evenly over its time; one that is too short for as many without
            overlap gives fewer. Their frames follow each other in order of time.
        audio_seconds: of a clip's sound, from its start, at most; where a model reads sound.
        log_mel: the spectrogram of it; None where a model reads none. `setpoint train` takes it from the encoder.
    """

    height: int = 224
    width: int = 224
    num_frames: int = 8
    max_pixels: int = 100_000_000
    max_bytes: int = 2_000_000_000
    max_tokens: int = 128
    sampling: Literal["uniform", "keyframes", "dense"] = "uniform"
    frame_rate: float = 8.0
    num_clips: int = 1
    audio_seconds: int = 10
    log_mel: LogMel | None = None

    FIXED: ClassVar[Mapping[str, object]] = {
        "color": "RGB, transparency on white, colour profiles ignored",
        "resize": "stretch",
        "filter": "bilinear",
        "antialias": True,
        "photo_decoder": "pillow",
        "clip_decoder": "pyav",
    }

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "log_mel":
                if value is not None and value.kind not in LOG_MELS:
                    raise ValueError(f"preprocessing.log_mel.kind = {value.kind!r}: expected {', '.join(LOG_MELS)}")
            elif field.name == "sampling":
                if value not in SAMPLINGS:
                    raise ValueError(f"preprocessing.sampling = {value!r}: expected {', '.join(SAMPLINGS)}")
            elif field.name == "frame_rate":
                if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1000:
                    raise ValueError(f"preprocessing.frame_rate = {value!r}: expected frames a second, at most 1000")
            elif isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"preprocessing.{field.name} = {value!r}: expected a whole number of at least 1")
        if self.sampling != "dense" and self.num_clips != 1:
            raise ValueError(f"preprocessing.num_clips = {self.num_clips}: several clips need sampling = dense")

    @property
    def most_frames(self) -> int:
        """The most frames that one item gives."""
        return self.num_frames * self.num_clips

    def to_dict(self) -> dict[str, Any]:
        """The settings, and what is the same for all of them, as JSON values."""
        values = {**asdict(self), **self.FIXED, "sampling": SAMPLINGS[self.sampling]}
        left_out: tuple[str, ...] = () if self.sampling == "dense" else DENSE_ALONE
        if self.log_mel is None:
            left_out += SOUND_ALONE
        else:
            values["log_mel"] = {**asdict(self.log_mel), "kind": LOG_MELS[self.log_mel.kind]}
        return {name: value for name, value in values.items() if name not in left_out}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocessing":
        """Read what `to_dict` wrote. Keys that it does not know are left alone; without `sampling` it is uniform,
        without `log_mel` there is no sound.

        Raises:
            ValueError: a setting is missing or no positive number, or the values describe another preprocessing
                than this code does.
        """
        for name, expected in cls.FIXED.items():
            if name in values and values[name] != expected:
                raise ValueError(f"preprocessing.{name} = {values[name]!r}: this version knows {expected!r} only")
        always = [field.name for field in fields(cls) if field.name not in ("sampling", *DENSE_ALONE, *SOUND_ALONE)]
        _check_present(always, values)
        sampling = values.get("sampling", SAMPLINGS["uniform"])
        named = [name for name, meaning in SAMPLINGS.items() if meaning == sampling]
        if not named:
            raise ValueError(f"preprocessing.sampling = {sampling!r}: this version knows {list(SAMPLINGS.values())}")
        if named == ["dense"]:
            _check_present(DENSE_ALONE, values)
            always += DENSE_ALONE
        log_mel = None
        if values.get("log_mel") is not None:
            _check_present(["audio_seconds"], values)
            always.append("audio_seconds")
            log_mel = _log_mel(values["log_mel"])
        return cls(**{name: values[name] for name in always}, sampling=named[0], log_mel=log_mel)  # type: ignore[arg-type]


def _log_mel(values: Mapping[str, Any]) -> LogMel:
    _check_present([field.name for field in fields(LogMel)], values)
    named = [kind for kind, meaning in LOG_MELS.items() if meaning == values["kind"]]
    if not named:
        raise ValueError(f"preprocessing.log_mel = {values['kind']!r}: this version knows {list(LOG_MELS.values())}")
    return LogMel(named[0], values["num_mels"], values["mean"], values["std"])  # type: ignore[arg-type]


def _check_present(names: Sequence[str], values: Mapping[str, Any]) -> None:
    for name in names:
        if name not in values:
            raise ValueError(f"preprocessing.{name} is missing")


def check_size(width: int, height: int, preprocessing: Preprocessing) -> None:
    """Refuse a frame beyond `max_pixels` with a MediaError."""
    if width * height > preprocessing.max_pixels:
        limit = preprocessing.max_pixels
        raise MediaError(f"{width:,} x {height:,} pixels, over the limit of {limit:,} a frame")


def reason_of(error: Exception) -> str:
    """The first line of an exception, short and without addresses in memory or paths."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return re.sub(r"<[^>]* object at 0x[0-9a-f]+>", "file", str(text).splitlines()[0])[:120]
