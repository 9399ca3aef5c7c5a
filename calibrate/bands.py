"""The part of the score axis that each band of a policy serves.

Bands are walked in order, strictest first. A post goes to the first band whose threshold it reaches, so a band's own
part runs from its threshold up to the lowest threshold of the bands before it. Bands that are off take no posts.
"""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class BandPart:
    """The scores that one band serves: threshold <= score < below, compared in float32.

    Attributes:
        title: of the band.
        threshold: where the band starts; None if it is off.
        below: where the bands before it begin to take the posts; None if none of them is on.
        taken_by: title of the band that starts at `below`.
    """

    title: str
    threshold: float | None
    below: float | None = None
    taken_by: str | None = None

    @property
    def collides(self) -> bool:
        """Whether the band is on and no post can reach it first."""
        return self.threshold is not None and self.below is not None and self.threshold >= self.below


def parts_of(bands: Iterable[tuple[str, float | None]]) -> tuple[BandPart, ...]:
    """The part of each band.

    Args:
        bands: title and threshold (None: off) of a policy's bands, strictest first.

    Examples:
        >>> parts = parts_of([("remove", 3.0), ("restrict", None), ("review", 1.0), ("escalate", 2.0)])
        >>> [(part.threshold, part.below, part.collides) for part in parts]
        [(3.0, None, False), (None, 3.0, False), (1.0, 3.0, False), (2.0, 1.0, True)]
    """
    parts: list[BandPart] = []
    below: float | None = None
    taken_by: str | None = None
    for title, threshold in bands:
        parts.append(BandPart(title, threshold, below, taken_by))
        if threshold is not None and (below is None or threshold < below):
            below, taken_by = threshold, title
    return tuple(parts)
