"""Golden sets: frozen, labelled probability samples on which thresholds are certified."""

import shutil
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
import yaml
from pydantic import Field, ValidationError

from data.annotations import read_annotations
from data.errors import InputError
from data.files import atomic_file, atomic_folder, existing_folder, sha256_of_file, sha256_of_json
from data.items import read_items, write_items
from data.labels import agreement, derive_labels
from data.policy import Identifier, Policy, Strict, findings_of, load_policies
from data.summary import Summary
from data.tables import write_parquet

FILES = ("items.parquet", "annotations.parquet")
LOOKS = "looks.jsonl"  # certifications on this set; grows beside the frozen files, and no digest covers it


class GoldenDescription(Strict):
    """How a golden set was drawn: what `golden.yaml` says beside counts and digests."""

    name: Identifier
    version: Identifier
    design: Literal["simple_random"]
    population: str = Field(min_length=1)
    window: str | None = None
    floor: float | None = None
    expires_at: date | None = None


class GoldenRecord(GoldenDescription):
    """The content of `golden.yaml`."""

    format: Literal["setpoint/golden/v1"] = Field(alias="schema")
    policy_versions: dict[str, str]
    n_items: Annotated[int, Field(gt=0)]
    files: dict[str, str]
    digest: str

    def expected_digest(self) -> str:
        """SHA-256 over everything that the record says, the files' digests included."""
        return sha256_of_json(self.model_dump(mode="json", by_alias=True, exclude={"digest"}))


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
        InputError: no or unequal inclusion probabilities, or another golden set stands in `folder`.
    """
    folder = Path(folder)
    _check_simple_random(items)
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
        InputError: a file is missing or wrong, or a digest does not match.
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
    return GoldenSet(
        folder, record, read_items(folder / "items.parquet"), pl.read_parquet(folder / "annotations.parquet")
    )


def golden(
    *,
    items: Path,
    annotations: Path,
    policies: Path,
    name: str,
    version: str,
    design: Literal["simple_random"],
    population: str,
    population_size: int | None,
    expires_at: date | None,
    out: Path,
) -> Summary:
    """Freeze a labelled sample that you bring as a golden set: `out/NAME/VERSION/`.

    Items without `inclusion_prob` are taken at your word that each had the same chance (design simple_random):
    n / population_size where that is given, else 1, the sample being the whole population.

    Raises:
        InputError: for wrong input, or when another golden set has this name and version.
    """
    all_policies = load_policies(policies)
    all_items = read_items(items)
    all_annotations = read_annotations(annotations, all_items, all_policies)
    if all_items["inclusion_prob"].null_count() == len(all_items):
        if population_size is not None and population_size < len(all_items):
            raise InputError(f"population_size={population_size}: smaller than the sample of {len(all_items)} items")
        probability = len(all_items) / (population_size or len(all_items))
        all_items = all_items.with_columns(inclusion_prob=pl.lit(probability))
    try:
        description = GoldenDescription(
            name=name, version=version, design=design, population=population, expires_at=expires_at
        )
    except ValidationError as error:
        raise InputError(findings_of("golden", error)) from error
    folder = out / name / version
    record = freeze_golden(folder, all_items, all_annotations, all_policies, description)
    lines = []
    labels = derive_labels(all_annotations, all_policies)
    for policy in all_policies:
        known = labels.filter(pl.col("policy_id") == policy.policy_id)["label"].drop_nulls()
        alpha = agreement(all_annotations, policy)
        lines.append(
            f"{policy.policy_id}: {int(known.sum())} violating of {len(known)} known, "
            f"{len(all_items) - len(known)} unknown, "
            + (f"Krippendorff's alpha {alpha:.2f}" if alpha is not None else "too few votes for an agreement")
        )
    return Summary(
        f"golden: {name} {version} frozen with {record.n_items} items, digest {record.digest[:12]}", [folder], lines
    )


def _check_simple_random(items: pl.DataFrame) -> None:
    probabilities = items["inclusion_prob"]
    if probabilities.null_count():
        row = int(probabilities.is_null().arg_max() or 0) + 1
        raise InputError(
            f"golden items, row {row}, inclusion_prob: missing; without it an item is no precision evidence. "
            "Give every item the probability with which it was drawn"
        )
    if probabilities.n_unique() > 1:
        raise InputError(
            "golden items, inclusion_prob: design simple_random needs one probability for all items, found "
            f"{probabilities.to_numpy().min()} to {probabilities.to_numpy().max()}"
        )
