"""Which files a release may hold, and how large: told from names and sizes alone, before anything is opened.

Nothing here is a program but predict.py. Sizes are far above what Setpoint writes, and low enough that reading what
stays below them ends soon. Whatever else a release is to hold has to be entered here.
"""

from fnmatch import fnmatchcase

MEBIBYTE = 2**20
LARGEST_MANIFEST = 4 * MEBIBYTE
LARGEST_IN_ALL = 2**35
MOST_FILES = 10_000
DEEPEST = 8
LARGEST_HEADER = MEBIBYTE  # of a file of tensors

KNOWN = {  # * takes / too
    "onnx/*/model.onnx": 2**31,
    "golden/*.safetensors": 512 * MEBIBYTE,
    "golden/replay.json": 16 * MEBIBYTE,
    "tokenizer/tokenizer.json": 64 * MEBIBYTE,
    "reports/parity.json": MEBIBYTE,
    "reports/parity-*.json": MEBIBYTE,
    "reports/tensorrt.json": 16 * MEBIBYTE,
    "reports/decisions/operating_points.json": 64 * MEBIBYTE,
    "reports/decisions/index.html": 64 * MEBIBYTE,
    "reports/decisions/*/operating_points.json": 64 * MEBIBYTE,
    "reports/decisions/*/index.html": 64 * MEBIBYTE,
    "reports/decisions/precisions.json": 16 * MEBIBYTE,
    "reports/decisions/*/precisions.json": 16 * MEBIBYTE,
    "reports/precisions/*/operating_points.json": 64 * MEBIBYTE,
    "reports/precisions/*/index.html": 64 * MEBIBYTE,
    "licenses/*.txt": MEBIBYTE,
    "MODEL_CARD.md": 16 * MEBIBYTE,
    "contract.json": MEBIBYTE,
    "model.json": 16 * MEBIBYTE,
    "policies.json": 64 * MEBIBYTE,
    "predict.py": MEBIBYTE,
    "preprocess.json": MEBIBYTE,
    "requirements.txt": MEBIBYTE,
    "sbom.cdx.json": 16 * MEBIBYTE,
}


def out_of_place(path: str, size: int) -> str | None:
    """What is wrong with a file of this name and size, in half a sentence; None if nothing."""
    largest = [most for pattern, most in KNOWN.items() if fnmatchcase(path, pattern)]
    if not largest:
        return "not a file that a release holds"
    return f"{size:,} bytes, at most {largest[0]:,} can be right" if size > largest[0] else None
