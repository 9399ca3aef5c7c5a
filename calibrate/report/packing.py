"""Numbers packed into a page: small, and read back exactly.

Integers are stored as differences along their last axis, which are small; then the bytes of all columns are laid out
plane by plane (all lowest bytes, all second ones, …), which compresses well, and deflated. templates/js/unpack.js
reads them back.
"""

import base64
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from calibrate.bounds import IntArray

MILLION = 1_000_000
LEVEL = 7  # of zlib: 9 takes three times as long for a hundredth less


@dataclass
class Packer:
    """Collects columns, then writes them as one text.

    Attributes:
        columns: of each, in order: name, type (i4, f8, f4, u1), shape, and whether differences are stored.
    """

    columns: list[tuple[str, str, list[int], bool]] = field(default_factory=list)
    _bytes: list[bytes] = field(default_factory=list)

    def add(self, name: str, values: NDArray[Any]) -> None:
        """Add a column of whole numbers (any signed integers, up to 2^53), bytes, float32 or float64 numbers."""
        given = np.ascontiguousarray(values)
        is_whole = given.dtype.kind == "i"
        if is_whole:
            given = np.diff(given, axis=-1, prepend=0)
            fits = not given.size or np.abs(given).max() < 2**31
            given = given.astype(np.int32 if fits else np.float64)
        kind = given.dtype.newbyteorder("<")
        code = f"{kind.kind}{kind.itemsize}"
        assert code in ("i4", "f8", "f4", "u1"), code
        planes = given.astype(kind).view(np.uint8).reshape(-1, kind.itemsize)
        self._bytes.append(np.ascontiguousarray(planes.T).tobytes())
        self.columns.append((name, code, list(given.shape), is_whole))

    def text(self) -> str:
        """All columns in base64."""
        return base64.b64encode(zlib.compress(b"".join(self._bytes), LEVEL)).decode()


def in_millionths(shares: ArrayLike) -> IntArray:
    """Shares in [0, 1] as whole millionths that read the same to a tenth of a percent.

    Float64 numbers are random in their last digits and pack badly; millionths are finer than any screen. Where a
    tenth of a percent is rounded up or down (at 500 millionths of it), the next millionth on the share's own side is
    taken. A share that is neither 0 nor 1 stays away from them.

    Args:
        shares: any shape.

    Examples:
        >>> in_millionths([0.25, 0.3504999999, 0.99999999, 1.0]).tolist()
        [250000, 350499, 999999, 1000000]
    """
    given = np.asarray(shares, np.float64)
    coded = np.clip(np.rint(given * MILLION), np.where(given > 0, 1, 0), MILLION - (given < 1)).astype(np.int64)
    side = np.sign(100 * given - 100 * (coded / MILLION)).astype(np.int64)  # in percent, as it is written
    return np.where(coded % 1000 == 500, coded + side, coded)
