"""Waivers: bands taken without a promise, each with a reason in words."""

from collections.abc import Iterator, Mapping

from calibrate.operating_points_file import BandRecord, OperatingPointsFile
from calibrate.report.shown import shown_threshold
from calibrate.signing.needed import LONGEST_TEXT, checked_text
from data.errors import InputError


def band_key(policy_id: str, place: int) -> str:
    """How a record names a band."""
    return f"{policy_id}.{place}"


def checked_waivers(waivers: Mapping[str, str], points: OperatingPointsFile) -> dict[str, str]:
    """The reasons by `band_key`, one for each band that has no promise, and for no other.

    Args:
        waivers: by POLICY_ID.BAND (its place, from 0) or POLICY_ID.ACTION.
        points: at the thresholds that will be signed.

    Raises:
        InputError: a band needs one and has none, or has one and needs none, or there is no such band.
    """
    found: dict[str, str] = {}
    for name, reason in waivers.items():
        key = _key_of(name, points)
        if key in found:
            raise InputError(f"waivers.{name}: {key} is waived twice")
        found[key] = checked_text(f"waivers.{name}", reason, longest=LONGEST_TEXT)
    open_bands = {
        band_key(policy_id, place): band for policy_id, place, band in _bands(points) if band.status == "waived"
    }
    kept = [key for key in found if key not in open_bands]
    if kept:
        raise InputError(f"waivers.{kept[0]}: the band keeps its promise, or is off: there is nothing to waive")
    missing = [_without_promise(key, band) for key, band in open_bands.items() if key not in found]
    if missing:
        raise InputError("\n".join(missing))
    return found


def _without_promise(key: str, band: BandRecord) -> str:
    assert band.threshold is not None
    at = f"{key} ({band.action}), threshold {shown_threshold(band.threshold)}"
    if band.kind == "capacity":
        volume = band.daily_volume
        why = (
            "no traffic was counted"
            if volume is None
            else f"up to {volume.high:,.0f} posts a day, asked {band.target:,.0f}"
        )
    elif band.certified_range is None:
        why = "nothing is certified for this band"
    else:
        strictest, loosest = (shown_threshold(each) for each in band.certified_range)
        why = f"certified from {loosest} to {strictest}"
    return (
        f"{at}: no promise holds there ({why}). Choose another threshold, or take it without a promise: "
        f'waivers={{{key}: "why"}}'
    )


def _key_of(name: str, points: OperatingPointsFile) -> str:
    policy_id, _, which = name.rpartition(".")
    mine = [(place, band) for each, place, band in _bands(points) if each == policy_id]
    if not mine:
        known = ", ".join(policy.policy_id for policy in points.policies)
        raise InputError(f"waivers.{name}: expected POLICY_ID.BAND or POLICY_ID.ACTION, with a policy of {known}")
    places = [place for place, band in mine if which in (str(place), band.action)]
    if len(places) != 1:
        said = ", ".join(f"{place} ({band.action})" for place, band in mine)
        raise InputError(
            f"waivers.{name}: {'no' if not places else 'more than one'} such band; {policy_id} has {said}"
        )
    return band_key(policy_id, places[0])


def _bands(points: OperatingPointsFile) -> Iterator[tuple[str, int, BandRecord]]:
    for policy in points.policies:
        for place, band in enumerate(policy.bands):
            yield policy.policy_id, place, band
