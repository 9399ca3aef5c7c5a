"""The verb `traffic`: counts of files of any size, slices, daily files that add up, wrong input in clear words."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest

from calibrate.traffic import run as traffic_module
from calibrate.traffic.file import METADATA_KEY, open_traffic
from calibrate.traffic.histogram import histogram
from calibrate.traffic.run import traffic
from data.errors import InputError
from data.scores import ScoresMetadata
from data.tables import write_parquet

METADATA = ScoresMetadata(model_digest="ab" * 32, runtime="onnxruntime-test", policy_versions={"fire": "1.0.0"})


def frame(n: int = 3000, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "item_id": [f"{seed}-{index}" for index in range(n)],
            "fire": random.normal(-3, 3, n).astype(np.float32),
            "scam": random.normal(-5, 2, n).astype(np.float32),
            "market": random.choice(["de", "fr", None], n, p=[0.6, 0.3, 0.1]),
            "age": random.integers(1, 4, n),
        }
    )


def write(path: Path, content: pl.DataFrame, metadata: ScoresMetadata | None = METADATA, **keys: Any) -> Path:
    about = {"setpoint": metadata.model_dump_json()} if metadata else None
    if keys:
        content.write_parquet(path, metadata=about, **keys)
    else:
        write_parquet(content, path, about)
    return path


@pytest.fixture
def day(tmp_path: Path) -> Path:
    return write(tmp_path / "monday.parquet", frame())


def test_counts_are_histograms_of_all_posts_and_of_each_slice(day: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(traffic_module, "BATCH", 700)
    out = tmp_path / "new" / "traffic.parquet"
    summary = traffic(scores=day, out=out, days=2, sampled_share=0.25, slices=("market", "age"))
    assert summary.title == "traffic: 3,000 posts of 2 days counted for 2 policies"
    assert "25 % of all posts: about 6,000 posts a day" in summary.lines[0]
    assert summary.lines[-2:] == ["slice age: 3 values", "slice market: 2 values"]
    read = open_traffic(out)
    assert (read.metadata.days, read.metadata.sampled_share, read.metadata.n_posts) == (2, 0.25, 3000)
    assert (read.metadata.model_digest, read.metadata.runtime) == ("ab" * 32, "onnxruntime-test")
    posts = frame()
    for policy_id in ("fire", "scam"):
        found = read.of(policy_id)
        assert (found.counts == histogram(posts[policy_id].to_numpy())).all()
        assert set(found.slices) == {("market", "de"), ("market", "fr"), ("age", "1"), ("age", "2"), ("age", "3")}
        for (by, value), counts in found.slices.items():
            inside = posts.filter(pl.col(by).cast(pl.String) == value)[policy_id].to_numpy()
            assert (counts == histogram(inside)).all()


def test_rows_are_sparse_typed_and_reproducible(day: Path, tmp_path: Path) -> None:
    traffic(scores=day, out=tmp_path / "a.parquet", days=1, slices=("market",))
    traffic(scores=[day], out=tmp_path / "b.parquet", days=1, slices=("market",))
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    rows = pl.read_parquet(tmp_path / "a.parquet")
    assert dict(rows.schema) == {
        **{"policy_id": pl.String, "by": pl.String, "value": pl.String},
        **{"bin": pl.UInt16, "count": pl.Int64},
    }
    assert rows["count"].min() >= 1


def test_daily_files_add_up_to_one_pass(tmp_path: Path) -> None:
    days = [write(tmp_path / f"scores{n}.parquet", frame(500 + n, seed=n)) for n in range(3)]
    together = tmp_path / "together.parquet"
    traffic(scores=days, out=together, days=3, slices=("market",))
    for n, path in enumerate(days):
        traffic(scores=path, out=tmp_path / f"day{n}.parquet", days=1, slices=("market",))
    merged = tmp_path / "merged.parquet"
    traffic(scores=[tmp_path / f"day{n}.parquet" for n in range(3)], out=merged)
    assert merged.read_bytes() == together.read_bytes()
    mixed = tmp_path / "mixed.parquet"
    traffic(scores=[tmp_path / "day0.parquet", *days[1:]], out=mixed, days=2, slices=("market",))
    assert mixed.read_bytes() == together.read_bytes()


def test_days_and_shares_of_merged_files_weigh_by_what_they_counted(tmp_path: Path) -> None:
    for n, (length, share) in enumerate([(1, 1.0), (3, 0.5)]):
        scores = write(tmp_path / f"s{n}.parquet", frame(100, seed=n))
        traffic(scores=scores, out=tmp_path / f"t{n}.parquet", days=length, sampled_share=share)
    traffic(scores=[tmp_path / "t0.parquet", tmp_path / "t1.parquet"], out=tmp_path / "t.parquet")
    metadata = open_traffic(tmp_path / "t.parquet").metadata
    assert (metadata.days, metadata.exposure, metadata.n_posts) == (4, 2.5, 200)


def test_a_foreign_models_probabilities(tmp_path: Path) -> None:
    chances = frame(400).select("item_id", fire=1 / (1 + (-pl.col("fire").cast(pl.Float64)).exp()))
    chances.write_parquet(tmp_path / "scores.parquet", metadata={"setpoint.scale": "probability"})
    traffic(scores=tmp_path / "scores.parquet", out=tmp_path / "t.parquet", days=1)
    read = open_traffic(tmp_path / "t.parquet")
    assert (read.metadata.scale, read.metadata.model_digest, read.metadata.policies) == (
        "probability",
        None,
        ("fire",),
    )
    expected = histogram(chances["fire"].to_numpy().astype(np.float32), scale="probability")
    assert (read.of("fire").counts == expected).all()


def refuse(*words: str, out: Path, **keys: Any) -> None:
    before = {path: path.read_bytes() for path in out.parent.rglob("*") if path.is_file()}
    with pytest.raises(InputError) as caught:
        traffic(out=out, **keys)
    for word in words:
        assert word in str(caught.value)
    assert {path: path.read_bytes() for path in out.parent.rglob("*") if path.is_file()} == before


SPOILED = [
    (
        lambda posts: posts.with_columns(fire=spoiled(posts, float("nan"))),
        ["row 2101, fire = nan", "a finite number"],
    ),
    (lambda posts: posts.with_columns(scam=spoiled(posts, float("inf"))), ["row 2101, scam = inf"]),
    (lambda posts: posts.with_columns(fire=spoiled(posts, 1e39)), ["row 2101, fire = 1e+39"]),
    (lambda posts: posts.with_columns(fire=spoiled(posts, None)), ["row 2101, fire = 'missing'"]),
    (lambda posts: posts.drop("market"), ["market: this column is missing; found item_id, fire"]),
    (lambda posts: posts.drop("fire"), ["fire: this column is missing"]),
    (
        lambda posts: posts.with_columns(fire=pl.lit("high")),
        ["fire: expected a column of floating numbers", "string"],
    ),
    (lambda posts: posts.with_columns(market=pl.lit([1])), ["market: a slice needs a column of plain values"]),
    (lambda posts: posts.with_columns(market=pl.col("item_id")), ["market: more than 300 values"]),
    (lambda posts: posts.head(0), ["no rows"]),
]


def spoiled(posts: pl.DataFrame, value: float | None) -> pl.Expr:
    return pl.when(pl.int_range(pl.len()) == 2100).then(value).otherwise(pl.lit(0.5, pl.Float64))


@pytest.mark.parametrize(("spoil", "words"), SPOILED)
def test_wrong_scores_are_named(spoil, words: list[str], day: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(traffic_module, "BATCH", 1000)
    write(day, spoil(frame()))
    refuse(str(day), *words, scores=day, out=tmp_path / "t.parquet", days=1, slices=("market",))


def test_a_probability_above_one_is_named(day: Path, tmp_path: Path) -> None:
    write(day, pl.DataFrame({"fire": [0.5, 1.5]}), METADATA.model_copy(update={"scale": "probability"}))
    refuse("row 2, fire = 1.5", "a probability from 0 to 1", scores=day, out=tmp_path / "t.parquet", days=1)


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.99])
def test_a_truncated_file_is_named(kept: float, day: Path, tmp_path: Path) -> None:
    whole = day.read_bytes()
    day.write_bytes(whole[: int(kept * len(whole)) if isinstance(kept, float) else kept])
    refuse(str(day), "cannot be read as parquet", scores=day, out=tmp_path / "t.parquet", days=1)


def test_damaged_pages_are_named(day: Path, tmp_path: Path) -> None:
    write(day, frame(), compression="zstd")
    content = bytearray(day.read_bytes())
    column = pq.ParquetFile(day).metadata.row_group(0).column(1)
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + column.total_compressed_size] = bytes(column.total_compressed_size)
    day.write_bytes(content)
    refuse(str(day), "cannot be read as parquet", scores=day, out=tmp_path / "t.parquet", days=1)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"days": 0.0}, "days = 0.0: input should be greater than 0"),
        ({"days": float("nan")}, "days = nan: input should be"),
        ({"days": None}, "days: not set"),
        ({"days": 1.0, "sampled_share": 0.0}, "sampled_share = 0.0"),
        ({"days": 1.0, "sampled_share": 1.5}, "sampled_share = 1.5"),
    ],
)
def test_wrong_settings_are_named(keys: dict, words: str, day: Path, tmp_path: Path) -> None:
    refuse(words, scores=day, out=tmp_path / "t.parquet", **keys)


def test_files_that_do_not_belong_together(day: Path, tmp_path: Path) -> None:
    out = tmp_path / "sum.parquet"
    traffic(scores=day, out=tmp_path / "t.parquet", days=1, slices=("market",))
    refuse("bring their own days", scores=tmp_path / "t.parquet", out=out, days=1.0)
    refuse("stands twice", scores=[day, day], out=out, days=1.0)
    (tmp_path / "copy.parquet").write_bytes((tmp_path / "t.parquet").read_bytes())
    refuse("is a copy of", scores=[tmp_path / "t.parquet", tmp_path / "copy.parquet"], out=out)
    refuse("counts the slices ['market'], expected []", scores=[day, tmp_path / "t.parquet"], out=out, days=1.0)
    refuse("no file given", scores=[], out=out, days=1.0)
    refuse("gone.parquet: no such file", scores=tmp_path / "gone.parquet", out=out, days=1.0)
    (tmp_path / "scores.csv").write_text("item_id,fire\n")
    refuse("expected a .parquet file", scores=tmp_path / "scores.csv", out=out, days=1.0)
    other = write(tmp_path / "other.parquet", frame(), METADATA.model_copy(update={"runtime": "tensorrt"}))
    refuse("runtime = 'tensorrt'", "'onnxruntime-test'", scores=[day, other], out=out, days=1.0)
    refuse("runtime = 'tensorrt'", scores=[tmp_path / "t.parquet", other], out=out, days=1.0, slices=("market",))
    fewer = write(tmp_path / "fewer.parquet", frame().drop("scam"))
    refuse("holds the policies fire;", scores=[day, fewer], out=out, days=1.0)


def test_changed_traffic_files_are_refused(day: Path, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    traffic(scores=day, out=path, days=1)
    rows, about = pl.read_parquet(path), pl.read_parquet_metadata(path)[METADATA_KEY.decode()]

    def rewritten(content: pl.DataFrame, described: str) -> None:
        metadata = {METADATA_KEY: described.encode()}
        table = content.to_arrow().cast(
            pq.ParquetFile(path).schema_arrow if content.columns == rows.columns else None
        )
        pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "changed.parquet")

    def refused(words: str) -> None:
        with pytest.raises(InputError, match=words):
            open_traffic(tmp_path / "changed.parquet")

    rewritten(rows, about.replace("setpoint/traffic/v1", "setpoint/traffic/v9"))
    refused("schema = 'setpoint/traffic/v9'")
    rewritten(rows, about.replace('"days":1.0', '"days":0.0'))
    refused("days = 0.0")
    rewritten(rows.head(-1), about)
    refused("scam has .* posts; expected n_posts = 3,000")
    rewritten(rows.with_columns(policy_id=pl.lit("other")), about)
    refused("fire has 0 posts")
    with pytest.raises(InputError, match="is no traffic file"):
        open_traffic(day)
