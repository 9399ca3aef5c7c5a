"""The recent sample that `calibrate recent=FOLDER` estimates prior shift from, checked against the golden set."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl

from calibrate.corrections import UNCORRECTED, Corrections
from calibrate.inputs import CalibrationInputs
from data.annotations import read_annotations
from data.errors import InputError
from data.files import existing_folder
from data.golden import load_golden
from data.items import read_items
from data.labels import derive_labels, label_matrix


def with_recent(inputs: CalibrationInputs, folder: Path, corrections: Corrections) -> CalibrationInputs:
    """The inputs with the labels of a recent simple random sample.

    Args:
        inputs: as read.
        folder: a golden set, or a folder with items.parquet and annotations.parquet.
        corrections: none may be asked for as well: their errors do not add up to one statement.

    Raises:
        InputError: the sample is wrong, or is none of the golden set's population, or a correction is asked for.
    """
    if corrections != UNCORRECTED:
        raise InputError(
            "recent: not together with prior_odds_ratio, label_false_positive_rate, label_false_negative_rate or "
            "unresolved; the estimate takes the labels as they are. Give one or the other"
        )
    folder = existing_folder(folder)
    floor, scored_by = None, None
    if (folder / "golden.yaml").is_file():
        sample = load_golden(folder)
        items, annotations, floor = sample.items, sample.annotations, sample.record.floor
        scored_by = sample.record.scored_by
    else:
        items = read_items(folder / "items.parquet")
        annotations = read_annotations(folder / "annotations.parquet", items, inputs.policies)
    golden = inputs.golden_set
    _check_simple(folder, items)
    _check_simple(golden.folder, golden.items)
    if (floor, scored_by) != (golden.record.floor, golden.record.scored_by):
        raise InputError(
            f"{folder}: holds posts from a score of {floor} on, the golden set {golden.folder} from "
            f"{golden.record.floor} on; draw the recent sample from the same part of the traffic, as a golden set"
        )
    shared = sorted(set(items["item_id"]) & set(golden.items["item_id"]))
    if shared:
        raise InputError(
            f"{folder}: {len(shared):,} items are also in the golden set, the first is {shared[0]!r}; a recent "
            "sample must be drawn independently of it"
        )
    labels = label_matrix(
        items["item_id"].to_list(), derive_labels(annotations, inputs.policies), inputs.scores.policy_ids
    )
    for column, policy in enumerate(inputs.policies):
        claims = any(band.target_precision is not None for band in policy.bands)
        if claims and np.isnan(labels[:, column]).all():
            raise InputError(
                f"{folder / 'annotations.parquet'}: no known label for {policy.policy_id} {policy.version}; label "
                "the recent sample under this version"
            )
    return replace(inputs, recent_labels=labels)


def _check_simple(folder: Path, items: pl.DataFrame) -> None:
    if items["inclusion_prob"].n_unique() > 1:
        raise InputError(
            f"{folder / 'items.parquet'}, inclusion_prob: items were drawn with different probabilities, and "
            "recent= counts in simple random samples only; state prior_odds_ratio instead"
        )
