"""What a clip holds, told from its container: its time line and its packets. Nothing is decoded here.

Standard library and PyAV alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import av

from data.preprocessing import MediaError, Preprocessing, check_size

# No playlists and no image sequences: such a "clip" may name other files and addresses for FFmpeg to open.
CLIP_FORMATS = ("mov", "mp4", "matroska", "webm", "avi", "mpegts", "mpeg", "flv", "asf", "ogg", "gif")
MAX_DECODED_FRAMES = 100_000
TOO_MANY_FRAMES = f"clip of more than {MAX_DECODED_FRAMES:,} frames without an index to seek by"
TRUNCATED_FROM = (1.0, 0.1)  # a clip is truncated when more seconds, and a larger share, than this are missing
MAX_HELD_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Timeline:
    """Where the frames of a clip lie, in ticks of its time base: whole numbers, so that no comparison is rounded."""

    start: int
    length: int  # until the last frame leaves the screen
    tick: float  # seconds
    num_frames: int = 0

    @property
    def seconds(self) -> float:
        """How long the clip plays."""
        return self.length * self.tick

    def middles(self, parts: int) -> list[int]:
        """The ticks in the middle of `parts` equal parts."""
        return [self.start + (2 * part + 1) * self.length // (2 * parts) for part in range(parts)]

    def dense(self, *, num_clips: int, num_frames: int, rate: float, place: float) -> list[list[int]]:
        """Ticks of consecutive frames, a list a clip, ascending.

        Args:
            num_clips: equal parts of the time line with a clip in each; fewer where the clips would overlap.
            num_frames: of each clip; those beyond the end of the time line are left out.
            rate: frames a second.
            place: of a clip in its part: 0 at its start, 0.5 in its middle, 1 at its end.
        """
        span = num_frames / rate / self.tick
        clips = max(1, min(num_clips, int(self.length / span)))
        part = self.length / clips
        room = max(0.0, part - span)
        starts = [self.start + clip * part + place * room for clip in range(clips)]
        ticks = [[int(start + (k + 0.5) * span / num_frames) for k in range(num_frames)] for start in starts]
        end = self.start + self.length
        return [[tick for tick in clip if tick < end] or clip[:1] for clip in ticks]


@contextmanager
def opened_clip(
    file: BinaryIO, preprocessing: Preprocessing
) -> Iterator[tuple["av.container.InputContainer", "av.VideoStream"]]:
    """The container and its first video stream, set to decode on one thread.

    Raises:
        MediaError: there is no video stream, or its frames are beyond `max_pixels`.
    """
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


def read_header(container: "av.container.InputContainer", stream: "av.VideoStream") -> Timeline:
    """What the header of a clip says; length 0 where it does not."""
    length = stream.duration
    if not length and container.duration and stream.time_base:
        length = int(container.duration / 1_000_000 / stream.time_base)
    return Timeline(stream.start_time or 0, length or 0, tick=float(stream.time_base or 1))


def measure(
    container: "av.container.InputContainer", stream: "av.VideoStream"
) -> tuple[Timeline, "list[av.Packet[av.VideoStream]] | None"]:
    """Read all packets of a clip that was just opened.

    Returns:
        What they say of its time, and the packets in the order of the file, None where they are too large to hold.

    Raises:
        MediaError: there are none, too many, or fewer than the header promises.
    """
    tick = float(stream.time_base or 1)
    stamps, ends = [], []
    held: list[av.Packet[av.VideoStream]] | None = []
    num_bytes = 0
    for packet in container.demux(stream):
        num_bytes += packet.size
        if num_bytes > MAX_HELD_BYTES:
            held = None
        if held is not None:
            held.append(packet)
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
    return Timeline(start, end - start, tick, len(stamps)), held
