from collections.abc import Callable

from train.encoders.sources import load_tokenizer

Folder = Callable[[str], str]


def test_the_tokenizer_pads_and_does_not_cut(encoder_folder: Folder) -> None:
    tokenizer = load_tokenizer(encoder_folder("bert"))
    assert tokenizer.truncation is None
    assert tokenizer.padding is not None
    assert tokenizer.padding["pad_id"] == 0
    assert tokenizer.encode("bad cat").ids == [2, 5, 6, 3]
