"""Running a text encoder over items, features into the cache.

Shapes: B texts, L tokens, D features.
"""

from pathlib import Path

import numpy as np
import polars as pl
import torch
from tokenizers import Tokenizer

from data.loading import texts_of
from data.progress import tracked
from data.text import tokenize
from train.encoders.describing import describe
from train.encoders.text import TextEncoder
from train.features.cache import FeatureCache, Rows, in_shards, key_of_text

TEXTS_PER_BATCH = 64
TEXTS_PER_SHARD = 2048


def encode_texts(
    items: pl.DataFrame,
    *,
    encoder: TextEncoder,
    tokenizer: Tokenizer,
    max_tokens: int,
    cache_dir: Path,
    device: torch.device,
) -> dict[str, Rows]:
    """Text features by item_id, from the cache where they are known; items without text are left out."""
    made_by = {"encoder": describe(encoder), "tokenizer": tokenizer_digest(tokenizer), "max_tokens": max_tokens}
    cache = FeatureCache(cache_dir, made_by)
    texts = {item_id: text for item_id, text in zip(items["item_id"], texts_of(items), strict=True) if text}
    by_key = {key_of_text(text): text for text in texts.values()}
    # Texts of like length share a batch: less padding.
    missing = sorted((key for key in by_key if key not in cache.rows), key=lambda key: (len(by_key[key]), key))
    encoder = encoder.to(device).eval()
    bar = iter(tracked(missing, "encoding texts", len(missing)))
    for shard in in_shards(missing, TEXTS_PER_SHARD):
        rows: list[Rows] = []
        for batch in in_shards(shard, TEXTS_PER_BATCH):
            token_ids, token_mask = tokenize(tokenizer, [by_key[key] for key in batch], max_tokens)
            with torch.inference_mode():
                features_BD = encoder(torch.from_numpy(token_ids).to(device), torch.from_numpy(token_mask).to(device))
            rows += [Rows(row[None], np.zeros(1, np.float32)) for row in features_BD.float().cpu().numpy()]
            next(bar)
        cache.append(shard, rows)
    return {item_id: cache.rows[key_of_text(text)] for item_id, text in texts.items()}


def tokenizer_digest(tokenizer: Tokenizer) -> str:
    """Hex SHA-256 of a tokenizer, whatever truncation is set on it."""
    return key_of_text(untruncated_json(tokenizer))


def untruncated_json(tokenizer: Tokenizer) -> str:
    """The content of tokenizer.json without truncation, which `tokenize` sets by itself."""
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    return copy.to_str()
