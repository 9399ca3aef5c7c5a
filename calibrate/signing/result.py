"""What came of signing, in plain words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from calibrate.operating_points_file import BandRecord, OperatingPointsFile
from calibrate.report.shown import percent, shown_threshold
from calibrate.signing.needed import lacking, names_of
from calibrate.signing.record import SignatureLine


@dataclass(frozen=True)
class SignResult:
    """A signature that was recorded.

    Attributes:
        title: one line.
        lines: what was moved, waived or switched off, and what is still missing.
        complete: whether every band has the signatures that it needs, so that `seal` takes the folder.
        missing: a sentence for each band that lacks some.
        by: who signed these thresholds, in order.
        out: the signed calibration.
    """

    title: str
    lines: list[str]
    complete: bool
    missing: list[str]
    by: list[str]
    out: Path


def result_of(
    line: SignatureLine,
    signed: OperatingPointsFile,
    found: OperatingPointsFile,
    others: Sequence[SignatureLine],
    out: Path,
    *,
    is_new: bool,
) -> SignResult:
    """Put together what to say.

    Args:
        line: that was signed.
        signed: operating points as written.
        found: as `calibrate` found them.
        others: earlier signatures of other thresholds of the same calibration.
        out: where they were written.
        is_new: False where the line was in the record and only its folder was missing.
    """
    bands = [(policy.policy_id, band) for policy in signed.policies for band in policy.bands]
    promised = sum(band.status == "certified" for _, band in bands)
    waived = sum(band.status == "waived" for _, band in bands)
    missing = list(missing_signatures(signed))
    lines = [*_changes(signed, found), *missing]
    if others:
        names = ", ".join(dict.fromkeys(each.by for each in others))
        lines.append(
            f"other thresholds of this calibration were signed by {names}: these here are a choice of their own, "
            f"which needs its own signatures; {out} now holds these"
        )
    if not missing:
        lines.append("all signatures are there: `setpoint seal` takes these operating points")
    signed_by = names_of(band for _, band in bands)
    said = f"{line.by} signed" if is_new else f"{line.by} had signed already; the folder was written anew with"
    waivers = f", {waived} waived" if waived else ""
    title = (
        f"sign: {said} {promised} thresholds with a promise{waivers}; signed by {', '.join(signed_by) or 'nobody'}"
    )
    return SignResult(title, lines, not missing, missing, signed_by, out)


def missing_signatures(signed: OperatingPointsFile) -> Iterator[str]:
    """A sentence for each number of signatures that bands lack."""
    by_number: dict[int, list[str]] = {}
    for policy_id, band, number in lacking(signed):
        by_number.setdefault(number, []).append(f"{policy_id}, {band.action}")
    for number, names in by_number.items():
        what = "one more signature, by another name" if number == 1 else f"{number} signatures"
        yield f"still missing: {what}, for {'; '.join(names)}. Until then `setpoint seal` refuses these points"


def _changes(signed: OperatingPointsFile, found: OperatingPointsFile) -> Iterator[str]:
    for policy, before in zip(signed.policies, found.policies, strict=True):
        for band, was in zip(policy.bands, before.bands, strict=True):
            if band.threshold != was.threshold:
                yield f"moved: {policy.policy_id}, {band.action}: {_change(band, was)}"
            elif band.status == "waived":
                yield f"waived: {policy.policy_id}, {band.action}: {_reason(band)}"


def _change(band: BandRecord, was: BandRecord) -> str:
    if band.threshold is None:
        return "switched off"
    start = "off" if was.threshold is None else shown_threshold(was.threshold)
    figures = "" if band.precision is None else f", precision {percent(band.precision)} on the golden labels"
    promise = f"waived ({_reason(band)})" if band.status == "waived" else "the promise holds"
    return f"{start} to {shown_threshold(band.threshold)}, {promise}{figures}"


def _reason(band: BandRecord) -> str:
    return "; ".join(str(signature.waiver) for signature in band.signatures)
