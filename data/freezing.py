"""The verb `golden`: draw a sample to label from a scored pool, or freeze a labelled sample as a golden set."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import ValidationError

from data.annotations import read_annotations
from data.drafts import Draft, Order, draw_draft, read_draft
from data.errors import InputError
from data.golden import Design, GoldenDescription, ScoredBy, check_floor, freeze_golden
from data.items import read_items
from data.labels import agreement, derive_labels
from data.policy import Policy, findings_of, load_policies
from data.scores import read_scores
from data.summary import Summary

UNNAMED = "unnamed population"


def golden(
    *,
    items: Path,
    annotations: Path | None,
    policies: Path,
    name: str,
    version: str,
    design: Design | None,
    population: str | None,
    population_size: int | None,
    expires_at: date | None,
    out: Path,
    pool: Path | None = None,
    policy: str | None = None,
    floor: float | None = None,
    size: int | list[int] | None = None,
    strata: int = 5,
    exclude: list[Path] | None = None,
    seed: int = 0,
    floor_scores: Path | None = None,
) -> Summary:
    """Draw a sample to label (with `pool`), or freeze a labelled sample as a golden set (without).

    Drawn: `out/NAME/VERSION-draft/`, from the posts of the pool whose score of `policy` is at least `floor`. Its
    `items.parquet` goes to the annotators, and comes back as `items`: what `draft.yaml` beside it says of the draw is
    then frozen with the labels, as `out/NAME/VERSION/`.

    A sample that was drawn elsewhere needs `design`, and where it was drawn above a floor `floor`, `policy` and
    `floor_scores`. Its items without `inclusion_prob` are taken at your word that each had the same chance (design
    simple_random): n / population_size where that is given, else 1, the sample being the whole population.

    Raises:
        InputError: for wrong input, or when another golden set or draft has this name and version.
    """
    all_policies = load_policies(policies)
    _check_named(policy, all_policies)
    if pool is None:
        _refuse("without pool=, from which to draw", {"size": size, "exclude": exclude or None})
    else:
        _refuse(
            "with pool=",
            {"population_size": population_size, "expires_at": expires_at, "floor_scores": floor_scores},
        )
    description: dict[str, Any] = {"name": name, "version": version, "expires_at": expires_at}
    if pool is not None:
        if policy is None or size is None:
            raise InputError("pool=…: drawing needs policy=, whose score counts, and size=, how many posts to draw")
        described = {**description, "design": design or "simple_random", "population": population or UNNAMED}
        checked = _description(described)
        order = Order(
            checked.name, checked.version, checked.design, checked.population, policy, floor, size, strata, seed
        )
        return _draw(out, pool, items, exclude or [], order)
    if annotations is None:
        raise InputError(
            "annotations=null: a golden set is frozen with its labels; to draw posts to label give pool="
        )
    draft = read_draft(items)
    if draft:
        _refuse(f"with a draft, whose {items.parent / 'draft.yaml'} says it", {"floor": floor, "policy": policy})
        if design not in (None, draft.design):
            raise InputError(f"design={design}: the draft beside {items} was drawn as {draft.design}")
        description |= _of_draft(draft)
        description["population"] = population or draft.population
    else:
        description |= {"design": design or "simple_random", "population": population or UNNAMED, "floor": floor}
    all_items = read_items(items)
    if not draft:
        description["scored_by"] = _floor_elsewhere(all_items, floor, policy, floor_scores)
        description["n_population"] = population_size
        all_items = _with_inclusion(all_items, population_size)
    # A file of annotations may speak of more posts than were drawn, but not of other posts than a sample's own.
    every = read_annotations(annotations, None if draft else all_items, all_policies)
    own = every.filter(pl.col("item_id").is_in(all_items["item_id"].implode()))
    summary = _freeze(out, all_items, own, all_policies, description)
    if len(own) < len(every):
        summary.lines.append(f"{len(every) - len(own):,} annotations of posts that were not drawn are left out")
    return summary


def _draw(out: Path, pool: Path, items: Path, exclude: list[Path], order: Order) -> Summary:
    folder = out / order.name / f"{order.version}-draft"
    draft = draw_draft(folder, pool=pool, items=items, exclude=exclude, order=order)
    reach = "" if order.floor is None else f" of those that score at least {order.floor} under {order.policy_id}"
    drawn = sum(part.n_drawn for part in draft.strata)
    lines = [
        f"stratum {part.name}: {part.n_drawn:,} of {part.n_population:,} posts from {part.lowest_score:.4g} on, "
        f"each with probability {part.inclusion_prob:.4g}"
        for part in draft.strata
    ]
    if draft.n_excluded:
        lines.append(f"{draft.n_excluded:,} posts of the pool were excluded")
    lines.append(
        f"label them all, then: setpoint golden items={folder / 'items.parquet'} annotations=… name=… version=…"
    )
    return Summary(
        f"golden: {drawn:,} posts drawn{reach}, {draft.n_population:,} of {draft.n_pool:,}", [folder], lines
    )


def _freeze(
    out: Path, items: pl.DataFrame, annotations: pl.DataFrame, policies: list[Policy], description: dict[str, Any]
) -> Summary:
    checked = _description(description)
    folder = out / checked.name / checked.version
    record = freeze_golden(folder, items, annotations, policies, checked)
    lines = []
    labels = derive_labels(annotations, policies)
    for policy in policies:
        known = labels.filter(pl.col("policy_id") == policy.policy_id)["label"].drop_nulls()
        alpha = agreement(annotations, policy)
        lines.append(
            f"{policy.policy_id}: {int(known.sum())} violating of {len(known)} known, "
            f"{len(items) - len(known)} unknown, "
            + (f"Krippendorff's alpha {alpha:.2f}" if alpha is not None else "too few votes for an agreement")
        )
    if checked.scored_by is not None:
        about = f"drawn by the scores of {checked.scored_by.policy_id}"
        about += "" if checked.floor is None else f" from {checked.floor} on"
        lines.append(f"{about}: evidence for that policy alone")
    return Summary(
        f"golden: {checked.name} {checked.version} frozen with {record.n_items} items, digest {record.digest[:12]}",
        [folder],
        lines,
    )


def _of_draft(draft: Draft) -> dict[str, Any]:
    return {
        "design": draft.design,
        "floor": draft.floor,
        # A simple random sample of the whole pool has looked at no score: it is evidence for every policy.
        "scored_by": None if draft.floor is None and draft.design == "simple_random" else draft.scored_by,
        "n_population": draft.n_population,
    }


def _floor_elsewhere(
    items: pl.DataFrame, floor: float | None, policy: str | None, floor_scores: Path | None
) -> ScoredBy | None:
    """On whose scores the floor of a sample stands that was not drawn here; its items are checked against it."""
    given = {"floor": floor, "policy": policy, "floor_scores": floor_scores}
    missing = [key for key, value in given.items() if value is None]
    if len(missing) == len(given):
        return None
    if floor is None or policy is None or floor_scores is None:
        raise InputError(f"{', '.join(missing)} not set; a floor needs floor=, policy= and floor_scores= together")
    scores = read_scores(floor_scores, [policy])
    check_floor(scores, floor_scores, items["item_id"].to_list(), floor, policy)
    metadata = scores.metadata
    return ScoredBy(
        policy_id=policy, scale=metadata.scale, model_digest=metadata.model_digest, runtime=metadata.runtime
    )


def _with_inclusion(items: pl.DataFrame, population_size: int | None) -> pl.DataFrame:
    if items["inclusion_prob"].null_count() < len(items):
        _refuse("with items that state their inclusion_prob", {"population_size": population_size})
        return items
    if population_size is not None and population_size < len(items):
        raise InputError(f"population_size={population_size}: smaller than the sample of {len(items)} items")
    return items.with_columns(inclusion_prob=pl.lit(len(items) / (population_size or len(items))))


def _description(content: dict[str, Any]) -> GoldenDescription:
    try:
        return GoldenDescription.model_validate(content)
    except ValidationError as error:
        raise InputError(findings_of("golden", error)) from error


def _check_named(policy_id: str | None, policies: list[Policy]) -> None:
    known = [policy.policy_id for policy in policies]
    if policy_id is not None and policy_id not in known:
        raise InputError(f"policy={policy_id}: no such policy; found {', '.join(known)}")


def _refuse(why: str, keys: dict[str, object]) -> None:
    given = [f"{key}={value}" for key, value in keys.items() if value is not None]
    if given:
        raise InputError(f"{', '.join(given)}: of no use {why}")
