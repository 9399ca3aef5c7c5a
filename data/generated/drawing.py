"""Draws all media of generated posts, over several processes where there are many."""

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from data.generated.clips import write_clip
from data.generated.pictures import write_photo
from data.generated.plan import Medium

MOST_PROCESSES = 8
FILES_WORTH_A_PROCESS = 200


def write_media(media: list[Medium], folder: Path) -> None:
    """Draw and write every medium below `folder`; what is drawn does not depend on the number of processes."""
    num_processes = min(_num_cores(), MOST_PROCESSES, len(media) // FILES_WORTH_A_PROCESS)
    if num_processes < 2:
        for medium in media:
            _write_medium(medium, folder)
        return
    with ProcessPoolExecutor(num_processes, mp_context=get_context("spawn")) as processes:
        for _ in processes.map(partial(_write_medium, folder=folder), media, chunksize=16):
            pass


def _write_medium(medium: Medium, folder: Path) -> None:
    if medium.motion == "still":
        write_photo(medium, folder)
    else:
        write_clip(medium, folder)


def _num_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
