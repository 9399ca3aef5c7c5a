"""What traffic is counted from: Parquet files of scores and earlier traffic files, opened and checked together."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from calibrate.traffic.file import METADATA_KEY, Traffic, TrafficMetadata, open_parquet, open_traffic
from data.errors import Finding, InputError
from data.policy import findings_of
from data.scores import ScoresMetadata, read_scores_metadata


@dataclass(frozen=True)
class ScoresFile:
    """A Parquet file of scores: its policies' columns, and how many rows it has."""

    path: Path
    parquet: pq.ParquetFile
    metadata: ScoresMetadata
    policies: tuple[str, ...]

    @property
    def n_posts(self) -> int:
        """Rows."""
        return int(self.parquet.metadata.num_rows)


def open_sources(paths: list[Path], slices: tuple[str, ...]) -> list[ScoresFile | Traffic]:
    """Open every file; InputError if two are the same, or were not made alike."""
    if not paths:
        raise InputError("scores: no file given; expected at least one scores.parquet or traffic.parquet")
    repeated = [path for place, path in enumerate(paths) if path.resolve() in {p.resolve() for p in paths[:place]}]
    if repeated:
        raise InputError(f"{repeated[0]}: stands twice in scores; its posts would count twice")
    sources: list[ScoresFile | Traffic] = []
    for path in paths:
        parquet = open_parquet(path)
        is_traffic = METADATA_KEY in (parquet.metadata.metadata or {})
        sources.append(open_traffic(path) if is_traffic else _open_scores(path, parquet, slices))
    digests: dict[str, Path] = {}
    for source in sources:
        if isinstance(source, Traffic):
            twin = digests.setdefault(source.digest(), source.path)
            if twin != source.path:
                raise InputError(f"{source.path}: is a copy of {twin}; its posts would count twice")
    first = sources[0]
    for source in sources[1:]:
        for name in ("scale", "model_digest", "runtime"):
            here, there = getattr(source.metadata, name), getattr(first.metadata, name)
            if here != there:
                raise InputError(
                    f"{source.path}, {name} = {here!r}: {first.path} has {there!r}; "
                    "add up traffic of one model and runtime only"
                )
        here, there = _policies(source), _policies(first)
        if here != there:
            raise InputError(
                f"{source.path}: holds the policies {', '.join(here)}; {first.path} holds {', '.join(there)}"
            )
    return sources


def metadata_of(
    sources: list[ScoresFile | Traffic], days: float | None, sampled_share: float, slices: tuple[str, ...]
) -> TrafficMetadata:
    """What the sum of the sources is; days and shares are checked here."""
    earlier = [source for source in sources if isinstance(source, Traffic)]
    n_scored = sum(source.n_posts for source in sources if isinstance(source, ScoresFile))
    if n_scored and days is None:
        raise InputError("days: not set; pass days=…, how many days the scores cover, e.g. days=1 or days=0.5")
    if not n_scored and days is not None:
        raise InputError(f"days = {days:g}: traffic files bring their own days; give it with scores files only")
    if not n_scored and not slices:
        slices = earlier[0].metadata.slices
    for source in earlier:
        if source.metadata.slices != slices:
            raise InputError(
                f"{source.path}: counts the slices {list(source.metadata.slices)}, expected {list(slices)}; "
                "add up files with the same slices"
            )
    all_days = (days or 0.0) + sum(source.metadata.days for source in earlier)
    exposure = (days or 0.0) * sampled_share + sum(source.metadata.exposure for source in earlier)
    first = sources[0]
    try:
        if n_scored:  # on their own first, lest the days of others hide a wrong value
            _described(first, days or 0.0, sampled_share, n_scored, slices)
        share = min(1.0, exposure / all_days)
        n_posts = n_scored + sum(source.metadata.n_posts for source in earlier)
        return _described(first, all_days, share, n_posts, slices)
    except ValidationError as error:
        raise InputError(findings_of("setpoint traffic", error)) from error


def _policies(source: ScoresFile | Traffic) -> tuple[str, ...]:
    return source.metadata.policies if isinstance(source, Traffic) else source.policies


def _open_scores(path: Path, parquet: pq.ParquetFile, slices: tuple[str, ...]) -> ScoresFile:
    schema, metadata = parquet.schema_arrow, read_scores_metadata(path)
    floating = {each.name for each in schema if pa.types.is_floating(each.type)}
    policies = sorted((floating | set(metadata.policy_versions)) - set(slices))
    findings = [
        Finding(path, f"this column is missing; found {', '.join(schema.names)}", None, name)
        for name in [*policies, *slices]
        if name not in schema.names
    ]
    findings += [
        Finding(path, f"expected a column of floating numbers, found {schema.field(name).type}", None, name)
        for name in policies
        if name in schema.names and name not in floating
    ]
    findings += [
        Finding(path, f"a slice needs a column of plain values, found {schema.field(name).type}", None, name)
        for name in slices
        if name in schema.names and pa.types.is_nested(schema.field(name).type)
    ]
    if not policies:
        findings.append(Finding(path, f"no column of scores (floating numbers); found {', '.join(schema.names)}"))
    if parquet.metadata.num_rows == 0:
        findings.append(Finding(path, "no rows; expected at least one scored post"))
    if findings:
        raise InputError(findings)
    return ScoresFile(path, parquet, metadata, tuple(policies))


def _described(
    first: ScoresFile | Traffic, days: float, sampled_share: float, n_posts: int, slices: tuple[str, ...]
) -> TrafficMetadata:
    return TrafficMetadata(
        scale=first.metadata.scale,
        model_digest=first.metadata.model_digest,
        runtime=first.metadata.runtime,
        days=days,
        sampled_share=sampled_share,
        n_posts=n_posts,
        policies=_policies(first),
        slices=slices,
    )
