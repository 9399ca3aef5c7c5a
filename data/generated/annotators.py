"""Three simulated reviewers and a senior one: who labels what, who errs, and where nobody looks."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from data.generated.plan import Post

POLICY_VERSION = "1.0.0"
MISSING_SHARE = 0.12
NUM_VOTES = {3: 0.6, 2: 0.3, 1: 0.1}
UNSURE_SHARE = {"plain": 0.003, "look_alike": 0.02, "hard": 0.06}
UNREVIEWABLE_SHARE = 0.004
ADJUDICATED_SHARE = 0.6
# The chance of a wrong vote, of a reviewer with carelessness 1.
MISS = {"plain": 0.01, "hard": 0.12}
FALSE_ALARM = {"plain": 0.003, "look_alike": 0.02, "hard": 0.06}


@dataclass(frozen=True)
class Annotator:
    """A reviewer.

    Attributes:
        carelessness: factor on the chances of a wrong vote.
        strictness: factor on false alarms, and divisor of misses.
    """

    annotator_id: str
    carelessness: float
    strictness: float


REVIEWERS = [
    Annotator("reviewer_a", carelessness=0.6, strictness=1.0),
    Annotator("reviewer_b", carelessness=1.0, strictness=1.6),
    Annotator("reviewer_c", carelessness=1.5, strictness=0.7),
]
SENIOR = Annotator("senior_reviewer", carelessness=0.35, strictness=1.0)


@dataclass(frozen=True)
class _Question:
    """One post under one policy, as a reviewer meets it: the true reason code, or None where it is allowed."""

    post: Post
    policy_id: str
    reason_code: str | None
    difficulty: str
    possible_codes: list[str]


def annotate(rng: Random, posts: list[Post], reason_codes: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Label the posts: one row per vote, in the columns of annotations.parquet.

    Args:
        rng: source of every choice.
        posts: with their truth.
        reason_codes: the policies, and under which codes each may be violated.
    """
    rows: list[dict[str, Any]] = []
    for post in posts:
        for policy_id, codes in reason_codes.items():
            if rng.random() < MISSING_SHARE:
                continue
            difficulty = post.difficulty.get(policy_id, "plain")
            rows += _review(rng, _Question(post, policy_id, post.violates.get(policy_id), difficulty, codes))
    return rows


def _review(rng: Random, question: _Question) -> Iterator[dict[str, Any]]:
    num_votes = rng.choices(list(NUM_VOTES), list(NUM_VOTES.values()))[0]
    time = question.post.created_at
    values = []
    for annotator in rng.sample(REVIEWERS, num_votes):
        time += timedelta(seconds=rng.randrange(600, 2 * 86400))
        row = _vote(rng, question, annotator, "blind", time)
        values.append(row["value"])
        yield row
    disputed = len(Counter(value for value in values if value in {"violating", "not_violating"})) > 1
    if disputed and rng.random() < ADJUDICATED_SHARE:
        time += timedelta(seconds=rng.randrange(3600, 3 * 86400))
        yield _vote(rng, question, SENIOR, "adjudication", time)


def _vote(rng: Random, question: _Question, annotator: Annotator, round_name: str, time: datetime) -> dict[str, Any]:
    value = _judge(rng, question, annotator, round_name)
    code = None
    if value == "violating":
        code = question.reason_code or rng.choice(question.possible_codes)
    return {
        "item_id": question.post.item_id,
        "policy_id": question.policy_id,
        "policy_version": POLICY_VERSION,
        "annotator_id": annotator.annotator_id,
        "source": "human",
        "value": value,
        "reason_code": code,
        "round": round_name,
        "annotated_at": time,
    }


def _judge(rng: Random, question: _Question, annotator: Annotator, round_name: str) -> str:
    if round_name == "blind":
        if rng.random() < UNREVIEWABLE_SHARE:
            return "unreviewable"
        if rng.random() < UNSURE_SHARE[question.difficulty]:
            return "unsure"
    violating = question.reason_code is not None
    if violating:
        chance = MISS["hard" if question.difficulty == "hard" else "plain"] / annotator.strictness
    else:
        chance = FALSE_ALARM[question.difficulty] * annotator.strictness
    wrong = rng.random() < chance * annotator.carelessness
    return "violating" if violating != wrong else "not_violating"
