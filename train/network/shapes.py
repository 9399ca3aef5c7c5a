"""How many rows an encoder gets at once, where each new number of them costs.

For each shape that it has not seen cuDNN builds kernels anew: a tenth of a second to some seconds (on an H200) for a
network that computes in hundredths. torch.compile does so too. Posts differ in their numbers of frames, and nearly
every batch would be a new shape.

Shapes: N rows.
"""

import torch
from torch import Tensor


def recurring(count: int) -> int:
    """The next number with at most three leading binary digits: less than a quarter more, on average a tenth.

    >>> [recurring(count) for count in (1, 7, 9, 33, 60, 200)]
    [1, 7, 10, 40, 64, 224]
    """
    step: int = 1 << max(0, count.bit_length() - 3)
    return -(-count // step) * step


def filled_up(rows_N: Tensor, size: int | None = None) -> Tensor:
    """Rows [N, …], and on a GPU the first again until there are `size`, or a number that recurs.

    A CPU computes every shape alike.
    """
    if rows_N.device.type == "cpu":
        return rows_N
    missing = (recurring(len(rows_N)) if size is None else size) - len(rows_N)
    return torch.cat([rows_N, rows_N[:1].expand(missing, *rows_N.shape[1:])])
