"""Methods side by side on a classifier's own scores, where simulations flatter: part of bench_guarantee.

The posts that the exported model scored and that it was not trained on are the truth: golden sets are drawn from them
with replacement, scores spread between neighbours so that no two are equal. In the hard variant a share of the labels
of the best-scored 1 % is wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.special import expit, logit

from calibrate import choose_threshold
from data.annotations import read_annotations
from data.items import read_items
from data.labels import derive_labels, label_matrix
from data.policy import load_policies
from data.scores import read_scores
from scripts.bench_draws import Tally
from scripts.bench_peers import has_mapie, mapie_threshold
from scripts.bench_populations import GRID, Array, Population, curve_population

DELTA, PILOT, TOP = 0.05, 600, 0.01
SPREAD = 0.02  # of scores that would be equal
MOST_BEHIND = 0.05  # recall over the oracle's that a default may lose to the best method of its row
Method = Callable[..., float | None]


@dataclass(frozen=True)
class Row:
    """A question: which posts, which target, from which part of the scores, how many labels."""

    policy_id: str
    target: float
    top: float
    n: int
    label_errors: float


ROWS = [
    Row(policy_id, target, top, n, label_errors)
    for policy_id, target, top, sizes in (
        ("hateful_text", 0.9, 1.0, (500, 2000)),
        ("hateful_text", 0.9, 0.4, (300, 1000)),
        ("hateful_text", 0.8, 1.0, (500, 2000)),
        ("firearms", 0.95, 1.0, (500, 2000)),
        ("fire_hazard", 0.95, 1.0, (500, 2000)),
        ("physical_fight", 0.5, 0.2, (300, 1000)),
    )
    for label_errors in (0.0, 0.3)
    for n in sizes
]


def _empirical(scores: Array, labels: Array, *, target: float, **_: Any) -> float | None:
    order = np.argsort(-scores)
    right = np.cumsum(labels[order])
    kept = np.flatnonzero(right >= target * np.arange(1, len(scores) + 1) - 1e-9)
    return float(scores[order][kept[-1]]) if len(kept) else None


def _mapie(scores: Array, labels: Array, *, target: float, **_: Any) -> float | None:
    found = mapie_threshold(expit(scores), labels, target=target, delta=DELTA, mode="Holm")
    return None if found is None else float(logit(np.clip(found, 1e-6, 1 - 1e-6)))


def _chosen(method: str, *, with_pilot: bool) -> Method:
    def choose(scores: Array, labels: Array, *, target: float, pilot: tuple[Array, Array]) -> float | None:
        planned = {"pilot_scores": pilot[0], "pilot_labels": pilot[1]} if with_pilot else {}
        point = choose_threshold(
            scores,
            labels,
            target_precision=target,
            confidence=1 - DELTA,
            method=method,  # type: ignore[arg-type]
            **planned,  # type: ignore[arg-type]
        )
        return point.threshold

    return choose


# The first of each class is its default.
WITHOUT: dict[str, Method] = {
    "default": _chosen("auto", with_pilot=False),
    "walk": _chosen("walk", with_pilot=False),
    "betting": _chosen("betting", with_pilot=False),
}
WITH: dict[str, Method] = {
    "default, pilot": _chosen("auto", with_pilot=True),
    "walk, pilot": _chosen("walk", with_pilot=True),
    "betting, pilot": _chosen("betting", with_pilot=True),
}
METHODS = {"empirical": _empirical, **({"MAPIE": _mapie} if has_mapie() else {}), **WITHOUT, **WITH}


def scored_posts(root: Path, data: Path) -> dict[str, tuple[Array, Array]]:
    """Scores and labels, falling by score, of each policy's labelled posts outside the training part."""
    policies = load_policies(data / "policies")
    policy_ids = [policy.policy_id for policy in policies]
    scores = read_scores(root / "scores" / "scores.parquet", policy_ids)
    items = read_items(data / "items.parquet")
    annotations = read_annotations(data / "annotations.parquet", items, policies)
    labels = label_matrix(scores.item_ids, derive_labels(annotations, policies), policy_ids)
    trained = set(pl.read_parquet(root / "split" / "train" / "items.parquet", columns=["item_id"])["item_id"])
    fresh = np.array([item_id not in trained for item_id in scores.item_ids])
    found = {}
    for column, policy_id in enumerate(policy_ids):
        known = fresh & ~np.isnan(labels[:, column])
        order = np.argsort(-scores.values[known, column], kind="stable")
        found[policy_id] = (
            scores.values[known, column][order].astype(np.float64),
            labels[known, column][order].astype(np.float64),
        )
    return found


def _population(row: Row, labels: Array) -> Population:
    """Uniform ranks from 1, the best, down to 0, violating as the posts there do."""
    kept = labels[: max(1, round(row.top * len(labels)))]
    if row.label_errors:
        wrong = max(1, round(TOP * len(labels)))
        kept = np.concatenate([kept[:wrong] * (1 - row.label_errors), kept[wrong:]])
    return curve_population(
        row.policy_id, lambda z: kept[np.clip(((1 - z) * len(kept)).astype(int), 0, len(kept) - 1)]
    )


def real_scores(tally: Tally, draws: int, root: Path, data: Path) -> None:
    """Print recall over the oracle's of every method; a default far behind the best of its class is a failure.

    Violations are judged with those of the other cases.
    """
    posts = scored_posts(root, data)
    print(
        f"\n{'moderation-mini: recall over the oracle, (violations)':54}" + "".join(f"{name:>17}" for name in METHODS)
    )
    for row in ROWS:
        scores, labels = posts[row.policy_id]
        population = _population(row, labels)
        oracle = population.oracle_recall(row.target)
        kept = scores[: max(1, round(row.top * len(scores)))]
        places = (np.arange(len(kept)) + 0.5) / len(kept)

        def served(ranks: Array, places: Array = places, rising: Array = kept[::-1]) -> Array:
            return np.interp(ranks, places, rising) + SPREAD * ranks

        random = np.random.default_rng([row.n, round(100 * row.target)])
        caught: dict[str, list[float]] = {name: [] for name in METHODS}
        wrong = dict.fromkeys(METHODS, 0)
        for _ in range(draws):
            (ranks, truth), (pilot_ranks, pilot_truth) = (
                tuple(part[0] for part in population.draw(random, (1, size))) for size in (row.n, PILOT)
            )
            pilot = (served(pilot_ranks), pilot_truth)
            for name, method in METHODS.items():
                threshold = method(served(ranks), truth, target=row.target, pilot=pilot)
                if threshold is None:
                    caught[name].append(0.0)
                    continue
                place = np.array(np.interp(threshold, served(GRID), GRID))
                caught[name].append(float(population.recall_at(place)) / oracle)
                wrong[name] += bool(population.precision_at(place) < row.target - 1e-3)
        title = f"{row.policy_id} {row.target}, top {row.top:.0%}, {row.n:,}"
        title += f", {row.label_errors:.0%} wrong on top" if row.label_errors else ""
        means = {name: float(np.mean(each)) for name, each in caught.items()}
        cells = "".join(f"{means[name]:10.3f} ({wrong[name] / draws:.2f})" for name in METHODS)
        print(f"{title:54} {cells}", flush=True)
        for group in (WITHOUT, WITH):
            default, best = next(iter(group)), max(group, key=lambda name: means[name])
            tally.rows.append((f"{title}, {default}", wrong[default], draws, DELTA, wrong["empirical"] / draws))
            gap = np.array(caught[best]) - np.array(caught[default])
            if gap.mean() - 3 * gap.std() / np.sqrt(draws) > MOST_BEHIND:
                tally.failures.append(f"{title}: {default} {means[default]:.3f}, {best} {means[best]:.3f}")
