"""Further models beside this calibration, each with its own thresholds, held against production. N golden items."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from calibrate.bounds import FloatArray
from calibrate.draw import Draw
from calibrate.production.changes import ByLabel, Change, Shift, Tally, change_of
from calibrate.production.files import Production
from calibrate.production.flips import BothScores
from calibrate.production.matching import matched
from calibrate.production.overlap import KINDS, Flags
from calibrate.production.record import CandidateBand, ShiftRecord
from calibrate.ranks.ranked import Scores

Bands = Sequence[tuple[str, str | None]]
NOT_KNOWN = ShiftRecord(now=None, ends=None)


def candidate_bands(
    candidates: Mapping[str, Production],
    policy_id: str,
    bands: Bands,
    place: int,
    served: BothScores,
    draw: Draw,
    weights: FloatArray | None,
) -> list[CandidateBand]:
    """Each candidate's band that stands where `bands[place]` does, against production's.

    Args:
        candidates: by name.
        policy_id: of the policy.
        bands: action and queue of the policy's bands.
        place: of one of them.
        served: what production flags and scores.
        draw: how golden items came into their set.
        weights: [N], 1 / inclusion_prob; None where all weigh the same.
    """
    found = []
    for name, candidate in candidates.items():
        policy = candidate.policy(policy_id)
        at = None if policy is None else matched(bands, policy.bands)[place]
        if policy is None or at is None:
            found.append(_without(name))
            continue
        threshold = policy.bands[at].threshold
        change = _change(candidate.values[policy_id], threshold, served, draw, weights)
        found.append(
            CandidateBand(
                name=name,
                version=policy.policy_version,
                threshold=threshold,
                gained=int(change.tally.gained.total),
                lost=int(change.tally.lost.total),
                better=change.better,
                worse=change.worse,
                p_value=change.p_value,
                volume=_record(change.volume),
                precision=_record(change.precision),
                recall=_record(change.recall),
            )
        )
    return found


def _without(name: str) -> CandidateBand:
    """A candidate that lacks the band."""
    return CandidateBand(
        name=name,
        version=None,
        threshold=None,
        gained=0,
        lost=0,
        better=0,
        worse=0,
        p_value=None,
        volume=NOT_KNOWN,
        precision=NOT_KNOWN,
        recall=NOT_KNOWN,
    )


def _change(
    scores: Scores, threshold: float | None, served: BothScores, draw: Draw, weights: FloatArray | None
) -> Change:
    flags = np.zeros(len(scores), bool) if threshold is None else scores >= np.float32(threshold)
    scored = served.scored & ~np.isnan(scores)
    return change_of(
        _tally(served, scored, flags, None),
        None if weights is None else _tally(served, scored, flags, weights),
        is_weighted=draw.is_weighted,
        is_sample=draw.no_evidence is None and draw.floor is None,  # a floor is one of this model's scores
    )


def _tally(served: BothScores, scored: Flags, flags: Flags, weights: FloatArray | None) -> Tally:
    def counted(chosen: NDArray[np.bool_]) -> ByLabel:
        by = None if weights is None else weights[chosen]
        return ByLabel(*np.bincount(served.kinds[chosen], by, len(KINDS)).tolist())

    before = scored & served.flagged
    return Tally(
        all=counted(scored),
        before=counted(before),
        both=counted(before & flags),
        gained=counted(scored & flags & ~served.flagged),
    )


def _record(shift: Shift) -> ShiftRecord:
    return ShiftRecord(now=shift.now, ends=shift.ends)
