"""Verification: any change is found by bytes."""

import os
import random
import shutil
from pathlib import Path

import pytest
from changed_releases import ONNX_FILE, reasons, resealed, verified

from data.errors import InputError
from data.files import read_json, write_json
from export.release.manifest import digest_of, id_of
from export.release.verify import verify


def test_an_untouched_release_passes_wherever_it_stands(release: Path) -> None:
    assert reasons(release) == []
    assert any("look 2 at the golden set's labels" in line for line in verified(release).lines)
    moved = release.rename(release.parent / "current")
    assert reasons(moved) == []
    link = release.parent / "link"
    link.symlink_to(moved)
    assert reasons(link) == []
    assert reasons(resealed(moved)) == []


def test_a_folder_that_is_no_release(tmp_path: Path) -> None:
    assert "manifest.json: no such file" in reasons(tmp_path)[0]
    with pytest.raises(InputError, match="no such folder"):
        verify(release=tmp_path / "absent")


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_flipped_byte_in_any_file_is_found(release: Path) -> None:
    places = random.Random(1)
    for name in files_of(release):
        whole = (release / name).read_bytes()
        for _ in range(12 if name == "manifest.json" else 3):
            broken = bytearray(whole)
            place = places.randrange(len(broken))
            broken[place] ^= 1 << places.randrange(8)
            (release / name).write_bytes(broken)
            assert any(name in reason for reason in reasons(release)), (name, place)
        (release / name).write_bytes(whole)
    assert reasons(release) == []


def test_every_single_character_of_the_manifest_counts(release: Path) -> None:
    whole = (release / "manifest.json").read_text()
    for place in range(0, len(whole), 17):
        for changed in (whole[:place] + " " + whole[place:], whole[:place] + whole[place + 1 :]):
            (release / "manifest.json").write_text(changed)
            assert reasons(release), place


def test_a_cut_file_a_missing_one_and_a_new_one_are_found(release: Path) -> None:
    for name in files_of(release):
        whole = (release / name).read_bytes()
        (release / name).write_bytes(whole[: len(whole) // 2])
        assert any(name in reason for reason in reasons(release)), name
        (release / name).unlink()
        assert any(name in reason for reason in reasons(release)), name
        (release / name).write_bytes(whole)
    for name in ("more.txt", "onnx/fp32/weights.bin", ".hidden", "golden/9999.safetensors"):
        (release / name).write_text("more")
        assert f"{name}: not in the manifest" in reasons(release)
        (release / name).unlink()
    (release / "tensorrt").mkdir()
    assert "tensorrt: a folder without a file; a release holds plain files only" in reasons(release)


def test_swapped_files_are_found(release: Path) -> None:
    first, second = (release / "golden" / f"000{place}.safetensors" for place in (0, 1))
    other = release.parent / "other"
    first.rename(other)
    second.rename(first)
    other.rename(second)
    assert {reason.split(":")[0] for reason in reasons(release)} >= {
        "golden/0000.safetensors",
        "golden/0001.safetensors",
    }


def test_links_and_special_files_are_found(release: Path, tmp_path: Path) -> None:
    model = release / ONNX_FILE
    elsewhere = tmp_path / "model.onnx"
    shutil.move(model, elsewhere)
    model.symlink_to(elsewhere)
    assert f"{ONNX_FILE}: a link; a release holds plain files only" in reasons(release)
    model.unlink()
    shutil.move(elsewhere, model)
    tokenizer = release / "tokenizer"
    shutil.move(tokenizer, tmp_path / "tokenizer")
    tokenizer.symlink_to(tmp_path / "tokenizer")
    assert "tokenizer: a link; a release holds plain files only" in reasons(release)
    tokenizer.unlink()
    shutil.move(tmp_path / "tokenizer", tokenizer)
    manifest = release / "manifest.json"
    shutil.move(manifest, elsewhere)
    manifest.symlink_to(elsewhere)
    assert "manifest.json: no such file" in reasons(release)[0]
    manifest.unlink()
    shutil.move(elsewhere, manifest)
    os.mkfifo(release / "pipe")
    assert "pipe: a special file; a release holds plain files only" in reasons(release)


@pytest.mark.parametrize(
    "path", ["../outside.txt", "/etc/hostname", "a/../../outside.txt", "a\\..\\b", "", ".", "a//b"]
)
def test_paths_that_leave_the_release_are_refused(release: Path, path: str) -> None:
    (release.parent / "outside.txt").write_text("outside")
    content = read_json(release / "manifest.json")
    content["files"].append({"path": path, "sha256": "0" * 64, "size": 7})
    content["id"] = id_of(content)
    content["digest"] = digest_of(content)
    write_json(release / "manifest.json", content)
    (reason, *_) = reasons(release)
    assert "expected a relative path inside the release" in reason


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"size": ' + b"9" * 5000 + b"}",
        b'{"schema": "setpoint/release/v1", "id": NaN}',
        b'{"created_at": "\\ud800"}',
    ],
)
def test_a_hostile_manifest_is_refused_without_a_traceback(release: Path, content: bytes) -> None:
    (release / "manifest.json").write_bytes(content)
    assert reasons(release)[0].startswith(f"{release}/manifest.json")


def test_half_a_character_in_the_manifest(release: Path) -> None:
    text = (release / "manifest.json").read_text()
    (release / "manifest.json").write_text(text.replace('"created_at": "', '"created_at": "\\ud800'))
    assert "it was changed" in reasons(release)[0]


def test_names_that_a_terminal_would_obey_are_shown_harmless(release: Path) -> None:
    (release / "\x1b[2Jgone").write_text("")
    (release / os.fsdecode(b"\xff")).write_text("")
    assert all("\x1b" not in reason and reason.encode() for reason in reasons(release))


def test_the_folder_of_one_release_does_not_hold_another(release: Path) -> None:
    wrong = release.rename(release.parent / "0123456789abcdef")
    assert f"the release is {release.name}" in reasons(wrong)[0]
