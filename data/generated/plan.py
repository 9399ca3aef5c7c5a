"""What every generated post shows and says, and which policies it violates: decided here, drawn elsewhere."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from data.generated.captions import restyle_caption, write_caption
from data.generated.cards import Card, deal_cards

WINDOW_START = datetime(2025, 3, 3, tzinfo=UTC)
WINDOW = timedelta(days=28)
DUPLICATE_SHARE = 0.08
MOST_POSTS_BY_ONE_CREATOR = 12

MARKETS = {"US": 0.4, "GB": 0.25, "IN": 0.2, "MX": 0.15}
SPANISH_SHARE_IN_MX = 0.35
HABITS = {"contact_details": 0.06, "scam_phrases": 0.12, "restricted_sale": 0.1, "flashing": 0.07, "ordinary": 0.65}


@dataclass(frozen=True)
class Alteration:
    """How a near-duplicate differs from its original: a shift (share of the side), brightness, compression."""

    shift_x: float = 0.0
    shift_y: float = 0.0
    brightness: float = 1.0
    coarser: bool = False


@dataclass(frozen=True)
class Medium:
    """One file to draw.

    Attributes:
        name: path below the output folder; its suffix says how to encode it.
        seed: decides everything below the level of this plan, e.g. colours and places.
        thing: "product" (restricted), "other" (any other object) or "nothing".
        text: text drawn in: "phone", "handle", "look_alike" or "nothing".
        motion: of a clip, a key of MOTIONS in cards.py; "still" for pictures.
        hard_thing, hard_text, hard_motion: small, faint or weak, and so easily missed.
        alteration: set for near-duplicates.
    """

    name: str
    seed: str
    thing: str = "nothing"
    text: str = "nothing"
    motion: str = "still"
    hard_thing: bool = False
    hard_text: bool = False
    hard_motion: bool = False
    alteration: Alteration | None = None


@dataclass(frozen=True)
class Post:
    """A post: its row in items.parquet, its media, and the truth.

    Attributes:
        violates: the violated policies with the reason code of each.
        difficulty: of the policies whose truth is easily mistaken: "look_alike" (but allowed) or "hard".
    """

    item_id: str
    media: tuple[Medium, ...]
    media_type: str
    caption: str | None
    market: str
    language: str
    creator_id: str
    cluster_id: str
    created_at: datetime
    views: int
    source: str
    violates: Mapping[str, str]
    difficulty: Mapping[str, str]


@dataclass(frozen=True)
class _Creator:
    creator_id: str
    market: str
    language: str
    habit: str
    reach: float
    num_posts: int


def plan_posts(count: int, seed: int) -> list[Post]:
    """Plan `count` posts; the same seed gives the same posts, in order of creation."""
    rng = Random(f"posts {seed}")
    num_duplicates = round(count * DUPLICATE_SHARE)
    cards = deal_cards(rng, count - num_duplicates)
    posts: list[Post] = []
    for creator, card in _hand_out(rng, cards):
        posts.append(_post(rng, card, creator, number=len(posts), seed=seed))
    originals = rng.choices(posts, k=num_duplicates)
    posts += [_duplicate(rng, post, number=len(posts) + i) for i, post in enumerate(originals)]
    return sorted(posts, key=lambda post: (post.created_at, post.item_id))


def _hand_out(rng: Random, cards: list[Card]) -> list[tuple[_Creator, Card]]:
    """Give the cards to creators, violations mostly to those whose habit they are."""
    piles: dict[str, list[Card]] = {}
    for card in cards:
        piles.setdefault(next(iter(card.violates()), "ordinary"), []).append(card)
    handed: list[tuple[_Creator, Card]] = []
    number = 0
    while len(handed) < len(cards):
        creator = _creator(rng, number)
        number += 1
        for _ in range(min(creator.num_posts, len(cards) - len(handed))):
            left = {habit: len(pile) for habit, pile in piles.items() if pile}
            habit = creator.habit
            if habit not in left or rng.random() < 0.4:
                habit = rng.choices(list(left), list(left.values()))[0]
            handed.append((creator, piles[habit].pop()))
    return handed


def _creator(rng: Random, number: int) -> _Creator:
    market = rng.choices(list(MARKETS), list(MARKETS.values()))[0]
    spanish = market == "MX" and rng.random() < SPANISH_SHARE_IN_MX
    return _Creator(
        creator_id=f"creator_{number:04d}",
        market=market,
        language="es" if spanish else "en",
        habit=rng.choices(list(HABITS), list(HABITS.values()))[0],
        reach=rng.gauss(5.0, 1.2),
        num_posts=min(1 + int(rng.expovariate(1 / 3)), MOST_POSTS_BY_ONE_CREATOR),
    )


def _post(rng: Random, card: Card, creator: _Creator, *, number: int, seed: int) -> Post:
    name = f"post_{number:05d}"
    return Post(
        item_id=name,
        media=_media(rng, card, name, f"{seed} {name}"),
        media_type="video" if card.kind == "clip" else "photo",
        caption=_caption(rng, card, creator.language),
        market=creator.market,
        language=creator.language,
        creator_id=creator.creator_id,
        cluster_id=f"cluster_{number:05d}",
        created_at=WINDOW_START + timedelta(seconds=rng.randrange(int(WINDOW.total_seconds()))),
        views=int(math.exp(rng.gauss(creator.reach, 1.0))),
        source=rng.choices(["camera", "upload", "repost"], [0.45, 0.45, 0.1])[0],
        violates=card.violates(),
        difficulty=card.difficulty(),
    )


def _media(rng: Random, card: Card, name: str, seed: str) -> tuple[Medium, ...]:
    shown: dict[str, Any] = {
        "thing": card.thing,
        "text": card.text,
        "hard_thing": card.hard_thing,
        "hard_text": card.hard_text,
    }
    if card.kind == "clip":
        path = f"media/clips/{name}.mp4"
        return (Medium(path, seed, **shown, motion=card.motion, hard_motion=card.hard_motion),)
    suffix = "png" if rng.random() < 0.05 else "jpg"
    if card.kind == "photo":
        return (Medium(f"media/photos/{name}.{suffix}", seed, **shown),)
    paths = [f"media/photos/{name}_{i + 1}.{suffix}" for i in range(rng.choice([2, 2, 3, 3, 4]))]
    telling = rng.randrange(len(paths))
    again = {"thing": card.thing, "hard_thing": card.hard_thing}
    return tuple(
        Medium(path, f"{seed} {i}", **(shown if i == telling else again if rng.random() < 0.5 else {}))
        for i, path in enumerate(paths)
    )


def _caption(rng: Random, card: Card, language: str) -> str | None:
    if card.caption == "none":
        return None
    kind = card.caption
    if card.hard_caption and kind in {"scam_profit", "scam_income", "sale"}:
        kind = "sale_subtle" if kind == "sale" else "scam_subtle"
    elif kind == "sale" and rng.random() < 0.3:
        kind = "sale_product" if card.thing == "product" else "sale_named"
    elif kind == "talk" and card.thing == "product" and rng.random() < 0.6:
        kind = "not_for_sale" if card.hard_caption else "product_talk"
    return write_caption(rng, kind, language)


def _duplicate(rng: Random, original: Post, *, number: int) -> Post:
    """Post the same again: moved a little, brighter or darker, compressed anew, perhaps with other hashtags."""
    alteration = Alteration(
        shift_x=rng.uniform(-0.04, 0.04),
        shift_y=rng.uniform(-0.04, 0.04),
        brightness=rng.uniform(0.85, 1.15),
        coarser=rng.random() < 0.5,
    )
    name = f"post_{number:05d}"
    caption = original.caption
    if caption is not None and rng.random() < 0.3:
        caption = restyle_caption(rng, caption, original.language)
    return replace(
        original,
        item_id=name,
        media=tuple(
            replace(medium, name=medium.name.replace(original.item_id, name), alteration=alteration)
            for medium in original.media
        ),
        caption=caption,
        created_at=original.created_at + timedelta(seconds=rng.randrange(60, 86400)),
        views=int(original.views * rng.uniform(0.05, 1.0)),
        source="repost",
    )
