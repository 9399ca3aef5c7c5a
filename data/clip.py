"""A clip decoded to frames spread evenly over its time. Standard library, numpy, Pillow and PyAV alone."""

import itertools
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import av
import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.reformatter import Interpolation
from PIL import Image

from data.preprocessing import MediaError, Preprocessing, check_size, reason_of

# No playlists and no image sequences: such a "clip" may name other files and addresses for FFmpeg to open.
CLIP_FORMATS = ("mov", "mp4", "matroska", "webm", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "gif")
SEEK_FROM_SECONDS_PER_FRAME = (
    4.0  # clips longer than this for each frame wanted are seeked, shorter ones decoded whole
)
MAX_DECODED_FRAMES = 100_000
TOO_MANY_FRAMES = f"clip of more than {MAX_DECODED_FRAMES:,} frames without an index to seek by"
TRUNCATED_FROM = (1.0, 0.1)  # a clip is truncated when more seconds, and a larger share, than this are missing
COUNTERCLOCKWISE = {
    90: Image.Transpose.ROTATE_90,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class _Timeline:
    """Where the frames of a clip lie, in ticks of its time base: whole numbers, so that no comparison is rounded."""

    start: int
    length: int  # until the last frame leaves the screen
    tick: float  # seconds
    num_frames: int = 0

    def middles(self, parts: int) -> list[int]:
        """The ticks in the middle of `parts` equal parts."""
        return [self.start + (2 * part + 1) * self.length // (2 * parts) for part in range(parts)]


def decode_clip(file: BinaryIO, preprocessing: Preprocessing) -> tuple[list[Image.Image], list[float]]:
    """Decode an opened clip, on one thread.

    Returns:
        RGB images of `preprocessing.width` x `preprocessing.height`, `num_frames` or, where the clip has fewer,
        all; and their times in seconds since the first frame of the clip.

    Raises:
        MediaError: the bytes are no clip, hold no video, or end before their time.
    """
    try:
        return _sample(file, preprocessing)
    except MediaError:
        raise
    except Exception as error:  # decoders meet hostile bytes with whatever exception comes first
        raise MediaError(f"not a readable clip: {reason_of(error)}") from error


def _sample(file: BinaryIO, preprocessing: Preprocessing) -> tuple[list[Image.Image], list[float]]:
    wanted = preprocessing.num_frames
    with _clip(file, preprocessing) as (container, stream):
        header = _read_header(container, stream)
        if header.length * header.tick > SEEK_FROM_SECONDS_PER_FRAME * wanted:
            found = list(_seek_each(container, stream, header.middles(wanted)))
            if len(found) == wanted:
                return _rendered(found, header, preprocessing)
            container.seek(header.start, stream=stream)  # the header promises what is not there
        timeline = _measure(container, stream)
    with _clip(file, preprocessing) as (container, stream):
        decoded = _decoded(container, stream)
        if timeline.num_frames > wanted:
            decoded = _on_screen(decoded, timeline.middles(wanted))
        return _rendered(itertools.islice(decoded, wanted), timeline, preprocessing)


def _rendered(
    frames: Iterable[tuple[int, "av.VideoFrame"]], timeline: _Timeline, preprocessing: Preprocessing
) -> tuple[list[Image.Image], list[float]]:
    images, times = [], []
    for at, frame in frames:
        images.append(_upright_frame(frame, preprocessing))
        times.append(max(0, at - timeline.start) * timeline.tick)
    if not images:
        raise MediaError("no frame of the clip can be decoded")
    return images, times


@contextmanager
def _clip(
    file: BinaryIO, preprocessing: Preprocessing
) -> Iterator[tuple["av.container.InputContainer", "av.VideoStream"]]:
    file.seek(0)
    formats = {"format_whitelist": ",".join(CLIP_FORMATS)}
    with av.open(file, mode="r", options=formats, metadata_errors="replace") as container:
        cover = av.stream.Disposition.attached_pic
        streams = [stream for stream in container.streams.video if not stream.disposition & cover]
        if not streams:
            raise MediaError("no video stream")
        stream = streams[0]
        check_size(stream.codec_context.width, stream.codec_context.height, preprocessing)
        stream.codec_context.thread_type = "NONE"
        stream.codec_context.thread_count = 1
        yield container, stream


def _read_header(container: "av.container.InputContainer", stream: "av.VideoStream") -> _Timeline:
    """What the header of a clip says; length 0 where it does not."""
    length = stream.duration
    if not length and container.duration and stream.time_base:
        length = int(container.duration / 1_000_000 / stream.time_base)
    return _Timeline(stream.start_time or 0, length or 0, tick=float(stream.time_base or 1))


def _measure(container: "av.container.InputContainer", stream: "av.VideoStream") -> _Timeline:
    """What the packets of a clip say; nothing is decoded."""
    tick = float(stream.time_base or 1)
    stamps, ends = [], []
    for packet in container.demux(stream):
        stamp = packet.pts if packet.pts is not None else packet.dts
        if packet.size == 0 or packet.is_discard or stamp is None:
            continue
        stamps.append(stamp)
        ends.append(stamp + (packet.duration or 0))
        if len(stamps) > MAX_DECODED_FRAMES:
            raise MediaError(TOO_MANY_FRAMES)
    if not stamps:
        raise MediaError("the clip holds no frames")
    start, end = min(stamps), max(ends)
    if end == max(stamps):  # the last frame has no duration: as long as the average
        end += (end - start) // max(1, len(stamps) - 1)
    seconds, promised = (end - start) * tick, (stream.duration or 0) * tick
    if promised - seconds > max(TRUNCATED_FROM[0], TRUNCATED_FROM[1] * promised):
        raise MediaError(f"truncated clip: {seconds:.1f} of {promised:.1f} seconds are there")
    return _Timeline(start, end - start, tick, len(stamps))


def _decoded(
    container: "av.container.InputContainer", stream: "av.VideoStream"
) -> Iterator[tuple[int, "av.VideoFrame"]]:
    """Frames in order with their ticks; a frame without a time follows the one before by the average step."""
    rate = stream.average_rate or stream.guessed_rate or 25
    step = max(1, round(1 / (rate * stream.time_base))) if stream.time_base else 1
    at = -step
    for count, frame in enumerate(container.decode(stream)):
        if count == MAX_DECODED_FRAMES:
            raise MediaError(TOO_MANY_FRAMES)
        stamp = frame.pts if frame.pts is not None else frame.dts
        at = at + step if stamp is None else stamp
        yield at, frame


def _on_screen(
    decoded: Iterable[tuple[int, "av.VideoFrame"]], targets: Sequence[int]
) -> Iterator[tuple[int, "av.VideoFrame"]]:
    """The frames on screen at `targets` (ascending ticks), each once; the last frame stays on for ever."""
    waiting = deque(targets)
    shown: tuple[int, av.VideoFrame] | None = None
    for at, frame in decoded:
        was_on = False
        while shown and waiting and at > waiting[0]:
            waiting.popleft()
            was_on = True
        if shown and was_on:
            yield shown
        if not waiting:
            return
        shown = (at, frame)
    if shown:
        yield shown


def _seek_each(
    container: "av.container.InputContainer", stream: "av.VideoStream", targets: Sequence[int]
) -> Iterator[tuple[int, "av.VideoFrame"]]:
    """What `_on_screen` yields, decoding only from the key frame before each target; stops where seeking fails."""
    last: int | None = None
    for target in targets:
        try:
            container.seek(target, stream=stream)
            found = next(_on_screen(_decoded(container, stream), [target]), None)
        except av.error.FFmpegError:
            return
        if found is None or found[0] > target:
            return
        if last is None or found[0] > last:
            yield found
        last = found[0]


def _upright_frame(frame: "av.VideoFrame", preprocessing: Preprocessing) -> Image.Image:
    """RGB pixels of a frame as a player shows them, at the wanted size."""
    check_size(frame.width, frame.height, preprocessing)
    same_everywhere = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
    pixels = frame.reformat(format="rgb24", interpolation=same_everywhere, threads=1).to_ndarray()
    image = Image.fromarray(pixels)
    sides: Any = frame.side_data
    matrix = sides.get(SideDataType.DISPLAYMATRIX)
    if matrix is not None:
        # Row-major 3 x 3 in 16.16 fixed point (libavutil/display.h): x' = a x + c y, y' = b x + d y.
        a, b, _, c, d = (float(value) for value in np.frombuffer(bytes(matrix), dtype=np.int32)[:5])
        mirrored = a * d - b * c < 0
        angle = math.degrees(-math.atan2(b, -a if mirrored else a))
        turn = round(angle / 90) * 90 % 360
        if turn:
            image = image.transpose(COUNTERCLOCKWISE[turn])
        if mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    size = (preprocessing.width, preprocessing.height)
    return image.resize(size, Image.Resampling.BILINEAR)
