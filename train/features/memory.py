"""Keeping freed memory in the process: encoders allocate and free the same large blocks a thousand times."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of <malloc.h>


def keep_freed_memory() -> None:
    """Tell glibc to keep what is freed for the next allocation instead of handing it back to the kernel.

    By default each activation of an encoder is mapped, faulted in page by page and unmapped again: on virtual
    machines that took two thirds of the time of a frame. Elsewhere than on glibc this does nothing.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
