"""Golden sets: frozen, labelled probability samples on which thresholds are certified.

The verb that draws and freezes them is in `data.freezing`.
"""

import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import polars as pl
import yaml
from pydantic import Field, FiniteFloat, ValidationError, model_validator

from data.errors import InputError
from data.files import atomic_file, atomic_folder, existing_folder, sha256_of_file, sha256_of_json
from data.items import read_items, write_items
from data.policy import Identifier, Policy, Strict, findings_of
from data.scores import Scores
from data.tables import rows_where, write_parquet

FILES = ("items.parquet", "annotations.parquet")
LOOKS = "looks.jsonl"  # certifications on this set; grows beside the frozen files, and no digest covers it


Design = Literal["simple_random", "stratified"]


class ScoredBy(Strict):
    """On whose scores a sample was drawn; a floor says nothing about another policy, model or runtime."""

    policy_id: Identifier
    scale: Literal["logit", "probability"]
    model_digest: str | None
    runtime: str | None


class GoldenDescription(Strict):
    """How a golden set was drawn: what `golden.yaml` says beside counts and digests.

    Attributes:
        name: of the set.
        version: of the set; a frozen set never changes.
        design: `simple_random`: every post of the population had the same chance; `stratified`: each its own.
        population: which posts it was drawn from, in a few words.
        window: from when they are.
        floor: lowest score that could be drawn; None for all traffic.
        scored_by: whose scores floor and strata stand on; None if the draw looked at no scores.
        n_population: posts that could be drawn; None if not known.
        expires_at: the last day on which it certifies.
    """

    name: Identifier
    version: Identifier
    design: Design
    population: str = Field(min_length=1)
    window: str | None = None
    floor: FiniteFloat | None = None
    scored_by: ScoredBy | None = None
    n_population: Annotated[int, Field(gt=0)] | None = None
    expires_at: date | None = None

    @model_validator(mode="after")
    def _floor_of_somebody(self) -> "GoldenDescription":
        if self.floor is not None and self.scored_by is None:
            raise ValueError("a floor needs scored_by: the policy, model and runtime whose scores it is about")
        return self


class GoldenRecord(GoldenDescription):
    """The content of `golden.yaml`."""

    format: Literal["setpoint/golden/v1"] = Field(alias="schema")
    policy_versions: dict[str, str]
    n_items: Annotated[int, Field(gt=0)]
    files: dict[str, str]
    digest: str

    def expected_digest(self) -> str:
        """SHA-256 over everything that the record says, the files' digests included.

        Keys that the file does not name stay out: a set that was frozen before a key existed keeps its digest.
        """
        return sha256_of_json(self.model_dump(mode="json", by_alias=True, exclude={"digest"}, exclude_unset=True))


@dataclass(frozen=True)
class GoldenSet:
    """A golden set as read back, its digest checked."""

    folder: Path
    record: GoldenRecord
    items: pl.DataFrame
    annotations: pl.DataFrame

    @property
    def name(self) -> str:
        """Name and version, as people say it."""
        return f"{self.record.name} {self.record.version}"

    @property
    def digest(self) -> str:
        """Hex SHA-256 that operating points carry."""
        return self.record.digest


def freeze_golden(
    folder: str | Path,
    items: pl.DataFrame,
    annotations: pl.DataFrame,
    policies: list[Policy],
    description: GoldenDescription,
) -> GoldenRecord:
    """Write a golden set; one that is there already is never changed.

    Raises:
        InputError: inclusion probabilities are missing or not as the design has them, or another golden set stands
            in `folder`.
    """
    folder = Path(folder)
    _check_inclusion(items, description.design, "golden items")
    with atomic_folder(folder) as temporary:
        write_items(items, temporary / "items.parquet")
        write_parquet(annotations, temporary / "annotations.parquet")
        content = {
            **description.model_dump(mode="json"),
            "schema": "setpoint/golden/v1",
            "policy_versions": {policy.policy_id: policy.version for policy in policies},
            "n_items": len(items),
            "files": {name: sha256_of_file(temporary / name) for name in FILES},
            "digest": "",
        }
        record = GoldenRecord.model_validate(content)
        record = record.model_copy(update={"digest": record.expected_digest()})
        if folder.exists() and load_golden(folder).digest != record.digest:
            raise InputError(f"{folder}: holds another golden set, and frozen sets never change; use a new version=")
        with atomic_file(temporary / "golden.yaml") as file:
            text = yaml.safe_dump(record.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True)
            file.write_text(text, encoding="utf-8")
        keep_looks(folder, temporary)
    return record


def keep_looks(old: Path, new: Path) -> None:
    """Carry the ledger of a golden set over to the same set, frozen again, that is about to take its place."""
    if (old / LOOKS).is_file() and (old / "golden.yaml").read_bytes() == (new / "golden.yaml").read_bytes():
        shutil.copyfile(old / LOOKS, new / LOOKS)


def load_golden(folder: str | Path) -> GoldenSet:
    """Read a golden set and check that nothing in it has changed since it was frozen.

    Raises:
        InputError: a file is missing or wrong, a digest does not match, or inclusion probabilities are not as the
            design has them.
    """
    folder = existing_folder(folder)
    file = folder / "golden.yaml"
    try:
        record = GoldenRecord.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except FileNotFoundError as error:
        raise InputError(f"{file}: no such file; expected a golden set (golden/NAME/VERSION)") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: not a YAML file") from error
    except ValidationError as error:
        raise InputError(findings_of(file, error)) from error
    if record.digest != record.expected_digest() or set(record.files) != set(FILES):
        raise InputError(f"{file}: its digest does not match its content; the golden set was changed after freezing")
    for name in FILES:
        path = folder / name
        if not path.is_file() or sha256_of_file(path) != record.files[name]:
            raise InputError(
                f"{path}: its digest does not match golden.yaml; the golden set was changed after freezing. "
                "Restore it, or freeze the changed sample under a new version"
            )
    items = read_items(folder / "items.parquet")
    _check_inclusion(items, record.design, folder / "items.parquet")
    return GoldenSet(folder, record, items, pl.read_parquet(folder / "annotations.parquet"))


def check_floor(scores: Scores, path: str | Path, item_ids: list[str], floor: float, policy_id: str) -> None:
    """Refuse items that score below the floor which they were drawn above; compared in float32.

    Raises:
        InputError: an item has no score, or one below `floor`.
    """
    column = scores.policy_ids.index(policy_id)
    values = scores.of(item_ids)[:, column]
    below = np.flatnonzero(values < np.float32(floor))
    if len(below):
        raise InputError(
            f"{path}, {policy_id}: {len(below)} of {len(item_ids)} golden items score below their floor "
            f"{floor}, the first is {item_ids[below[0]]!r} with {values[below[0]]:.6g}; a floor holds for the scores "
            "that the sample was drawn by, and for no others"
        )


def _check_inclusion(items: pl.DataFrame, design: Design, file: str | Path) -> None:
    """Inclusion probabilities as the design has them; those of 0 or above 1 were refused on reading."""
    missing = (
        "missing; without it an item is no precision evidence. Give every item the probability it was drawn with"
    )
    findings = rows_where(items, pl.col("inclusion_prob").is_null(), file, "inclusion_prob", missing)
    findings += rows_where(
        items,
        ~((pl.col("inclusion_prob") > 0) & (pl.col("inclusion_prob") <= 1)).fill_null(True),
        file,
        "inclusion_prob",
        "expected a probability above 0 and at most 1",
    )
    if findings:
        raise InputError(findings)
    probabilities = items["inclusion_prob"].to_numpy()
    if design == "simple_random" and probabilities.min() < probabilities.max():
        raise InputError(
            f"{file}, inclusion_prob: design simple_random needs one probability for all items, found "
            f"{probabilities.min()} to {probabilities.max()}; design=stratified takes unequal ones"
        )
