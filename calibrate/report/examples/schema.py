"""What the page holds of its example posts: the records that templates/js/examples.js reads."""

from typing import Literal

from data.policy import Strict

Asked = Literal["blind", "adjudication", "appeal", "report", "llm"]
Value = Literal["violating", "not_violating", "unsure", "unreviewable"]


class VoteFacts(Strict):
    """So many said the same.

    Attributes:
        by: annotators who did not see each other's answers, the adjudication, or who does not make a label.
        value: what they said.
        n: how many.
    """

    by: Asked
    value: Value
    n: int


class ExampleFacts(Strict):
    """One golden post.

    Attributes:
        rank: its place among all golden posts, by falling score.
        score: as served.
        label: whether it violates; None where unknown.
        reason_codes: that annotators gave, each once.
        n_media: files.
        slices: its value in each of the columns.
        picture: place among the pictures; None without one.
        no_picture: why there is none, in a sentence; None where nobody wants one.
    """

    item_id: str
    rank: int
    score: float
    label: bool | None
    votes: list[VoteFacts]
    reason_codes: list[str]
    caption: str | None
    media_type: str
    n_media: int
    slices: list[str | None]
    picture: int | None
    no_picture: str | None


class ExamplesFacts(Strict):
    """The example posts of one policy, by rising rank.

    Attributes:
        number: how many a group shows at most.
        n_golden: posts of the golden set.
        columns: by which they can be filtered.
    """

    number: int
    n_golden: int
    columns: list[str]
    items: list[ExampleFacts]
