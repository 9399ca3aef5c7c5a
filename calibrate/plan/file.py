"""plan.json: how many labels, above which floor, each precision band would take."""

from typing import Literal

from pydantic import Field

from calibrate.plan.power import Outlook
from calibrate.plan.prospect import Floor
from data.golden import Design
from data.policy import Strict


class OptionRecord(Strict):
    """One way to draw a golden set.

    Attributes:
        design: of the draw; `stratified` is in five strata by score, tested by betting.
        floor: lowest score to draw; None for all traffic.
        share: of traffic that scores at least that.
        labels: known labels needed; None if 50,000 (stratified: 12,000) are too few, or the floor cuts off too much.
        posts: to draw, so that as many labels become known as in the pilot.
        recall: expected, of all violating posts.
        power: with which a threshold is certified that keeps enough recall.
    """

    design: Design
    floor: float | None
    share: float
    labels: int | None
    posts: int | None
    recall: float | None
    power: float | None

    @classmethod
    def of(cls, design: Design, floor: Floor, found: Outlook | None, known_share: float) -> "OptionRecord":
        """The record of a draw and what it would take."""
        return cls(
            design=design,
            floor=floor.score,
            share=floor.share,
            labels=found.labels if found else None,
            posts=round(found.labels / known_share) if found else None,
            recall=found.recall if found else None,
            power=found.power if found else None,
        )


class BandPlan(Strict):
    """One precision band.

    Attributes:
        action: of the band.
        queue: of the band.
        target: precision.
        confidence: of the claim.
        best_recall: expected of the best threshold there is; None without a pilot for this policy.
        recommended: place of the cheapest option; None if none is enough.
        reason: why the answer is what it is.
        options: all traffic first.
    """

    action: str
    queue: str | None
    target: float
    confidence: float
    best_recall: float | None
    recommended: int | None
    reason: str
    options: tuple[OptionRecord, ...]


class PolicyPlan(Strict):
    """One policy with its precision bands.

    Attributes:
        policy_id: of the policy.
        policy_version: of it.
        n_pilot_labels: known labels of the pilot.
        known_share: of the pilot's items; None without.
        above: shares and recalls are of posts that score at least this, the floor of the pilot; None: of all.
        bands: those by precision.
    """

    policy_id: str
    policy_version: str
    n_pilot_labels: int
    known_share: float | None
    above: float | None
    bands: tuple[BandPlan, ...]


class PlanFile(Strict):
    """The content of plan.json."""

    format: Literal["setpoint/plan/v1"] = Field(default="setpoint/plan/v1", alias="schema")
    nature: str
    power: float
    keep_recall: float
    scores_digest: str | None
    pool_sha256: str | None
    policies: tuple[PolicyPlan, ...]
