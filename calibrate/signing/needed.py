"""How many people must sign a band, and who is still missing."""

import unicodedata
from collections.abc import Iterable

from calibrate.operating_points_file import BandRecord, OperatingPointsFile
from calibrate.refused import RefusedError
from calibrate.words import said

TWICE_SIGNED = ("auto_remove",)
"""Actions that take posts away without a person looking: two people answer for them."""
LONGEST_NAME = 200
LONGEST_TEXT = 8000


def name_key(name: str) -> str:
    """What two spellings of one name share.

    Examples:
        >>> name_key("  Ada  LOVELACE ") == name_key("ada lovelace")
        True
    """
    return " ".join(unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).split())


def checked_text(key: str, text: str | None, *, longest: int) -> str:
    """A text that somebody signs with, its white space collapsed; InputError where it is none, too long or unseen."""
    collapsed = " ".join(unicodedata.normalize("NFC", text or "").split())
    if not any(letter.isalnum() for letter in collapsed):
        raise RefusedError(
            f'{key}: {text!r} says nothing; give words, as in {key}="…"', told=said("refused.no_words")
        )
    if len(collapsed) > longest:
        raise RefusedError(
            f"{key}: {len(collapsed):,} characters; at most {longest:,} are kept",
            told=said("refused.too_long", length=len(collapsed), longest=longest),
        )
    if not collapsed.isprintable():
        unseen = next(letter for letter in collapsed if not letter.isprintable())
        raise RefusedError(
            f"{key}: holds the invisible character {unseen!r}; leave it out", told=said("refused.unseen")
        )
    return collapsed


def signatures_needed(band: BandRecord) -> int:
    """By how many different names a band must be signed: none where it never flags, and nobody decided that."""
    if band.threshold is not None:
        return 2 if band.action in TWICE_SIGNED else 1
    return 1 if band.status == "switched_off" else 0


def signatures_missing(band: BandRecord) -> int:
    """How many more different names a band needs."""
    return max(0, signatures_needed(band) - len({name_key(each.by) for each in band.signatures}))


def lacking(points: OperatingPointsFile) -> list[tuple[str, BandRecord, int]]:
    """Bands that lack signatures: policy_id, band, how many."""
    return [
        (policy.policy_id, band, missing)
        for policy in points.policies
        for band in policy.bands
        if (missing := signatures_missing(band))
    ]


def names_of(bands: Iterable[BandRecord]) -> list[str]:
    """Who signed any of the bands, each once, in order."""
    found: dict[str, str] = {}
    for band in bands:
        for signature in band.signatures:
            found.setdefault(name_key(signature.by), signature.by)
    return list(found.values())
