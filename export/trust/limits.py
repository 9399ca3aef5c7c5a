"""How large the files of a release may be, and where: told from names and sizes alone, before anything is opened.

The bounds are far above what Setpoint writes, and low enough that reading what stays below them ends soon.
"""

from fnmatch import fnmatchcase

MEBIBYTE = 2**20
LARGEST_MANIFEST = 4 * MEBIBYTE
MOST_FILES = 10_000
DEEPEST = 8
LARGEST_IN_ALL = 2**35
LARGEST = (  # the first pattern that fits counts; * takes / too
    ("onnx/*.onnx", 2**31),
    ("tensorrt/*", 2**33),
    ("golden/*.safetensors", 512 * MEBIBYTE),
    ("*", 64 * MEBIBYTE),
)


def too_large(path: str, size: int) -> str | None:
    """What is wrong with a file of this name and size, in half a sentence; None if nothing."""
    largest = next(size for pattern, size in LARGEST if fnmatchcase(path, pattern))
    return f"{size:,} bytes, at most {largest:,} can be right" if size > largest else None
