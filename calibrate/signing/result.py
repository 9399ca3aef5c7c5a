"""What came of signing, in plain words."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from calibrate.operating_points_file import BandRecord, OperatingPointsFile
from calibrate.report.shown import percent, shown_threshold
from calibrate.signing.needed import lacking, names_of
from calibrate.signing.record import SignatureLine
from calibrate.words import said, with_signs


@dataclass(frozen=True)
class SignResult:
    """A signature that was recorded.

    Attributes:
        title: one line.
        lines: what was moved, waived or switched off, and what is still missing.
        signer: whose signature it is.
        is_new: False where the signature was in the record and only its folder was missing.
        others: who signed other thresholds of the same calibration before.
        complete: whether every band has the signatures that it needs, so that `seal` takes the folder.
        missing: a sentence for each band that lacks some.
        by: who signed these thresholds, in order.
        out: the signed calibration.
    """

    title: str
    lines: list[str]
    signer: str
    is_new: bool
    others: list[str]
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
    missing = list(missing_signatures(signed))
    lines = [*_changes(signed, found), *missing]
    joined = said("signed.and").join
    other_names = list(dict.fromkeys(each.by for each in others))
    if others:
        lines.append(said("signed.others", names=joined(other_names), out=out))
    if not missing:
        lines.append(said("signed.complete"))
    signed_by = names_of(band for _, band in bands)
    title = said(
        "signed" if is_new else "signed.before",
        by=line.by,
        thresholds=joined(_counted([band for _, band in bands])) or said("signed.count.none"),
        names=joined(signed_by) or said("signed.nobody"),
    )
    return SignResult(f"sign: {title}", lines, line.by, is_new, other_names, not missing, missing, signed_by, out)


def _counted(bands: Sequence[BandRecord]) -> Iterator[str]:
    """How many thresholds stand on what: a promise, posts a day alone, or somebody's word."""
    count = Counter(band.status for band in bands)
    if count["certified"]:
        yield said("signed.count.promised", n=count["certified"])
    if count["fits"]:
        yield said("signed.count.fitting", n=count["fits"])
    if count["waived"]:
        yield said("signed.count.waived", n=count["waived"])


def missing_signatures(signed: OperatingPointsFile) -> Iterator[str]:
    """A sentence for each number of signatures that bands lack."""
    by_number: dict[int, list[str]] = {}
    for policy_id, band, number in lacking(signed):
        name = said("signed.lacking.band", policy_id=policy_id, action=band.action)
        by_number.setdefault(number, []).append(name)
    for number, names in by_number.items():
        bands = said("signed.lacking.and").join(names)
        if number == 1:
            yield said("signed.lacking.one", bands=bands)
        else:
            yield said("signed.lacking", n=number, bands=bands)


def _changes(signed: OperatingPointsFile, found: OperatingPointsFile) -> Iterator[str]:
    for policy, before in zip(signed.policies, found.policies, strict=True):
        for band, was in zip(policy.bands, before.bands, strict=True):
            if band.threshold != was.threshold:
                yield _change(policy.policy_id, band, was)
            elif band.status == "waived":
                yield said(
                    "signed.change.stays_waived", policy_id=policy.policy_id, action=band.action, why=_reason(band)
                )


def _change(policy_id: str, band: BandRecord, was: BandRecord) -> str:
    name = {"policy_id": policy_id, "action": band.action}
    if band.threshold is None:
        return said("signed.change.off", **name)
    start = said("signed.change.was_off") if was.threshold is None else with_signs(shown_threshold(was.threshold))
    move = {"start": start, "threshold": with_signs(shown_threshold(band.threshold)), **name}
    is_waived = band.status == "waived"
    if is_waived:
        move["why"] = _reason(band)
    if band.precision is None:
        return said("signed.change.waived" if is_waived else "signed.change.moved", **move)
    return said(
        "signed.change.waived.precision" if is_waived else "signed.change.moved.precision",
        precision=with_signs(percent(band.precision)),
        **move,
    )


def _reason(band: BandRecord) -> str:
    return "; ".join(str(signature.waiver) for signature in band.signatures)
