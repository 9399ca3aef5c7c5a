from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data.items import read_items
from data.media import load_frames
from data.preprocessing import Preprocessing
from train.encoders.clip import load_clip_encoder
from train.encoders.image import ImageEncoder, load_image_encoder
from train.encoders.sources import load_tokenizer
from train.encoders.text import load_text_encoder
from train.features import encode_media as encoding
from train.features.cache import FeatureCache, Rows, in_shards, key_of_media
from train.features.encode_media import encode_media
from train.features.encode_texts import encode_texts

CPU = torch.device("cpu")


def rows_of(*lengths: int) -> list[Rows]:
    generator = np.random.default_rng(0)
    return [
        Rows(generator.normal(size=(length, 4)).astype(np.float32), np.arange(length, dtype=np.float32))
        for length in lengths
    ]


def test_what_was_kept_is_read_back(tmp_path: Path) -> None:
    rows = rows_of(3, 0, 1)
    FeatureCache(tmp_path, {"encoder": "a"}).append(["x", "y", "z"], rows)
    read = FeatureCache(tmp_path, {"encoder": "a"}).rows
    assert list(read) == ["x", "y", "z"]
    for key, row in zip(read, rows, strict=True):
        assert np.array_equal(read[key].features, row.features)
        assert np.array_equal(read[key].times, row.times)
    assert FeatureCache(tmp_path, {"encoder": "b"}).rows == {}


@settings(max_examples=30, deadline=None)
@given(position=st.floats(0, 1, exclude_max=True), cut=st.booleans())
def test_a_damaged_shard_is_thrown_away(tmp_path_factory: pytest.TempPathFactory, position: float, cut: bool) -> None:
    """Any byte changed, or any tail cut off."""
    folder = tmp_path_factory.mktemp("cache")
    FeatureCache(folder, {}).append(["x"], rows_of(3))
    (shard,) = folder.rglob("shard-*")
    content = bytearray(shard.read_bytes())
    place = int(position * len(content))
    if cut:
        content = content[:place]
    else:
        content[place] ^= 0xFF
    shard.write_bytes(content)
    cache = FeatureCache(folder, {})
    if cache.rows:  # harmless: a byte of the header that says nothing
        assert np.array_equal(cache.rows["x"].features, rows_of(3)[0].features)
    else:
        assert cache.num_damaged == 1
        assert not shard.exists()


def test_the_key_of_media_is_their_content(tmp_path: Path) -> None:
    for name, content in (("a", b"1"), ("b", b"1"), ("c", b"2")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (str(tmp_path / name) for name in "abc")
    assert key_of_media([a], "photo") == key_of_media([b], "photo")
    assert key_of_media([a], "photo") != key_of_media([a], "video")
    assert len({key_of_media(media, "photo") for media in ([a], [c], [a, c], [c, a])}) == 4


def test_shards_hold_all_keys() -> None:
    assert [len(run) for run in in_shards([str(index) for index in range(7)], 3)] == [3, 3, 1]


@pytest.fixture
def posts(split_folder: Path) -> pl.DataFrame:
    return read_items(split_folder / "train" / "items.parquet")


@pytest.fixture
def clips(write_clip: Callable[..., None], tmp_path: Path) -> pl.DataFrame:
    """A clip of six frames, a clip of one, and a photo."""
    for name, count in (("moving", 6), ("still", 1)):
        write_clip(tmp_path / f"{name}.mp4", [10 + 30 * index for index in range(count)])
    Image.new("RGB", (40, 40), (200, 0, 0)).save(tmp_path / "photo.png")
    files = ["moving.mp4", "still.mp4", "photo.png"]
    return pl.DataFrame(
        {
            "item_id": ["moving", "still", "photo"],
            "media": [[str(tmp_path / name)] for name in files],
            "media_type": ["video", "video", "photo"],
        }
    )


@pytest.fixture
def encoder(encoder_folder: Callable[[str], str]) -> ImageEncoder:
    return load_image_encoder(encoder_folder("vit"))


class Counting:
    """Counts the images, or clips, that an encoder is asked for, and dies after some."""

    def __init__(self, encoder: torch.nn.Module, fatal: int | None = None) -> None:
        self.images, self.fatal = 0, fatal
        encoder.register_forward_pre_hook(self._hook)

    def _hook(self, _: object, given: tuple[torch.Tensor]) -> None:
        self.images += len(given[0])
        if self.fatal is not None and self.images > self.fatal:
            raise KeyboardInterrupt


def test_features_are_computed_once(
    posts: pl.DataFrame, encoder: ImageEncoder, small: Preprocessing, tmp_path: Path
) -> None:
    counting = Counting(encoder)
    first = encode_media(posts, encoders={"image": encoder}, preprocessing=small, cache_dir=tmp_path, device=CPU)
    assert counting.images == len(posts)
    again = encode_media(posts, encoders={"image": encoder}, preprocessing=small, cache_dir=tmp_path, device=CPU)
    assert counting.images == len(posts)
    assert list(first.rows["image"]) == posts["item_id"].to_list()
    for item_id in first.rows["image"]:
        assert np.array_equal(first.rows["image"][item_id].features, again.rows["image"][item_id].features)
    longer_texts = Preprocessing(**{**{"height": 32, "width": 32, "num_frames": 3}, "max_tokens": 9})
    encode_media(posts, encoders={"image": encoder}, preprocessing=longer_texts, cache_dir=tmp_path, device=CPU)
    assert counting.images == len(posts)
    with torch.no_grad():
        next(encoder.parameters()).add_(1.0)
    encode_media(posts, encoders={"image": encoder}, preprocessing=small, cache_dir=tmp_path, device=CPU)
    assert counting.images == 2 * len(posts)


def test_features_are_those_of_the_pixels(
    posts: pl.DataFrame, encoder: ImageEncoder, small: Preprocessing, tmp_path: Path
) -> None:
    encoded = encode_media(posts, encoders={"image": encoder}, preprocessing=small, cache_dir=tmp_path, device=CPU)
    picture = Image.open(posts["media"][3][0]).convert("RGB").resize((32, 32), Image.Resampling.BILINEAR)
    pixels = torch.from_numpy(np.asarray(picture).transpose(2, 0, 1).copy())[None]
    expected = encoder(pixels).detach().numpy()
    np.testing.assert_allclose(encoded.rows["image"]["train03"].features, expected, rtol=1e-4, atol=1e-5)


def test_a_killed_job_keeps_its_shards(
    posts: pl.DataFrame,
    encoder: ImageEncoder,
    small: Preprocessing,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoding, "ITEMS_PER_SHARD", 8)
    killed = Counting(encoder, fatal=20)
    with pytest.raises(KeyboardInterrupt):
        encode_media(posts, encoders={"image": encoder}, preprocessing=small, cache_dir=tmp_path, device=CPU)
    killed.fatal, killed.images = None, 0
    encode_media(posts, encoders={"image": encoder}, preprocessing=small, cache_dir=tmp_path, device=CPU)
    assert killed.images == len(posts) - 16


def test_unreadable_media_are_quarantined(
    posts: pl.DataFrame, encoder: ImageEncoder, small: Preprocessing, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no photo")
    media = [[str(broken)], [str(tmp_path / "missing.jpg")], *posts["media"].to_list()[2:]]
    posts = posts.with_columns(media=pl.Series(media, dtype=pl.List(pl.String)))
    encoded = encode_media(posts, encoders={"image": encoder}, preprocessing=small, cache_dir=tmp_path, device=CPU)
    assert {one.item_id: one.reason for one in encoded.quarantined} == {
        "train00": "not a photo of a known format",
        "train01": "no such file",
    }
    assert list(encoded.rows["image"]) == posts["item_id"].to_list()[2:]


def test_clips_are_encoded_where_time_passes_and_nothing_twice(
    clips: pl.DataFrame, encoder: ImageEncoder, encoder_folder: Callable[[str], str], tmp_path: Path
) -> None:
    settings = Preprocessing(height=32, width=32, num_frames=4)
    clip_encoder = load_clip_encoder(encoder_folder("videomae"))
    encoders = {"image": encoder, "clip": clip_encoder}
    images, seen = Counting(encoder), Counting(clip_encoder)
    given = {"preprocessing": settings, "cache_dir": tmp_path, "device": CPU}
    first = encode_media(clips, encoders=encoders, **given)
    assert (images.images, seen.images) == (4 + 1 + 1, 1)
    again = encode_media(clips, encoders=encoders, **given)
    assert (images.images, seen.images) == (4 + 1 + 1, 1)
    rows = again.rows["clip"]
    assert {item_id: len(rows[item_id].features) for item_id in rows} == {"moving": 1, "still": 0}
    assert list(first.rows["image"]) == ["moving", "still", "photo"]
    decoded = load_frames(clips["media"][0].to_list(), "video", settings)
    frames = torch.from_numpy(decoded.frames)[None]
    expected = clip_encoder(frames, torch.ones(1, 4, dtype=torch.bool)).detach().numpy()
    np.testing.assert_allclose(rows["moving"].features, expected, rtol=1e-4, atol=1e-5)


def test_texts_have_the_features_of_their_tokens(
    posts: pl.DataFrame, encoder_folder: Callable[[str], str], tmp_path: Path
) -> None:
    text_encoder = load_text_encoder(encoder_folder("bert"))
    tokenizer = load_tokenizer(encoder_folder("bert"))
    encoded = encode_texts(
        posts, encoder=text_encoder, tokenizer=tokenizer, max_tokens=8, cache_dir=tmp_path, device=CPU
    )
    assert set(posts["item_id"]) - set(encoded) == {"train05"}
    ids = torch.tensor([tokenizer.encode(posts["caption"][0]).ids])
    expected = text_encoder(ids, torch.ones_like(ids, dtype=torch.bool)).detach().numpy()
    np.testing.assert_allclose(encoded["train00"].features, expected, rtol=1e-4, atol=1e-5)
