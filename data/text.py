"""Captions, on-screen text and speech composed into one text, and its tokens.

Stands on the standard library, numpy and tokenizers alone: a release carries this file inside its predict.py.

Shapes: B batch, L tokens.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

PAD_TOKENS = ("[PAD]", "<pad>", "<|pad|>", "<|endoftext|>", "</s>")


def compose_text(caption: str | None, ocr_text: str | None, asr_text: str | None) -> str:
    """One text of an item: the caption, the text seen and the text heard, a line each; '' when there is none.

    >>> compose_text("look at this", None, "so today I will")
    'look at this\\n[ASR] so today I will'
    """
    parts = [("", caption), ("[OCR] ", ocr_text), ("[ASR] ", asr_text)]
    lines = [mark + text.strip() for mark, text in parts if text and text.strip()]
    # Half of a surrogate pair can stand in JSON, but not in UTF-8, which tokenizers want.
    return "\n".join(lines).encode("utf-8", errors="replace").decode("utf-8")


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """Read `folder`/tokenizer.json; its own truncation goes, its padding becomes right-hand to the longest.

    Raises:
        FileNotFoundError: there is no tokenizer.json.
        ValueError: it is no tokenizer.
    """
    path = Path(folder) / "tokenizer.json"
    text = path.read_text(encoding="utf-8")
    try:
        tokenizer: Tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises bare Exception
        raise ValueError(f"{path.name}: not a tokenizer ({error})") from error
    padding = tokenizer.padding
    if padding is not None:
        pad_id, pad_token = padding["pad_id"], padding["pad_token"]
    else:
        known = [token for token in PAD_TOKENS if tokenizer.token_to_id(token) is not None]
        pad_token = known[0] if known else ""
        pad_id = tokenizer.token_to_id(pad_token) if known else 0
    tokenizer.no_truncation()
    tokenizer.enable_padding(direction="right", pad_id=pad_id, pad_token=pad_token)
    return tokenizer


def tokenize(
    tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Turn texts into padded token ids; an empty text has no token at all.

    Args:
        tokenizer: from `load_tokenizer`.
        texts: B texts.
        max_tokens: longer texts are cut at their end; special tokens count and stay.

    Returns:
        token_ids int64 [B, L] and token_mask bool [B, L], L that of the longest text and at least 1. Padding, and
        the whole row of an empty text, holds the pad id under a False mask.

    Raises:
        ValueError: max_tokens leaves no room beside the special tokens.
    """
    special = tokenizer.num_special_tokens_to_add(is_pair=False)
    if max_tokens <= special:
        raise ValueError(f"max_tokens = {max_tokens}: expected more than the {special} special tokens")
    truncation = tokenizer.truncation
    if truncation is None or truncation["max_length"] != max_tokens:
        tokenizer.enable_truncation(max_length=max_tokens)
    # One at a time: encode_batch starts threads, which warn and stall in forked data workers.
    rows = [tokenizer.encode(text) if text else None for text in texts]
    kept = [
        [token for token, real in zip(row.ids, row.attention_mask, strict=True) if real] if row else []
        for row in rows
    ]
    longest = max((len(tokens) for tokens in kept), default=0)
    pad_id = tokenizer.padding["pad_id"] if tokenizer.padding else 0
    token_ids_BL = np.full((len(texts), max(1, longest)), pad_id, dtype=np.int64)
    token_mask_BL = np.zeros(token_ids_BL.shape, dtype=np.bool_)
    for index, tokens in enumerate(kept):
        token_ids_BL[index, : len(tokens)] = tokens
        token_mask_BL[index, : len(tokens)] = True
    return token_ids_BL, token_mask_BL
