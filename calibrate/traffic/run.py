"""The verb `traffic`: scores of any number of posts in, histograms of a few megabytes out.

Scores are read policy by policy in batches: memory hangs on the number of slices, not on the number of posts.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from calibrate.bounds import IntArray
from calibrate.ranks.ranked import Scores
from calibrate.traffic.file import METADATA_KEY, SCHEMA, PolicyTraffic, Slice, Traffic, rows_of, unreadable
from calibrate.traffic.histogram import BIN_COUNT, Counter, bin_indices, first_wrong
from calibrate.traffic.sources import ScoresFile, metadata_of, open_sources
from data.errors import Finding, InputError
from data.files import atomic_file
from data.progress import tracked
from data.summary import Summary

BATCH = 1 << 20  # scores read at once
MOST_VALUES = 300  # of one slice column: each holds half a megabyte while a policy is counted


def traffic(
    *,
    scores: list[Path] | Path,
    out: Path,
    days: float | None = None,
    sampled_share: float = 1.0,
    slices: tuple[str, ...] = (),
) -> Summary:
    """Count the scores of traffic in histograms, and add up histograms of earlier days.

    Scores files hold one row a post: the policies' scores as `setpoint score` writes them, or as a serving team logs
    them. Policies are those that the file's metadata names and all other columns of floating numbers; the columns
    of `slices`, such as the market, stand beside them in the same file, where serving knows them. `item_id` is not
    read: a post that stands twice counts twice.

    Args:
        scores: one Parquet file of scores or traffic, or several; all of one model, runtime and scale.
        out: the file to write.
        days: that the scores files cover together; traffic files bring their own, and all are added up.
        sampled_share: share of all posts of these days that the scores files hold, drawn at random.
        slices: columns whose values are counted apart. A null belongs to no slice.

    Returns:
        A summary with counts.

    Raises:
        InputError: a file is wrong, or the files do not belong together.
    """
    columns = tuple(sorted(set(slices)))
    sources = open_sources(scores if isinstance(scores, list) else [scores], columns)
    metadata = metadata_of(sources, days, sampled_share, columns)
    found: set[Slice] = set()

    def counted(writer: pq.ParquetWriter) -> Iterator[None]:
        for policy_id in metadata.policies:
            counter = Counter(metadata.scale)
            parts: dict[Slice, IntArray] = {}
            for source in sources:
                if isinstance(source, Traffic):
                    earlier = source.of(policy_id)
                    counter.counts += earlier.counts
                    for part, counts in earlier.slices.items():
                        _add(parts, part, counts)
                else:
                    yield from _count(source, policy_id, metadata.slices, counter, parts)
            found.update(parts)
            writer.write_table(rows_of(policy_id, PolicyTraffic(counter.counts, parts)))

    batches = sum(-(-source.n_posts // BATCH) for source in sources if isinstance(source, ScoresFile))
    schema = SCHEMA.with_metadata({METADATA_KEY: metadata.model_dump_json(by_alias=True)})
    with atomic_file(out) as file, pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for _ in tracked(counted(writer), "traffic, million scores", total=len(metadata.policies) * batches):
            pass
    share = "all posts" if metadata.sampled_share == 1 else f"{100 * metadata.sampled_share:.4g} % of all posts"
    n_policies = len(metadata.policies)
    return Summary(
        f"traffic: {metadata.n_posts:,} posts of {metadata.days:g} days counted for {n_policies} policies",
        [out],
        [
            f"scores by {metadata.runtime or 'a model of unknown runtime'}, {metadata.scale} scale, {share}: "
            f"about {metadata.n_posts / metadata.exposure:,.0f} posts a day",
            f"policies: {', '.join(metadata.policies)}",
            *(f"slice {by}: {sum(column == by for column, _ in found):,} values" for by in metadata.slices),
        ],
    )


def _count(
    source: ScoresFile, policy_id: str, slices: tuple[str, ...], counter: Counter, parts: dict[Slice, IntArray]
) -> Iterator[None]:
    """Add one policy's scores of a file to `counter` and `parts`, batch by batch."""
    row = 0
    batches = source.parquet.iter_batches(BATCH, columns=[policy_id, *slices], use_threads=False)
    while True:
        try:
            batch = next(batches, None)
        except (pa.ArrowException, OSError) as error:
            raise unreadable(source.path, error) from error
        if batch is None:
            return
        column = batch.column(policy_id)
        with np.errstate(over="ignore"):  # too large for float32 is infinite, and refused
            scores = column.to_numpy(zero_copy_only=False).astype(np.float32, copy=False)
        try:
            counter.add(scores)
        except ValueError as error:
            raise _wrong_score(source, policy_id, column, scores, row) from error
        if slices:
            bins = bin_indices(scores, scale=source.metadata.scale)
            for by in slices:
                _count_slices(source, by, batch.column(by), bins, parts)
        row += len(batch)
        yield


def _wrong_score(source: ScoresFile, policy_id: str, column: pa.Array, scores: Scores, row: int) -> InputError:
    place = first_wrong(scores, source.metadata.scale)
    assert place is not None
    expected = "a finite number" if source.metadata.scale == "logit" else "a probability from 0 to 1"
    problem = f"expected {expected}; leave out posts without a score, and columns that are no policy's scores"
    value = column[place].as_py()
    return InputError(
        [Finding(source.path, problem, row + place + 1, policy_id, "missing" if value is None else value)]
    )


def _count_slices(
    source: ScoresFile, by: str, column: pa.Array, bins: NDArray[np.intp], parts: dict[Slice, IntArray]
) -> None:
    """Add the bins of a batch to the histograms of the values of one column."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    names = encoded.dictionary.to_pylist()
    codes = encoded.indices.fill_null(len(names)).to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(names)), side="right").tolist()
    for name, start, end in zip(names, [0, *ends], ends, strict=False):
        if name is not None and start < end:
            _add(parts, (by, str(name)), np.bincount(bins[order[start:end]], minlength=BIN_COUNT))
    if sum(each == by for each, _ in parts) > MOST_VALUES:
        raise InputError(f"{source.path}, {by}: more than {MOST_VALUES} values; a slice is a market or a language")


def _add(parts: dict[Slice, IntArray], part: Slice, counts: IntArray) -> None:
    if part in parts:
        parts[part] += counts
    else:
        parts[part] = counts
