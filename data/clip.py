"""A clip decoded to some of its frames. Standard library, numpy, Pillow and PyAV alone.

Which frames: here. What the container says: data.clip_packets. Decoding: data.clip_frames. Pixels: data.clip_pixels.
"""

import itertools
from collections.abc import Iterable
from typing import BinaryIO

import av
from PIL import Image

from data.clip_frames import decoded_frames, frames_on_screen, seek_key_frames, seek_runs, without_unseen
from data.clip_packets import Timeline, measure, opened_clip, read_header
from data.clip_pixels import upright_frame
from data.preprocessing import MediaError, Preprocessing, reason_of

# Clips longer than this for each place wanted (a frame, or a run of dense ones) are sought, shorter ones read on.
SEEK_FROM_SECONDS_PER_PLACE = 4.0


def decode_clip(
    file: BinaryIO, preprocessing: Preprocessing, *, place: float = 0.5
) -> tuple[list[Image.Image], list[float]]:
    """Decode an opened clip, on one thread.

    Args:
        file: open for reading.
        preprocessing: size, and which frames.
        place: of dense frames in their part of the clip, 0 at its start, 1 at its end.

    Returns:
        RGB images of `preprocessing.width` x `preprocessing.height`, as many as `sampling` asks for or, where the
        clip has fewer, all; and their times in seconds since the first frame of the clip.

    Raises:
        MediaError: the bytes are no clip, hold no video, or end before their time.
    """
    try:
        return _sample(file, preprocessing, place)
    except MediaError:
        raise
    except Exception as error:  # decoders meet hostile bytes with whatever exception comes first
        raise MediaError(f"not a readable clip: {reason_of(error)}") from error


def _sample(file: BinaryIO, preprocessing: Preprocessing, place: float) -> tuple[list[Image.Image], list[float]]:
    with opened_clip(file, preprocessing) as (container, stream):
        header = read_header(container, stream)
        runs = _runs(stream, header, preprocessing, place)
        if header.length and preprocessing.sampling == "keyframes":
            sought = seek_key_frames(container, stream, header.middles(preprocessing.num_frames))
            enough = 1
        elif header.seconds > SEEK_FROM_SECONDS_PER_PLACE * len(runs):
            sought = seek_runs(container, stream, runs)
            enough = sum(len(run) for run in runs)
        else:
            return _read_on(file, container, stream, preprocessing, place)
        images, times = _rendered(sought, header, preprocessing)
        if len(images) >= enough:
            return images, times
    # The header promises what is not there. Opened anew: not every container can be sought back to its start.
    with opened_clip(file, preprocessing) as (container, stream):
        return _read_on(file, container, stream, preprocessing, place)


def _read_on(
    file: BinaryIO,
    container: "av.container.InputContainer",
    stream: "av.VideoStream",
    preprocessing: Preprocessing,
    place: float,
) -> tuple[list[Image.Image], list[float]]:
    """The wanted frames of a clip that was just opened, by decoding from the start."""
    timeline, held = measure(container, stream)
    targets = [target for run in _runs(stream, timeline, preprocessing, place) for target in run]
    if preprocessing.sampling == "uniform" and timeline.num_frames <= preprocessing.num_frames:
        targets = []  # all frames
    if held is None:  # too large: read once more
        with opened_clip(file, preprocessing) as (again, fresh):
            return _decoded_from_start(again.demux(fresh), fresh, timeline, targets, preprocessing)
    if targets and preprocessing.sampling != "keyframes":
        packets = without_unseen(held, stream, targets)
        return _decoded_from_start(packets, stream, timeline, targets, preprocessing)
    return _decoded_from_start(held, stream, timeline, targets, preprocessing)


def _decoded_from_start(
    packets: "Iterable[av.Packet[av.VideoStream]]",
    stream: "av.VideoStream",
    timeline: Timeline,
    targets: list[int],
    preprocessing: Preprocessing,
) -> tuple[list[Image.Image], list[float]]:
    """The frames on screen at the targets, or all where there are none."""
    if preprocessing.sampling == "keyframes":
        stream.codec_context.skip_frame = "NONKEY"
    decoded = decoded_frames(packets, stream)
    if targets:
        decoded = frames_on_screen(decoded, targets)
    images, times = _rendered(itertools.islice(decoded, preprocessing.most_frames), timeline, preprocessing)
    if not images:
        raise MediaError("no frame of the clip can be decoded")
    return images, times


def _runs(
    stream: "av.VideoStream", timeline: Timeline, preprocessing: Preprocessing, place: float
) -> list[list[int]]:
    """The ticks to show, in runs of neighbours, ascending."""
    if preprocessing.sampling != "dense":
        return [[middle] for middle in timeline.middles(preprocessing.num_frames)]
    own_rate = float(stream.average_rate or preprocessing.frame_rate)
    return timeline.dense(
        num_clips=preprocessing.num_clips,
        num_frames=preprocessing.num_frames,
        rate=min(preprocessing.frame_rate, own_rate),
        place=place,
    )


def _rendered(
    frames: Iterable[tuple[int, "av.VideoFrame"]], timeline: Timeline, preprocessing: Preprocessing
) -> tuple[list[Image.Image], list[float]]:
    images, times = [], []
    for at, frame in frames:
        images.append(upright_frame(frame, preprocessing))
        times.append(max(0, at - timeline.start) * timeline.tick)
    return images, times
