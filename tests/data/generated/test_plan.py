"""Shares, near-duplicates and labels of a whole plan of 2,400 posts; nothing is drawn."""

from collections import Counter, defaultdict
from random import Random

import pytest

from data.generated.annotators import annotate
from data.generated.plan import plan_posts

POLICY_IDS = ["contact_details", "flashing", "restricted_sale", "scam_phrases"]
CODES = {
    "contact_details": ["CD1", "CD2"],
    "flashing": ["FL1", "FL2"],
    "restricted_sale": ["RS1"],
    "scam_phrases": ["SP1", "SP2"],
}


@pytest.fixture(scope="module")
def posts():
    return plan_posts(2400, 0)


@pytest.fixture(scope="module")
def rows(posts):
    return annotate(Random("labels"), posts, CODES)


@pytest.mark.parametrize(
    ("policy_id", "low", "high"),
    [
        ("contact_details", 0.06, 0.11),
        ("flashing", 0.09, 0.15),
        ("restricted_sale", 0.13, 0.2),
        ("scam_phrases", 0.2, 0.26),
    ],
)
def test_prevalence(posts, policy_id, low, high):
    assert low < sum(policy_id in post.violates for post in posts) / len(posts) < high


def test_shares_of_media_and_captions(posts):
    clips = [post for post in posts if post.media_type == "video"]
    carousels = [post for post in posts if len(post.media) > 1]
    assert 0.22 < len(clips) / len(posts) < 0.28
    assert 0.12 < len(carousels) / len(posts) < 0.18
    assert {len(post.media) for post in carousels} == {2, 3, 4}
    assert all(len(post.media) == 1 for post in clips)
    assert 0.82 < sum(post.caption is not None for post in posts) / len(posts) < 0.88
    assert {medium.name[-4:] for post in posts for medium in post.media} == {".jpg", ".png", ".mp4"}


def test_captions_are_rarely_repeated(posts):
    originals = {post.cluster_id: post.caption for post in posts if post.caption is not None}
    counts = Counter(caption.lower() for caption in originals.values())
    assert len(counts) > 0.8 * len(originals)
    assert not any("{" in caption for caption in counts)


def test_restricted_sale_needs_the_picture_and_the_caption(posts):
    showing = [any(medium.thing == "product" for medium in post.media) for post in posts]
    violating = ["restricted_sale" in post.violates for post in posts]
    shown_only = sum(shown and not wrong for shown, wrong in zip(showing, violating, strict=True))
    assert shown_only > 0.08 * len(posts)
    assert all(shown for shown, wrong in zip(showing, violating, strict=True) if wrong)
    assert all(post.caption for post, wrong in zip(posts, violating, strict=True) if wrong)


def test_near_duplicates_share_cluster_creator_and_truth_but_no_file(posts):
    clusters = defaultdict(list)
    for post in posts:
        clusters[post.cluster_id].append(post)
    repeated = [group for group in clusters.values() if len(group) > 1]
    assert 0.05 < sum(len(group) - 1 for group in repeated) / len(posts) < 0.1
    for group in repeated:
        assert len({post.creator_id for post in group}) == 1
        assert len({tuple(sorted(post.violates.items())) for post in group}) == 1
        assert len({medium.name for post in group for medium in post.media}) == sum(len(p.media) for p in group)
        assert len({medium.seed for post in group for medium in post.media}) == len(group[0].media)
        assert sum(post.media[0].alteration is None for post in group) == 1


def test_creators_post_several_times_but_none_dominates(posts):
    counts = Counter(post.creator_id for post in posts)
    assert 300 < len(counts) < 1200
    assert max(counts.values()) < 0.02 * len(posts)


def test_about_an_eighth_of_the_labels_is_missing(posts, rows):
    labelled = {(row["item_id"], row["policy_id"]) for row in rows}
    assert len(labelled) / (4 * len(posts)) == pytest.approx(0.88, abs=0.01)


def test_votes_are_blind_by_distinct_reviewers_and_only_disputes_are_adjudicated(rows):
    votes = defaultdict(list)
    for row in rows:
        votes[row["item_id"], row["policy_id"]].append(row)
    disputes = adjudicated = ties = 0
    for group in votes.values():
        blind = [row for row in group if row["round"] == "blind"]
        assert 1 <= len({row["annotator_id"] for row in blind}) == len(blind) <= 3
        counts = Counter(row["value"] for row in blind)
        disputed = counts["violating"] > 0 and counts["not_violating"] > 0
        disputes += disputed
        adjudicated += len(group) > len(blind)
        ties += disputed and counts["violating"] == counts["not_violating"] and len(group) == len(blind)
        assert disputed or len(group) == len(blind)
        assert [row["annotated_at"] for row in group] == sorted(row["annotated_at"] for row in group)
    assert 0.4 < adjudicated / disputes < 0.8
    assert ties > 0
    values = Counter(row["value"] for row in rows)
    assert 0 < values["unreviewable"] < values["unsure"] < 0.03 * len(rows)


def test_reviewers_err_a_little_and_give_reasons_of_the_policy(posts, rows):
    violates = {post.item_id: post.violates for post in posts}
    wrong = judged = 0
    for row in rows:
        if row["value"] in {"violating", "not_violating"}:
            judged += 1
            wrong += (row["value"] == "violating") != (row["policy_id"] in violates[row["item_id"]])
        expected = CODES[row["policy_id"]] if row["value"] == "violating" else [None]
        assert row["reason_code"] in expected
        assert row["policy_version"] == "1.0.0"
    assert 0.003 < wrong / judged < 0.03
