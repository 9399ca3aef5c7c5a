"""How many labels of each policy a part holds: what is unknown teaches nothing, and is counted."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class KnownLabels:
    """Counts of one policy.

    Attributes:
        known: items with a known label.
        violating: those of them that violate.
    """

    known: int
    violating: int


def count_known(labels: npt.NDArray[np.float32], policy_ids: Sequence[str]) -> dict[str, KnownLabels]:
    """Counts by policy.

    Args:
        labels: [N, P], NaN where unknown.
        policy_ids: in the order of the columns.

    >>> count_known(np.array([[1.0], [np.nan], [0.0]]), ["a"])
    {'a': KnownLabels(known=2, violating=1)}
    """
    return {
        policy_id: KnownLabels(int((~np.isnan(column)).sum()), int((column > 0.5).sum()))
        for policy_id, column in zip(policy_ids, labels.T, strict=True)
    }


def counts_of(counts: dict[str, KnownLabels], *, num_unreadable: int) -> dict[str, float]:
    """The counts under the names of a log, and beside them how many posts were left out because of their media."""
    figures = {f"labels/{policy_id}/known": float(one.known) for policy_id, one in counts.items()}
    figures |= {f"labels/{policy_id}/violating": float(one.violating) for policy_id, one in counts.items()}
    return {**figures, "unreadable": float(num_unreadable)}


def known_labels_table(counts: dict[str, KnownLabels], num_items: int) -> list[str]:
    """The counts, a line a policy."""
    width = max(len("train labels"), *(len(policy_id) for policy_id in counts))
    lines = [f"{'train labels':<{width}}  violating      known    unknown"]
    for policy_id, one in counts.items():
        lines.append(f"{policy_id:<{width}}  {one.violating:>9,}  {one.known:>9,}  {num_items - one.known:>9,}")
    return lines
