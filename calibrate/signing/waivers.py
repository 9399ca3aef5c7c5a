"""Waivers: bands taken without a promise, each with a reason in words."""

from collections.abc import Iterator, Mapping

from calibrate.operating_points_file import BandRecord, OperatingPointsFile
from calibrate.refused import RefusedError
from calibrate.report.shown import shown_threshold
from calibrate.signing.needed import LONGEST_TEXT, checked_text
from calibrate.words import said, with_signs
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
        [(policy_id, band)] = [(name, band) for name, at, band in _bands(points) if band_key(name, at) == kept[0]]
        raise RefusedError(
            f"waivers.{kept[0]}: the band keeps its promise, or is off: there is nothing to waive",
            told=said("refused.nothing_to_waive", policy_id=policy_id, action=band.action),
        )
    missing = {key: band for key, band in open_bands.items() if key not in found}
    if missing:
        raise RefusedError(
            "\n".join(_without_promise(key, band) for key, band in missing.items()),
            told="\n".join(_told_without_promise(key, band) for key, band in missing.items()),
        )
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


def _told_without_promise(key: str, band: BandRecord) -> str:
    assert band.threshold is not None
    policy_id, threshold = key.rpartition(".")[0], with_signs(shown_threshold(band.threshold))
    return said("refused.no_promise", policy_id=policy_id, action=band.action, threshold=threshold)


def _key_of(name: str, points: OperatingPointsFile) -> str:
    policy_id, _, which = name.rpartition(".")
    mine = [(place, band) for each, place, band in _bands(points) if each == policy_id]
    if not mine:
        known = ", ".join(policy.policy_id for policy in points.policies)
        raise InputError(f"waivers.{name}: expected POLICY_ID.BAND or POLICY_ID.ACTION, with a policy of {known}")
    places = [place for place, band in mine if which in (str(place), band.action)]
    if len(places) != 1:
        found = ", ".join(f"{place} ({band.action})" for place, band in mine)
        raise InputError(
            f"waivers.{name}: {'no' if not places else 'more than one'} such band; {policy_id} has {found}"
        )
    return band_key(policy_id, places[0])


def _bands(points: OperatingPointsFile) -> Iterator[tuple[str, int, BandRecord]]:
    for policy in points.policies:
        for place, band in enumerate(policy.bands):
            yield policy.policy_id, place, band
