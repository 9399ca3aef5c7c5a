"""Labels: what the annotations of an item amount to under a policy's current version. Three-valued.

Unknown is not negative: no votes, only `unsure` or `unreviewable`, and ties are null.
"""

import krippendorff
import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.policy import Policy

LABEL_SCHEMA = {
    "item_id": pl.String,
    "policy_id": pl.String,
    "label": pl.Boolean,
    "p_violating": pl.Float64,
    "n_annotators": pl.UInt32,
}
# Appeals and reports are self-selected, and a model's verdict is not a person's: none of them makes a label.
LABELLING_SOURCES = ["human", "qa"]


def derive_labels(annotations: pl.DataFrame, policies: list[Policy]) -> pl.DataFrame:
    """Derive one label for each item and policy that was annotated.

    The adjudicated value where there is one (the last one given), else the majority of the blind human
    votes, one vote an annotator; a tie is unknown.

    Args:
        annotations: as `data.annotations.read_annotations` returns them.
        policies: only annotations of these policy versions count.

    Returns:
        LABEL_SCHEMA, one row an item and policy; the same input gives the same order. `label` is null where
        unknown; `p_violating` is the share of known blind votes (of the adjudication where there are none);
        `n_annotators` counts the blind votes.
    """
    counted = annotations.filter(pl.col("source").is_in(LABELLING_SOURCES), _of_current_version(policies)).select(
        "item_id",
        "policy_id",
        "annotator_id",
        vote=pl.when(pl.col("value") == "violating").then(1.0).when(pl.col("value") == "not_violating").then(0.0),
        adjudicated=pl.col("round") == "adjudication",
    )
    # Most items of large sets have one annotation, and grouping millions of them takes most of the time.
    repeated = counted.select(pl.struct("item_id", "policy_id").is_duplicated()).to_series()
    return pl.concat([_single_votes(counted.filter(~repeated)), _several_votes(counted.filter(repeated))]).cast(
        LABEL_SCHEMA  # type: ignore[arg-type]  # cast also takes selectors as keys, and dict is invariant
    )


def _single_votes(votes: pl.DataFrame) -> pl.DataFrame:
    """Labels of items with one annotation."""
    return votes.select(
        "item_id",
        "policy_id",
        label=pl.col("vote") > 0.5,
        p_violating="vote",
        n_annotators=(~pl.col("adjudicated")).cast(pl.UInt32),
    )


def _several_votes(votes: pl.DataFrame) -> pl.DataFrame:
    """Labels of items with several annotations."""
    # One vote an annotator: their last one.
    last = votes.unique(["item_id", "policy_id", "annotator_id", "adjudicated"], keep="last", maintain_order=True)
    blind = pl.col("vote").filter(~pl.col("adjudicated"))
    final = pl.col("vote").filter(pl.col("adjudicated")).last()
    return (
        last.group_by("item_id", "policy_id", maintain_order=True)
        .agg(
            share=blind.mean(),
            final=final,
            is_adjudicated=pl.col("adjudicated").any(),
            n_annotators=blind.len().cast(pl.UInt32),
        )
        .select(
            "item_id",
            "policy_id",
            label=pl.when("is_adjudicated")
            .then(pl.col("final") > 0.5)
            .when(pl.col("share") != 0.5)
            .then(pl.col("share") > 0.5),
            p_violating=pl.when(~pl.col("is_adjudicated") | pl.col("final").is_not_null()).then(
                pl.coalesce("share", "final")
            ),
            n_annotators="n_annotators",
        )
    )


def label_matrix(item_ids: list[str], labels: pl.DataFrame, policy_ids: list[str]) -> NDArray[np.float32]:
    """Labels as a matrix.

    Args:
        item_ids: N items, the order of the rows.
        labels: as `derive_labels` returns them: item_id, policy_id, and label, a boolean or a number.
        policy_ids: P policies, the order of the columns.

    Returns:
        float32 [N, P]: 1 violating, 0 not violating, NaN unknown.
    """
    matrix = np.full((len(item_ids), len(policy_ids)), np.nan, dtype=np.float32)
    rows = pl.DataFrame({"item_id": item_ids}, schema={"item_id": pl.String}).with_row_index("row")
    columns = pl.DataFrame({"policy_id": policy_ids}, schema={"policy_id": pl.String}).with_row_index("column")
    known = labels.drop_nulls("label").join(rows, on="item_id").join(columns, on="policy_id")
    matrix[known["row"].to_numpy(), known["column"].to_numpy()] = known["label"].to_numpy()
    return matrix


def verdict_matrix(item_ids: list[str], annotations: pl.DataFrame, policies: list[Policy]) -> NDArray[np.float32]:
    """What models said of items, for tests that may use an auditor; never a label.

    Args:
        item_ids: N items, the order of the rows.
        annotations: as `data.annotations.read_annotations` returns them; those with source llm count, the last of
            each annotator under a policy's current version.
        policies: P policies, the order of the columns.

    Returns:
        float32 [N, P]: the share of violating among the votes, an unsure one being half of one; NaN without votes
        (an unreviewable item is none).
    """
    votes = {"violating": 1.0, "not_violating": 0.0, "unsure": 0.5}
    verdicts = (
        annotations.filter(pl.col("source") == "llm", _of_current_version(policies))
        .unique(["item_id", "policy_id", "annotator_id"], keep="last", maintain_order=True)
        .with_columns(vote=pl.col("value").replace_strict(votes, default=None, return_dtype=pl.Float64))
        .group_by("item_id", "policy_id")
        .agg(label=pl.col("vote").mean())
    )
    return label_matrix(item_ids, verdicts, [policy.policy_id for policy in policies])


def agreements_of(annotations: pl.DataFrame, policies: list[Policy]) -> dict[str, float | None]:
    """The `agreement` of every policy, by policy_id."""
    # Most items of large sets have one annotation, and say nothing.
    repeated = annotations.filter(pl.struct("item_id", "policy_id").is_duplicated())
    return {policy.policy_id: agreement(repeated, policy) for policy in policies}


def agreement(annotations: pl.DataFrame, policy: Policy) -> float | None:
    """Krippendorff's alpha (nominal) of the blind human votes on one policy version; None with too few votes."""
    votes = annotations.filter(
        (pl.col("policy_id") == policy.policy_id)
        & (pl.col("policy_version") == policy.version)
        & pl.col("source").is_in(LABELLING_SOURCES)
        & (pl.col("round") == "blind")
        & pl.col("value").is_in(["violating", "not_violating"])
    ).unique(["item_id", "annotator_id"], keep="last", maintain_order=True)
    counts = votes.group_by("item_id").agg(
        violating=(pl.col("value") == "violating").sum(), other=(pl.col("value") != "violating").sum()
    )
    pairable = counts.filter(pl.col("violating") + pl.col("other") >= 2)
    if pairable.is_empty() or pairable["violating"].sum() == 0 or pairable["other"].sum() == 0:
        return None
    table = pairable.select("violating", "other").to_numpy()
    return float(krippendorff.alpha(value_counts=table, level_of_measurement="nominal"))


def _of_current_version(policies: list[Policy]) -> pl.Expr:
    versions = {policy.policy_id: policy.version for policy in policies}
    return pl.col("policy_version") == pl.col("policy_id").replace_strict(versions, default=None)
