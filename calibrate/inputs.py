"""What `calibrate` reads, checked against each other: scores, golden set, policies and the validation split.

N golden items, M validation items, P policies.
"""

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from calibrate.bets.audited_point import checked_verdicts
from calibrate.bounds import FloatArray
from calibrate.corrections import Unresolved
from calibrate.ranks.ranked import Scores as ScoreArray
from data.annotations import read_annotations
from data.errors import Finding, InputError
from data.files import existing_folder
from data.golden import GoldenSet, check_floor, load_golden
from data.items import read_items
from data.labels import derive_labels, label_matrix, verdict_matrix
from data.policy import Policy, load_policies
from data.scores import Scores, ScoresMetadata, read_scores


@dataclass(frozen=True)
class LabelledScores:
    """Scores and labels of the same items.

    Attributes:
        scores: float32 [items, P].
        labels: float32 [items, P], 1, 0 or NaN.
        weights: [items], 1 / inclusion_prob; None where they are equal or not stated.
        verdicts: float32 [items, P], what models said of them, in [0, 1] or NaN; None where nobody asked for them.
    """

    scores: ScoreArray
    labels: ScoreArray
    weights: FloatArray | None = None
    verdicts: ScoreArray | None = None


@dataclass(frozen=True)
class CalibrationInputs:
    """Everything that a calibration stands on.

    Attributes:
        policies: P, sorted by policy_id.
        scores: as read, for digest and metadata.
        golden_set: as read.
        golden: N golden items.
        validation: M validation items, or None.
        validation_scores: as read; None without validation.
        recent_labels: [R, P] of a recent sample, 1, 0 or NaN; None without.
    """

    policies: list[Policy]
    scores: Scores
    golden_set: GoldenSet
    golden: LabelledScores
    validation: LabelledScores | None
    validation_scores: Scores | None
    recent_labels: ScoreArray | None = None


def read_inputs(
    *, scores: Path, golden: Path, policies: Path, validation: Path | None, validation_scores: Path | None
) -> CalibrationInputs:
    """Read and cross-check the inputs of `calibrate`.

    Raises:
        InputError: a file is wrong, or they do not belong together.
    """
    all_policies = load_policies(policies)
    policy_ids = [policy.policy_id for policy in all_policies]
    golden_set = load_golden(golden)
    check_golden_versions(golden, golden_set, all_policies)
    served = read_scores(scores, policy_ids)
    check_score_versions(scores, served.metadata, all_policies)
    check_drawn_by(scores, served, golden_set)
    pilot, pilot_scores = None, None
    if validation is not None:
        pilot_scores = served
        if validation_scores is not None:
            pilot_scores = read_scores(validation_scores, policy_ids)
            check_same_model(scores, served.metadata, validation_scores, pilot_scores.metadata)
        folder = existing_folder(validation)
        items = read_items(folder / "items.parquet")
        _check_disjoint(folder, items, golden, golden_set)
        annotations = read_annotations(folder / "annotations.parquet", items, all_policies)
        pilot = labelled_scores(
            items,
            annotations,
            all_policies,
            pilot_scores,
            validation_scores or scores,
            folder=folder,
            remedy=", name the file that has them as validation_scores=, or do without: validation=null",
        )
    elif validation_scores is not None:
        raise InputError("validation_scores: given without validation, the folder with their items and annotations")
    return CalibrationInputs(
        policies=all_policies,
        scores=served,
        golden_set=golden_set,
        golden=labelled_scores(
            golden_set.items, golden_set.annotations, all_policies, served, scores, folder=golden_set.folder
        ),
        validation=pilot,
        validation_scores=pilot_scores,
    )


def with_auditor(inputs: CalibrationInputs, unresolved: Unresolved) -> CalibrationInputs:
    """The inputs with the verdicts of models on golden items.

    Raises:
        InputError: a policy that claims a precision has none, or unresolved labels are to be counted as well.
    """
    if unresolved != "left_out":
        raise InputError(
            f"auditor=llm: not together with unresolved={unresolved}; a label that people were not asked for cannot "
            "be told from one that they left open"
        )
    golden = inputs.golden_set
    verdicts = verdict_matrix(golden.items["item_id"].to_list(), golden.annotations, inputs.policies)
    for column, policy in enumerate(inputs.policies):
        asked = any(band.target_precision is not None for band in policy.bands)
        if asked and np.isnan(verdicts[:, column]).all():
            raise InputError(
                f"{golden.folder / 'annotations.parquet'}: no row with source llm for {policy.policy_id} "
                f"{policy.version}, and auditor=llm needs a model's verdict on its items; ask one before the golden "
                "set is frozen, or give auditor=off"
            )
        if asked:
            try:
                checked_verdicts(verdicts[:, column], inputs.golden.labels[:, column].astype(np.float64))
            except ValueError as error:
                file = golden.folder / "annotations.parquet"
                raise InputError(f"{file}, policy {policy.policy_id}: {error}; give auditor=off") from error
    return replace(inputs, golden=replace(inputs.golden, verdicts=verdicts))


def count_sharing_cluster(items: pl.DataFrame) -> int:
    """Items that share a non-null cluster_id with another item: draws that are not independent."""
    clusters = items["cluster_id"].drop_nulls()
    return int(clusters.is_duplicated().sum())


def labelled_scores(
    items: pl.DataFrame,
    annotations: pl.DataFrame,
    policies: list[Policy],
    scores: Scores,
    scores_path: Path,
    *,
    folder: Path,
    remedy: str = "",
) -> LabelledScores:
    """Items of `folder` with their scores, labels and weights; InputError, with `remedy`, if one has no score."""
    item_ids = items["item_id"].to_list()
    labels = label_matrix(item_ids, derive_labels(annotations, policies), scores.policy_ids)
    try:
        values = scores.of(item_ids)
    except InputError as error:
        problem = str(error).removeprefix("scores: ")
        raise InputError(f"{scores_path}, for the items of {folder}: {problem}{remedy}") from error
    return LabelledScores(scores=values, labels=np.asarray(labels, np.float32), weights=_weights(items))


def _weights(items: pl.DataFrame) -> FloatArray | None:
    chances = items["inclusion_prob"]
    if chances.null_count() or chances.n_unique() == 1:
        return None
    return 1 / chances.to_numpy()


def check_unexpired(golden_set: GoldenSet, today: date) -> None:
    """Refuse a golden set whose last day has passed; the day itself stands in no output."""
    expires_at = golden_set.record.expires_at
    if expires_at is not None and expires_at < today:
        raise InputError(
            f"{golden_set.folder / 'golden.yaml'}, expires_at = {expires_at.isoformat()}: it certifies nothing after "
            f"that day, and today is {today.isoformat()}. Draw and label a fresh sample; to repeat what was "
            f"certified earlier, give today={expires_at.isoformat()}"
        )


def check_drawn_by(path: Path, scores: Scores, golden_set: GoldenSet) -> None:
    """The scores must be those that a floor or strata of the golden set stand on."""
    record = golden_set.record
    if record.scored_by is None:
        return
    for field in ("scale", "model_digest", "runtime"):
        found, drawn = getattr(scores.metadata, field), getattr(record.scored_by, field)
        if found != drawn:
            raise InputError(
                f"{path}, {field} = {found!r}: the golden set {golden_set.folder} was drawn by scores with "
                f"{drawn!r}. A floor stands on one model's scores: certify that model, or draw a set by this one's"
            )
    if record.floor is not None and record.scored_by.policy_id in scores.policy_ids:
        check_floor(scores, path, golden_set.items["item_id"].to_list(), record.floor, record.scored_by.policy_id)


def check_golden_versions(path: Path, golden_set: GoldenSet, policies: list[Policy]) -> None:
    """Refuse a golden set that was labelled under another version of a policy."""
    found = golden_set.record.policy_versions
    findings = [
        Finding(
            Path(path) / "golden.yaml",
            f"the policy is at version {policy.version}; labels of another version are no evidence. "
            "Freeze a golden set labelled under the new version, or calibrate the version it was labelled for",
            None,
            f"policy_versions.{policy.policy_id}",
            found.get(policy.policy_id, "missing"),
        )
        for policy in policies
        if found.get(policy.policy_id) != policy.version
    ]
    if findings:
        raise InputError(findings)


def check_score_versions(path: Path, metadata: ScoresMetadata, policies: list[Policy]) -> None:
    """Refuse scores of a model that was trained for another version of a policy."""
    found = metadata.policy_versions
    findings = [
        Finding(
            path,
            f"the model was trained for this version, the policy is at {policy.version}; score with a model for it",
            None,
            f"policy_versions.{policy.policy_id}",
            found[policy.policy_id],
        )
        for policy in policies
        if policy.policy_id in found and found[policy.policy_id] != policy.version
    ]
    if findings:
        raise InputError(findings)


def check_same_model(path: Path, served: ScoresMetadata, other_path: Path, other: ScoresMetadata) -> None:
    """Refuse scores of another scale, model or runtime."""
    for field in ("scale", "model_digest", "runtime"):
        here, there = getattr(served, field), getattr(other, field)
        if here != there:
            raise InputError(
                f"{other_path}, {field} = {there!r}: {path} has {here!r}; score all with the same model and runtime"
            )


def _check_disjoint(folder: Path, items: pl.DataFrame, golden: Path, golden_set: GoldenSet) -> None:
    shared = sorted(set(items["item_id"]) & set(golden_set.items["item_id"]))
    if shared:
        raise InputError(
            f"{folder}: {len(shared)} items are also in the golden set {golden}, the first is {shared[0]!r}; "
            "a golden set must share no item with the validation split"
        )
