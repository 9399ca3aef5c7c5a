"""Annotations: what people and machines said of an item under a policy version. Long form, never rewritten."""

from pathlib import Path

import polars as pl

from data.errors import Finding, InputError
from data.policy import Policy
from data.tables import RowCheck, read_rows, with_columns_as

ANNOTATION_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "item_id": pl.String,
    "policy_id": pl.String,
    "policy_version": pl.String,
    "annotator_id": pl.String,
    "source": pl.String,
    "value": pl.String,
    "reason_code": pl.String,
    "round": pl.String,
    "annotated_at": pl.String,
}
REQUIRED = ["item_id", "policy_id", "policy_version", "annotator_id", "source", "value", "round"]
CHOICES = {
    "source": ["human", "qa", "appeal", "report", "llm"],
    "value": ["violating", "not_violating", "unsure", "unreviewable"],
    "round": ["blind", "adjudication"],
}


def read_annotations(path: str | Path, items: pl.DataFrame | None, policies: list[Policy]) -> pl.DataFrame:
    """Read and check an annotations file against the items and policies that it speaks of.

    Args:
        path: `.parquet` or `.jsonl`.
        items: the items that it may speak of; None for any.
        policies: the policies that it may speak of.

    Returns:
        The columns of ANNOTATION_SCHEMA and any further ones.

    Raises:
        InputError: naming file, row or line, field, value and what was expected.
    """
    annotations, findings = check_annotations(path, items, policies)
    if findings:
        raise InputError(findings)
    return annotations


def check_annotations(
    path: str | Path, items: pl.DataFrame | None, policies: list[Policy], *, complete: bool = True
) -> tuple[pl.DataFrame, list[Finding]]:
    """Like `read_annotations`, but returns all findings instead of raising on the first.

    Args:
        path: as of `read_annotations`.
        items: as of `read_annotations`.
        policies: as of `read_annotations`.
        complete: whether these are all policies; False where some cannot be read, and those may be meant.

    Raises:
        InputError: the file cannot be read at all.
    """
    rows = read_rows(path, ANNOTATION_SCHEMA, REQUIRED)
    frame = rows.frame
    frame, findings = with_columns_as(frame, ANNOTATION_SCHEMA, REQUIRED, path)
    check = RowCheck(frame, path, [*rows.wrong_values, *findings])
    for name, allowed in CHOICES.items():
        check.where(~pl.col(name).is_in(allowed).fill_null(False), name, f"expected {_either(allowed)}")
    if items is not None:
        check.where(~_in(pl.col("item_id"), items["item_id"].to_list()), "item_id", "no such item in the items")
    known = [policy.policy_id for policy in policies]
    if complete:
        check.where(~_in(pl.col("policy_id"), known), "policy_id", f"no such policy; expected {_either(known)}")
    # An older version is history that a label migration may still use; a newer one is a mistake.
    for policy in policies:
        versions = [version for version in (policy.version, policy.supersedes) if version]
        check.where(
            (pl.col("policy_id") == policy.policy_id) & ~_in(pl.col("policy_version"), versions),
            "policy_version",
            f"no such version of {policy.policy_id}; expected {_either(versions)}",
        )
    check.where(pl.col("annotator_id").is_null(), "annotator_id", "expected who said it")
    return frame, rows.all_findings(check.findings)


def _in(column: pl.Expr, values: list[str]) -> pl.Expr:
    return column.is_in(values).fill_null(False)


def _either(values: list[str]) -> str:
    return values[0] if len(values) == 1 else f"{', '.join(values[:-1])} or {values[-1]}"
