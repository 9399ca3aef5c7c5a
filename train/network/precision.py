"""Which parts of a network stay in float32 where encoders compute in another precision."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch


def without_autocast(device_type: str) -> AbstractContextManager[Any]:
    """Switch autocast off for a block; nothing where it is off, as torch's own context would take longer to find."""
    if not torch.is_autocast_enabled(device_type):
        return nullcontext()
    return torch.autocast(device_type, enabled=False)
