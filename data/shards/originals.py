"""Photos and clips where they lie before they are packed: how large, why not, their bytes; several at a time."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from data.preprocessing import reason_of
from data.shards.remote import file_system

LARGEST = 2_000_000_000  # bytes of one photo or clip; Parquet holds no larger value
Result = TypeVar("Result")


def sizes_of(names: list[str]) -> list[int] | str:
    """Bytes of an item's photos or clip, or why one of them cannot be opened."""
    try:
        return [_size(name) for name in names]
    except OSError as error:
        return "no such file" if isinstance(error, FileNotFoundError) else reason_of(error)


def read_original(name: str) -> bytes:
    """The bytes of a photo or clip."""
    if "://" in name:
        files, path = file_system(name)
        content: bytes = files.cat_file(path)
        return content
    return Path(name).read_bytes()


def file_of(name: str) -> str:
    """What a photo or clip is called, without its folder."""
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def in_order(
    threads: ThreadPoolExecutor, work: Callable[[int], Result], rows: Sequence[int], ahead: int
) -> Iterator[Result]:
    """Results in the order of the rows, at most so many of them computed before they are asked for."""
    waiting: deque[Future[Result]] = deque()
    for row in rows:
        waiting.append(threads.submit(work, row))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _size(name: str) -> int:
    """Bytes of a photo or clip.

    Raises:
        OSError: it cannot be opened, is empty or too large.
    """
    if "://" in name:
        files, path = file_system(name)
        try:
            size = int(files.size(path))
        except FileNotFoundError:
            raise
        except Exception as error:  # every fsspec file system has its own
            raise OSError(f"cannot be opened: {reason_of(error)}") from error
    else:
        size = Path(name).stat().st_size
        if not Path(name).is_file():
            raise OSError("not a file")
    if not 0 < size <= LARGEST:
        raise OSError(f"{size:,} bytes, over the limit of {LARGEST:,}" if size else "the file is empty")
    return size
