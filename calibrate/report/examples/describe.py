"""What is said of the chosen posts: their texts, their slices, and what annotators said of them."""

from collections import Counter, defaultdict
from collections.abc import Mapping

import numpy as np
import polars as pl

from calibrate.inputs import CalibrationInputs
from calibrate.report.examples.choose import ChosenExamples
from calibrate.report.examples.schema import Asked, ExampleFacts, ExamplesFacts, VoteFacts
from calibrate.report.live.slices import SHOWN_COLUMNS
from calibrate.report.text import shown_text
from data.labels import LABELLING_SOURCES
from data.policy import Policy

CAPTION, NAME, CODE = 160, 60, 40  # characters
MOST_CODES = 5
MOST_COLUMNS = 8
ORDER = ("blind", "adjudication", "appeal", "report", "llm")

Said = tuple[Counter[tuple[Asked, str]], dict[str, None]]  # votes, reason codes
AllSaid = Mapping[tuple[str, str], Said]


def describe_examples(
    inputs: CalibrationInputs, chosen: Mapping[str, ChosenExamples]
) -> dict[str, tuple[ExamplesFacts, pl.DataFrame]]:
    """The posts of each policy, without pictures, and their rows of the golden set.

    Args:
        inputs: of the calibration.
        chosen: by policy_id.
    """
    items = inputs.golden_set.items
    policies = [policy for policy in inputs.policies if policy.policy_id in chosen]
    rows = {policy.policy_id: items[chosen[policy.policy_id].rows] for policy in policies}
    said = _said(inputs.golden_set.annotations, policies, rows)
    return {
        policy.policy_id: (
            _described(policy, chosen[policy.policy_id], rows[policy.policy_id], said, len(items)),
            rows[policy.policy_id],
        )
        for policy in policies
    }


def _described(
    policy: Policy, chosen: ChosenExamples, rows: pl.DataFrame, said: AllSaid, n_golden: int
) -> ExamplesFacts:
    declared = [rule.by for rule in policy.slices]
    columns = [by for by in dict.fromkeys([*declared, *SHOWN_COLUMNS]) if by in rows.columns][:MOST_COLUMNS]
    values = [[_value(each) for each in rows[by].to_list()] for by in columns]
    captions: list[str | None] = rows["caption"].to_list() if "caption" in rows.columns else [None] * len(rows)
    described = []
    for place, item in enumerate(rows.select("item_id", "media", "media_type").iter_rows(named=True)):
        caption = captions[place]
        votes, codes = said.get((policy.policy_id, item["item_id"]), (Counter(), {}))
        described.append(
            ExampleFacts(
                item_id=shown_text(item["item_id"], NAME),
                rank=int(chosen.ranks[place]),
                score=float(chosen.scores[place]),
                label=None if np.isnan(chosen.labels[place]) else bool(chosen.labels[place] == 1),
                votes=_votes(votes),
                reason_codes=list(codes),
                caption=None if caption is None else shown_text(caption, CAPTION),
                media_type=item["media_type"],
                n_media=len(item["media"] or []),
                slices=[column[place] for column in values],
                picture=None,
                no_picture=None,
            )
        )
    return ExamplesFacts(
        number=chosen.number,
        n_golden=n_golden,
        columns=[shown_text(by, NAME) for by in columns],
        items=described,
    )


def _value(value: object) -> str | None:
    return None if value is None else shown_text(str(value), NAME)


def _votes(votes: Counter[tuple[Asked, str]]) -> list[VoteFacts]:
    return [
        VoteFacts.model_validate({"by": by, "value": value, "n": votes[by, value]})
        for by, value in sorted(votes, key=lambda key: (ORDER.index(key[0]), -votes[key], key[1]))
    ]


def _said(annotations: pl.DataFrame, policies: list[Policy], rows: Mapping[str, pl.DataFrame]) -> AllSaid:
    """Votes and reason codes by policy and item, of these versions of the policies."""
    versions = {policy.policy_id: policy.version for policy in policies}
    wanted = {(policy_id, item_id) for policy_id, frame in rows.items() for item_id in frame["item_id"].to_list()}
    found: dict[tuple[str, str], Said] = defaultdict(lambda: (Counter(), {}))
    item_ids = pl.Series([item_id for _, item_id in wanted], dtype=pl.String).unique()
    columns = ["item_id", "policy_id", "policy_version", "source", "round", "value"]
    columns += ["reason_code"] * ("reason_code" in annotations.columns)
    for row in annotations.filter(pl.col("item_id").is_in(item_ids.implode())).select(columns).iter_rows(named=True):
        key = (row["policy_id"], row["item_id"])
        if key not in wanted or row["policy_version"] != versions[row["policy_id"]]:
            continue
        votes, codes = found[key]
        votes[_asked(row["source"], row["round"]), row["value"]] += 1
        if row.get("reason_code") and len(codes) < MOST_CODES:
            codes[shown_text(row["reason_code"], CODE)] = None
    return found


def _asked(source: str, round_: str) -> Asked:
    if source not in LABELLING_SOURCES:
        return source  # type: ignore[return-value]  # the annotations were checked
    return "adjudication" if round_ == "adjudication" else "blind"
