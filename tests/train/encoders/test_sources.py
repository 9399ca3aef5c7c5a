import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from data.errors import InputError
from train.encoders import locations
from train.encoders.sources import load_image_backbone, load_text_backbone, load_tokenizer

Folder = Callable[[str], str]


def test_the_tokenizer_pads_and_does_not_cut(encoder_folder: Folder) -> None:
    tokenizer = load_tokenizer(encoder_folder("bert"))
    assert tokenizer.truncation is None
    assert tokenizer.padding is not None
    assert tokenizer.padding["pad_id"] == 0
    assert tokenizer.encode("bad cat").ids == [2, 5, 6, 3]


@pytest.fixture
def no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine on which no model hub answers; yields the folder of its cache."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    locations._answers.cache_clear()
    yield tmp_path / "hub"
    locations._answers.cache_clear()


@pytest.mark.parametrize("load", [load_image_backbone, load_text_backbone, load_tokenizer])
def test_a_name_without_a_hub_is_refused_at_once(
    load: Callable[[str], object], no_hub: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    with pytest.raises(InputError, match=r"'no/such': no such folder here, .* as http://127.* does not answer"):
        load("no/such")
    assert time.monotonic() - started < 10  # 0.1 s here, once all is imported; six tries a file took 24 s each
    assert "Retrying" not in capfd.readouterr().err


def test_a_name_in_the_cache_needs_no_hub(no_hub: Path, encoder_folder: Folder) -> None:
    home = no_hub / "models--tiny--bert"
    shutil.copytree(encoder_folder("bert"), home / "snapshots" / "0123abc")
    (home / "refs").mkdir()
    (home / "refs/main").write_text("0123abc")
    started = time.monotonic()
    assert load_text_backbone("tiny/bert").config["model_type"] == "bert"
    assert load_tokenizer("tiny/bert").encode("bad cat").ids == [2, 5, 6, 3]
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("source", ["/nope", "./nope", "a/b/c", "~/nope"])
def test_a_folder_that_is_not_there_is_called_so(source: str) -> None:
    with pytest.raises(InputError, match=rf"encoder source '{source}': no such folder; expected"):
        load_image_backbone(source)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "model.bin").touch()
    with pytest.raises(InputError, match="is a file, expected a folder"):
        load_text_backbone(str(tmp_path / "model.bin"))
