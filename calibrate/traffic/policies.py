"""What traffic adds to calibrated policies: thresholds of bands by capacity, and the posts a day of every band."""

from dataclasses import replace
from pathlib import Path

from calibrate.bands import BandPart, parts_of
from calibrate.draw import Draw
from calibrate.inputs import CalibrationInputs
from calibrate.policy_calibration import BandCalibration, PolicyCalibration
from calibrate.ranks.ranked import Scores
from calibrate.traffic.capacity import capacity_point
from calibrate.traffic.file import PolicyTraffic, Traffic, TrafficMetadata, open_traffic
from calibrate.traffic.volume import DailyVolume, SliceVolume, daily_volume
from data.errors import InputError


def open_matching_traffic(path: Path, inputs: CalibrationInputs) -> Traffic:
    """Open a traffic file and check that it counts scores of the model, runtime and policies under calibration.

    Raises:
        InputError: it cannot be read, or speaks of others.
    """
    traffic = open_traffic(path)
    for field in ("scale", "model_digest", "runtime"):
        counted, served = getattr(traffic.metadata, field), getattr(inputs.scores.metadata, field)
        if counted != served:
            raise InputError(
                f"{path}, {field} = {counted!r}: the scores have {served!r}; "
                "count traffic that was scored with the same model and runtime"
            )
    for policy in inputs.policies:
        if policy.policy_id not in traffic.metadata.policies:
            raise InputError(
                f"{path}: counts no scores of {policy.policy_id}; found {', '.join(traffic.metadata.policies)}"
            )
    return traffic


def with_traffic(
    calibration: PolicyCalibration,
    scores: Scores,
    labels: Scores,
    draw: Draw,
    traffic: PolicyTraffic,
    metadata: TrafficMetadata,
) -> PolicyCalibration:
    """Set the bands by capacity, in order, and give every band that is on its posts a day.

    Args:
        calibration: of one policy, its bands by capacity waiting for traffic.
        scores: float32 [N], of the golden items.
        labels: float32 [N], 1, 0 or NaN.
        draw: how the golden items came into their set.
        traffic: its histograms.
        metadata: of the traffic.
    """
    bands: list[BandCalibration] = []
    for band in calibration.bands:
        point = band.point
        before = [(each.title, each.point.threshold) for each in bands]
        if band.band.kind == "capacity":
            point = capacity_point(
                point,
                band.curve,
                scores,
                part=parts_of([*before, (band.title, None)])[-1],
                counts=traffic.counts,
                exposure=metadata.exposure,
                scale=metadata.scale,
            )
            point = draw.described(point, scores, labels)
        bands.append(replace(band, point=point))
    return with_volumes(replace(calibration, bands=tuple(bands)), traffic, metadata)


def with_volumes(
    calibration: PolicyCalibration, traffic: PolicyTraffic, metadata: TrafficMetadata
) -> PolicyCalibration:
    """Give every band that is on the posts a day in its own part, thresholds as they are."""
    declared = {rule.by for rule in calibration.policy.slices}
    slices = {key: counts for key, counts in traffic.slices.items() if key[0] in declared}
    counted = PolicyTraffic(traffic.counts, slices)
    return replace(
        calibration,
        bands=tuple(
            replace(band, volume=_volume(part, counted, metadata))
            for band, part in zip(calibration.bands, calibration.parts, strict=True)
        ),
    )


def _volume(part: BandPart, traffic: PolicyTraffic, metadata: TrafficMetadata) -> DailyVolume | None:
    """The volume of a part, with that of every slice; None if the band is off."""
    whole = daily_volume(part, traffic.counts, exposure=metadata.exposure, scale=metadata.scale)
    if whole is None:
        return None
    slices = []
    for (by, value), counts in traffic.slices.items():
        volume = daily_volume(part, counts, exposure=metadata.exposure, scale=metadata.scale)
        assert volume is not None
        slices.append(SliceVolume(by, value, volume.expected, volume.low, volume.high))
    return replace(whole, slices=tuple(slices))
