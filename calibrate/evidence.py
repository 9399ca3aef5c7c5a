"""What the bands of one policy are tested on. N golden items, M validation items, R recent ones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from calibrate.bounds import FloatArray
from calibrate.corrections import Corrections
from calibrate.draw import EVEN, Draw, draw_of
from calibrate.inputs import CalibrationInputs
from calibrate.ranks.ranked import Scores
from calibrate.slices import SliceRows


@dataclass(frozen=True)
class Evidence:
    """Golden scores and labels of one policy, and all that stands beside them.

    Attributes:
        scores: float32 [N], as served.
        labels: float32 [N], 1, 0 or NaN.
        draw: how the golden items came into their set.
        pilot_scores: float32 [M], of validation items, which plan the tests and fit the calibrator; None without.
        pilot_labels: [M], theirs.
        pilot_weights: [M], 1 / inclusion_prob of them, for the calibrator; None for equal ones.
        slices: rows of each value, by column, of the columns that policies are sliced by; None tests no slice.
        look: its number among the looks at these labels; None spends nothing on others.
        verdicts: [N] of an auditor, in [0, 1] or NaN; None does without.
        recent_labels: [R] of a recent sample, from which precision tests estimate the prior shift; None does without.
    """

    scores: Scores
    labels: Scores
    draw: Draw = EVEN
    pilot_scores: Scores | None = None
    pilot_labels: Scores | None = None
    pilot_weights: FloatArray | None = None
    slices: Mapping[str, SliceRows] | None = None
    look: int | None = None
    verdicts: Scores | None = None
    recent_labels: Scores | None = None

    def counted(self, corrections: Corrections) -> "Evidence":
        """With unknown labels as the tests count them: every figure of a threshold speaks of the same labels."""
        if corrections.unresolved == "left_out":
            return self
        return replace(self, labels=corrections.applied(self.labels.astype(np.float64)).astype(np.float32))


def evidence_of(
    inputs: CalibrationInputs, policy_id: str, *, slices: Mapping[str, SliceRows] | None, look: int | None
) -> Evidence:
    """The evidence of one policy among the inputs of `calibrate`."""
    column = inputs.scores.policy_ids.index(policy_id)

    def of_policy(values: Scores | None) -> Scores | None:
        # Columns of a matrix are slow to read again and again.
        return None if values is None else np.ascontiguousarray(values[:, column])

    scores, labels = of_policy(inputs.golden.scores), of_policy(inputs.golden.labels)
    assert scores is not None
    assert labels is not None
    pilot = inputs.validation
    return Evidence(
        scores,
        labels,
        draw=draw_of(inputs.golden_set, policy_id),
        pilot_scores=of_policy(pilot.scores) if pilot else None,
        pilot_labels=of_policy(pilot.labels) if pilot else None,
        pilot_weights=pilot.weights if pilot else None,
        slices=slices,
        look=look,
        verdicts=of_policy(inputs.golden.verdicts),
        recent_labels=of_policy(inputs.recent_labels),
    )
