"""Writes generated posts to disk: media, items, annotations, policies, and the truth for benchmarks."""

from importlib.resources import files
from pathlib import Path
from random import Random

import polars as pl
import yaml

from data.errors import InputError
from data.files import atomic_folder
from data.generated.annotators import annotate
from data.generated.drawing import write_media
from data.generated.plan import Post, plan_posts

WRITTEN = {"items.parquet", "annotations.parquet", "truth.parquet", "policies", "media"}
MOMENT = pl.Datetime("us", "UTC")
ITEM_SCHEMA = pl.Schema(
    {
        "item_id": pl.String(),
        "media": pl.List(pl.String),
        "media_type": pl.String(),
        "caption": pl.String(),
        "market": pl.String(),
        "language": pl.String(),
        "creator_id": pl.String(),
        "cluster_id": pl.String(),
        "created_at": MOMENT,
        "views": pl.Int64(),
        "source": pl.String(),
    }
)
ANNOTATION_SCHEMA = pl.Schema(
    {
        "item_id": pl.String(),
        "policy_id": pl.String(),
        "policy_version": pl.String(),
        "annotator_id": pl.String(),
        "source": pl.String(),
        "value": pl.String(),
        "reason_code": pl.String(),
        "round": pl.String(),
        "annotated_at": MOMENT,
    }
)
TRUTH_SCHEMA = pl.Schema({"item_id": pl.String(), "policy_id": pl.String(), "violating": pl.Boolean()})


def generate_posts(out: Path, *, count: int = 2400, seed: int = 0) -> None:
    """Write synthetic posts for four policies, with labels by three simulated reviewers.

    `out` receives items.parquet, annotations.parquet, policies/, media/, and truth.parquet (item_id, policy_id,
    violating), which no verb reads. One seed gives the same bytes each time. Needs no network.

    Args:
        out: folder to write; an earlier result there is replaced.
        count: number of posts, near-duplicates included.
        seed: source of every choice.

    Raises:
        InputError: `count` is below 1, or `out` holds other files, which would be lost.
    """
    out = Path(out)
    if count < 1:
        raise InputError(f"count = {count}: expected at least 1 post")
    if out.exists() and (not out.is_dir() or {entry.name for entry in out.iterdir()} - WRITTEN):
        raise InputError(f"{out}: holds other files than generated posts; name a new or an empty folder")
    posts = plan_posts(count, seed)
    reason_codes = _reason_codes()
    with atomic_folder(out) as folder:
        for name in ("policies", "media/photos", "media/clips"):
            (folder / name).mkdir(parents=True)
        for name, text in _policy_texts().items():
            (folder / "policies" / name).write_text(text, encoding="utf-8")
        _write_tables(folder, posts, annotate(Random(f"annotations {seed}"), posts, reason_codes), reason_codes)
        write_media([medium for post in posts for medium in post.media], folder)


def _write_tables(
    folder: Path, posts: list[Post], annotations: list[dict[str, object]], reason_codes: dict[str, list[str]]
) -> None:
    items = [
        {name: getattr(post, name) for name in ITEM_SCHEMA} | {"media": [medium.name for medium in post.media]}
        for post in posts
    ]
    truth = [
        {"item_id": post.item_id, "policy_id": policy_id, "violating": policy_id in post.violates}
        for post in posts
        for policy_id in reason_codes
    ]
    pl.DataFrame(items, schema=ITEM_SCHEMA).write_parquet(folder / "items.parquet")
    pl.DataFrame(annotations, schema=ANNOTATION_SCHEMA).write_parquet(folder / "annotations.parquet")
    pl.DataFrame(truth, schema=TRUTH_SCHEMA).write_parquet(folder / "truth.parquet")


def _policy_texts() -> dict[str, str]:
    folder = files("data.generated").joinpath("policies")
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return {entry.name: entry.read_text(encoding="utf-8") for entry in sorted(found, key=lambda entry: entry.name)}


def _reason_codes() -> dict[str, list[str]]:
    policies = [yaml.safe_load(text) for text in _policy_texts().values()]
    return {policy["policy_id"]: [rule["code"] for rule in policy["violates"]] for policy in policies}
