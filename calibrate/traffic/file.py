"""traffic.parquet: how many posts scored what, per policy and slice, in bins that add up."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field, ValidationError

from calibrate.bounds import IntArray
from calibrate.traffic.histogram import BIN_COUNT
from data.errors import Finding, InputError
from data.files import existing_file, sha256_of_file
from data.policy import Strict, findings_of

METADATA_KEY = b"setpoint.traffic"
SCHEMA = pa.schema(
    [
        ("policy_id", pa.string()),
        ("by", pa.string()),
        ("value", pa.string()),
        ("bin", pa.uint16()),
        ("count", pa.int64()),
    ]
)

Slice = tuple[str, str]  # column and value


class TrafficMetadata(Strict):
    """What was counted; stands in the Parquet metadata under `setpoint.traffic`.

    Attributes:
        scale: of the scores counted; thresholds are on the same scale.
        model_digest, runtime: that made the scores; None for a foreign model.
        days: that the scores cover.
        sampled_share: share of all posts of these days that was scored, drawn at random.
        n_posts: counted, for each policy.
        policies: sorted.
        slices: columns whose values are counted apart, sorted.
    """

    format: Literal["setpoint/traffic/v1"] = Field(default="setpoint/traffic/v1", alias="schema")
    scale: Literal["logit", "probability"]
    model_digest: str | None
    runtime: str | None
    days: float = Field(gt=0, allow_inf_nan=False)
    sampled_share: float = Field(gt=0, le=1)
    n_posts: int = Field(gt=0)
    policies: tuple[str, ...] = Field(min_length=1)
    slices: tuple[str, ...]

    @property
    def exposure(self) -> float:
        """Days times share: posts counted over this are posts a day."""
        return self.days * self.sampled_share


@dataclass(frozen=True)
class PolicyTraffic:
    """Histograms of one policy: int64 [BIN_COUNT] of all posts, and of each slice's."""

    counts: IntArray
    slices: dict[Slice, IntArray] = field(default_factory=dict)


Counted = tuple[PolicyTraffic, TrafficMetadata]
"""The traffic of a policy, with what it was counted over."""


@dataclass(frozen=True)
class Traffic:
    """A traffic file, opened and checked; the counts are read policy by policy."""

    path: Path
    metadata: TrafficMetadata

    def digest(self) -> str:
        """Hex SHA-256 of the file."""
        return sha256_of_file(self.path)

    def of(self, policy_id: str) -> PolicyTraffic:
        """The histograms of one policy, which `metadata.policies` must name."""
        rows = pl.scan_parquet(self.path, glob=False).filter(pl.col("policy_id") == policy_id).collect()
        parts = {
            (key[0], key[1]): _dense(part) for key, part in rows.partition_by("by", "value", as_dict=True).items()
        }
        whole = parts.pop((None, None))
        return PolicyTraffic(whole, {(str(by), str(value)): counts for (by, value), counts in sorted(parts.items())})


def open_parquet(path: str | Path) -> pq.ParquetFile:
    """Open a Parquet file for reading in small batches; InputError when it is missing, truncated or no Parquet."""
    path = existing_file(path)
    if path.suffix != ".parquet":
        raise InputError(f"{path}: expected a .parquet file")
    try:
        return pq.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> InputError:
    """What to say of a Parquet file that cannot be read (any further)."""
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"{path}: cannot be read as parquet ({reason})")


def open_traffic(path: str | Path) -> Traffic:
    """Open a traffic file and check that its counts are whole.

    Raises:
        InputError: it is missing, unreadable, of another schema, or its counts do not add up.
    """
    path = Path(path)
    parquet = open_parquet(path)
    found = (parquet.metadata.metadata or {}).get(METADATA_KEY)
    if found is None:
        raise InputError(f"{path}: is no traffic file; count scores with `setpoint traffic scores={path} days=…`")
    try:
        metadata = TrafficMetadata.model_validate_json(found)
    except ValidationError as error:
        raise InputError(findings_of(path, error)) from error
    if not parquet.schema_arrow.equals(SCHEMA):
        columns = ", ".join(f"{each.name} {each.type}" for each in parquet.schema_arrow)
        expected = ", ".join(f"{each.name} {each.type}" for each in SCHEMA)
        raise InputError(f"{path}: has columns {columns}; expected {expected}")
    _check_counts(path, metadata)
    return Traffic(path, metadata)


def rows_of(policy_id: str, traffic: PolicyTraffic) -> pa.Table:
    """The rows of one policy: non-empty bins of all posts, then of each slice."""
    parts: list[tuple[str | None, str | None, IntArray]] = [(None, None, traffic.counts)]
    parts += [(by, value, counts) for (by, value), counts in sorted(traffic.slices.items())]
    tables = []
    for by, value, counts in parts:
        [bins] = np.nonzero(counts)
        n = len(bins)
        columns = [
            *(pa.repeat(pa.scalar(name, pa.string()), n) for name in (policy_id, by, value)),
            pa.array(bins.astype(np.uint16)),
            pa.array(counts[bins]),
        ]
        tables.append(pa.table(columns, schema=SCHEMA))
    return pa.concat_tables(tables)


def _dense(rows: pl.DataFrame) -> IntArray:
    counts = np.zeros(BIN_COUNT, np.int64)
    np.add.at(counts, rows["bin"].to_numpy().astype(np.intp), rows["count"].to_numpy())
    return counts


def _check_counts(path: Path, metadata: TrafficMetadata) -> None:
    try:
        rows = pl.scan_parquet(path, glob=False)
        totals = rows.group_by("policy_id", "by", "value").agg(pl.sum("count"), lowest=pl.min("count")).collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise unreadable(path, error) from error
    whole = totals.filter(pl.col("by").is_null())
    found = dict(zip(whole["policy_id"].to_list(), whole["count"].to_list(), strict=True))
    findings = [
        Finding(path, f"{policy_id} has {found.get(policy_id, 0):,} posts; expected n_posts = {metadata.n_posts:,}")
        for policy_id in metadata.policies
        if found.get(policy_id) != metadata.n_posts
    ]
    findings += [
        Finding(path, "expected counts above 0", None, "count", lowest)
        for lowest in totals["lowest"].to_list()
        if lowest <= 0
    ][:1]
    strangers = set(totals["policy_id"].to_list()) - set(metadata.policies)
    strangers |= set(totals["by"].drop_nulls().to_list()) - set(metadata.slices)
    findings += (
        [Finding(path, "holds rows of a policy or slice that its metadata does not list")] if strangers else []
    )
    if findings:
        raise InputError(findings)
