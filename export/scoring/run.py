"""The verb `score`: items in, scores.parquet and failures.parquet out; a killed run goes on where it was."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
from pydantic import Field

from data.errors import Finding, InputError
from data.files import sha256_of_json
from data.items import read_items
from data.progress import tracked
from data.scores import Scores, ScoresMetadata, write_scores
from data.summary import Summary
from data.tables import write_parquet
from export.model_folder import decoder_versions
from export.scoring.chunks import ITEM_COLUMNS, Chunk, chunk_size, cut
from export.scoring.parts import Parts, only_writer, remove_parts
from export.scoring.pipeline import score_chunks
from export.scoring.runtimes import OnnxRuntime, Runtime, RuntimeKind, open_runtime
from export.scoring.tuning import Option, Tuner

SHOWN_REASONS = 5


def score(
    *,
    model: Path,
    items: list[Path] | Path,
    out: Path,
    runtime: RuntimeKind = "auto",
    precision: str = "fp32",
    engines: Path = Path("engines"),
    batch_size: Annotated[int, Field(ge=1)] = 4,
    workers: Annotated[int, Field(ge=0)] = 0,
    threads: Annotated[int, Field(ge=0)] = 0,
    tune: Literal["auto", "off"] = "auto",
    cache_dir: Path = Path("outputs/cache"),
    max_unreadable_fraction: Annotated[float, Field(ge=0, le=1)] = 0.05,
) -> Summary:
    """Score items with a checkpoint, a model folder or a release.

    Writes `out/scores.parquet` (raw logits, in the order of the items) and `out/failures.parquet` (item_id, file
    and reason of every item whose media cannot be read). A killed run leaves its finished chunks in
    `out/.parts-*`; the same call goes on from there and writes what one unkilled run would have written.

    Args:
        model: a .ckpt file, or a folder that `export` or `seal` wrote.
        items: one items file, or several that share no item_id.
        out: folder to write to.
        runtime: "auto" takes torch for a checkpoint and ONNX Runtime for a folder.
        precision: which ONNX file of the folder.
        engines: of TensorRT, see `export.tensorrt.cache`.
        batch_size: most items in one batch; an item is batched with others of its shape.
        workers: threads that decode media and run the model; 0: one for each core.
        threads: threads of one operator of the model; 0: of ONNX Runtime those that `tune` finds best, else one,
            with a batch on each core; torch takes all cores for one batch.
        tune: "auto" finds out, once and before a long run, how ONNX Runtime scores fastest on this machine with this
            model, without changing a bit of the scores; see `export.scoring.tuning`.
        cache_dir: where that is kept.
        max_unreadable_fraction: more unreadable items than this share are an error.

    Raises:
        InputError: wrong input, too many unreadable items, or a score that is no finite number.
    """
    table = _read_all(items if isinstance(items, list) else [items])
    one_batch_a_core = threads == 0 and Path(model).is_dir() and runtime != "tensorrt"
    threads = 1 if one_batch_a_core else threads
    engine = open_runtime(model, kind=runtime, precision=precision, threads=threads, engines=engines)
    tuning = None
    if tune == "auto" and one_batch_a_core and isinstance(engine, OnnxRuntime):

        def reopen(option: Option) -> OnnxRuntime:
            return OnnxRuntime(model, precision=precision, **option.model_dump(exclude={"batch_size"}))

        tuning = Tuner(reopen, engine, batch_size, workers, cache_dir).find(table)
        if tuning is not None and tuning.chosen != tuning.default:
            engine = reopen(tuning.chosen.option)
    summary = score_items(
        engine,
        table,
        out=out,
        batch_size=batch_size,
        workers=workers,
        max_unreadable_fraction=max_unreadable_fraction,
    )
    return replace(summary, lines=[*summary.lines, *(tuning.lines() if tuning else [])])


def score_items(
    engine: Runtime, table: pl.DataFrame, *, out: Path, batch_size: int, workers: int, max_unreadable_fraction: float
) -> Summary:
    """`score` with an open runtime and a table that was read before."""
    size = chunk_size(engine.preprocessing)
    chunks = cut(table, size)
    settings = {"batch_size": batch_size, "threads": engine.threads}
    quarantine = _Quarantine(total=len(table), max_fraction=max_unreadable_fraction)
    with only_writer(out):
        parts = Parts(out, _fingerprint(engine, table, {**settings, "chunk_size": size}))
        paths = {chunk.index: path for chunk in chunks if (path := parts.find(chunk.index, chunk.media))}
        todo = [chunk for chunk in chunks if chunk.index not in paths]

        def started() -> Iterator[Chunk]:
            for chunk in todo:
                paths[chunk.index] = parts.path(chunk.index, chunk.media)
                yield chunk

        def finished() -> Iterator[None]:
            for chunk, part in score_chunks(engine, started(), batch_size=batch_size, workers=workers):
                parts.write(paths[chunk.index], part)
                quarantine.add(part, parts)
                yield from [None] * len(part)

        for path in list(paths.values()):
            quarantine.add(pl.read_parquet(path), parts)
        num_todo = sum(len(chunk.items) for chunk in todo)
        for _ in tracked(finished(), "score", total=num_todo):
            pass
        written = _merge([paths[chunk.index] for chunk in chunks], engine, settings, out)
        remove_parts(out)
    resumed = len(table) - num_todo
    return Summary(
        title=f"score: {quarantine.num_read:,} items scored, {quarantine.count:,} quarantined",
        written=written,
        lines=[
            f"model {engine.model_digest[:12]} on {engine.name}",
            *([f"{resumed:,} of them were scored by an earlier run that did not end"] if resumed else []),
            *quarantine.shown(),
        ],
    )


class _Quarantine:
    """Items whose media cannot be read: counted, and an error when they become too many."""

    def __init__(self, *, total: int, max_fraction: float) -> None:
        self.total, self.max_fraction = total, max_fraction
        self.count = self.num_read = 0
        self.first: list[str] = []

    def add(self, part: pl.DataFrame, parts: Parts) -> None:
        lost = part.filter(pl.col("reason").is_not_null())
        self.count += len(lost)
        self.num_read += len(part) - len(lost)
        for item_id, file, reason in lost.head(SHOWN_REASONS).select("item_id", "file", "reason").iter_rows():
            self.first.append(f"item {item_id!r}, {file}: {reason}")
        if self.count > self.max_fraction * self.total or self.count == self.total:
            # The next call shall try them again.
            parts.drop_unread()
            problem = (
                f"the media of {self.count:,} of {self.count + self.num_read:,} items cannot be read; "
                f"max_unreadable_fraction={self.max_fraction:g} allows {int(self.max_fraction * self.total):,} of "
                f"{self.total:,}, and at least one must be readable. The first:"
            )
            raise InputError("\n".join([problem, *self.shown()]))

    def shown(self) -> list[str]:
        more = self.count - SHOWN_REASONS
        return [*self.first[:SHOWN_REASONS], *([f"… and {more:,} more"] if more > 0 else [])]


def _merge(paths: list[Path], engine: Runtime, settings: dict[str, int], out: Path) -> list[Path]:
    table = pl.concat([pl.read_parquet(path) for path in paths])
    failures, scores = out / "failures.parquet", out / "scores.parquet"
    unread = pl.col("reason").is_not_null()
    write_parquet(table.filter(unread).select("item_id", "file", "reason"), failures)
    read = table.filter(~unread)
    metadata = ScoresMetadata(
        model_digest=engine.model_digest,
        runtime=engine.name,
        policy_versions=engine.policy_versions,
        settings=settings,
    )
    policy_ids = list(engine.policy_versions)
    write_scores(scores, Scores(read["item_id"].to_list(), policy_ids, read["logits"].to_numpy(), metadata))
    return [scores, failures]


def _read_all(files: list[Path]) -> pl.DataFrame:
    """Items of all files; InputError for an id that stands in two of them."""
    if not files:
        raise InputError("items: no file given; expected at least one items.parquet or items.jsonl")
    tables = []
    owner: dict[str, int] = {}
    findings = []
    for number, file in enumerate(files):
        table = read_items(file).select(ITEM_COLUMNS)
        tables.append(table)
        for row, item_id in enumerate(table["item_id"], 1):
            if owner.setdefault(item_id, number) != number:
                problem = f"{files[owner[item_id]]} has this item_id too; give each item once"
                findings.append(Finding(file, problem, row, "item_id", item_id))
    if findings:
        raise InputError(findings)
    return pl.concat(tables)


def _fingerprint(engine: Runtime, table: pl.DataFrame, settings: dict[str, int]) -> str:
    """Digest of all that the parts hang on, but for the bytes of media files."""
    return sha256_of_json(
        {
            "model": engine.model_digest,
            "runtime": engine.name,
            "policy_versions": engine.policy_versions,
            "preprocessing": engine.preprocessing.to_dict(),
            "decoders": decoder_versions(),
            "items": hashlib.sha256(table.write_ndjson().encode()).hexdigest(),
            **settings,
        }
    )
