"""model.py of the preprocessing step: encoded photos or a clip and texts in, the contract's tensors out.

Runs inside Triton's Python backend on the files that the repository holds beside it: predict.py of the release, whose
decoding and tokenising it calls, preprocess.json and the tokenizer. Its packages are those of requirements.txt.
"""

import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils

TEXTS = ("CAPTION", "OCR_TEXT", "ASR_TEXT")


class TritonPythonModel:
    """The class that Triton looks for; a request is one item."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the release's own code, its settings and its tokenizer."""
        folder = Path(args["model_repository"]) / args["model_version"]
        spec = importlib.util.spec_from_file_location("predict", folder / "predict.py")
        assert spec is not None
        assert spec.loader is not None
        self.code: Any = importlib.util.module_from_spec(spec)
        # Its dataclasses look their module up by name.
        sys.modules["predict"] = self.code
        spec.loader.exec_module(self.code)
        settings = json.loads((folder / "preprocess.json").read_text(encoding="utf-8"))
        self.preprocessing = self.code.Preprocessing.from_dict(settings)
        self.tokenizer = self.code.load_tokenizer(folder / "tokenizer")
        self.pad_token_id = self.tokenizer.padding["pad_id"] if self.tokenizer.padding else 0

    def execute(self, requests: list[Any]) -> list[Any]:
        """A response for each request; an item that cannot be read is an error, never an empty one."""
        responses = []
        for request in requests:
            try:
                arrays = self._tensors(request)
                tensors = [pb_utils.Tensor(name, array) for name, array in arrays.items()]
                responses.append(pb_utils.InferenceResponse(output_tensors=tensors))
            except (self.code.MediaError, ValueError) as error:
                responses.append(pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error))))
        return responses

    def _tensors(self, request: Any) -> dict[str, Any]:
        media = _values(request, "MEDIA")
        kinds = [kind.decode("utf-8", "replace") for kind in _values(request, "MEDIA_TYPE")]
        if media and len(kinds) != 1:
            raise ValueError("MEDIA_TYPE: expected photo or video")
        texts = [b"".join(_values(request, name)).decode("utf-8", "replace") for name in TEXTS]
        if not media and not any(texts):
            raise ValueError("nothing to look at: expected MEDIA, CAPTION, OCR_TEXT or ASR_TEXT")
        with tempfile.TemporaryDirectory() as name:
            files = [str(Path(name) / str(place)) for place in range(len(media))]
            for file, data in zip(files, media, strict=True):
                Path(file).write_bytes(data)
            frames = self.code.load_frames(files, kinds[0] if media else "photo", self.preprocessing)
        max_tokens = self.preprocessing.max_tokens
        token_ids, token_mask = self.code.tokenize(self.tokenizer, [self.code.compose_text(*texts)], max_tokens)
        batch = self.code.collate(
            [frames],
            token_ids,
            token_mask,
            size=(self.preprocessing.height, self.preprocessing.width),
            pad_token_id=self.pad_token_id,
            num_tokens=self.code.padded_tokens(int(token_mask.sum()), max_tokens),
        )
        arrays: dict[str, Any] = batch.arrays()
        return arrays


def _values(request: Any, name: str) -> list[bytes]:
    """The elements of an optional input of one item; empty ones are none."""
    tensor = pb_utils.get_input_tensor_by_name(request, name)
    return [] if tensor is None else [bytes(value) for value in tensor.as_numpy().ravel() if value]
