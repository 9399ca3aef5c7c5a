"""The model folder that `export` writes: model.json, contract.json, preprocess.json, onnx/, tokenizer/, reports/."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
import PIL
from pydantic import Field, ValidationError
from tokenizers import Tokenizer, models

from data.errors import InputError
from data.files import atomic_file, existing_file, existing_folder, read_json, sha256_of_file
from data.media import Preprocessing
from data.policy import Identifier, Modality, Strict, Version, findings_of
from data.text import load_tokenizer
from export.graph.contract import Contract, read_contract

Sha256 = str
FP32 = "fp32"
TOKENIZER_FILE = "tokenizer/tokenizer.json"


class PolicyOutput(Strict):
    """One policy that the model scores; its place in the list is its column."""

    policy_id: Identifier
    version: Version
    evidence: list[Modality]


class PrecisionFile(Strict):
    """One ONNX file; quantised ones are models of their own, with digests of their own."""

    file: str
    sha256: Sha256
    model_digest: Sha256


class EncoderSource(Strict):
    """Where an encoder's weights came from: a hub name, `package:NAME`, or the name of a local folder.

    Attributes:
        license: its name as the source states it; "unknown" where it states none.
        license_stated_in: where that was found. The texts stand in licenses/ENCODER.txt, where there were any.
    """

    source: str
    digest: Sha256
    license: str = "unknown"
    license_stated_in: str | None = None


class ModelRecord(Strict):
    """The content of model.json."""

    format: Literal["setpoint/model/v1"] = Field(alias="schema")
    model_digest: Sha256
    opset: int
    policies: list[PolicyOutput] = Field(min_length=1)
    precisions: dict[str, PrecisionFile]
    checkpoint_digest: Sha256
    data_digests: dict[str, Any]
    encoders: dict[str, EncoderSource]
    toolchain: dict[str, str]

    @property
    def policy_ids(self) -> list[str]:
        """Policies in the order of the model's outputs."""
        return [policy.policy_id for policy in self.policies]

    @property
    def policy_versions(self) -> dict[str, str]:
        """policy_id to version."""
        return {policy.policy_id: policy.version for policy in self.policies}


@dataclass(frozen=True)
class ModelFolder:
    """A model folder as read back; its ONNX files are checked against their digests by `onnx_file`."""

    folder: Path
    record: ModelRecord
    contract: Contract
    preprocessing: Preprocessing

    def onnx_file(self, precision: str) -> Path:
        """The ONNX file of a precision.

        Raises:
            InputError: there is no such precision, or the file is not the one that was exported.
        """
        if precision not in self.record.precisions:
            raise InputError(
                f"{self.folder}: has no precision {precision!r}; found {', '.join(self.record.precisions)}"
            )
        entry = self.record.precisions[precision]
        path = existing_file(self.folder / entry.file)
        if sha256_of_file(path) != entry.sha256:
            raise InputError(f"{path}: its digest does not match model.json; the file was changed, export it again")
        return path

    def tokenizer(self) -> Tokenizer:
        """The tokenizer, ready for `data.text.tokenize`."""
        return read_tokenizer(self.folder)


def onnx_name(precision: str) -> str:
    """Where the ONNX file of a precision stands in a model folder and in a release."""
    return f"onnx/{precision}/model.onnx"


def read_model_folder(folder: str | Path) -> ModelFolder:
    """Read a model folder.

    Raises:
        InputError: a file is missing or wrong, named with key and value.
    """
    folder = existing_folder(folder)
    file = folder / "model.json"
    if not file.is_file():
        raise InputError(f"{folder}: has no model.json; expected a folder that `setpoint export` wrote")
    try:
        record = ModelRecord.model_validate(read_json(file))
    except ValidationError as error:
        raise InputError(findings_of(file, error)) from error
    return ModelFolder(
        folder, record, read_contract(folder / "contract.json"), read_preprocessing(folder / "preprocess.json")
    )


def read_preprocessing(path: str | Path) -> Preprocessing:
    """Read preprocess.json; InputError names file and key."""
    content = read_json(path)
    try:
        return Preprocessing.from_dict(content)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: {error}") from error


def decoder_versions() -> dict[str, str]:
    """Versions of what turns files into pixels; other versions may give other pixels."""
    libavcodec = ".".join(str(number) for number in av.library_versions["libavcodec"])
    return {"av": av.__version__, "libavcodec": libavcodec, "pillow": PIL.__version__}


def preprocess_content(preprocessing: Preprocessing) -> dict[str, Any]:
    """The content of preprocess.json: how files and texts become the contract's inputs, and what did so here."""
    return {
        "schema": "setpoint/preprocess/v1",
        **preprocessing.to_dict(),
        "tokenizer": TOKENIZER_FILE,
        "decoders": decoder_versions(),
    }


def no_tokenizer() -> Tokenizer:
    """The tokenizer of a model that reads no text: whatever the text, it has no token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.enable_padding(pad_id=0, pad_token="")
    return tokenizer


def write_tokenizer(folder: Path, tokenizer: Tokenizer | None) -> None:
    """Write tokenizer/tokenizer.json, without truncation: preprocess.json says how long texts may be."""
    copy = Tokenizer.from_str((tokenizer or no_tokenizer()).to_str())
    copy.no_truncation()
    with atomic_file(folder / TOKENIZER_FILE) as temporary:
        temporary.write_text(copy.to_str(pretty=True), encoding="utf-8")


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read tokenizer/tokenizer.json of a model folder or release; InputError names the file."""
    file = folder / TOKENIZER_FILE
    try:
        return load_tokenizer(file.parent)
    except (FileNotFoundError, ValueError) as error:
        raise InputError(f"{file}: no tokenizer, or not a whole one") from error


def pad_token_id(tokenizer: Tokenizer) -> int:
    """The id that fills token_ids where there is no token."""
    padding = tokenizer.padding
    return int(padding["pad_id"]) if padding else 0
