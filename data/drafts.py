"""Drafts: samples drawn from a scored pool, to be labelled and then frozen as a golden set.

A draft is a folder: `items.parquet`, with inclusion_prob and stratum, and `draft.yaml`, which says how it was drawn.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import yaml
from pydantic import Field, FiniteFloat, ValidationError

from data.errors import InputError
from data.files import atomic_file, atomic_folder, existing_file, sha256_of_file
from data.golden import Design, ScoredBy
from data.items import write_items
from data.policy import Identifier, Strict, findings_of
from data.pool import drawn_items, not_excluded, read_column
from data.sampling import draw_sample
from data.scores import read_scores_metadata

DRAFT_FILE = "draft.yaml"


class StratumRecord(Strict):
    """One stratum, the highest scores first; see `data.sampling.Stratum`."""

    name: str
    lowest_score: float
    n_population: int
    n_drawn: int
    inclusion_prob: float


class Draft(Strict):
    """The content of `draft.yaml`.

    Attributes:
        name: of the golden set that this becomes.
        version: of it.
        design: `simple_random` or `stratified` by score.
        population: which posts the pool holds, in a few words.
        floor: lowest score that could be drawn; None for all of the pool.
        scored_by: whose scores floor and strata stand on.
        pool_sha256: digest of the pool's file.
        n_pool: posts in the pool.
        n_excluded: those of them that could not be drawn whatever they score.
        n_population: posts that could be drawn.
        strata: one for a simple random sample.
        seed: of the draw.
        items_sha256: digest of `items.parquet`.
    """

    format: Literal["setpoint/draft/v1"] = Field(alias="schema")
    name: Identifier
    version: Identifier
    design: Design
    population: str
    floor: FiniteFloat | None
    scored_by: ScoredBy
    pool_sha256: str
    n_pool: int
    n_excluded: int
    n_population: Annotated[int, Field(gt=0)]
    strata: tuple[StratumRecord, ...]
    seed: int
    items_sha256: str


@dataclass(frozen=True)
class Order:
    """What to draw.

    Attributes:
        name: of the golden set to be.
        version: of it.
        design: `simple_random` or `stratified`.
        population: in a few words.
        policy_id: whose score it is drawn by.
        floor: lowest score that may be drawn, on the scale of the scores; None for all.
        size: posts to draw; or one number a stratum.
        n_strata: strata of design `stratified`.
        seed: the same pool, order and seed give the same sample.
    """

    name: str
    version: str
    design: Design
    population: str
    policy_id: str
    floor: float | None
    size: int | list[int]
    n_strata: int
    seed: int


def draw_draft(folder: Path, *, pool: Path, items: Path, exclude: list[Path], order: Order) -> Draft:
    """Draw from a pool and write the draft; of the pool, one column of scores is held in memory.

    Args:
        folder: to write; another draft that stands there is never replaced.
        pool: scores as Parquet.
        items: the pool's items, `.parquet` or `.jsonl`; only the drawn ones need to be there.
        exclude: items that must not be drawn, such as those that the model learned from.
        order: what to draw.

    Raises:
        InputError: a file is wrong, the pool holds too few posts for the order, or a drawn post is not in `items`.
    """
    pool = existing_file(pool)
    scores = read_column(pool, order.policy_id)
    allowed = not_excluded(pool, exclude, len(scores))
    eligible = allowed if order.floor is None else allowed & (scores >= np.float32(order.floor))
    try:
        n_strata = order.n_strata if order.design == "stratified" else 1
        sample = draw_sample(scores, eligible, size=order.size, n_strata=n_strata, seed=order.seed)
    except ValueError as error:
        reach = "" if order.floor is None else f" with a score of {order.policy_id} of at least floor={order.floor}"
        raise InputError(
            f"{pool}: {int(eligible.sum()):,} of {len(scores):,} posts can be drawn{reach}; {error}"
        ) from error
    drawn = drawn_items(pool, items, sample)
    metadata = read_scores_metadata(pool)
    record = Draft(
        schema="setpoint/draft/v1",
        name=order.name,
        version=order.version,
        design=order.design,
        population=order.population,
        floor=order.floor,
        scored_by=ScoredBy(
            policy_id=order.policy_id,
            scale=metadata.scale,
            model_digest=metadata.model_digest,
            runtime=metadata.runtime,
        ),
        pool_sha256=sha256_of_file(pool),
        n_pool=len(scores),
        n_excluded=len(scores) - int(allowed.sum()),
        n_population=int(eligible.sum()),
        strata=tuple(
            StratumRecord(
                name=part.name,
                lowest_score=part.lowest_score,
                n_population=part.n_population,
                n_drawn=part.n_drawn,
                inclusion_prob=part.inclusion_prob,
            )
            for part in sample.strata
        ),
        seed=order.seed,
        items_sha256="",
    )
    with atomic_folder(folder) as temporary:
        write_items(drawn, temporary / "items.parquet")
        record = record.model_copy(update={"items_sha256": sha256_of_file(temporary / "items.parquet")})
        if folder.exists() and read_draft(folder / "items.parquet") != record:
            raise InputError(f"{folder}: holds another draft, which may be at its annotators; use a new version=")
        with atomic_file(temporary / DRAFT_FILE) as file:
            content = record.model_dump(mode="json", by_alias=True)
            file.write_text(yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    return record


def read_draft(items: Path) -> Draft | None:
    """The draft that an items file is of; None if no `draft.yaml` stands beside it.

    Raises:
        InputError: `draft.yaml` is wrong, or the items are not those that were drawn.
    """
    file = items.parent / DRAFT_FILE
    if not file.is_file():
        return None
    try:
        draft = Draft.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not a YAML file") from error
    except ValidationError as error:
        raise InputError(findings_of(file, error)) from error
    if not items.is_file() or sha256_of_file(items) != draft.items_sha256:
        raise InputError(
            f"{items}: not the sample that {file} speaks of. Freeze the items as they were drawn: those without a "
            "label stay among them, and count as unknown"
        )
    return draft
