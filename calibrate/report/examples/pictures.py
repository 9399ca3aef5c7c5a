"""Pictures of the example posts: as many as the page may hold, the most wanted first."""

import base64
import time
from collections.abc import Mapping, Sequence

import polars as pl

from calibrate.report.examples.choose import ChosenExamples
from calibrate.report.examples.schema import ExampleFacts, ExamplesFacts
from calibrate.words import said
from data.policy import Policy

MOST_PICTURES = 300  # decoded for a calibration, all precisions together
MOST_CHARACTERS = 3_000_000  # of all pictures of a page, in base64
SECONDS = 60.0  # after which no further one is begun: the one way for pages of the same inputs to differ
FULL = said("picture.full")
LATE = said("picture.late")


class Pictures:
    """Makes pictures, each post's once for all pages of a calibration.

    Args:
        most: to decode.
        characters: of all pictures of a page.
        seconds: after which no further one is begun.
    """

    def __init__(
        self, *, most: int = MOST_PICTURES, characters: int = MOST_CHARACTERS, seconds: float = SECONDS
    ) -> None:
        self.most, self.characters, self.seconds = most, characters, seconds
        self._made: dict[tuple[str, ...], tuple[str | None, str]] = {}
        self._spent, self._n_decoded = 0.0, 0

    def made(self, media: Sequence[str], media_type: str) -> tuple[str | None, str]:
        """A picture in base64, or None and the reason."""
        key = (media_type, *media)
        if key not in self._made:
            if self._n_decoded >= self.most:
                return None, FULL
            if self._spent > self.seconds:
                return None, LATE
            began = time.monotonic()
            self._made[key] = _tried(media, media_type)
            self._spent += time.monotonic() - began
            self._n_decoded += self._made[key][0] is not None
        return self._made[key]


def _tried(media: Sequence[str], media_type: str) -> tuple[str | None, str]:
    if any("://" in path for path in media):
        return None, said("picture.address")
    if not media:
        return None, said("picture.no_file")
    from data.thumbnails import reason_without_picture, thumbnail  # noqa: PLC0415  (PyAV, where pictures are wanted)

    try:
        return base64.b64encode(thumbnail(media, media_type)).decode(), ""
    except Exception as error:  # nothing in a post's files may fail a calibration
        return None, reason_without_picture(error)


def add_pictures(
    policies: Sequence[Policy],
    chosen: Mapping[str, ChosenExamples],
    described: Mapping[str, tuple[ExamplesFacts, pl.DataFrame]],
    pictures: Pictures,
) -> dict[str, tuple[ExamplesFacts, list[str]]]:
    """The posts with their pictures, in base64: every policy's most wanted ones first, then the next ones.

    A policy with `preview: none` gets none.
    """
    shown = [policy.policy_id for policy in policies if policy.preview != "none"]
    wanted = sorted(
        (int(order), at, place)
        for at, policy_id in enumerate(shown)
        for place, order in enumerate(chosen[policy_id].order)
    )
    items: dict[str, list[ExampleFacts]] = {name: list(facts.items) for name, (facts, _) in described.items()}
    held: dict[str, list[str]] = {name: [] for name in described}
    media = {name: described[name][1]["media"].to_list() for name in shown}
    left = pictures.characters
    for _, at, place in wanted:
        policy_id = shown[at]
        item = items[policy_id][place]
        picture, reason = pictures.made(media[policy_id][place] or [], item.media_type)
        if picture is not None and len(picture) > left:
            picture, reason = None, FULL
        if picture is None:
            items[policy_id][place] = item.model_copy(update={"no_picture": reason})
            continue
        left -= len(picture)
        items[policy_id][place] = item.model_copy(update={"picture": len(held[policy_id])})
        held[policy_id].append(picture)
    return {
        name: (facts.model_copy(update={"items": items[name]}), held[name]) for name, (facts, _) in described.items()
    }
