"""What repeated use of one golden set costs, and what makes two uses of it the same look.

The k-th look at a policy's labels is tested at delta_k = delta * 6 / (pi^2 k^2). These add up to delta, so all looks
hold together with probability 1 - delta (a union bound), if what is looked at was not chosen by the answers to
earlier looks: a model tuned on them, or a target moved until it is met, is no test fixed before its labels.
"""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from calibrate.assumptions import FRESH
from calibrate.operating_point import Look, OperatingPoint
from calibrate.words import said
from data.files import sha256_of_json
from data.policy import Policy


def share_of(number: int) -> float:
    """The part of delta that the look of this number spends; all of them add up to 1.

    Examples:
        >>> round(share_of(1), 3), round(share_of(3), 4)
        (0.608, 0.0675)
        >>> 0.9999 < sum(share_of(number) for number in range(1, 10_000)) < 1
        True
    """
    return 6 / (math.pi * number) ** 2


def look_digest(policy: Policy, settings: Mapping[str, Any], arrays: Mapping[str, NDArray[Any] | None]) -> str:
    """What decides the result of a look, beside the golden set: claims, settings, and scores, item by item.

    Args:
        policy: of it, targets, confidences and slices.
        settings: JSON values.
        arrays: golden scores, the pilot, and whatever else the tests read.
    """
    claims = [
        (band.target_precision, band.target_recall, band.confidence)
        for band in policy.bands
        if band.kind != "capacity"
    ]
    return sha256_of_json(
        {
            "policy_id": policy.policy_id,
            "version": policy.version,
            "claims": sorted(claims, key=str),
            "slices": [rule.model_dump(mode="json") for rule in policy.slices],
            "settings": dict(settings),
            "arrays": {
                name: None if array is None else hashlib.sha256(array.tobytes()).hexdigest()
                for name, array in arrays.items()
            },
        }
    )


def after_look(point: OperatingPoint, look: Look, *, confidence: float, claims: int) -> OperatingPoint:
    """The point of a test at `look.spent`, with the confidence that was asked for and what the look cost.

    Args:
        point: as tested.
        look: its number and what it spent.
        confidence: of the band.
        claims: that share 1 - confidence.
    """
    if look.reuse is not None:
        method = said("method.look.reuse", method=point.method, number=look.number)
        rests_on = said("assumption.reuse", reuse=look.reuse)
    else:
        spent = {"method": point.method, "number": look.number, "square": look.number**2, "risk": 1 - confidence}
        method = said("method.look.claims", **spent, n_claims=claims) if claims > 1 else said("method.look", **spent)
        rests_on = said("assumption.looks")
    return replace(
        point,
        confidence=confidence,
        method=method,
        assumptions=tuple(rests_on if each == FRESH else each for each in point.assumptions),
        look=look,
    )


def described_looks(numbers: Mapping[str, int]) -> str:
    """Which policies are at which look, for people; the policies are left out where all are at the same.

    Examples:
        >>> described_looks({"fire": 1, "scam": 3, "spam": 1})
        'look 1 (fire, spam), look 3 (scam)'
        >>> described_looks({"fire": 2, "scam": 2})
        'look 2'
    """
    found = sorted(set(numbers.values()))
    if len(found) == 1:
        return said("looks", number=found[0])
    named = {number: [name for name in numbers if numbers[name] == number] for number in found}
    joined = said("looks.and").join
    return joined(said("looks.of", number=number, policies=joined(names)) for number, names in named.items())
