"""A pool: the scores of many posts as Parquet, of which a column at a time is held in memory. N posts."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.errors import Finding, InputError
from data.files import existing_file
from data.items import check_item_rows
from data.sampling import Sample
from data.tables import read_table


def read_column(pool: Path, policy_id: str) -> NDArray[np.float32]:
    """One policy's scores, float32 [N]; InputError for a missing column or a value that is no finite number."""
    try:
        schema = pl.scan_parquet(pool, glob=False).collect_schema()
        wrong = [name for name in ("item_id", policy_id) if name not in schema]
        if wrong:
            raise InputError([Finding(pool, f"no such column; found {', '.join(schema)}", None, wrong[0])])
        if not schema[policy_id].is_numeric():
            found = f"expected a column of numbers, found {schema[policy_id]}"
            raise InputError([Finding(pool, found, None, policy_id)])
        column = pl.scan_parquet(pool, glob=False).select(pl.col(policy_id).cast(pl.Float32)).collect()[policy_id]
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{pool}: cannot be read as parquet ({str(error).splitlines()[0]})") from error
    wrong_rows = (~column.is_finite()).fill_null(True)
    if wrong_rows.any():
        row = int(wrong_rows.arg_max() or 0)
        raise InputError([Finding(pool, "expected a finite number", row + 1, policy_id, column[row])])
    return column.to_numpy()


def not_excluded(pool: Path, exclude: list[Path], n: int) -> NDArray[np.bool_]:
    """Which of the pool's N posts stand in none of these items files, [N]."""
    if not exclude:
        return np.ones(n, bool)
    names = pl.concat([_item_ids(file) for file in exclude]).unique()
    excluded = pl.col("item_id").cast(pl.String).is_in(names.implode())
    found = pl.scan_parquet(pool, glob=False).select(excluded.fill_null(False)).collect()["item_id"]
    return ~found.to_numpy()


def _item_ids(file: Path) -> pl.Series:
    table = read_table(file)
    if "item_id" not in table.columns:
        raise InputError([Finding(file, f"no such column; found {', '.join(table.columns)}", None, "item_id")])
    return table["item_id"].cast(pl.String)


def drawn_items(pool: Path, items: Path, sample: Sample) -> pl.DataFrame:
    """The drawn items in the order of the pool, with stratum and inclusion_prob.

    Raises:
        InputError: a drawn post has no item_id of its own, or no row in `items`.
    """
    names = pl.scan_parquet(pool, glob=False).select(item_id=pl.col("item_id").cast(pl.String))
    rows = pl.Series("row", sample.rows, dtype=pl.UInt32)
    drawn = names.with_row_index("row").filter(pl.col("row").is_in(rows.implode())).collect()["item_id"]
    standing = names.filter(pl.col("item_id").is_in(drawn.implode())).select(pl.len()).collect().item()
    if drawn.null_count() or standing > len(drawn):
        raise InputError(f"{pool}, item_id: a drawn post has no item_id, or one that stands in several rows")
    wanted = pl.col("item_id").cast(pl.String).is_in(drawn.implode())
    if items.suffix == ".parquet":
        frame = pl.scan_parquet(existing_file(items), glob=False).filter(wanted).collect()
    else:
        frame = read_table(items).filter(wanted)
    missing = drawn.filter(~drawn.is_in(frame["item_id"].cast(pl.String).implode()))
    if len(missing):
        raise InputError(
            f"{items}: {len(missing)} of {len(drawn)} drawn posts are not there, the first is {missing[0]!r}; "
            "give the items of the whole pool as items="
        )
    found, findings = check_item_rows(frame, items)
    if findings:
        raise InputError(findings)
    chances = np.array([part.inclusion_prob for part in sample.strata])
    order = pl.DataFrame(
        {
            "item_id": drawn,
            "stratum": [sample.strata[place].name for place in sample.stratum],
            "inclusion_prob": chances[sample.stratum],
        }
    )
    joined = order.join(found.drop("stratum", "inclusion_prob"), on="item_id", how="left", maintain_order="left")
    return joined.select(found.columns)
