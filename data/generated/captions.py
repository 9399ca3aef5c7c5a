"""Captions of generated posts: a template of captions.yaml, its slots filled, then written as people write."""

import re
from functools import cache
from importlib.resources import files
from random import Random
from typing import Any

import yaml

SLOT = re.compile(r"\{(\w+)\}")


def write_caption(rng: Random, kind: str, language: str) -> str:
    """Write one caption.

    Args:
        rng: source of every choice.
        kind: a list of templates in captions.yaml, e.g. "scam" or "sale_named".
        language: "en" or "es".
    """
    phrases = _phrases()[language]
    text = rng.choice(phrases[kind])
    while SLOT.search(text):
        text = SLOT.sub(lambda match: str(rng.choice(phrases["slots"][match[1]])), text)
    if rng.random() < 0.5:
        text = text[0].upper() + text[1:]
    if rng.random() < 0.2:
        text = f"{rng.choice(phrases['openings'])} {text}"
    if rng.random() < 0.2:
        text = f"{text}. {rng.choice(phrases['closings'])}"
    if rng.random() < 0.12:
        text = _mistype(rng, text)
    return restyle_caption(rng, text, language)


def restyle_caption(rng: Random, text: str, language: str) -> str:
    """Change punctuation, case and hashtags of a caption, as in a repost; its words stay."""
    if rng.random() < 0.12:
        text = text.lower()
    elif rng.random() < 0.06:
        text = text.upper()
    if rng.random() < 0.25:
        text += rng.choice(["!", "!!", "...", " :)", " <3"])
    if rng.random() < 0.25:
        tags = rng.sample(_phrases()[language]["hashtags"], rng.randint(1, 3))
        text += "".join(f" #{tag}" for tag in tags)
    return text


def _mistype(rng: Random, text: str) -> str:
    place = rng.randrange(1, len(text) - 1)
    if rng.random() < 0.5:
        return text[:place] + text[place + 1 :]
    return text[: place - 1] + text[place] + text[place - 1] + text[place + 1 :]


@cache
def _phrases() -> dict[str, Any]:
    text = files("data.generated").joinpath("captions.yaml").read_text(encoding="utf-8")
    phrases: dict[str, Any] = yaml.safe_load(text)
    return phrases
