"""Whether the signatures that a folder holds stand in the record, of these thresholds and no others."""

from collections.abc import Iterator, Mapping

from calibrate.operating_point import Signature
from calibrate.operating_points_file import OperatingPointsFile
from calibrate.signing.record import SignatureLine
from calibrate.signing.waivers import band_key


def unrecorded(
    points: OperatingPointsFile, lines: Mapping[str, SignatureLine], precision: str | None = None
) -> Iterator[tuple[str, str]]:
    """What a signed folder claims and the record does not hold.

    Args:
        points: as `sign` wrote them.
        lines: of the record, by digest.
        precision: name of the further precision whose points these are: their thresholds follow those that were
            signed and stand in no line. None for those that were.

    Yields:
        The key of a band, POLICY_ID.BAND, and what is wrong with it.
    """
    for policy in points.policies:
        for place, band in enumerate(policy.bands):
            key = band_key(policy.policy_id, place)
            for held in band.signatures:
                line = lines.get(held.line)
                if line is None:
                    yield key, f"the signature by {held.by} does not stand there"
                    continue
                signed = Signature(line.by, line.at, line.rationale, line.waivers.get(key), held.line)
                if signed != Signature(held.by, held.at, held.rationale, held.waiver, held.line):
                    yield key, f"the signature by {held.by} is there by {line.by}, or in other words"
                if points.signed_from != (line.precisions.get(precision) if precision else line.calibration):
                    yield key, f"{held.by} signed another calibration"
                elif precision is None and (policy.policy_id, place, band.threshold) not in _thresholds(line):
                    yield key, f"{held.by} did not sign the threshold {band.threshold!r}"


def _thresholds(line: SignatureLine) -> set[tuple[str, int, float | None]]:
    return {(each.policy_id, each.band, each.threshold) for each in line.thresholds}
