from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from data.loading import Collate, ItemDataset, MediaBrokeError, texts_of
from data.preprocessing import Preprocessing
from train.features.cache import Rows

SMALL = Preprocessing(height=8, width=6, num_frames=2, max_tokens=4)


@pytest.fixture
def posts(tmp_path: Path) -> pl.DataFrame:
    for name, value in (("a", 10), ("b", 200)):
        Image.new("RGB", (9, 9), (value, 0, 0)).save(tmp_path / f"{name}.png")
    media = [[str(tmp_path / "a.png")], [str(tmp_path / "a.png"), str(tmp_path / "b.png")]]
    columns = {"item_id": ["one", "two"], "media": media, "media_type": ["photo", "photo"]}
    texts = {"caption": ["fire now", None], "ocr_text": [None, None], "asr_text": [None, None]}
    return pl.DataFrame({**columns, **texts}, schema_overrides=dict.fromkeys(texts, pl.String))


@pytest.fixture
def tokenizer() -> Tokenizer:
    made = Tokenizer(models.WordLevel({"[PAD]": 0, "[UNK]": 1, "fire": 2, "now": 3}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.enable_padding(pad_id=0, pad_token="[PAD]")
    return made


LABELS = np.array([[1.0, np.nan], [0.0, 1.0]], dtype=np.float32)


def test_a_raw_batch_keeps_the_input_contract(posts: pl.DataFrame, tokenizer: Tokenizer) -> None:
    shares = np.array([[0.8, 0.5], [0.2, 1.0]], dtype=np.float32)
    dataset = ItemDataset(posts, LABELS, p_violating=shares, preprocessing=SMALL)
    batch = Collate(tokenizer, SMALL)([dataset[0], dataset[1]])
    assert np.array_equal(batch.p_violating.numpy(), shares)
    assert batch.index.tolist() == [0, 1]
    assert batch.index.dtype == torch.int64
    assert batch.frames is not None
    assert batch.frames.dtype == torch.uint8
    assert batch.frames.shape == (2, 2, 3, 8, 6)
    assert batch.frames[1, :, 0, 0, 0].tolist() == [10, 200]
    assert batch.frames[0, 1].max() == 0
    assert batch.frame_mask.tolist() == [[True, False], [True, True]]
    assert batch.frame_times.dtype == torch.float32
    assert batch.token_ids is not None
    assert batch.token_ids.tolist() == [[2, 3], [0, 0]]
    assert batch.token_mask is not None
    assert batch.token_mask.tolist() == [[True, True], [False, False]]
    assert {name: mask.tolist() for name, mask in batch.present.items()} == {
        "clip": [False, False],
        "text": [True, False],
    }
    assert batch.frame_features is None
    assert np.array_equal(batch.labels.numpy(), LABELS, equal_nan=True)


def test_encoded_items_open_no_file(posts: pl.DataFrame) -> None:
    posts = posts.with_columns(media=pl.Series([["gone"], ["gone"]]))
    features = {
        "one": Rows(np.ones((1, 5), np.float32), np.zeros(1, np.float32)),
        "two": Rows(np.full((3, 5), 2, np.float32), np.array([0.0, 0.5, 1.0], np.float32)),
    }
    texts = {"one": Rows(np.full((1, 4), 3, np.float32), np.zeros(1, np.float32))}
    # What reads clips keeps an empty row for a clip in which no time passes.
    clips = {
        "one": Rows(np.zeros((0, 3), np.float32), np.zeros(0, np.float32)),
        "two": Rows(np.full((1, 3), 7, np.float32), np.zeros(1, np.float32)),
    }
    dataset = ItemDataset(
        posts,
        LABELS,
        preprocessing=SMALL,
        reads_frames=False,
        frame_features=features,
        vectors={"text": texts, "clip": clips},
        dims={"text": 4, "clip": 3},
    )
    batch = Collate(None, SMALL)([dataset[0], dataset[1]])
    assert batch.frame_features is not None
    assert batch.frame_features.sum((1, 2)).tolist() == [5.0, 30.0]
    assert batch.frame_times[1].tolist() == [0.0, 0.5, 1.0]
    assert batch.vectors["text"].sum(1).tolist() == [12.0, 0.0]
    assert batch.vectors["clip"].sum(1).tolist() == [0.0, 21.0]
    assert {name: mask.tolist() for name, mask in batch.present.items()} == {
        "clip": [False, True],
        "text": [True, False],
    }
    assert batch.frames is None
    assert batch.token_ids is None


def test_a_model_without_frames_opens_no_file(posts: pl.DataFrame, tokenizer: Tokenizer) -> None:
    posts = posts.with_columns(media=pl.Series([["gone"], ["gone"]]))
    batch = Collate(tokenizer, SMALL)([ItemDataset(posts, LABELS, preprocessing=SMALL, reads_frames=False)[0]])
    assert batch.frame_mask.tolist() == [[False]]


def test_an_unreadable_item_is_an_error_and_never_another_item(posts: pl.DataFrame) -> None:
    posts = posts.with_columns(media=pl.Series([["gone"], ["gone"]]))
    with pytest.raises(MediaBrokeError):
        ItemDataset(posts, LABELS, preprocessing=SMALL)[0]


def test_the_three_texts_are_one() -> None:
    columns = {"caption": ["a", None], "ocr_text": ["b", None], "asr_text": [None, " "]}
    assert texts_of(pl.DataFrame(columns)) == ["a\n[OCR] b", ""]
