"""What a threshold does in a day: posts acted on, how many of them wrongly, violations left.

The page computes the same in its own language (templates/js/consequences.js), while somebody moves a threshold.
"""

from dataclasses import dataclass

SAMPLE_OF = 10_000  # posts, where no traffic says how many there are in a day


@dataclass(frozen=True)
class Reached:
    """Posts at or above a threshold.

    Attributes:
        posts: a day, or of SAMPLE_OF.
        known: weight of the golden items with a known label.
        right: weight of those that violate.
        below_floor: whether golden items were drawn from higher scores only, so that no label speaks of all posts.
    """

    posts: float
    known: float
    right: float
    below_floor: bool = False


NOTHING = Reached(0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Consequences:
    """What happens to the posts of a band's own part; None where no golden label speaks of them.

    Attributes:
        posts: that it acts on.
        wrongful: those of them that do not violate.
        left: violating posts that neither this band nor the ones before it reach.
    """

    posts: float
    wrongful: float | None
    left: float | None


def consequences(at: Reached, taken: Reached, whole: Reached) -> Consequences:
    """Posts of each part times the share of its golden labels: an estimate, without a bound.

    Args:
        at: the band's threshold.
        taken: where the bands before it begin; NOTHING if none of them is on.
        whole: all posts, or those above the floor that the golden set was drawn from.

    Examples:
        >>> consequences(Reached(300, 30, 27), Reached(100, 10, 10), Reached(1000, 100, 40))
        Consequences(posts=200, wrongful=30.0, left=130.0)
    """
    # Posts and labels only grow as a threshold falls; where no post lies between two of them, labels may.
    further = at if (at.posts, at.known) >= (taken.posts, taken.known) else taken
    own = _between(at, taken) if further is at else NOTHING
    below = _between(whole, further)
    return Consequences(
        posts=own.posts,
        wrongful=None if at.below_floor and own.posts > 0 else _share_of(own, own.known - own.right),
        left=_share_of(below, below.right),
    )


def _between(looser: Reached, stricter: Reached) -> Reached:
    return Reached(looser.posts - stricter.posts, looser.known - stricter.known, looser.right - stricter.right)


def _share_of(part: Reached, weight: float) -> float | None:
    if part.posts <= 0:
        return 0.0
    return part.posts * weight / part.known if part.known > 0 else None
