"""Words that others wrote, made fit to be shown: nothing that turns text around, breaks lines or never ends."""

import unicodedata
from typing import Any

REPLACEMENT = "\ufffd"
# Embeddings, overrides and isolates turn what follows around; the two marks that Arabic and Hebrew need do not.
TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
SPACES = {"\n": " ", "\r": " ", "\t": " ", "\u2028": " ", "\u2029": " ", "\x85": " "}
MOST_MARKS = 4  # on one letter: more of them climb over the lines above
LONGEST = 4_000


def shown_text(text: str, longest: int = LONGEST) -> str:
    """The text on one line: at most `longest` characters, what cannot be shown replaced by a visible sign.

    Examples:
        >>> shown_text("Fire\\u202e\\x00 in\\nthe  house"), shown_text("abcdef", 4)
        ('Fire\\ufffd\\ufffd in the  house', 'abc…')
    """
    shown: list[str] = []
    marks = 0
    for letter in text[: longest + 1]:
        category = unicodedata.category(letter)
        marks = marks + 1 if category in ("Mn", "Me") else 0
        if letter in SPACES:
            shown.append(SPACES[letter])
        elif category in ("Cc", "Cs") or letter in TURNING:
            shown.append(REPLACEMENT)
        elif marks <= MOST_MARKS:
            shown.append(letter)
    if len(text) > longest:
        return "".join(shown[: longest - 1]) + "…"
    return "".join(shown)


def all_shown(value: Any) -> Any:
    """A JSON value with every text in it made fit, keys left alone."""
    if isinstance(value, str):
        return shown_text(value)
    if isinstance(value, dict):
        return {key: all_shown(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [all_shown(each) for each in value]
    return value
