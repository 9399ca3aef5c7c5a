"""All sentences that a certificate and its page say, in one file: words.en.json, or a translation of it.

The environment variable SETPOINT_WORDS names the translation; one process speaks one language. What stands under
`written` is filled in here, by `said`, and goes into operating_points.json and from there to the page; all else is
the page's own and filled in by templates/js/words.js. Errors have no place here, nor what verbs print, but for what
`sign` says: a served page repeats it.
"""

from functools import cache
from numbers import Number
from string import Formatter
from typing import Any

from calibrate.words.catalogue import Catalogue, Placeholder, chosen_catalogue, placeholders_of


def said(key: str, **values: object) -> str:
    """The text under a key of `written`, with its {placeholders} filled in.

    Args:
        key: of the catalogue.
        **values: a value for every placeholder of the text, and no other. How numbers are shown stands in the text,
            as in {n:,}; signs for groups of thousands and decimals are the catalogue's.

    Raises:
        KeyError: the catalogue has no such text.

    Examples:
        >>> said("needed.first", first=1200, n_labelled=40)
        'At least 1,200 known labels are needed, and this set has 40.'
    """
    text = _catalogue().written[key]
    expected = {placeholder.name for placeholder in _placeholders(text)}
    assert values.keys() == expected, f"words: {key} takes {sorted(expected)}, got {sorted(values)}"
    return _FORMATTER.vformat(text, (), values)


def page_words() -> dict[str, Any]:
    """What the page itself says, with language and direction; a text, or its plural forms, by key."""
    return _catalogue().page


def with_signs(number: str) -> str:
    """A number as Python writes it, with the catalogue's signs for groups of thousands and decimals."""
    return number.translate(_signs())


class _Numbers(Formatter):
    """str.format with the catalogue's signs in numbers."""

    def format_field(self, value: Any, format_spec: str) -> str:
        text = format(value, format_spec)
        return with_signs(text) if isinstance(value, Number) else text


_FORMATTER = _Numbers()


@cache
def _catalogue() -> Catalogue:
    return chosen_catalogue()


@cache
def _signs() -> dict[int, str]:
    words = page_words()
    return str.maketrans({",": words["number.group"], ".": words["number.decimal"]})


@cache
def _placeholders(text: str) -> frozenset[Placeholder]:
    return placeholders_of(text)
