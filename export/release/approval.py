"""Who answers for the operating points of a release, as seal, verify and the model card say it."""

from collections.abc import Iterator

from calibrate.signing.needed import names_of, signatures_missing
from export.release.decisions import ServedBand, ServedPolicies


def lacks_signatures(served: ServedPolicies) -> bool:
    """Whether any band, of any pack and precision, lacks one."""
    return any(signatures_missing(band) for _, band in _all_bands(served))


def approval_lines(served: ServedPolicies) -> list[str]:
    """For a terminal: who signed, what is waived, what lacks signatures and why."""
    bands = list(_all_bands(served))
    names = names_of(band for _, band in bands)
    lines = [f"operating points signed by {', '.join(names)}"] if names else []
    lines += [
        f"caution: {title} flags from {band.threshold:.4g} on without a promise: {_line(each.waiver)} ({each.by})"
        for title, band in bands
        if band.status == "waived"
        for each in band.signatures
    ]
    without = [title for title, band in bands if signatures_missing(band)]
    if without:
        why = "nobody said why" if served.unsigned is None else f"sealed all the same: {_line(served.unsigned)}"
        lines.append(f"caution: not signed as it must be: {'; '.join(without)}; {why}")
    return lines


def approval_sentence(served: ServedPolicies) -> str:
    """For the model card."""
    names = names_of(band for _, band in _all_bands(served))
    said = f"Signed by {_cell(' and '.join(names))}." if names else "No one has signed these operating points."
    if not lacks_signatures(served):
        return said if names else "No band has a threshold, so there was nothing to sign."
    why = "nobody said why" if served.unsigned is None else f"sealed all the same, because: {_cell(served.unsigned)}"
    return f"{said} Not everyone has signed who must ({why})." if names else f"{said} They were {why}."


def approval_section(served: ServedPolicies) -> list[str]:
    """The signatures as a part of the model card; none without any."""
    rows = [
        f"| {_cell(title)} | {_cell(each.by)} | {each.at[:10]} | {_cell(each.rationale)} | {_cell(each.waiver)} |"
        for title, band in _all_bands(served)
        for each in band.signatures
    ]
    if not rows:
        return []
    about = (
        "Each threshold was certified again from the data before it was signed. A name is what somebody typed; who "
        "sealed the release, and its signature if it has one, vouch for that. A band whose promise is waived flags "
        "at a threshold where nothing is promised."
    )
    head = ["| band | signed by | on | why | promise waived because |", "|---|---|---|---|---|"]
    return [f"## Signatures\n\n{about}\n\n" + "\n".join([*head, *rows])]


def _all_bands(served: ServedPolicies) -> Iterator[tuple[str, ServedBand]]:
    """Every band of every precision, with its title."""
    for precision, decided in served.by_precision().items():
        for pack, policy, band in decided.all_bands():
            further = [*([f"pack {pack.name}"] if pack.name else []), *([precision] if decided is not served else [])]
            yield ", ".join([policy.policy_id, band.action, *further]), band


def _line(text: str | None) -> str:
    return " ".join((text or "").split())


def _cell(text: str | None) -> str:
    return _line(text).replace("|", "\\|")
