"""Scores: one raw score an item and policy, with the model and runtime that made them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from data.errors import Finding, InputError
from data.files import existing_file, sha256_of_json
from data.policy import Strict
from data.tables import read_table, rows_where, write_parquet

METADATA_KEY = "setpoint"


class ScoresMetadata(Strict):
    """Where scores come from; stands in the Parquet metadata under `setpoint`, and `setpoint.scale` beside it.

    Attributes:
        scale: `logit`, or `probability` for foreign models that know no other.
        model_digest: digest of the exported model, or of the checkpoint; None for a foreign model.
        runtime: what computed them, e.g. onnxruntime-1.23.0-cpu-fp32; None for a foreign model.
        policy_versions: policy_id to version; empty for a foreign model.
        settings: how it computed them, such as the size of its batches: what else the last bits hang on.
    """

    scale: Literal["logit", "probability"] = "logit"
    model_digest: str | None = None
    runtime: str | None = None
    policy_versions: dict[str, str] = Field(default_factory=dict)
    settings: dict[str, int] = Field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """Scores of N items under P policies: float32 [N, P], finite."""

    item_ids: list[str]
    policy_ids: list[str]
    values: NDArray[np.float32]
    metadata: ScoresMetadata

    def digest(self) -> str:
        """Hex SHA-256 of ids, values and whose they are, whatever file they stand in; values by their own SHA-256.

        Scores that are the same are the same evidence, with whichever settings they were computed.
        """
        values = np.ascontiguousarray(self.values, dtype="<f4")
        return sha256_of_json(
            {
                "item_ids": self.item_ids,
                "policy_ids": self.policy_ids,
                "values": hashlib.sha256(values.data).hexdigest(),
                "metadata": self.metadata.model_dump(mode="json", exclude={"settings"}),
            }
        )

    def of(self, item_ids: list[str]) -> NDArray[np.float32]:
        """Rows of these items, float32 [len(item_ids), P].

        Raises:
            InputError: an item has no score.
        """
        schema = {"item_id": pl.String}
        scored = pl.DataFrame({"item_id": self.item_ids}, schema=schema).with_row_index("row")
        wanted = pl.DataFrame({"item_id": item_ids}, schema=schema)
        found = wanted.join(scored, on="item_id", how="left", maintain_order="left")
        without = found.filter(pl.col("row").is_null())["item_id"]
        if len(without):
            raise InputError(
                f"scores: {len(without)} of {len(item_ids)} items have no score, the first is {without[0]!r}; "
                "score them with the same model"
            )
        rows: NDArray[np.float32] = self.values[found["row"].to_numpy()]
        return rows


def write_scores(path: str | Path, scores: Scores) -> None:
    """Write scores.parquet, atomically."""
    columns = {
        policy_id: scores.values[:, index].astype(np.float32) for index, policy_id in enumerate(scores.policy_ids)
    }
    frame = pl.DataFrame({"item_id": scores.item_ids, **columns}, schema_overrides={"item_id": pl.String})
    metadata = {METADATA_KEY: scores.metadata.model_dump_json(), "setpoint.scale": scores.metadata.scale}
    write_parquet(frame, path, metadata)


def read_scores(path: str | Path, policy_ids: list[str]) -> Scores:
    """Read scores of the given policies, from Setpoint or from a foreign model.

    Args:
        path: Parquet with `item_id` and one numeric column a policy_id; further columns are left alone.
        policy_ids: the policies wanted, the order of the columns returned.

    Raises:
        InputError: a policy has no column, an item stands twice, a score is missing, NaN or infinite.
    """
    frame = read_table(path)
    findings = [
        Finding(path, f"this column is missing; found {', '.join(frame.columns)}", None, name)
        for name in ["item_id", *policy_ids]
        if name not in frame.columns
    ]
    findings += [
        Finding(path, f"expected a column of numbers, found {frame.schema[name]}", None, name)
        for name in policy_ids
        if name in frame.columns and not frame.schema[name].is_numeric()
    ]
    if frame.is_empty():
        findings.append(Finding(path, "no rows; expected at least one scored item"))
    if findings:
        raise InputError(findings)
    frame = frame.with_columns(pl.col("item_id").cast(pl.String), *(pl.col(p).cast(pl.Float32) for p in policy_ids))
    findings += rows_where(frame, pl.col("item_id").is_null(), path, "item_id", "a score needs an item")
    repeated = pl.col("item_id").is_duplicated() & ~pl.col("item_id").is_first_distinct()
    findings += rows_where(frame, repeated, path, "item_id", "another row has this item_id")
    for policy_id in policy_ids:
        finite = pl.col(policy_id).is_finite().fill_null(False)
        findings += rows_where(frame, ~finite, path, policy_id, "expected a finite number")
    if findings:
        raise InputError(findings)
    return Scores(
        item_ids=frame["item_id"].to_list(),
        policy_ids=list(policy_ids),
        values=frame.select(policy_ids).to_numpy().astype(np.float32, copy=False),
        metadata=read_scores_metadata(existing_file(path)),
    )


def read_scores_metadata(path: Path) -> ScoresMetadata:
    """What the Parquet metadata of a scores file say; the defaults of a foreign model where they say nothing."""
    if path.suffix != ".parquet":
        return ScoresMetadata()
    found = pl.read_parquet_metadata(path)
    try:
        if METADATA_KEY in found:
            return ScoresMetadata.model_validate_json(found[METADATA_KEY])
        return ScoresMetadata.model_validate({"scale": found.get("setpoint.scale", "logit")})
    except ValidationError as error:
        raise InputError(f"{path}: its Parquet metadata `{METADATA_KEY}` cannot be read: {error}") from error
