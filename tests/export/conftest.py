"""A model folder made by hand, that runs in a millisecond; posts to score with it; releases sealed of it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest
from PIL import Image
from sealing import SealArguments, write_parts
from tokenizers import Tokenizer, models, pre_tokenizers

from data.files import read_json, sha256_of_file, write_json
from data.media import Preprocessing
from export.graph.contract import contract_of
from export.graph.decision_head import append_decision_head, model_digest
from export.graph.onnx_export import save_onnx
from export.model_folder import ModelRecord

GRAPH = """
<ir_version: 10, opset_import: ["" : 20]>
setpoint (
  uint8[batch, frames, 3, 8, 8] frames, bool[batch, frames] frame_mask, float[batch, frames] frame_times,
  int64[batch, tokens] token_ids, bool[batch, tokens] token_mask
) => (float[batch, 2] logits)
<float[1, 2] pixel_weight = {0.01, -0.02}, float[1, 2] time_weight = {0.1, 0.3},
 float[1, 2] word_weight = {0.5, 0.25}, int64[3] inner = {2, 3, 4}, int64[1] last = {1}, float one = {1.0}>
{
  pixels = Cast <to = 1> (frames)
  brightness = ReduceMean <keepdims = 0> (pixels, inner)
  real_frames = Cast <to = 1> (frame_mask)
  shown = Mul (brightness, real_frames)
  total = ReduceSum (shown, last)
  count = ReduceSum (real_frames, last)
  at_least_one = Max (count, one)
  mean = Div (total, at_least_one)
  visual = Mul (mean, pixel_weight)
  seen_times = Mul (frame_times, real_frames)
  seconds = ReduceSum (seen_times, last)
  timely = Mul (seconds, time_weight)
  words = Cast <to = 1> (token_ids)
  real_words = Cast <to = 1> (token_mask)
  said = Mul (words, real_words)
  spoken = ReduceSum (said, last)
  verbal = Mul (spoken, word_weight)
  sights = Add (visual, timely)
  logits = Add (sights, verbal)
}
"""
VOCABULARY = {"[PAD]": 0, "[UNK]": 1, "fire": 2, "sale": 3, "now": 4}


@pytest.fixture(scope="session")
def hand_made_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: logit = a * mean brightness + b * sum of times + c * sum of token ids, for fire and scam."""
    folder = tmp_path_factory.mktemp("hand") / "model"
    graph = append_decision_head(onnx.parser.parse_model(GRAPH), 2)
    save_onnx(graph, folder / "onnx" / "fp32" / "model.onnx")
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    (folder / "tokenizer").mkdir()
    tokenizer.save(str(folder / "tokenizer" / "tokenizer.json"))
    contract = contract_of(height=8, width=8, vocabulary_size=5, pad_token_id=0, policy_count=2)
    write_json(folder / "contract.json", contract.model_dump(mode="json", by_alias=True))
    write_json(folder / "preprocess.json", Preprocessing(height=8, width=8, num_frames=4, max_tokens=12).to_dict())
    digest = model_digest(graph)
    onnx_file = "onnx/fp32/model.onnx"
    record = ModelRecord(
        schema="setpoint/model/v1",
        model_digest=digest,
        opset=20,
        policies=[
            {"policy_id": "fire", "version": "1.0.0", "evidence": ["visual"]},
            {"policy_id": "scam", "version": "2.1.0", "evidence": ["text"]},
        ],
        precisions={
            "fp32": {"file": onnx_file, "sha256": sha256_of_file(folder / onnx_file), "model_digest": digest}
        },
        checkpoint_digest="0" * 64,
        data_digests={},
        encoders={},
        toolchain={},
    )
    write_json(folder / "model.json", record.model_dump(mode="json", by_alias=True))
    return folder


@pytest.fixture
def posts(tmp_path: Path) -> Path:
    """An items file with forty posts: photos and carousels of up to three, captions of up to 11 words, or none."""
    return _write_posts(tmp_path / "posts", 40)


@pytest.fixture(scope="session")
def write_posts() -> Callable[[Path, int], Path]:
    """Writes photos of one brightness each into a folder, and an items file over them; returns the file."""
    return _write_posts


def _write_posts(folder: Path, count: int) -> Path:
    folder.mkdir()
    random = np.random.default_rng(count)
    rows = []
    for index in range(count):
        media = [f"{index}-{photo}.png" for photo in range(1 + index % 3)]
        for name in media:
            Image.new("RGB", (20, 10), (int(random.integers(256)),) * 3).save(folder / name)
        caption = " ".join(random.choice(["fire", "sale", "now"], index % 12)) or None
        rows.append({"item_id": f"p{index:02d}", "media": media, "media_type": "photo", "caption": caption})
    pl.DataFrame(rows).write_parquet(folder / "items.parquet")
    return folder / "items.parquet"


@pytest.fixture(scope="session")
def untouched_parts(hand_made_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("parts")
    write_parts(hand_made_model, root)
    return root


@pytest.fixture
def parts(untouched_parts: Path, tmp_path: Path) -> SealArguments:
    """A copy that a test may change."""
    return SealArguments(shutil.copytree(untouched_parts, tmp_path / "parts"))


@pytest.fixture(scope="session")
def untouched_release(untouched_parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    releases = tmp_path_factory.mktemp("sealed") / "releases"
    summary = SealArguments(untouched_parts).seal(releases=releases)
    return summary.written[0]


@pytest.fixture(scope="session")
def older_release(untouched_parts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another release of the same model, by another calibration: one threshold differs."""
    parts = SealArguments(shutil.copytree(untouched_parts, tmp_path_factory.mktemp("older") / "parts"))
    points = read_json(parts.root / "calibration" / "operating_points.json")
    points["policies"][0]["bands"][1]["threshold"] = 0.75
    write_json(parts.root / "calibration" / "operating_points.json", points)
    return parts.seal(replay=5).written[0]


@pytest.fixture
def release(untouched_release: Path, tmp_path: Path) -> Path:
    """A copy of a sealed release that a test may change."""
    return shutil.copytree(untouched_release, tmp_path / "releases" / untouched_release.name)
