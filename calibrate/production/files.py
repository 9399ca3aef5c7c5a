"""What serves today, as it is read: another model's scores of the golden items, and its thresholds.

N golden items.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from calibrate.inputs import CalibrationInputs
from calibrate.operating_points_file import OperatingPointsFile, PolicyRecord, load_operating_points
from calibrate.production.record import CandidateRecord, ProductionRecord
from calibrate.ranks.ranked import Scores as ScoreArray
from data.errors import InputError
from data.files import existing_folder
from data.policy import Strict
from data.scores import Scores, read_scores

POINTS_FILE = "operating_points.json"
IN_RELEASE = Path("reports") / "decisions" / POINTS_FILE
FEWEST_SCORED = 0.5  # of the golden items: with fewer, the scores are hardly meant for this set


class ProductionFiles(Strict):
    """A model and its thresholds.

    Attributes:
        scores: scores.parquet of the golden items; on either scale, of any model.
        points: the calibration that it serves by: a folder that `calibrate` wrote, its operating_points.json, or a
            release.
    """

    scores: Path
    points: Path


@dataclass(frozen=True)
class Production:
    """The model that serves, on the golden items.

    Attributes:
        points: its thresholds.
        scores: as read.
        values: of each policy that both know: float32 [N], NaN for items without a score.
        missing: golden items without a score, in their order.
    """

    points: OperatingPointsFile
    scores: Scores
    values: Mapping[str, ScoreArray]
    missing: tuple[str, ...]

    def policy(self, policy_id: str) -> PolicyRecord | None:
        """Its bands under a policy; None if it has none."""
        return next((each for each in self.points.policies if each.policy_id == policy_id), None)

    def record(self, candidates: Mapping[str, "Production"]) -> ProductionRecord:
        """Which model it is, for the page, and which candidates stand beside it."""
        golden = self.points.golden_set
        return ProductionRecord(
            model_digest=self.scores.metadata.model_digest,
            runtime=self.scores.metadata.runtime,
            scores_digest=self.scores.digest(),
            golden_set=f"{golden.name} {golden.version}",
            n_missing=len(self.missing),
            first_missing=self.missing[0] if self.missing else None,
            candidates=[
                CandidateRecord(
                    name=name,
                    model_digest=each.scores.metadata.model_digest,
                    scores_digest=each.scores.digest(),
                    n_missing=len(each.missing),
                )
                for name, each in candidates.items()
            ],
        )


def read_production(files: ProductionFiles, inputs: CalibrationInputs, *, key: str = "production") -> Production:
    """Read a model to compare with.

    Args:
        files: where it stands.
        inputs: of the calibration.
        key: of the setting, for messages.

    Raises:
        InputError: a file is wrong; scores and thresholds are not one model's, or both speak of other policies or
            other items.
    """
    file = points_file(files.points, key)
    points = load_operating_points(file)
    wanted = [policy.policy_id for policy in inputs.policies]
    known = [each.policy_id for each in points.policies if each.policy_id in wanted]
    if not known:
        raise InputError(
            f"{key}.points: {file} has thresholds for {', '.join(each.policy_id for each in points.policies)}; "
            f"expected one of {', '.join(wanted)}"
        )
    scores = read_scores(files.scores, known)
    for field in ("scale", "model_digest", "runtime"):
        of_scores, of_points = getattr(scores.metadata, field), getattr(points.scores, field)
        if of_scores != of_points:
            raise InputError(
                f"{key}.scores: {files.scores}, {field} = {of_scores!r}: the thresholds in {file} were chosen on "
                f"scores with {of_points!r}; give scores of the model and runtime that serve by them"
            )
    item_ids = inputs.golden_set.items["item_id"].to_list()
    values, scored = _aligned(scores, item_ids)
    missing = tuple(item for item, has_score in zip(item_ids, scored.tolist(), strict=True) if not has_score)
    if len(missing) > (1 - FEWEST_SCORED) * len(item_ids):
        raise InputError(
            f"{key}.scores: {files.scores} has no score for {len(missing):,} of the {len(item_ids):,} items of the "
            f"golden set {inputs.golden_set.folder}, the first is {missing[0]!r}: are they those of another golden "
            "set? Score this one's items with the model that serves"
        )
    return Production(
        points=points,
        scores=scores,
        values={policy_id: np.ascontiguousarray(values[:, column]) for column, policy_id in enumerate(known)},
        missing=missing,
    )


def points_file(path: Path, key: str) -> Path:
    """The operating_points.json that a path means: itself, or in a calibration's folder or a release."""
    path = Path(path)
    if path.is_file():
        return path
    folder = existing_folder(path)
    for place in (Path(POINTS_FILE), IN_RELEASE):
        if (folder / place).is_file():
            return folder / place
    raise InputError(
        f"{key}.points: {folder} holds neither {POINTS_FILE} nor {IN_RELEASE}; expected a folder that `calibrate` "
        "wrote, or a release"
    )


def _aligned(scores: Scores, item_ids: list[str]) -> tuple[ScoreArray, NDArray[np.bool_]]:
    """Scores [N, P] in the order of the items, NaN where there is none, and which have one, [N]."""
    schema = {"item_id": pl.String}
    rows = pl.DataFrame({"item_id": scores.item_ids}, schema=schema).with_row_index("row")
    wanted = pl.DataFrame({"item_id": item_ids}, schema=schema)
    found = wanted.join(rows, on="item_id", how="left", maintain_order="left")["row"]
    scored = found.is_not_null().to_numpy()
    values = np.full((len(item_ids), len(scores.policy_ids)), np.nan, np.float32)
    values[scored] = scores.values[found.drop_nulls().to_numpy()]
    return values, scored
