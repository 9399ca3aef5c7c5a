"""What a precision test must ask of the labels where they, or the traffic, are known to differ from the sample."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from calibrate.ranks.ranked import Labels
from calibrate.words import said

Unresolved = Literal["left_out", "not_violating"]


@dataclass(frozen=True)
class Corrections:
    """Corrections of a precision test; the defaults correct nothing.

    Attributes:
        false_positive_rate: a, at most this share of posts that do not violate is labelled violating.
        false_negative_rate: b, at least this share of violating posts is labelled not violating; 0 is always safe.
        prior_odds_ratio: r, odds of violating in the traffic to come over those in the sample, the scores of
            violating and of other posts being as before; where it was estimated, its lower bound.
        unresolved: `left_out`, or `not_violating`: the worst case, every unknown label counted against the precision,
            in the test and in whatever is shown of the golden labels.
    """

    false_positive_rate: float = 0.0
    false_negative_rate: float = 0.0
    prior_odds_ratio: float = 1.0
    unresolved: Unresolved = "left_out"

    def __post_init__(self) -> None:
        for name in ("false_positive_rate", "false_negative_rate"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {value!r}")
        if self.false_positive_rate + self.false_negative_rate >= 1:
            raise ValueError(
                "false_positive_rate + false_negative_rate must be below 1, or labels say nothing; got "
                f"{self.false_positive_rate!r} and {self.false_negative_rate!r}"
            )
        if not 0 < self.prior_odds_ratio < float("inf"):
            raise ValueError(f"prior_odds_ratio must be positive and finite, got {self.prior_odds_ratio!r}")
        if self.unresolved not in ("left_out", "not_violating"):
            raise ValueError(f"unresolved must be left_out or not_violating, got {self.unresolved!r}")

    def tested_target(self, target: float) -> float:
        """The share of violating labels to test for, so that the true precision is `target`.

        The precision p in the sample that becomes `target` when the odds change by r is target / (target +
        (1 - target) r); labels then show p (1 - b) + (1 - p) a.

        Examples:
            >>> round(Corrections(false_positive_rate=0.02, false_negative_rate=0.05).tested_target(0.9), 4)
            0.857
            >>> round(Corrections(prior_odds_ratio=0.5).tested_target(0.9), 4)
            0.9474
        """
        before = target / (target + (1 - target) * self.prior_odds_ratio)
        return before * (1 - self.false_negative_rate) + (1 - before) * self.false_positive_rate

    def applied(self, labels: Labels) -> Labels:
        """Labels with the unresolved ones counted as this correction says."""
        return labels if self.unresolved == "left_out" else np.where(np.isnan(labels), 0.0, labels)

    def sentences(self) -> tuple[str, ...]:
        """What was corrected, for the result."""
        sentences = []
        if self.has_label_error:
            sentences.append(
                said(
                    "assumption.label_errors",
                    false_positive_rate=self.false_positive_rate,
                    false_negative_rate=self.false_negative_rate,
                )
            )
        if self.prior_odds_ratio != 1:
            sentences.append(said("assumption.prior_shift", ratio=self.prior_odds_ratio))
        if self.unresolved != "left_out":
            sentences.append(said("assumption.unresolved"))
        return tuple(sentences)

    @property
    def has_label_error(self) -> bool:
        """Whether labels are taken to err."""
        return self.false_positive_rate > 0 or self.false_negative_rate > 0


UNCORRECTED = Corrections()
