"""What `plan` prints, and its table."""

from pathlib import Path

import polars as pl

from calibrate.plan.file import OptionRecord, PlanFile
from calibrate.report.shown import percent
from data.summary import Summary


def table_of(content: PlanFile) -> pl.DataFrame:
    """plan.csv: one row an option."""
    return pl.DataFrame(
        [
            {
                "policy_id": policy.policy_id,
                "action": band.action,
                "queue": band.queue,
                "target": band.target,
                "confidence": band.confidence,
                **option.model_dump(),
                "recommended": place == band.recommended,
            }
            for policy in content.policies
            for band in policy.bands
            for place, option in enumerate(band.options)
        ],
        schema={
            **dict.fromkeys(("policy_id", "action", "queue"), pl.String),
            **dict.fromkeys(("target", "confidence"), pl.Float64),
            "design": pl.String,
            **dict.fromkeys(("floor", "share"), pl.Float64),
            **dict.fromkeys(("labels", "posts"), pl.Int64),
            **dict.fromkeys(("recall", "power"), pl.Float64),
            "recommended": pl.Boolean,
        },
    )


def summary_of_plan(content: PlanFile, *, n_bands: int, written: list[Path]) -> Summary:
    """The closing words of `plan`: a table of the options, then what to draw.

    Args:
        content: the plan.
        n_bands: bands of all policies, of any kind.
        written: files to name.
    """
    rows = [("", "policy", "band", "floor", "design", "labels", "expected recall")]
    notes: list[str] = []
    for policy in content.policies:
        if policy.above is not None:
            reach = f"posts that score at least {policy.above:.6g}"
            notes.append(f"shares and recalls of {policy.policy_id} are of {reach}")
        for band in policy.bands:
            title = f"{band.action} {percent(band.target)}"
            if band.recommended is None:
                notes.append(f"{policy.policy_id}, {title}: {band.reason}")
                continue
            rows += [
                ("*" if place == band.recommended else "", policy.policy_id, title, *_cells(option))
                for place, option in enumerate(band.options)
            ]
            draw = _draw(policy.policy_id, band.options[band.recommended])
            notes.append(f"* {policy.policy_id}, {title}: {band.reason}; to draw: {draw}")
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    bands = [band for policy in content.policies for band in policy.bands]
    n_planned = sum(band.recommended is not None for band in bands)
    if n_bands > len(bands):
        notes.append(f"{n_bands - len(bands)} bands by recall or capacity are not planned")
    return Summary(
        f"plan: {n_planned} of {len(bands)} precision bands can be planned for",
        written,
        [*(table if len(table) > 1 else []), *notes, content.nature],
    )


def _cells(option: OptionRecord) -> tuple[str, str, str, str]:
    """Floor, design, labels and recall of an option."""
    return (
        "all traffic" if option.floor is None else f"{option.floor:.6g} (top {percent(option.share)})",
        option.design.replace("_", " "),
        "none does" if option.labels is None else f"{option.labels:,}",
        "" if option.recall is None else percent(option.recall),
    )


def _draw(policy_id: str, option: OptionRecord) -> str:
    """The command that draws what an option asks for."""
    floor = "" if option.floor is None else f" floor={option.floor}"
    design = " design=stratified" if option.design == "stratified" else ""
    return f"setpoint golden pool=… items=… policy={policy_id}{floor}{design} size={option.posts} name=… version=…"
