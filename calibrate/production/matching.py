"""Which band of production stands against which band of a calibration."""

from collections.abc import Sequence

from calibrate.operating_points_file import BandRecord


def matched(bands: Sequence[tuple[str, str | None]], served: Sequence[BandRecord]) -> list[int | None]:
    """For each band the place of production's: of the same action and queue, else of the same action, in order.

    Args:
        bands: action and queue of each.
        served: production's, in order.

    Examples:
        >>> from types import SimpleNamespace as Band
        >>> served = [Band(action="review", queue="day"), Band(action="review", queue="night")]
        >>> matched([("auto_remove", None), ("review", "night"), ("review", "new")], served)
        [None, 1, 0]
    """
    found: list[int | None] = [None] * len(bands)
    for whole in (True, False):
        for place, (action, queue) in enumerate(bands):
            if found[place] is not None:
                continue
            free = (
                other
                for other, band in enumerate(served)
                if other not in found and band.action == action and (not whole or band.queue == queue)
            )
            found[place] = next(free, None)
    return found


def title_of(band: BandRecord) -> str:
    """The action, and the queue it feeds where there is one."""
    return f"{band.action} ({band.queue})" if band.queue else band.action
