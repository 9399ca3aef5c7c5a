"""What generated posts promise: the same bytes each time, stated shares, media that decode, labels with gaps."""

import hashlib
from pathlib import Path

import polars as pl
import pytest
import yaml
from PIL import Image

from data.errors import InputError
from data.generated import generate_posts

POLICY_IDS = ["contact_details", "flashing", "restricted_sale", "scam_phrases"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("posts") / "generated"
    generate_posts(out, count=40, seed=3)
    return out


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_one_seed_gives_the_same_bytes_in_another_folder_and_over_an_earlier_result(folder, tmp_path):
    elsewhere = tmp_path / "a" / "b"
    generate_posts(elsewhere, count=12, seed=5)
    assert digests(elsewhere) != digests(folder)
    generate_posts(elsewhere, count=40, seed=3)
    assert digests(elsewhere) == digests(folder)


def test_bytes_do_not_depend_on_the_number_of_processes(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("data.generated.drawing.FILES_WORTH_A_PROCESS", 10)
    monkeypatch.setattr("data.generated.drawing._num_cores", lambda: 2)
    generate_posts(tmp_path / "out", count=40, seed=3)
    assert digests(tmp_path / "out") == digests(folder)


def test_another_seed_gives_other_posts(folder, tmp_path):
    generate_posts(tmp_path / "out", count=40, seed=4)
    ours, theirs = digests(folder), digests(tmp_path / "out")
    shared = {name for name in set(ours) & set(theirs) if ours[name] == theirs[name]}
    assert shared == {f"policies/{policy_id}.yaml" for policy_id in POLICY_IDS}


def test_items_name_every_medium_once_and_nothing_else_is_written(folder):
    items = pl.read_parquet(folder / "items.parquet")
    assert items.height == 40
    assert items["item_id"].is_unique().all()
    media = items["media"].explode(empty_as_null=True).to_list()
    written = [str(path.relative_to(folder)) for path in (folder / "media").rglob("*") if path.is_file()]
    assert sorted(media) == sorted(written)


def test_photos_decode_to_their_full_size(folder):
    items = pl.read_parquet(folder / "items.parquet").filter(media_type="photo")
    for name in items["media"].explode(empty_as_null=True):
        with Image.open(folder / name) as image:
            image.load()
            assert image.mode == "RGB"
            assert min(image.size) >= 200
            assert max(band[1] - band[0] for band in image.getextrema()) > 20, f"{name} is blank"


def test_policies_are_four_files_of_the_schema(folder):
    policies = [yaml.safe_load(path.read_text()) for path in sorted((folder / "policies").iterdir())]
    assert [policy["policy_id"] for policy in policies] == POLICY_IDS
    assert {policy["schema"] for policy in policies} == {"setpoint/policy/v1"}
    evidence = {policy["policy_id"]: policy["evidence"] for policy in policies}
    assert evidence == {
        "contact_details": ["visual"],
        "flashing": ["visual"],
        "restricted_sale": ["visual", "text"],
        "scam_phrases": ["text"],
    }
    for policy in policies:
        assert policy["bands"][0]["action"] == "auto_remove"
        assert 0.5 < policy["bands"][0]["target_precision"] < 1


def test_truth_covers_every_item_and_policy(folder):
    truth = pl.read_parquet(folder / "truth.parquet")
    items = pl.read_parquet(folder / "items.parquet")
    assert truth.height == 4 * items.height
    assert set(truth["item_id"]) == set(items["item_id"])
    assert sorted(truth["policy_id"].unique()) == POLICY_IDS


def test_other_files_in_the_folder_are_never_overwritten(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(InputError, match="other files"):
        generate_posts(tmp_path, count=5)
    assert (tmp_path / "holiday.jpg").read_bytes() == b"mine"


def test_no_posts_are_refused(tmp_path):
    with pytest.raises(InputError, match="count = 0"):
        generate_posts(tmp_path / "out", count=0)


def test_one_post_is_enough(tmp_path):
    generate_posts(tmp_path / "out", count=1)
    assert pl.read_parquet(tmp_path / "out" / "items.parquet").height == 1
