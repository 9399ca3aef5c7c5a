"""All sentences that a certificate and its page say, in one file: words.en.json, or a translation of it.

The environment variable SETPOINT_WORDS names the translation; one process speaks one language. What stands under
`written` is filled in here, by `said`, and goes into operating_points.json and from there to the page; all else is
the page's own and filled in by templates/js/words.js. Errors have no place here, nor what verbs print, but for what
`sign` says and refuses: a served page repeats it.
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
            as in {n:,} or, of a share, {target:percent}; signs for groups of thousands and decimals are the
            catalogue's.

    Raises:
        KeyError: the catalogue has no such text.

    Examples:
        >>> said("needed.first", first=1200, n_labelled=40)
        'At least 1,200 known labels are needed, and this set has 40.'
        >>> said("reason.bets.none", target=0.975, advice="Label more.")
        'No bet grew enough to show a precision of 97.5\xa0%. Label more.'
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
    """str.format with the catalogue's signs in numbers, and `percent` for shares as the page writes them."""

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "percent":
            return _percent(value)
        text = format(value, format_spec)
        return with_signs(text) if isinstance(value, Number) else text


_FORMATTER = _Numbers()


def _percent(share: float) -> str:
    """As `percent` of templates/js/format.js: never rounded up to 100 % or down to 0 %."""
    text = f"{100 * share:.1f}".removesuffix(".0")
    key = "percent"
    if text == "100" and share < 1:
        key, text = "percent.over", "99.9"
    elif text == "0" and share > 0:
        key, text = "percent.under", "0.1"
    return str(page_words()[key]).format(number=with_signs(text))


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
