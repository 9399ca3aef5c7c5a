"""The verb `sign`: somebody vouches for thresholds, which are certified again from the data first."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path

from calibrate.certification import Certification
from calibrate.choice import BandChoice, Choice, check_choice, load_choice
from calibrate.operating_points_file import OperatingPointsFile
from calibrate.outcome import POINTS_FILE
from calibrate.refused import RefusedError
from calibrate.signing.again import Moves
from calibrate.signing.folder import check_out, is_current, write_signed
from calibrate.signing.needed import LONGEST_NAME, LONGEST_TEXT, checked_text, name_key
from calibrate.signing.recertified import Recertified, certify_again, read_points
from calibrate.signing.record import Record, SignatureLine, locked_record
from calibrate.signing.result import SignResult, result_of
from calibrate.signing.waivers import checked_waivers
from calibrate.words import said
from data.summary import Summary


def sign(
    *,
    calibration: Path,
    signatures: Path,
    out: Path,
    choice: Path | None = None,
    by: str | None = None,
    rationale: str | None = None,
    waivers: dict[str, str] | None = None,
) -> Summary:
    """Vouch for thresholds: certify them again from the data, record who signs and why, write the signed calibration.

    No look at the golden labels is spent. Bands of `auto_remove` need two signatures by different names.

    Args:
        calibration: folder that `calibrate` wrote; what it was made from must still be there, unchanged.
        signatures: record of all signatures, to which a line is added.
        out: folder to write, as `calibrate` writes one, for `seal`. Replaced whole.
        choice: choice.yaml from the page; None signs the thresholds that `calibrate` found.
        by: who signs; overrules the choice's.
        rationale: why, in words; overrules the choice's.
        waivers: why a threshold is taken though nothing is promised there, by POLICY_ID.BAND or POLICY_ID.ACTION.

    Raises:
        InputError: an input has changed or expired, a threshold has no promise and no waiver, or the same name has
            signed these thresholds before.
    """
    points, digest = read_points(calibration)
    chosen = load_choice(choice) if choice else _as_calibrated(points, digest)
    given = {name: text for name, text in (("by", by), ("rationale", rationale)) if text is not None}
    result = sign_choice(
        calibration,
        chosen.model_copy(update=given),
        waivers=waivers or {},
        signatures=signatures,
        out=out,
        today=None,
        chosen_in=choice or "choice",
    )
    return Summary(result.title, [out / "report" / "index.html", out / POINTS_FILE], result.lines)


def sign_choice(
    calibration: Path,
    choice: Choice,
    *,
    waivers: Mapping[str, str],
    signatures: Path,
    out: Path,
    today: date | None,
    chosen_in: str | Path = "choice",
) -> SignResult:
    """Sign a choice, whose `by` and `rationale` are set; bands that it leaves out keep their thresholds.

    Args:
        calibration: as of `sign`.
        choice: made on this calibration. Nothing in it is trusted but what somebody wants.
        waivers: as of `sign`.
        signatures: as of `sign`.
        out: as of `sign`.
        today: a golden set that expired before it is refused; None is the current date.
        chosen_in: where the choice stands, for messages.

    Raises:
        InputError: as of `sign`; nothing is written then.
    """
    by = checked_text("by", choice.by, longest=LONGEST_NAME)
    rationale = checked_text("rationale", choice.rationale, longest=LONGEST_TEXT)
    check_out(out, calibration)
    points, digest = read_points(calibration)
    check_choice(chosen_in, choice, points, digest)
    again = certify_again(calibration, today or datetime.now(UTC).date())
    if again.digest != choice.calibration:
        raise RefusedError(
            f"{calibration / POINTS_FILE}: changed while it was read; sign again", told=said("refused.changed")
        )
    moves = _moves(choice, again.found.outcome.content)
    certified = again.moved(moves)
    line = SignatureLine(
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        by=by,
        rationale=rationale,
        waivers=checked_waivers(waivers, certified.outcome.content),
        calibration=again.digest,
        precisions={name: again.precisions[name] for name in certified.passed},
        thresholds=thresholds_of(certified.outcome.content),
        previous=None,
    )
    with locked_record(signatures) as record:
        return _recorded(record, line, certified, again, out)


def _recorded(
    record: Record, line: SignatureLine, certified: Certification, again: Recertified, out: Path
) -> SignResult:
    """Add the line, then write the folder with all signatures of its thresholds, while nobody else can sign."""
    same = [(each, digest) for each, digest in record.lines if each.signs_the_same(line)]
    others = [
        each for each, _ in record.lines if each.calibration == line.calibration and not each.signs_the_same(line)
    ]
    earlier = next((each for each, _ in same if name_key(each.by) == name_key(line.by)), None)
    current = is_current(out, record, again.digest, [digest for _, digest in same])
    if earlier is not None and current:
        raise RefusedError(
            f"{record.path}: {earlier.by} signed these thresholds on {earlier.at[:10]}; a second signature needs "
            "another name",
            told=said("refused.same_name", by=earlier.by, date=earlier.at[:10]),
        )
    if earlier is None:
        line = line.model_copy(update={"previous": record.last()})
        same.append((line, record.add(line)))
    signed = write_signed(out, certified, same, again)
    return result_of(line, signed, again.found.outcome.content, others, out, is_new=earlier is None)


def _as_calibrated(points: OperatingPointsFile, digest: str) -> Choice:
    return Choice(schema="setpoint/choice/v1", calibration=digest, choices=thresholds_of(points))


def thresholds_of(points: OperatingPointsFile) -> list[BandChoice]:
    """All bands at their thresholds."""
    return [
        BandChoice(
            policy_id=policy.policy_id,
            policy_version=policy.policy_version,
            band=place,
            action=band.action,
            threshold=band.threshold,
        )
        for policy in points.policies
        for place, band in enumerate(policy.bands)
    ]


def _moves(choice: Choice, found: OperatingPointsFile) -> Moves:
    """Where the choice differs from what was found again."""
    certified = {(each.policy_id, each.band): each.threshold for each in thresholds_of(found)}
    wanted = {(each.policy_id, each.band): each.threshold for each in choice.choices}
    return {band: threshold for band, threshold in wanted.items() if threshold != certified[band]}
