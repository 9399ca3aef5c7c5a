"""Texts composed and cut into tokens, against the tokenizers library itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from data.text import compose_text, load_tokenizer, tokenize

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "b", "c", "d", "e"]


def tokenizer_with(*, pad_id: int = 0) -> Tokenizer:
    words = WORDS[1:]
    words.insert(pad_id, "[PAD]")
    ids = {word: index for index, word in enumerate(words)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    )
    tokenizer.add_special_tokens(["[PAD]", "[CLS]", "[SEP]"])
    return tokenizer


def saved(folder, tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.save(str(folder / "tokenizer.json"))
    return load_tokenizer(folder)


def test_compose_text():
    assert compose_text("hi", "STOP", "so he said") == "hi\n[OCR] STOP\n[ASR] so he said"
    assert compose_text(None, "STOP", None) == "[OCR] STOP"
    assert compose_text("  ", "", None) == ""
    assert compose_text(" hi\n", None, "\t") == "hi"


@given(st.text(st.characters(), max_size=20))
def test_composed_text_is_always_utf8(caption):
    assert compose_text(caption + "\ud83d", None, None).encode("utf-8")


def test_tokens_are_padded_to_the_longest_text(tmp_path):
    tokenizer = saved(tmp_path, tokenizer_with(pad_id=3))
    words = {word: tokenizer.token_to_id(word) for word in WORDS}
    token_ids, token_mask = tokenize(tokenizer, ["a b c", "", "d"], max_tokens=16)
    cls, sep, pad = words["[CLS]"], words["[SEP]"], words["[PAD]"]
    assert pad == 3
    assert token_ids.tolist() == [
        [cls, words["a"], words["b"], words["c"], sep],
        [pad] * 5,
        [cls, words["d"], sep, pad, pad],
    ]
    assert token_mask.tolist() == [[True] * 5, [False] * 5, [True] * 3 + [False] * 2]
    assert token_ids.dtype == np.int64
    assert token_mask.dtype == np.bool_


def test_long_text_keeps_its_special_tokens(tmp_path):
    tokenizer = saved(tmp_path, tokenizer_with())
    token_ids, token_mask = tokenize(tokenizer, ["a b c d e " * 50], max_tokens=5)
    expected = ["[CLS]", "a", "b", "c", "[SEP]"]
    assert [tokenizer.id_to_token(token) for token in token_ids[0]] == expected
    assert token_mask.all()


def test_no_text_at_all_is_one_masked_column(tmp_path):
    tokenizer = saved(tmp_path, tokenizer_with())
    token_ids, token_mask = tokenize(tokenizer, ["", ""], max_tokens=8)
    assert token_ids.shape == token_mask.shape == (2, 1)
    assert not token_mask.any()


def test_padding_and_truncation_of_the_file_do_not_count(tmp_path):
    plain = tokenizer_with(pad_id=2)
    (tmp_path / "plain").mkdir()
    (tmp_path / "configured").mkdir()
    expected = tokenize(saved(tmp_path / "plain", plain), ["a b c d", "e", ""], max_tokens=8)
    plain.enable_padding(direction="left", length=12, pad_id=2, pad_token="[PAD]")
    plain.enable_truncation(max_length=3)
    found = tokenize(saved(tmp_path / "configured", plain), ["a b c d", "e", ""], max_tokens=8)
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])


def test_max_tokens_may_change_between_calls(tmp_path):
    tokenizer = saved(tmp_path, tokenizer_with())
    assert tokenize(tokenizer, ["a b c d"], max_tokens=3)[0].shape == (1, 3)
    assert tokenize(tokenizer, ["a b c d"], max_tokens=16)[0].shape == (1, 6)


def test_no_room_beside_the_special_tokens(tmp_path):
    with pytest.raises(ValueError, match="max_tokens = 2: expected more than the 2 special tokens"):
        tokenize(saved(tmp_path, tokenizer_with()), ["a"], max_tokens=2)


def test_what_is_no_tokenizer(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"tokenizer.json: not a tokenizer"):
        load_tokenizer(tmp_path)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(alphabet="ab \n[]é💥", max_size=30), max_size=4), st.integers(3, 12))
def test_rows_do_not_depend_on_their_neighbours(texts, max_tokens):
    tokenizer = tokenizer_with()
    token_ids, token_mask = tokenize(tokenizer, texts, max_tokens)
    assert token_ids.shape[1] <= max_tokens
    for index, text in enumerate(texts):
        alone_ids, alone_mask = tokenize(tokenizer, [text], max_tokens)
        assert token_ids[index][token_mask[index]].tolist() == alone_ids[0][alone_mask[0]].tolist()
        assert token_mask[index].any() == bool(text)
