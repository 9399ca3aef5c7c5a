"""A release loaded into ONNX Runtime: from the files of one item to a decision for each policy.

Part of a release's predict.py; stands on numpy and onnxruntime, and on what data.media and data.text stand on.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from data.media import Preprocessing, load_frames
from data.text import compose_text, load_tokenizer, tokenize
from export.scoring.batch import collate, padded_tokens

CLIP_SUFFIXES = (
    ".mp4",
    ".m4v",
    ".mov",
    ".mkv",
    ".webm",
    ".avi",
    ".ts",
    ".mts",
    ".m2ts",
    ".mpg",
    ".mpeg",
    ".flv",
    ".wmv",
    ".asf",
    ".3gp",
    ".3g2",
    ".ogv",
)


class ReleaseError(Exception):
    """A release folder that cannot be loaded; the message says what is wrong with it."""


@dataclass(frozen=True)
class BandFlag:
    """One band of a policy.

    Attributes:
        action: what the band asks for.
        queue: of a review; None without.
        status: "certified", "fits" a number of posts a day, or "waived": flags without a promise; any other never
            flags.
        threshold: flagged when logit >= threshold; None where it never flags.
        flagged: whether it is.
    """

    action: str
    queue: str | None
    status: str
    threshold: float | None
    flagged: bool


@dataclass(frozen=True)
class PolicyPrediction:
    """What the model says under one policy.

    Attributes:
        policy_id: which policy.
        version: its version.
        probability: calibrated probability of violating.
        logit: raw score; thresholds compare this.
        action: of the strictest band that is flagged; None if none is.
        bands: all bands, strictest first.
    """

    policy_id: str
    version: str
    probability: float
    logit: float
    action: str | None
    bands: tuple[BandFlag, ...]


class Predictor:
    """A release, loaded into ONNX Runtime on the CPU.

    Args:
        release: folder of the release.
        precision: which of its ONNX files, with the thresholds that were certified on its scores.
        pack: whose thresholds and calibrators; None takes the first, and most releases have one alone.

    Raises:
        ReleaseError: a file is missing or broken, or there is no such precision or pack.
    """

    def __init__(self, release: str | Path, *, precision: str = "fp32", pack: str | None = None) -> None:
        folder = Path(release)
        try:
            served = _of_precision(_read_json(folder / "policies.json"), precision)
            further = {each["name"]: each["policies"] for each in served.get("packs", [])}
            if pack not in (None, served.get("pack"), *further):
                found = ", ".join([served.get("pack") or "one without a name", *further])
                raise ValueError(f"it has no pack {pack!r}; found {found}")
            self.policies: list[dict[str, Any]] = further.get(pack, served["policies"])
            self.calibrates = pack in further  # the graph's probabilities are the first pack's
            self.preprocessing = Preprocessing.from_dict(_read_json(folder / "preprocess.json"))
            self.tokenizer = load_tokenizer(folder / "tokenizer")
            padding = self.tokenizer.padding
            self.pad_token_id: int = padding["pad_id"] if padding else 0
            self.session = _open_session(folder / "onnx" / precision / "model.onnx")
            self._check_policies()
        except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
            name = getattr(error, "filename", None)
            reason = f"{name}: {error.strerror}" if isinstance(error, OSError) and name else str(error)
            raise ReleaseError(f"{folder}: not a release that can be loaded ({reason})") from error

    def predict(
        self,
        media: Sequence[str | Path] = (),
        *,
        caption: str | None = None,
        ocr_text: str | None = None,
        asr_text: str | None = None,
        media_type: str | None = None,
    ) -> list[PolicyPrediction]:
        """Decode one item, run the model, and read its flags.

        Args:
            media: one clip, or one or more photos; none for a text alone.
            caption: its caption.
            ocr_text: text seen in it.
            asr_text: speech heard in it.
            media_type: "photo" or "video"; by default told from the ending of the file's name.

        Returns:
            A prediction for each policy, in the order of the model's outputs.

        Raises:
            MediaError: a file cannot be read.
        """
        files = [str(file) for file in media]
        frames = load_frames(files, media_type or media_type_of(files), self.preprocessing)
        text = compose_text(caption, ocr_text, asr_text)
        max_tokens = self.preprocessing.max_tokens
        token_ids, token_mask = tokenize(self.tokenizer, [text], max_tokens)
        batch = collate(
            [frames],
            token_ids,
            token_mask,
            size=(self.preprocessing.height, self.preprocessing.width),
            pad_token_id=self.pad_token_id,
            num_tokens=padded_tokens(int(token_mask.sum()), max_tokens),
        )
        logits, probabilities, flags = self.session.run(["logits", "probabilities", "flags"], batch.arrays())
        if not np.isfinite(logits).all():
            raise ReleaseError("the model gives a logit that is no finite number: the release is broken")
        return [self._prediction(policy, logits[0], probabilities[0], flags[0]) for policy in self.policies]

    def _check_policies(self) -> None:
        """Read a prediction of zeros, so that a broken policies.json is found before the first item."""
        bands = 1 + max((band["index"] for policy in self.policies for band in policy["bands"]), default=-1)
        for policy in self.policies:
            self._prediction(policy, np.zeros(len(self.policies)), np.zeros(len(self.policies)), np.zeros(bands))

    def _prediction(self, policy: dict[str, Any], logits: Any, probabilities: Any, flags: Any) -> PolicyPrediction:
        bands = tuple(
            BandFlag(band["action"], band["queue"], band["status"], band["threshold"], bool(flags[band["index"]]))
            for band in policy["bands"]
        )
        column = policy["output_index"]
        probability = float(probabilities[column])
        if self.calibrates:
            calibrated = np.float32(logits[column]) * np.float32(policy["calibrator"]["scale"])
            calibrated += np.float32(policy["calibrator"]["offset"])
            probability = float(np.float32(1 / (1 + np.exp(-np.float64(calibrated)))))
        return PolicyPrediction(
            policy_id=policy["policy_id"],
            version=policy["version"],
            probability=probability,
            logit=float(logits[column]),
            action=next((band.action for band in bands if band.flagged), None),
            bands=bands,
        )


def load(release: str | Path, *, precision: str = "fp32", pack: str | None = None) -> Predictor:
    """Load a release folder; ReleaseError says what is wrong with it."""
    return Predictor(release, precision=precision, pack=pack)


def media_type_of(files: Sequence[str]) -> str:
    """ "video" for one file that is named like a clip, else "photo"."""
    return "video" if len(files) == 1 and files[0].lower().endswith(CLIP_SUFFIXES) else "photo"


def _of_precision(served: dict[str, Any], precision: str) -> dict[str, Any]:
    by_name: dict[str, dict[str, Any]] = {"fp32": served, **served.get("precisions", {})}
    if precision not in by_name:
        raise ValueError(f"it has no precision {precision!r}; found {', '.join(by_name)}")
    return by_name[precision]


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path.name} is not JSON: {error}") from error


def _open_session(path: Path) -> onnxruntime.InferenceSession:
    if not path.is_file():
        raise FileNotFoundError(2, "no such file", str(path))
    options = onnxruntime.SessionOptions()
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented as error:
        raise ReleaseError(
            f"{path}: ONNX Runtime {onnxruntime.__version__} cannot compute in {path.parent.name} on a CPU; "
            "take another --precision, such as fp32"
        ) from error
    except Exception as error:  # the library raises a class of its own for each status
        raise ValueError(f"ONNX Runtime cannot open {path.name}: {str(error)[:300]}") from error
