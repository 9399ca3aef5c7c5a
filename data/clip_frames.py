"""Decoding the frames of a clip that are on screen at given times, and as few others as that takes.

Standard library and PyAV alone. Times are ticks of the stream's time base.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import av

from data.clip_packets import MAX_DECODED_FRAMES, TOO_MANY_FRAMES
from data.preprocessing import MediaError

MAX_SEEKS_FOR_A_KEY_FRAME = 3


def decoded_frames(
    packets: "Iterable[av.Packet[av.VideoStream]]", stream: "av.VideoStream"
) -> Iterator[tuple[int, "av.VideoFrame"]]:
    """Frames in order with their ticks; a frame without a time follows the one before by the average step."""
    rate = stream.average_rate or stream.guessed_rate or 25
    step = max(1, round(1 / (rate * stream.time_base))) if stream.time_base else 1
    at, count = -step, 0
    for packet in packets:
        for frame in stream.codec_context.decode(packet):
            if count == MAX_DECODED_FRAMES:
                raise MediaError(TOO_MANY_FRAMES)
            count += 1
            stamp = frame.pts if frame.pts is not None else frame.dts
            at = at + step if stamp is None else stamp
            yield at, frame


def frames_on_screen(
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


def without_unseen(
    packets: "Sequence[av.Packet[av.VideoStream]]", stream: "av.VideoStream", targets: Sequence[int]
) -> "Iterator[av.Packet[av.VideoStream]]":
    """The packets, each with the decoder told to leave out its frame where no target shows it and no other needs it.

    All other frames keep their pixels, bit by bit: those left out are no reference of any.
    """
    shown = [packet for packet in packets if packet.size and not packet.is_discard]
    stamps = sorted(packet.pts for packet in shown if packet.pts is not None)
    if len(stamps) < len(shown):
        yield from packets
        return
    seen = {stamps[max(0, bisect_right(stamps, target) - 1)] for target in targets}
    # dav1d reads skip_frame once, as it opens: with NONREF it would leave out frames that are seen.
    stream.codec_context.open(strict=False)
    for packet in packets:
        stream.codec_context.skip_frame = "DEFAULT" if packet.pts in seen else "NONREF"
        yield packet


def seek_runs(
    container: "av.container.InputContainer", stream: "av.VideoStream", runs: Sequence[Sequence[int]]
) -> Iterator[tuple[int, "av.VideoFrame"]]:
    """What `frames_on_screen` yields for all targets, decoding only from the key frame before each run of them.

    Stops where seeking fails.
    """
    last: int | None = None
    for run in runs:
        try:
            container.seek(run[0], stream=stream)
            for number, (at, frame) in enumerate(
                frames_on_screen(decoded_frames(container.demux(stream), stream), run)
            ):
                if number == 0 and at > run[0]:
                    return
                if last is None or at > last:
                    yield at, frame
                last = at
        except av.error.FFmpegError:
            return


def seek_key_frames(
    container: "av.container.InputContainer", stream: "av.VideoStream", targets: Sequence[int]
) -> Iterator[tuple[int, "av.VideoFrame"]]:
    """The key frames at or before `targets` (ascending ticks), each once. None at all where one is not found."""
    packets: list[tuple[int, av.Packet[av.VideoStream]]] = []
    try:
        for target in targets:
            sought = _seek_key_packet(container, stream, target)
            if sought is None:
                return
            if not packets or sought[0] != packets[-1][0]:
                packets.append(sought)
        for at, packet in packets:
            stream.codec_context.flush_buffers()
            # Drained at once: a decoder that reorders frames would wait for the packets behind this one.
            for frame in stream.codec_context.decode(packet) or stream.codec_context.decode(None):
                yield at, frame
    except av.error.FFmpegError:
        return


def _seek_key_packet(
    container: "av.container.InputContainer", stream: "av.VideoStream", target: int
) -> "tuple[int, av.Packet[av.VideoStream]] | None":
    """The packet of the last key frame shown at or before `target`; None where seeking does not lead there."""
    place = target
    for _ in range(MAX_SEEKS_FOR_A_KEY_FRAME):
        container.seek(place, stream=stream)
        packets = container.demux(stream)
        packet = next((packet for packet in packets if packet.is_keyframe and packet.size), None)
        if packet is None or packet.pts is None or packet.dts is None:
            return None
        if packet.pts <= target:
            return packet.pts, packet
        place = packet.dts - 1  # containers are sought by decoding time, which comes before
    return None
