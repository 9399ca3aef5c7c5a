"""The `validate` verb: every finding in items, annotations, policies and media, before any work starts."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from data.annotations import check_annotations
from data.errors import Finding, InputError, finding_lines
from data.files import existing_file
from data.items import CheckedItems, check_items
from data.media import MediaError, Preprocessing, load_frames
from data.policy import check_policies
from data.progress import tracked
from data.summary import Summary
from data.tables import write_parquet

SHOWN = 50  # rows with the same problem
FINDINGS_SCHEMA = {
    "file": pl.String,
    "row": pl.Int64,
    "item_id": pl.String,
    "field": pl.String,
    "value": pl.String,
    "problem": pl.String,
}


def validate(
    *, items: Path, annotations: Path | None, policies: Path, media: bool, workers: int, out: Path | None
) -> Summary:
    """Check all input files and say everything that is wrong with them.

    Args:
        items: items file.
        annotations: annotations file; null leaves it out.
        policies: folder of policy files.
        media: also decode every photo and clip.
        workers: threads that decode.
        out: Parquet file for the findings, all of them; null prints them only, up to 50 of the same problem.

    Raises:
        InputError: a file or folder is missing; all else that is wrong is a finding.
    """
    for file in (items, *([annotations] if annotations else [])):
        existing_file(file)
    all_policies, findings = check_policies(policies)
    policies_known = not findings
    found: CheckedItems | None = None
    try:
        found = check_items(items)
        findings += found.findings
    except InputError as error:
        findings += error.findings
    if annotations is not None:
        known = found.frame if found is not None and found.all_named else None
        try:
            findings += check_annotations(annotations, known, all_policies, complete=policies_known)[1]
        except InputError as error:
            findings += error.findings
    if media and found is not None:
        findings += check_media(found, items, workers)
    if out is not None:
        rows = [
            {
                "file": str(finding.file),
                "row": finding.row,
                "item_id": finding.item_id,
                "field": finding.field,
                "value": None if finding.value is None else str(finding.value),
                "problem": finding.problem,
            }
            for finding in findings
        ]
        write_parquet(pl.DataFrame(rows, schema=FINDINGS_SCHEMA), out)
    num_items = 0 if found is None else len(found.frame)
    title = f"validate: {num_items} items, {len(all_policies)} policies, {len(findings)} findings"
    rest = f", all of them in {out}" if out else ", which out=FILE.parquet would list"
    return Summary(title, [out] if out else [], finding_lines(findings, SHOWN, rest), ok=not findings)


def check_media(items: CheckedItems, file: str | Path, workers: int) -> list[Finding]:
    """A finding for each item whose media cannot be read; items whose media are wrong already are passed over."""
    small = Preprocessing(height=32, width=32, num_frames=2)
    sound = items.with_sound_media()

    def reason(item: tuple[list[str], str]) -> str | None:
        try:
            load_frames(*item, small)
        except MediaError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(workers) as pool:
        pairs = zip(sound["media"].to_list(), sound["media_type"].to_list(), strict=True)
        reasons = list(tracked(pool.map(reason, pairs), "reading media", len(sound)))
    return [
        Finding(file, f"unreadable: {why}", number, "media", ", ".join(media), item_id=item_id)
        for number, item_id, media, why in zip(
            sound["__number"], sound["item_id"], sound["media"], reasons, strict=True
        )
        if why is not None
    ]
