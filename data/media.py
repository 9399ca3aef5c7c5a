"""Photos and clips of an item decoded to frames of one size, and the sound of clips to spectrograms: the only way
from files to what a model sees and hears.

Training and serving share it: a release carries this file and the ones it stands on (data.preprocessing, data.photo,
data.clip, data.sound and what they stand on) inside its predict.py. They import the standard library, numpy, Pillow
and PyAV alone. Tokens are in data.text.

Shapes: T frames, H height, W width, M mels, K places in time.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from data.clip import decode_clip
from data.photo import decode_photo
from data.preprocessing import MediaError, Preprocessing, reason_of
from data.sound import decode_sound, log_mel_of

__all__ = ["Frames", "MediaError", "Preprocessing", "load_frames", "load_log_mel"]


@dataclass(frozen=True)
class Frames:
    """What a model sees, and hears, of one item.

    Attributes:
        frames: uint8 [T, 3, H, W], RGB. T is 0 for an item without media.
        times: float32 [T], seconds since the first frame of the clip; 0 for photos.
        log_mel: float32 [M, K]; K is 0 without sound. None where preprocessing asks for none.
    """

    frames: npt.NDArray[np.uint8]
    times: npt.NDArray[np.float32]
    log_mel: npt.NDArray[np.float32] | None = None


def load_frames(media: Sequence[str], media_type: str, preprocessing: Preprocessing, *, place: float = 0.5) -> Frames:
    """Decode the photos or the clip of one item.

    Args:
        media: paths or fsspec URLs: one clip, or one or more photos (of a carousel longer than `num_frames` an
            evenly spaced subset is read).
        media_type: "photo" or "video".
        preprocessing: size, number of frames and which, limits, and whether there is sound.
        place: of dense frames in their part of a clip, 0 at its start, 1 at its end; the middle but in training.

    Returns:
        At most `num_frames` frames (of each dense clip); fewer where the item has fewer (a frame is never repeated).

    Raises:
        MediaError: a file is missing, too large, or not readable as what it should be. One unreadable photo of a
            carousel makes the item unreadable.
    """
    if media_type not in ("photo", "video"):
        raise MediaError(f"media_type is {str(media_type)[:40]!r}, expected photo or video")
    if media_type == "photo":
        indices = _spread(len(media), preprocessing.num_frames)
        images = [_load_photo_of(media, index, preprocessing) for index in indices]
        times = [0.0] * len(images)
    else:
        if len(media) != 1:
            raise MediaError(f"{len(media)} files, expected one clip")
        images, times = _load_clip(media[0], preprocessing, place)
    frames = np.zeros((len(images), 3, preprocessing.height, preprocessing.width), dtype=np.uint8)
    for index, image in enumerate(images):
        frames[index] = np.asarray(image).transpose(2, 0, 1)
    log_mel = None if preprocessing.log_mel is None else load_log_mel(media, media_type, preprocessing)
    return Frames(frames, np.asarray(times, dtype=np.float32), log_mel)


def load_log_mel(media: Sequence[str], media_type: str, preprocessing: Preprocessing) -> npt.NDArray[np.float32]:
    """The spectrogram [M, K] of an item's sound; K is 0 for photos and for clips without a sound track.

    Args:
        media: as of `load_frames`.
        media_type: likewise.
        preprocessing: with `log_mel`.

    Raises:
        MediaError: a file is missing or too large, or its sound cannot be decoded.
    """
    settings, seconds = preprocessing.log_mel, preprocessing.audio_seconds
    assert settings is not None
    if media_type != "video" or len(media) != 1:
        return np.zeros((settings.num_mels, 0), np.float32)
    with opened_media(media[0], preprocessing) as file:
        return log_mel_of(decode_sound(file, seconds), settings, seconds)


def _spread(available: int, wanted: int) -> list[int]:
    """Indices of the items in the middle of `wanted` equal parts; all of them when there are no more than that."""
    if available <= wanted:
        return list(range(available))
    return [int((part + 0.5) * available / wanted) for part in range(wanted)]


def _load_photo_of(media: Sequence[str], index: int, preprocessing: Preprocessing) -> Image.Image:
    try:
        return _load_photo(media[index], preprocessing)
    except MediaError as error:
        if len(media) == 1:
            raise
        name = media[index].replace("\\", "/").rsplit("/", 1)[-1]
        raise MediaError(f"photo {index + 1} of {len(media)} ({name}): {error}") from error


def _load_photo(path: str, preprocessing: Preprocessing) -> Image.Image:
    with opened_media(path, preprocessing) as file:
        return decode_photo(file, preprocessing)


def _load_clip(path: str, preprocessing: Preprocessing, place: float) -> tuple[list[Image.Image], list[float]]:
    with opened_media(path, preprocessing) as file:
        return decode_clip(file, preprocessing, place=place)


@contextmanager
def opened_media(path: str, preprocessing: Preprocessing) -> Iterator[BinaryIO]:
    """A file or fsspec URL opened for reading, its size checked; MediaError with the reason where it cannot be."""
    remote = "://" in path
    try:
        if not remote and Path(path).exists() and not Path(path).is_file():
            raise MediaError("not a file")
        file = _open_url(path) if remote else Path(path).open("rb")  # noqa: SIM115  (closed below)
    except FileNotFoundError as error:
        raise MediaError("no such file") from error
    except MediaError:
        raise
    except Exception as error:  # every fsspec file system has its own
        raise MediaError(f"cannot be opened: {reason_of(error)}") from error
    with file:
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        if size == 0:
            raise MediaError("the file is empty")
        if size > preprocessing.max_bytes:
            raise MediaError(f"{size:,} bytes, over the limit of {preprocessing.max_bytes:,}")
        yield file


def _open_url(url: str) -> BinaryIO:
    import fsspec  # noqa: PLC0415  (a release's predict.py runs without it)

    file: BinaryIO = fsspec.open(url, "rb").open()
    return file
