"""Work on files of strangers, in a process of its own that may neither last, nor grow, nor write, nor take us along.

Libraries below Python answer hostile files in ways that no `except` catches: they abort, they loop, they ask for all
memory there is. Whatever happens here is one sentence there.
"""

import faulthandler
import multiprocessing
import os
import resource
import signal
import time
from collections.abc import Callable, Iterable
from multiprocessing.connection import Connection
from pathlib import Path

MEMORY = 2**33
LONGEST_SENTENCE = 4_000
DONE = b""


def confined(
    work: Callable[[], Iterable[str]], *, seconds: float, memory: int = MEMORY
) -> tuple[list[str], str | None]:
    """Run `work` in a child process, and collect the sentences that it gives.

    Args:
        work: gives sentences, as soon as it has them; it runs in a copy of this process.
        seconds: longest that it may take.
        memory: bytes that it may take beyond what this process has.

    Returns:
        The sentences so far, and how the work ended otherwise than well; None if it ended well.
    """
    fork = multiprocessing.get_context("fork")  # the libraries are loaded here, and take seconds to load anew
    receiver, sender = fork.Pipe(duplex=False)
    child = fork.Process(target=_child, args=(work, sender, seconds, memory), daemon=True)
    child.start()
    sender.close()
    deadline = time.monotonic() + seconds
    sentences: list[str] = []
    try:
        while True:
            if not receiver.poll(max(0.0, deadline - time.monotonic())):
                return sentences, f"took longer than {seconds:g} s and was ended"
            try:
                sentence = receiver.recv_bytes(4 * LONGEST_SENTENCE).decode(errors="replace")
            except EOFError:
                break
            if not sentence:
                return sentences, None
            sentences.append(sentence)
        child.join(max(0.1, deadline - time.monotonic()))
        return sentences, _ending(child.exitcode)
    finally:
        receiver.close()
        if child.is_alive():
            child.kill()
        child.join()
        child.close()


def _child(work: Callable[[], Iterable[str]], sender: Connection, seconds: float, memory: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # libraries print names that a terminal might obey
        os.dup2(nowhere, stream)
    faulthandler.disable()  # it kept a way around that; our parent tells how we ended
    _limit(seconds, memory)
    try:
        for sentence in work():
            _tell(sender, sentence or "nothing was said of what is wrong")
        sender.send_bytes(DONE)
    except BaseException as error:  # a panic of a library in Rust is no Exception
        _tell(sender, f"{type(error).__name__}: {error}")
        os._exit(1)


def _tell(sender: Connection, sentence: str) -> None:
    sender.send_bytes(sentence[:LONGEST_SENTENCE].encode("utf-8", errors="replace"))


def _limit(seconds: float, memory: int) -> None:
    cores = os.cpu_count() or 1
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    _lower(resource.RLIMIT_CPU, int(seconds * cores) + 1)  # should our parent be gone
    statistics = Path("/proc/self/statm")
    if statistics.exists():
        taken = int(statistics.read_text().split()[0]) * resource.getpagesize()
        _lower(resource.RLIMIT_AS, taken + memory)


def _lower(kind: int, limit: int) -> None:
    _, hard = resource.getrlimit(kind)
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(kind, (limit, limit))


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return "ended before it was done"
