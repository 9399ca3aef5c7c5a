"""What `calibrate` reads, checked against each other: scores, golden set, policies and the validation split.

N golden items, M validation items, P policies.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from calibrate.audited_point import checked_verdicts
from calibrate.corrections import Unresolved
from calibrate.ranked import Scores as ScoreArray
from data.annotations import read_annotations
from data.errors import Finding, InputError
from data.files import existing_folder
from data.golden import GoldenSet, load_golden
from data.items import read_items
from data.labels import derive_labels, label_matrix, verdict_matrix
from data.policy import Policy, load_policies
from data.scores import Scores, read_scores


@dataclass(frozen=True)
class LabelledScores:
    """Scores and labels of the same items: float32 [items, P] each, labels 1, 0 or NaN.

    `verdicts` are what models said of them, in [0, 1] or NaN; None where nobody asked for them.
    """

    scores: ScoreArray
    labels: ScoreArray
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
    _check_golden_versions(golden, golden_set, all_policies)
    served = read_scores(scores, policy_ids)
    _check_score_versions(scores, served, all_policies)
    pilot, pilot_scores = None, None
    if validation is not None:
        pilot_scores = served
        if validation_scores is not None:
            pilot_scores = read_scores(validation_scores, policy_ids)
            _check_same_model(scores, served, validation_scores, pilot_scores)
        folder = existing_folder(validation)
        items = read_items(folder / "items.parquet")
        _check_disjoint(folder, items, golden, golden_set)
        annotations = read_annotations(folder / "annotations.parquet", items, all_policies)
        pilot = _labelled(items, annotations, all_policies, pilot_scores, validation_scores or scores)
    elif validation_scores is not None:
        raise InputError("validation_scores: given without validation, the folder with their items and annotations")
    return CalibrationInputs(
        policies=all_policies,
        scores=served,
        golden_set=golden_set,
        golden=_labelled(golden_set.items, golden_set.annotations, all_policies, served, scores),
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


def _labelled(
    items: pl.DataFrame, annotations: pl.DataFrame, policies: list[Policy], scores: Scores, scores_path: Path
) -> LabelledScores:
    item_ids = items["item_id"].to_list()
    labels = label_matrix(item_ids, derive_labels(annotations, policies), scores.policy_ids)
    try:
        values = scores.of(item_ids)
    except InputError as error:
        raise InputError(f"{scores_path}: {str(error).removeprefix('scores: ')}") from error
    return LabelledScores(scores=values, labels=np.asarray(labels, np.float32))


def _check_golden_versions(path: Path, golden_set: GoldenSet, policies: list[Policy]) -> None:
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


def _check_score_versions(path: Path, scores: Scores, policies: list[Policy]) -> None:
    found = scores.metadata.policy_versions
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


def _check_same_model(path: Path, scores: Scores, pilot_path: Path, pilot: Scores) -> None:
    for field in ("scale", "model_digest", "runtime"):
        served, other = getattr(scores.metadata, field), getattr(pilot.metadata, field)
        if served != other:
            raise InputError(
                f"{pilot_path}, {field} = {other!r}: {path} has {served!r}; "
                "score validation and golden items with the same model and runtime"
            )


def _check_disjoint(folder: Path, items: pl.DataFrame, golden: Path, golden_set: GoldenSet) -> None:
    shared = sorted(set(items["item_id"]) & set(golden_set.items["item_id"]))
    if shared:
        raise InputError(
            f"{folder}: {len(shared)} items are also in the golden set {golden}, the first is {shared[0]!r}; "
            "a golden set must share no item with the validation split"
        )
