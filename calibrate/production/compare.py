"""One policy against production: overlaps at every cut, changes at the calibrated thresholds, items that flip.

A band flags whatever scores at least its threshold, what bands before it take included, as everywhere on the page.
N golden items, C cuts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from calibrate.draw import Draw
from calibrate.evidence import Evidence
from calibrate.operating_points_file import BandRecord
from calibrate.policy_calibration import BandCalibration, PolicyCalibration
from calibrate.production.candidates import candidate_bands
from calibrate.production.changes import Change, change_of, tally_at
from calibrate.production.files import Production
from calibrate.production.flips import BothScores, Words, clearest, flips_at
from calibrate.production.matching import matched, title_of
from calibrate.production.overlap import Overlap, Overlaps, kinds_of
from calibrate.production.record import BandComparison, CandidateBand, FlipRecord, PolicyComparison, Three
from calibrate.ranks.ranked import Scores
from calibrate.report.live.cuts import Places, places_of
from calibrate.report.text import shown_text


@dataclass(frozen=True)
class BandAgainst:
    """A band against production's.

    Attributes:
        counts: golden items at every cut.
        weights: theirs; None where all weigh the same.
        change: at the calibrated threshold.
        flips: at that threshold, the clearest first.
        facts: for the page.
    """

    counts: Overlap
    weights: Overlap | None
    change: Change
    flips: list[FlipRecord]
    facts: BandComparison


@dataclass(frozen=True)
class PolicyAgainst:
    """A policy against production: what the page says of it, and its bands, None where production has none."""

    facts: PolicyComparison
    bands: tuple[BandAgainst | None, ...]


def policy_against(
    production: Production,
    calibration: PolicyCalibration,
    evidence: Evidence,
    cuts: Scores,
    words: Words,
    candidates: Mapping[str, Production] = MappingProxyType({}),
) -> PolicyAgainst | None:
    """Compare a calibrated policy with production; None if production has no thresholds for it.

    Args:
        production: its scores of the golden items.
        calibration: of the policy.
        evidence: that it stands on; labels that are no evidence for the policy count as unknown.
        cuts: float32 [C], falling: thresholds that the page offers.
        words: of the golden items.
        candidates: further models, by name.
    """
    policy_id = calibration.policy.policy_id
    served = production.policy(policy_id)
    if served is None:
        return None
    draw, before = evidence.draw, production.values[policy_id]
    labels = evidence.labels if draw.no_evidence is None else np.full_like(evidence.labels, np.nan)
    weights = None if draw.inclusion_prob is None else 1 / draw.inclusion_prob
    kinds, scored, places = kinds_of(labels), ~np.isnan(before), places_of(evidence.scores, cuts)
    counter = Overlaps(places, kinds, scored, len(cuts))
    weigher = None if weights is None else Overlaps(places, kinds, scored, len(cuts), weights=weights)
    own = [(band.band.action, band.band.queue) for band in calibration.bands]
    against = matched(own, served.bands)
    bands: list[BandAgainst | None] = []
    for here, (band, place) in enumerate(zip(calibration.bands, against, strict=True)):
        if place is None:
            bands.append(None)
            continue
        old = served.bands[place]
        flagged = np.zeros(len(before), bool) if old.threshold is None else before >= np.float32(old.threshold)
        scores = BothScores(evidence.scores, before, flagged, scored, kinds)
        weighed = None if weigher is None else weigher.of(flagged)
        beside = candidate_bands(candidates, policy_id, own, here, scores, draw, weights)
        bands.append(_band(band, old, scores, cuts, places, counter.of(flagged), weighed, draw, words, beside))
    facts = PolicyComparison(
        version=served.policy_version,
        all=_three(np.bincount(kinds[scored], minlength=3)),
        all_weights=None if weights is None else _three(np.bincount(kinds[scored], weights[scored], 3)),
        bands=[None if each is None else each.facts for each in bands],
        others=[shown_text(title_of(each), 120) for place, each in enumerate(served.bands) if place not in against],
    )
    return PolicyAgainst(facts, tuple(bands))


def _band(
    band: BandCalibration,
    old: BandRecord,
    scores: BothScores,
    cuts: Scores,
    places: Places,
    counts: Overlap,
    weighed: Overlap | None,
    draw: Draw,
    words: Words,
    candidates: list[CandidateBand],
) -> BandAgainst:
    threshold = band.point.threshold
    cut = None if threshold is None else int(np.searchsorted(-cuts, -np.float32(threshold)))
    assert cut is None or cuts[cut] == np.float32(threshold)
    below_floor = draw.floor is not None and threshold is not None and np.float32(threshold) < np.float32(draw.floor)
    change = change_of(
        tally_at(counts, cut),
        None if weighed is None else tally_at(weighed, cut),
        is_weighted=draw.is_weighted,
        is_sample=draw.no_evidence is None and not below_floor,
    )
    facts = BandComparison(
        title=shown_text(title_of(old), 120),
        threshold=old.threshold,
        before=_three(counts.before),
        before_weights=None if weighed is None else _three(weighed.before),
        daily_volume=None if old.daily_volume is None else old.daily_volume.model_copy(update={"slices": ()}),
        gained=int(change.tally.gained.total),
        lost=int(change.tally.lost.total),
        flips=clearest(scores, words, places, counts.gained),
        candidates=candidates,
    )
    return BandAgainst(counts, weighed, change, flips_at(scores, words, threshold), facts)


def _three(counts: np.ndarray) -> Three:
    violating, other, unknown = counts.tolist()
    return violating, other, unknown
