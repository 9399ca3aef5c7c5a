"""golden/ of a release: golden items as tensors with what the sealed model said about them, for replay anywhere.

One safetensors file an item holds the contract's inputs and outputs for a batch of 1: a request and its answer. What
further precisions answer stands in files of the same names, in folders of theirs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, ValidationError
from safetensors.numpy import load_file, save

from data.errors import InputError
from data.files import atomic_file, existing_file, read_json, write_json
from data.golden import GoldenSet
from data.media import MediaError, load_frames
from data.policy import Strict, findings_of
from data.text import compose_text, tokenize
from export.graph.decision_head import Decision
from export.model_folder import FP32
from export.scoring.batch import Batch, collate, padded_tokens
from export.scoring.runtimes import Outputs, Runtime
from export.trust.limits import LARGEST_HEADER

# B batch (1), P policies, K bands

LOGIT_TOLERANCE = 1e-3
PROBABILITY_TOLERANCE = 1e-3
LOWER_TOLERANCE = 0.05
"""Of logits and probabilities in other precisions: the last bit of fp32 decides which way one of int8 is rounded."""

INPUTS = tuple(field.name for field in fields(Batch))
SOUND = ("log_mel", "audio_mask")  # of a model that reads it
OUTPUTS = ("logits", "probabilities", "flags")


@dataclass(frozen=True, eq=False)
class Sealed:
    """A sealed model, and what it decides by; items too near a threshold are passed over."""

    runtime: Runtime
    decision: Decision


class Replay(Strict):
    """The content of golden/replay.json.

    Attributes:
        logit_tolerance: largest difference of a logit that other processors may show.
        probability_tolerance: the same for probabilities. Flags must be identical: items whose logit lies within
            twice the tolerance of a threshold are not chosen for replay.
        lower_tolerance: of both, in other precisions than fp32; None where there is none.
        item_ids: item of each file, in the order of their names 0000.safetensors, 0001.safetensors, …
    """

    format: Literal["setpoint/replay/v1"] = Field(default="setpoint/replay/v1", alias="schema")
    golden_set: str
    golden_digest: str
    logit_tolerance: float = Field(gt=0, le=LOGIT_TOLERANCE)
    probability_tolerance: float = Field(gt=0, le=PROBABILITY_TOLERANCE)
    lower_tolerance: float | None = Field(default=None, gt=0, le=LOWER_TOLERANCE)
    item_ids: list[str] = Field(min_length=1)

    def tolerances(self, precision: str) -> tuple[float, float]:
        """Of logits and of probabilities."""
        if precision == FP32:
            return self.logit_tolerance, self.probability_tolerance
        lower = LOGIT_TOLERANCE if self.lower_tolerance is None else self.lower_tolerance
        return lower, lower


def write_replay(folder: Path, models: Mapping[str, Sealed], golden: GoldenSet, count: int) -> None:
    """Write up to `count` golden items, spread over photos, clips and texts.

    Args:
        folder: the release's golden/.
        models: by precision; fp32 is one of them.
        golden: where the items come from.
        count: how many.

    Raises:
        InputError: no golden item can be read.
    """
    item_ids: list[str] = []
    reasons: list[str] = []
    for row in _spread_rows(golden.items):
        if len(item_ids) == count:
            break
        try:
            batch = _batch_of(row, models[FP32].runtime)
        except MediaError as error:
            reasons.append(f"item {row['item_id']!r}: {error}")
            continue
        answers = {precision: sealed.runtime.run(batch) for precision, sealed in models.items()}
        if not all(_clear_of_thresholds(answers[name], sealed.decision, name) for name, sealed in models.items()):
            continue
        for precision, outputs in answers.items():
            tensors: dict[str, NDArray[np.generic]] = {name: getattr(outputs, name) for name in OUTPUTS}
            if precision == FP32:
                tensors = {**batch.arrays(), **tensors}
            with atomic_file(folder / answer_name(precision, len(item_ids))) as file:
                file.write_bytes(save({name: np.ascontiguousarray(array) for name, array in tensors.items()}))
        item_ids.append(str(row["item_id"]))
    if not item_ids:
        raise InputError(
            f"{golden.folder}: none of its {len(golden.items)} items can be replayed; "
            + ("; ".join(reasons[:3]) if reasons else "all lie on a threshold")
        )
    record = Replay(
        golden_set=golden.name,
        golden_digest=golden.digest,
        logit_tolerance=LOGIT_TOLERANCE,
        probability_tolerance=PROBABILITY_TOLERANCE,
        lower_tolerance=LOWER_TOLERANCE if len(models) > 1 else None,
        item_ids=item_ids,
    )
    write_json(folder / "replay.json", record.model_dump(mode="json", by_alias=True, exclude_none=True))


def answer_name(precision: str, place: int) -> str:
    """The file in golden/ with what a precision says of the item at `place`."""
    return f"{place:04d}.safetensors" if precision == FP32 else f"{precision}/{place:04d}.safetensors"


def read_replay(folder: Path) -> Replay:
    """Read golden/replay.json; InputError names file, key and value."""
    try:
        return Replay.model_validate(read_json(folder / "replay.json"))
    except ValidationError as error:
        raise InputError(findings_of(folder / "replay.json", error)) from error


def read_exchange(folder: Path, place: int, precision: str = FP32) -> tuple[Batch, Outputs]:
    """One item's request and the answer that is expected of a precision.

    Raises:
        InputError: a file does not hold the contract's tensors, or there is none of this precision.
    """
    file = folder / answer_name(FP32, place)
    tensors = _tensors(file)
    expected = {*INPUTS, *OUTPUTS} if SOUND[0] in tensors else {*INPUTS, *OUTPUTS}.difference(SOUND)
    _check_names(file, tensors, expected)
    answer = tensors
    if precision != FP32:
        file = existing_file(folder / answer_name(precision, place))
        answer = _tensors(file)
        _check_names(file, answer, set(OUTPUTS))
    return Batch(**{name: tensors[name] for name in INPUTS if name in tensors}), Outputs(
        *(answer[name] for name in OUTPUTS)
    )


def _tensors(file: Path) -> dict[str, NDArray[Any]]:
    with file.open("rb") as opened:
        header = int.from_bytes(opened.read(8), "little")
    if header > LARGEST_HEADER:
        raise InputError(f"{file}: a header of {header:,} bytes; at most {LARGEST_HEADER:,} can be right")
    return load_file(file)


def _check_names(file: Path, tensors: Mapping[str, object], expected: set[str]) -> None:
    if set(tensors) != expected:
        raise InputError(f"{file}: expected the tensors {', '.join(sorted(expected))}; found {', '.join(tensors)}")


def disagreements(expected: Outputs, found: Outputs, replay: Replay, precision: str = FP32) -> list[str]:
    """How an answer differs from the expected one, beyond the tolerances; [] if it does not."""
    problems = []
    shapes = [(name, getattr(expected, name), getattr(found, name)) for name in OUTPUTS]
    for name, wanted, got in shapes:
        if wanted.shape != got.shape or wanted.dtype != got.dtype:
            problems.append(f"{name}: expected {wanted.dtype} {wanted.shape}, found {got.dtype} {got.shape}")
    if problems:
        return problems
    for name, tolerance in zip(("logits", "probabilities"), replay.tolerances(precision), strict=True):
        difference = np.abs(getattr(expected, name).astype(np.float64) - getattr(found, name))
        if not (difference <= tolerance).all():
            problems.append(f"{name} differ by up to {difference.max():.3g}, tolerance {tolerance:g}")
    if not np.array_equal(expected.flags, found.flags):
        columns = np.flatnonzero((expected.flags != found.flags).any(0)).tolist()
        problems.append(f"flags differ in bands {columns}")
    return problems


def _spread_rows(items: pl.DataFrame) -> Iterator[dict[str, object]]:
    """All items, such that any first few are spread over media types, texts and the table."""
    has_text = pl.any_horizontal(pl.col("caption", "ocr_text", "asr_text").is_not_null())
    kinds = items.with_columns(has_text=has_text).partition_by(["media_type", "has_text"], maintain_order=True)
    queues = [_halving(len(kind)) for kind in kinds]
    for turn in range(max(len(queue) for queue in queues)):
        for kind, queue in zip(kinds, queues, strict=True):
            if turn < len(queue):
                yield kind.row(queue[turn], named=True)


def _halving(count: int) -> list[int]:
    """0 … count - 1 in an order whose every beginning is spread evenly: by the reversed bits of the place."""
    bits = max(1, (count - 1).bit_length())
    return sorted(range(count), key=lambda place: int(f"{place:0{bits}b}"[::-1], 2))


def _batch_of(row: dict[str, object], runtime: Runtime) -> Batch:
    settings = runtime.preprocessing
    frames = load_frames(row["media"], row["media_type"], settings)  # type: ignore[arg-type]
    text = compose_text(row["caption"], row["ocr_text"], row["asr_text"])  # type: ignore[arg-type]
    token_ids, token_mask = tokenize(runtime.tokenizer, [text], settings.max_tokens)
    return collate(
        [frames],
        token_ids,
        token_mask,
        size=(settings.height, settings.width),
        pad_token_id=runtime.pad_token_id,
        num_tokens=padded_tokens(int(token_mask.sum()), settings.max_tokens),
    )


def _clear_of_thresholds(outputs: Outputs, decision: Decision, precision: str) -> bool:
    if not np.isfinite(outputs.logits).all():
        raise InputError("the model gives a logit that is no finite number on a golden item; it cannot be sealed")
    distances_BK = np.abs(outputs.logits[:, decision.band_policy] - decision.thresholds)
    tolerance = LOGIT_TOLERANCE if precision == FP32 else LOWER_TOLERANCE
    return bool((distances_BK > 2 * tolerance).all())
