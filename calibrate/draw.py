"""How golden items came into their set, as far as the tests of one policy must know. N golden items."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from calibrate.bets.recall import recall_interval
from calibrate.bets.weighted import checked_clusters, checked_weights
from calibrate.bounds import FloatArray
from calibrate.operating_point import Kind, OperatingPoint, unanswered
from calibrate.ranks.ranked import Scores, checked_labels, checked_scores, rank_labels
from calibrate.recall import known_violating
from calibrate.traffic.volume import VOLUME_CONFIDENCE
from calibrate.words import said
from data.errors import InputError
from data.golden import GoldenSet


@dataclass(frozen=True)
class Draw:
    """The draw of a golden set, seen from one policy.

    Attributes:
        inclusion_prob: [N]; None where all items had the same chance.
        clusters: [N], names or None; None where no two items share one.
        floor: lowest score of this policy that could be drawn; None for all traffic.
        no_evidence: why the set says nothing about this policy; None if it does.
    """

    inclusion_prob: FloatArray | None = None
    clusters: NDArray[np.object_] | None = None
    floor: float | None = None
    no_evidence: str | None = None

    @property
    def is_weighted(self) -> bool:
        """Whether counts of items mislead: unequal chances, or items that were drawn together."""
        return self.inclusion_prob is not None or self.clusters is not None

    def objection(self, kind: Kind) -> str | None:
        """Why a band of this kind cannot be certified on the set, whatever its labels say; None if it may be."""
        if self.no_evidence or kind != "recall" or self.floor is None:
            return self.no_evidence
        return said("reason.recall.floor", floor=self.floor)

    def described(self, point: OperatingPoint, scores: Scores, labels: Scores) -> OperatingPoint:
        """The point with what its recall is about, and an interval of it where items are weighted.

        What the labels cannot describe is left out: a policy they are no evidence for, and (bands by capacity)
        thresholds below the floor.
        """
        if point.threshold is None:
            return point
        if self.no_evidence or (self.floor is not None and np.float32(point.threshold) < np.float32(self.floor)):
            return replace(
                point,
                precision=None,
                precision_lower_bound=None,
                recall=None,
                recall_interval=None,
                recall_above=None,
            )
        point = replace(point, recall_above=self.floor if point.recall is not None else None)
        if point.recall is None or not self.is_weighted:
            return point
        positive_scores, violating = known_violating(
            checked_scores(scores),
            checked_labels(labels),
            checked_weights(self.inclusion_prob, len(scores)),
            checked_clusters(self.clusters, len(scores)),
        )
        caught = int((positive_scores >= np.float32(point.threshold)).sum())
        confidence = point.confidence or VOLUME_CONFIDENCE
        return replace(point, recall_interval=recall_interval(violating, caught, confidence=confidence))


EVEN = Draw()


def draw_of(golden_set: GoldenSet, policy_id: str) -> Draw:
    """How a golden set was drawn, seen from one policy; one drawn by another policy's score says nothing here."""
    record, items = golden_set.record, golden_set.items
    chances, clusters = items["inclusion_prob"].to_numpy(), items["cluster_id"]
    scored_by = record.scored_by.policy_id if record.scored_by else policy_id
    no_evidence = None
    if scored_by != policy_id:
        names = {"scored_by": scored_by, "policy_id": policy_id}
        if record.floor is None:
            no_evidence = said("reason.drawn_by", **names)
        else:
            no_evidence = said("reason.drawn_by.floor", floor=record.floor, **names)
    return Draw(
        inclusion_prob=None if chances.min() == chances.max() else chances,
        clusters=clusters.to_numpy() if clusters.drop_nulls().is_duplicated().any() else None,
        floor=record.floor,
        no_evidence=no_evidence,
    )


def check_drawn_alike(golden_set: GoldenSet, key: str) -> None:
    """Refuse what is proven for items that were drawn alike and by themselves, on a set in which they were not."""
    draw = draw_of(golden_set, "")
    found = "unequal inclusion_prob" if draw.inclusion_prob is not None else "items that share a cluster_id"
    if draw.is_weighted:
        raise InputError(
            f"{key}: the golden set {golden_set.folder} has {found}, and its proof needs items that were drawn "
            "alike and independently of one another; do without it, or certify on such a set"
        )


def objected(
    scores: Scores, labels: Scores, *, kind: Kind, target: float, confidence: float, objection: str
) -> OperatingPoint:
    """The answer to a band that the set cannot speak of: not attainable, and why."""
    point = unanswered(
        rank_labels(scores, labels),
        kind=kind,
        target=target,
        confidence=confidence,
        method="none",
        how=None,
        assumptions=(),
    )
    return replace(point, reason=objection)
