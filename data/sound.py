"""The sound track of a clip as a log-mel spectrogram. Standard library, numpy and PyAV alone.

Shapes: B batch, N samples at 16 kHz, M mels, K places in time, a hundredth of a second each, F frequencies.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import BinaryIO

import av
import numpy as np
import numpy.typing as npt

from data.clip_packets import CLIP_FORMATS
from data.preprocessing import LogMel, MediaError, reason_of

SAMPLE_RATE = 16_000
WINDOW = 400
HOP = 160
PLACES_PER_SECOND = SAMPLE_RATE // HOP
QUIETEST = 1e-10  # power; of Whisper
KALDI_QUIETEST = 1.192092955078125e-07
KALDI_FFT = 512
PREEMPHASIS = 0.97


def decode_sound(file: BinaryIO, seconds: int) -> npt.NDArray[np.float32]:
    """Decode the first sound track of an opened clip, on one thread.

    Args:
        file: open for reading.
        seconds: of sound, from its start, at most.

    Returns:
        Samples [N] of all channels mixed into one, N at most `seconds` * SAMPLE_RATE and 0 for a clip without sound.

    Raises:
        MediaError: there is a sound track that cannot be decoded. It makes the clip unreadable: taken for silence, a
            broken track would be a way past a policy that listens.
    """
    wanted = seconds * SAMPLE_RATE
    try:
        file.seek(0)
        formats = {"format_whitelist": ",".join(CLIP_FORMATS)}
        with av.open(file, mode="r", options=formats, metadata_errors="replace") as container:
            if not container.streams.audio:
                return np.zeros(0, np.float32)
            stream = container.streams.audio[0]
            stream.codec_context.thread_type = "NONE"
            stream.codec_context.thread_count = 1
            # 16 bits, as Whisper's own loader: mixed to floats, FFmpeg makes channels louder by the root of two.
            resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
            parts: list[npt.NDArray[np.int16]] = []
            for frame in container.decode(stream):
                parts += [mono.to_ndarray()[0] for mono in resampler.resample(frame)]
                if sum(len(part) for part in parts) >= wanted:
                    break
            else:
                parts += [mono.to_ndarray()[0] for mono in resampler.resample(None)]
    except Exception as error:  # decoders meet hostile bytes with whatever exception comes first
        raise MediaError(f"sound that cannot be decoded: {reason_of(error)}") from error
    samples_N = np.concatenate([np.zeros(0, np.int16), *parts])[:wanted]
    return samples_N.astype(np.float32) / np.float32(32768)


def log_mel_of(samples_N: npt.NDArray[np.float32], settings: LogMel, seconds: int) -> npt.NDArray[np.float32]:
    """The log-mel spectrogram float32 [M, K] of some sound.

    Places that hold nothing but the silence after it are left out. Less than one window, 25 ms, is no sound: K is 0.

    Args:
        samples_N: at most `seconds` of them.
        settings: which spectrogram.
        seconds: to which encoders pad it with silence.
    """
    if len(samples_N) < WINDOW:
        return np.zeros((settings.num_mels, 0), np.float32)
    mels_MK = _whisper(samples_N, settings, seconds) if settings.kind == "whisper" else _kaldi(samples_N, settings)
    return mels_MK.astype(np.float32)


def padded_log_mels(
    log_mels: Sequence[npt.NDArray[np.float32]],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Spectrograms of B items as float32 [B, M, K], K that of the longest and at least 1, and their mask [B, K]."""
    longest = max(1, *(log_mel.shape[1] for log_mel in log_mels))
    padded_BMK = np.zeros((len(log_mels), len(log_mels[0]), longest), np.float32)
    mask_BK = np.zeros((len(log_mels), longest), np.bool_)
    for row, log_mel in enumerate(log_mels):
        padded_BMK[row, :, : log_mel.shape[1]] = log_mel
        mask_BK[row, : log_mel.shape[1]] = True
    return padded_BMK, mask_BK


def _whisper(samples_N: npt.NDArray[np.float32], settings: LogMel, seconds: int) -> npt.NDArray[np.float64]:
    """As OpenAI's Whisper and Transformers' WhisperFeatureExtractor compute it of sound padded to `seconds`."""
    places = min(seconds * SAMPLE_RATE // HOP, math.ceil((len(samples_N) + WINDOW // 2) / HOP))
    padded = np.pad(samples_N.astype(np.float64), (0, seconds * SAMPLE_RATE - len(samples_N)))
    centred = np.pad(padded, WINDOW // 2, mode="reflect")
    frames_KW = np.lib.stride_tricks.sliding_window_view(centred, WINDOW)[::HOP][:places]
    window_W = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    power_KF = np.abs(np.fft.rfft(frames_KW * window_W)) ** 2
    mels_MK = np.log10(np.maximum(_slaney_filters(settings.num_mels) @ power_KF.T, QUIETEST))
    clipped_MK: npt.NDArray[np.float64] = (np.maximum(mels_MK, mels_MK.max() - 8.0) + 4.0) / 4.0
    return clipped_MK


def _kaldi(samples_N: npt.NDArray[np.float32], settings: LogMel) -> npt.NDArray[np.float64]:
    """Kaldi's filter bank as Transformers' ASTFeatureExtractor normalises it."""
    frames_KW = np.lib.stride_tricks.sliding_window_view(samples_N.astype(np.float64), WINDOW)[::HOP]
    frames_KW = frames_KW - frames_KW.mean(1, keepdims=True)
    before_KW = np.concatenate([frames_KW[:, :1], frames_KW[:, :-1]], 1)
    window_W = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / (WINDOW - 1))
    power_KF = np.abs(np.fft.rfft((frames_KW - PREEMPHASIS * before_KW) * window_W, n=KALDI_FFT)) ** 2
    mels_MK = np.log(np.maximum(_kaldi_filters(settings.num_mels) @ power_KF.T, KALDI_QUIETEST))
    normal_MK: npt.NDArray[np.float64] = (mels_MK - settings.mean) / (2 * settings.std)
    return normal_MK


@lru_cache
def _slaney_filters(num_mels: int) -> npt.NDArray[np.float64]:
    """Triangles of area 1 [M, F] on Slaney's scale (Auditory Toolbox, 1998): linear to 1 kHz, logarithmic above."""
    step = math.log(6.4) / 27
    mels = np.linspace(0.0, 15 + math.log(8.0) / step, num_mels + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp(step * (np.maximum(mels, 15) - 15)))
    triangles_MF = _triangles(edges, np.linspace(0, SAMPLE_RATE / 2, 1 + WINDOW // 2))
    filters_MF: npt.NDArray[np.float64] = triangles_MF * (2 / (edges[2:] - edges[:-2]))[:, None]
    return filters_MF


@lru_cache
def _kaldi_filters(num_mels: int) -> npt.NDArray[np.float64]:
    """Triangles of height 1 [M, F] on Kaldi's mel scale, from 20 Hz to 8 kHz."""

    def mel(hertz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        scaled: npt.NDArray[np.float64] = 1127 * np.log1p(hertz / 700)
        return scaled

    lowest, highest = mel(np.array([20.0, SAMPLE_RATE / 2]))
    places = mel(np.linspace(0, SAMPLE_RATE / 2, 1 + KALDI_FFT // 2))
    return _triangles(np.linspace(lowest, highest, num_mels + 2), places)


def _triangles(edges: npt.NDArray[np.float64], places_F: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """[M, F]: up from edge m to edge m + 1, down to edge m + 2."""
    width = np.diff(edges)[:, None]
    rising_MF = (places_F - edges[:-2, None]) / width[:-1]
    falling_MF = (edges[2:, None] - places_F) / width[1:]
    return np.maximum(0.0, np.minimum(rising_MF, falling_MF))
