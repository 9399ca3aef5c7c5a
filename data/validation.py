"""The `validate` verb: every finding in items, annotations, policies and media, before any work starts."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import polars as pl

from data.annotations import check_annotations
from data.errors import Finding
from data.items import check_items
from data.media import MediaError, Preprocessing, load_frames
from data.policy import check_policies
from data.progress import tracked
from data.summary import Summary
from data.tables import write_parquet


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
        out: Parquet file for the findings; null prints them only.
    """
    findings: list[Finding] = []
    all_policies, wrong_policies = check_policies(policies)
    findings += wrong_policies
    all_items, wrong = check_items(items)
    findings += wrong
    if annotations is not None and "item_id" in all_items.columns:
        findings += check_annotations(annotations, all_items, all_policies, complete=not wrong_policies)[1]
    if media and not wrong:
        findings += check_media(all_items, items, workers)
    if out is not None:
        rows = [
            {
                "file": str(finding.file),
                "row": finding.row,
                "field": finding.field,
                "value": None if finding.value is None else str(finding.value),
                "problem": finding.problem,
            }
            for finding in findings
        ]
        schema = {"file": pl.String, "row": pl.Int64, "field": pl.String, "value": pl.String, "problem": pl.String}
        write_parquet(pl.DataFrame(rows, schema=schema), out)
    title = f"validate: {len(all_items)} items, {len(all_policies)} policies, {len(findings)} findings"
    return Summary(title, [out] if out else [], [str(finding) for finding in findings], ok=not findings)


def check_media(items: pl.DataFrame, file: str | Path, workers: int) -> list[Finding]:
    """A finding for each item whose media cannot be read; `items` as `data.items.read_items` returns them."""
    small = Preprocessing(height=32, width=32, num_frames=2)

    def reason(item: tuple[list[str], str]) -> str | None:
        try:
            load_frames(*item, small)
        except MediaError as error:
            return str(error)
        return None

    pairs = zip(items["media"].to_list(), items["media_type"].to_list(), strict=True)
    with ThreadPoolExecutor(workers) as pool:
        reasons = list(tracked(pool.map(reason, pairs), "reading media", len(items)))
    return [
        Finding(file, f"unreadable: {why}", row + 1, "media", ", ".join(items["media"][row]))
        for row, why in enumerate(reasons)
        if why is not None
    ]
