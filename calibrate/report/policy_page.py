"""One policy for the page: what is said of it, and its numbers at every cut, packed."""

from dataclasses import dataclass

from calibrate.draw import Draw
from calibrate.operating_points_file import BandRecord, CalibratorRecord, DailyVolumeRecord
from calibrate.policy_calibration import BandCalibration, PolicyCalibration
from calibrate.production.compare import PolicyAgainst
from calibrate.report.live.numbers import PolicyNumbers
from calibrate.report.live.slices import SliceCounts
from calibrate.report.packing import Packer, in_millionths
from calibrate.report.schema import (
    BandFacts,
    HistogramFacts,
    PolicyFacts,
    ReliabilityBin,
    SliceFacts,
    SliceStatusRecord,
    TrafficFacts,
)
from calibrate.report.text import shown_text
from calibrate.signing.needed import signatures_missing
from data.policy import Rule

MOST_RULES = 60


@dataclass(frozen=True)
class PolicyPage:
    """The part of the page that one policy is: words and single numbers, and packed ones."""

    facts: PolicyFacts
    packed: str


def policy_page(
    calibration: PolicyCalibration,
    numbers: PolicyNumbers,
    draw: Draw,
    *,
    agreement: float | None,
    against: PolicyAgainst | None = None,
) -> PolicyPage:
    """Put together what the page holds of one policy.

    Args:
        calibration: the policy, calibrated.
        numbers: at every cut.
        draw: how its golden items came into their set.
        agreement: of its annotators; None with too few votes.
        against: what serves today; None without.
    """
    policy, histogram, first = calibration.policy, numbers.histogram, calibration.bands[0].point
    packer = _packed(numbers)
    if against:
        _pack_overlaps(packer, against)
    places = {confidence: place for place, confidence in enumerate(numbers.bounds)}
    facts = PolicyFacts(
        policy_id=policy.policy_id,
        version=policy.version,
        name=shown_text(policy.name, 200),
        owner=shown_text(policy.owner, 120),
        definition=shown_text(policy.definition),
        violates=_rules(policy.violates),
        allows=_rules(policy.allows),
        preview=policy.preview,
        no_evidence=draw.no_evidence,
        floor=draw.floor,
        is_weighted=draw.is_weighted,
        n_labelled=first.n_labelled,
        n_positive=first.n_positive,
        n_unknown=first.n_unknown,
        agreement=agreement,
        calibrator=CalibratorRecord.of(
            calibration.calibrator,
            calibration.reliability.expected_calibration_error if calibration.reliability else None,
        ),
        reliability=_reliability(calibration),
        bands=[
            _band(band, places[band.confidence], numbers.bounds[band.confidence].ribbon is not None)
            for band in calibration.bands
        ],
        slices=_slices(numbers.slices, calibration.bands),
        histogram=HistogramFacts(
            start=histogram.start,
            width=histogram.width,
            violating=histogram.violating.tolist(),
            other=histogram.other.tolist(),
            unknown=histogram.unknown.tolist(),
            traffic=None if histogram.traffic is None else histogram.traffic.tolist(),
        ),
        traffic=(
            TrafficFacts(
                exposure=numbers.traffic.exposure,
                total=numbers.traffic.total,
                sliced_by=[shown_text(by, 80) for by in numbers.traffic.sliced_by],
            )
            if numbers.traffic
            else None
        ),
        columns=packer.columns,
        production=against.facts if against else None,
    )
    return PolicyPage(facts, packer.text())


def _packed(numbers: PolicyNumbers) -> Packer:
    packer, counts, slices, traffic = Packer(), numbers.counts, numbers.slices, numbers.traffic
    packer.add("threshold", numbers.cuts)
    packer.add("flagged", counts.flagged)
    packer.add("labelled", counts.labelled)
    packer.add("positive", counts.positive)
    packer.add("slice_labelled", slices.labelled)
    packer.add("slice_positive", slices.positive)
    if slices.known is not None and slices.right is not None:
        packer.add("known", counts.known)
        packer.add("right", counts.right)
        packer.add("slice_known", slices.known)
        packer.add("slice_right", slices.right)
    for place, bounds in enumerate(numbers.bounds.values()):
        packer.add(f"lower_{place}", in_millionths(bounds.lower))
        packer.add(f"recall_low_{place}", in_millionths(bounds.recall_low))
        packer.add(f"recall_high_{place}", in_millionths(bounds.recall_high))
        if bounds.ribbon is not None:
            packer.add(f"ribbon_{place}", in_millionths(bounds.ribbon))
    for place, statuses in slices.statuses.items():
        packer.add(f"status_{place}", statuses)
    if traffic:
        packer.add("traffic_above", traffic.above)
        packer.add("traffic_inside", traffic.inside)
        packer.add("traffic_share", traffic.share)
        packer.add("slice_above", traffic.slice_above)
        packer.add("slice_inside", traffic.slice_inside)
    return packer


def _pack_overlaps(packer: Packer, against: PolicyAgainst) -> None:
    for place, band in enumerate(against.bands):
        if band is not None:
            packer.add(f"both_{place}", band.counts.both)
            packer.add(f"gained_{place}", band.counts.gained)
            if band.weights is not None:
                packer.add(f"both_weight_{place}", band.weights.both)
                packer.add(f"gained_weight_{place}", band.weights.gained)


def _rules(rules: list[Rule]) -> list[Rule]:
    return [
        rule.model_copy(update={"code": shown_text(rule.code, 60), "text": shown_text(rule.text, 600)})
        for rule in rules[:MOST_RULES]
    ]


def _band(band: BandCalibration, place: int, has_ribbon: bool) -> BandFacts:
    record = BandRecord.of(band.band, band.point)
    return BandFacts(
        record=record,
        signatures_missing=signatures_missing(record),
        how=band.point.how,
        title=shown_text(band.title, 120),
        bounds=place,
        has_ribbon=has_ribbon,
        daily_volume=(
            DailyVolumeRecord(expected=band.volume.expected, low=band.volume.low, high=band.volume.high)
            if band.volume
            else None
        ),
        slices_below=sum(part.status == "below" for part in band.slices),
    )


def _slices(slices: SliceCounts, bands: tuple[BandCalibration, ...]) -> list[SliceFacts]:
    found = []
    seen = [{(part.by, part.value): part for part in band.slices} for band in bands]
    tested = [{(test.by, test.value): test for tests in band.slice_tests for test in tests} for band in bands]
    for row, key in enumerate(slices.keys):
        found.append(
            SliceFacts(
                by=shown_text(key[0], 80),
                value=shown_text(key[1], 120),
                n_labelled=int(slices.n_labelled[row]),
                tests={
                    place: SliceStatusRecord(
                        target=tests[key].target,
                        more_labels=seen[place][key].more_labels if key in seen[place] else None,
                        threshold=seen[place][key].threshold if key in seen[place] else None,
                    )
                    for place, tests in enumerate(tested)
                    if key in tests
                },
            )
        )
    return found


def _reliability(calibration: PolicyCalibration) -> list[ReliabilityBin]:
    found = calibration.reliability
    if found is None:
        return []
    bins = zip(found.mean_probability.tolist(), found.violating_share.tolist(), found.counts.tolist(), strict=True)
    return [ReliabilityBin(predicted=mean, share=share, count=count) for mean, share, count in bins if count]
