"""Checkpoints: what they hold, how they are written (whole or not at all) and read (`weights_only=True`).

A checkpoint is Lightning's, with the key "setpoint" beside Lightning's own: all that is needed to build the network
again. Weights that come from the encoders' sources and did not change (of frozen encoders, and those under adapters)
are not in it; source and digest are.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.fabric.plugins import CheckpointIO
from pydantic import ConfigDict, Field, ValidationError
from tokenizers import Tokenizer

from data.errors import InputError
from data.files import atomic_file, existing_file
from data.policy import Policy, Strict
from data.preprocessing import Preprocessing
from train.encoders.describing import state_digest
from train.network.assemble import build_network, rebuild_encoders
from train.network.classifier import MultimodalClassifier
from train.optim.tuning import add_all_adapters, merge_all_adapters, unstored_names
from train.settings import ModelSettings

KEY = "setpoint"
NETWORK = "network."  # the LightningModule's attribute


class RunRecord(Strict):
    """What a checkpoint says of the run that wrote it.

    Attributes:
        format: of this record.
        model: the settings of the network.
        encoders: each encoder's architecture, pooling and digest, as `Encoders.describe` gives them.
        preprocessing: as `Preprocessing.to_dict` gives it.
        policies: as their files state them, in the order of the logits.
        tokenizer: the content of tokenizer.json; None without a text encoder.
        data: SHA-256 of the files that were trained on.
        fingerprint: SHA-256 of everything that the weights hang on; a run goes on from its own kind only.
        config: the resolved config of the run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())

    format: Literal["setpoint/checkpoint/v1"] = Field(alias="schema")
    model: ModelSettings
    encoders: dict[str, dict[str, Any]]
    preprocessing: dict[str, Any]
    policies: list[Policy]
    tokenizer: str | None
    data: dict[str, str]
    fingerprint: str
    config: dict[str, Any]


@dataclass(frozen=True)
class TrainedModel:
    """A trained network and what it takes to feed it.

    Attributes:
        network: in evaluation mode, on the CPU.
        preprocessing: from files to its inputs.
        tokenizer: without truncation, padding on the right; None if the network reads no text.
        policies: in the order of the logits.
        digest: SHA-256 of all weights as they compute: those of frozen encoders included, adapters merged.
        record: what the checkpoint says of its run.
    """

    network: MultimodalClassifier
    preprocessing: Preprocessing
    tokenizer: Tokenizer | None
    policies: list[Policy]
    digest: str
    record: RunRecord

    @property
    def policy_ids(self) -> list[str]:
        """The order of the logits."""
        return [policy.policy_id for policy in self.policies]


def load_checkpoint(path: str | Path) -> TrainedModel:
    """Read a checkpoint and build its network, adapters merged into the weights.

    Raises:
        InputError: the file is missing, truncated or not one of `setpoint train`'s, or the source of a frozen or
            adapted encoder is not what it was.
    """
    content = read_checkpoint(path)
    record = record_of(content, path)
    preprocessing = Preprocessing.from_dict(record.preprocessing)
    encoders = rebuild_encoders(record.model, record.encoders, preprocessing)
    network = build_network(record.model, encoders, record.policies, preprocessing)
    add_all_adapters(network, record.model)
    weights = {name.removeprefix(NETWORK): held for name, held in content["state_dict"].items()}
    try:
        missing, unexpected = network.load_state_dict(weights, strict=False)
    except RuntimeError as error:
        raise InputError(f"{path}: its weights do not fit the network it describes") from error
    unstored = unstored_names(network, record.model)
    missing = [name for name in missing if name not in unstored]
    if missing or unexpected:
        raise InputError(
            f"{path}: its weights do not fit the network it describes (first: {[*missing, *unexpected][0]})"
        )
    merge_all_adapters(network, record.model)
    network.eval().requires_grad_(False)
    tokenizer = None if record.tokenizer is None else Tokenizer.from_str(record.tokenizer)
    return TrainedModel(network, preprocessing, tokenizer, record.policies, state_digest(network), record)


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The raw content of a checkpoint file; InputError if it is no whole checkpoint of `setpoint train`."""
    path = existing_file(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch meets truncated and foreign bytes with whatever exception comes first
        raise InputError(
            f"{path}: not a whole checkpoint ({type(error).__name__}); expected a .ckpt file of `setpoint train`"
        ) from error
    if not isinstance(content, dict) or KEY not in content or "state_dict" not in content:
        raise InputError(f"{path}: not a checkpoint of `setpoint train` (no {KEY!r} in it)")
    return content


def record_of(content: dict[str, Any], path: str | Path) -> RunRecord:
    """The run's record in a checkpoint's content; InputError if another version of Setpoint wrote it."""
    try:
        return RunRecord.model_validate(content[KEY])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: its record is not of setpoint/checkpoint/v1 ({where}: {first['msg']})") from error


class AtomicCheckpointIO(CheckpointIO):
    """Writes checkpoints whole or not at all, and reads them without unpickling code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write to a temporary name, sync, rename."""
        del storage_options
        # Through a stream: given a name, torch would write it into the file.
        with atomic_file(path) as temporary, temporary.open("wb") as stream:
            torch.save(checkpoint, stream)

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Read a checkpoint onto the CPU; `weights_only` is always true."""
        del map_location, weights_only
        return read_checkpoint(path)

    def remove_checkpoint(self, path: Any) -> None:
        """Delete a checkpoint."""
        Path(path).unlink(missing_ok=True)
