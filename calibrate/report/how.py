"""How a threshold was found, as the page explains it; the phrase of the certificate itself is quoted beside that."""

from typing import Literal, get_args

How = Literal["scan", "walk", "bets", "auditor", "order", "recall_bets", "capacity"]
HOWS: tuple[How, ...] = get_args(How)
_SAYS: dict[str, How] = {
    "with an auditor's verdicts": "auditor",  # its phrase goes on with that of the labels alone
    "betting on the recall": "recall_bets",
    "betting, mixture": "bets",
    "order statistic": "order",
    "lowest edge of a traffic bin": "capacity",
    "fixed-sequence walk": "walk",
    "scan over": "scan",
}


def how_found(method: str) -> How | None:
    """The kind of a method, from its phrase in `OperatingPoint.method`; None for `none` and for unknown ones.

    Examples:
        >>> how_found("scan over golden ranks with 70 % of 1 - confidence at rank 44 and the rest over all ranks")
        'scan'
        >>> how_found("none") is None
        True
    """
    return next((how for phrase, how in _SAYS.items() if phrase in method), None)
