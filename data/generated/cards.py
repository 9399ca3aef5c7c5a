"""The deck from which posts are dealt: which media, caption, thing, text and motion go together, and how often.

The shares fix how common each violation and its look-alikes are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

HARD_SHARE = 0.12
MEDIA_KINDS = {"photo": 0.6, "carousel": 0.15, "clip": 0.25}
CAPTIONS = {
    "none": 0.15,
    "scam_profit": 0.15,
    "scam_income": 0.08,
    "finance": 0.085,
    "warning": 0.055,
    "sale": 0.29,
    "talk": 0.19,
}
THINGS_ON_SALE = {"product": 0.58, "other": 0.42}
THINGS = {"product": 0.15, "other": 0.3, "nothing": 0.55}
TEXT_IN_PHOTOS = {"phone": 0.063, "handle": 0.042, "look_alike": 0.25, "nothing": 0.645}
TEXT_IN_CLIPS = {"phone": 0.02, "handle": 0.01, "look_alike": 0.12, "nothing": 0.85}
MOTIONS = {
    "flash": 0.3,
    "flash_in_part": 0.18,
    "slow_flash": 0.09,
    "spot": 0.1,
    "cuts": 0.07,
    "lamp": 0.05,
    "calm": 0.21,
}


@dataclass(frozen=True)
class Card:
    """What one post is about.

    Attributes:
        kind: "photo", "carousel" or "clip".
        caption: a key of CAPTIONS.
        thing, text, motion: as in a Medium.
        hard_caption, hard_thing, hard_text, hard_motion: subtle, small, faint or weak.
    """

    kind: str
    caption: str
    thing: str
    text: str
    motion: str
    hard_caption: bool
    hard_thing: bool
    hard_text: bool
    hard_motion: bool

    def violates(self) -> dict[str, str]:
        """The policies that such a post violates, each with its reason code."""
        codes = {
            "contact_details": {"phone": "CD1", "handle": "CD2"}.get(self.text),
            "flashing": {"flash": "FL1", "flash_in_part": "FL2"}.get(self.motion),
            "restricted_sale": "RS1" if self.thing == "product" and self.caption == "sale" else None,
            "scam_phrases": {"scam_profit": "SP2" if self.hard_caption else "SP1", "scam_income": "SP2"}.get(
                self.caption
            ),
        }
        return {policy_id: code for policy_id, code in codes.items() if code is not None}

    def difficulty(self) -> dict[str, str]:
        """The policies that are easily mistaken here: "hard", or a "look_alike" that is allowed."""
        violates = self.violates()
        concerned = {
            "contact_details": (self.text != "nothing", self.hard_text),
            "flashing": (self.motion not in {"still", "calm"}, self.hard_motion),
            "restricted_sale": (
                self.thing == "product" or self.caption == "sale",
                self.hard_caption or (self.hard_thing and self.thing == "product"),
            ),
            "scam_phrases": (self.caption.startswith(("scam", "finance", "warning")), self.hard_caption),
        }
        return {
            policy_id: "hard" if hard else "look_alike"
            for policy_id, (resembles, hard) in concerned.items()
            if resembles and (hard or policy_id not in violates)
        }


def _quota(rng: Random, count: int, shares: Mapping[str, float]) -> list[str]:
    """Return `count` shuffled names in the proportions of `shares`, exact but for rounding."""
    edges = [round(count * sum(list(shares.values())[:i])) for i in range(len(shares) + 1)]
    edges[-1] = count
    names = [name for i, name in enumerate(shares) for _ in range(edges[i + 1] - edges[i])]
    rng.shuffle(names)
    return names


def deal_cards(rng: Random, count: int) -> list[Card]:
    """Return `count` shuffled cards in the shares above, exact but for rounding."""
    cards = []
    kinds = _quota(rng, count, MEDIA_KINDS)
    captions = _quota(rng, count, CAPTIONS)
    things_on_sale = _quota(rng, captions.count("sale"), THINGS_ON_SALE)
    things = _quota(rng, count - captions.count("sale"), THINGS)
    text_in_clips = _quota(rng, kinds.count("clip"), TEXT_IN_CLIPS)
    text_in_photos = _quota(rng, count - kinds.count("clip"), TEXT_IN_PHOTOS)
    motions = _quota(rng, kinds.count("clip"), MOTIONS)
    for kind, caption in zip(kinds, captions, strict=True):
        hard_caption, hard_thing, hard_text, hard_motion = (rng.random() < HARD_SHARE for _ in range(4))
        cards.append(
            Card(
                kind=kind,
                caption=caption,
                thing=(things_on_sale if caption == "sale" else things).pop(),
                text=(text_in_clips if kind == "clip" else text_in_photos).pop(),
                motion=motions.pop() if kind == "clip" else "still",
                hard_caption=hard_caption,
                hard_thing=hard_thing,
                hard_text=hard_text,
                hard_motion=hard_motion,
            )
        )
    return cards
