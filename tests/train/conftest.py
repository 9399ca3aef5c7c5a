"""Folders of tiny random encoders, a small split to train on, and the arguments of a run of a second."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import polars as pl
import pytest
import torch
import yaml
from any_policy import POLICY
from PIL import Image
from tiny_encoders import MAKERS, SIZE, WORDS

from data.preprocessing import Preprocessing
from train.job.module import PolicyClassifier
from train.settings import FusionSettings, ImageSettings, ModelSettings, OptimSettings, TextSettings


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    # Threads that wait for each other cost more than these networks.
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Makes and remembers the folder of a tiny random encoder, by a name in MAKERS."""
    made: dict[str, str] = {}

    def folder_of(kind: str) -> str:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            state = torch.get_rng_state()
            torch.manual_seed(len(kind))
            MAKERS[kind](folder)
            torch.set_rng_state(state)
            made[kind] = str(folder)
        return made[kind]

    return folder_of


@pytest.fixture(scope="session")
def write_clip() -> Callable[..., None]:
    """Writes a small clip; see `_write_clip`."""
    return _write_clip


def _write_clip(path: Path, levels: list[int], sound: np.ndarray | None = None) -> None:
    """A clip of 40 x 40 pixels: a frame of one brightness a level, five a second; and sound, [N] at 16 kHz."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=5)
        stream.width = stream.height = 40
        stream.pix_fmt = "yuv420p"
        if sound is not None:
            audio = container.add_stream("aac", rate=16_000, layout="mono")
        for level in levels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((40, 40, 3), level, np.uint8))))
        container.mux(stream.encode())
        if sound is not None:
            heard = av.AudioFrame.from_ndarray(sound[None], format="fltp", layout="mono")
            heard.sample_rate = 16_000
            container.mux(audio.encode(heard))
            container.mux(audio.encode())


@pytest.fixture(scope="session")
def small() -> Preprocessing:
    """Preprocessing that suits the tiny encoders."""
    return Preprocessing(height=SIZE, width=SIZE, num_frames=3, max_tokens=8)


@pytest.fixture(scope="session")
def split_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split of 48 photos: `red` is violated by red pictures, `rude` by the word bad, `both` by the two together."""
    root = tmp_path_factory.mktemp("split")
    (root / "policies").mkdir()
    for policy_id, evidence in (("both", ["visual", "text"]), ("red", ["visual"]), ("rude", ["text"])):
        content = {**POLICY, "policy_id": policy_id, "evidence": evidence}
        (root / "policies" / f"{policy_id}.yaml").write_text(yaml.safe_dump(content))
    generator = np.random.default_rng(0)
    for part, count in (("train", 32), ("validation", 16)):
        items, annotations = [], []
        (root / part / "media").mkdir(parents=True)
        for index in range(count):
            item_id = f"{part}{index:02d}"
            is_red, is_rude = index % 2 == 0, index % 4 < 2
            pixels = generator.integers(0, 120, (20, 24, 3), dtype=np.uint8)
            pixels[..., 0 if is_red else 2] += 120
            Image.fromarray(pixels).save(root / part / "media" / f"{index}.png")
            words = [str(word) for word in generator.choice(WORDS[2:], 3)]
            caption = None if index == 5 else " ".join([*words, "bad" if is_rude else "fine"])
            items.append(
                {"item_id": item_id, "media": [f"media/{index}.png"], "media_type": "photo", "caption": caption}
                | {"creator_id": f"{part} {index // 2}", "cluster_id": f"{part} {index}"}
            )
            truth = {"red": is_red, "rude": is_rude, "both": is_red and is_rude}
            annotations += [
                {"item_id": item_id, "policy_id": policy_id, "policy_version": "1.0.0", "annotator_id": "a"}
                | {"source": "human", "round": "blind", "value": "violating" if violates else "not_violating"}
                for policy_id, violates in truth.items()
                if index % 8 != 7
            ]
        pl.DataFrame(items).write_parquet(root / part / "items.parquet")
        pl.DataFrame(annotations).write_parquet(root / part / "annotations.parquet")
    return root


@pytest.fixture
def arguments(
    encoder_folder: Callable[[str], str], split_folder: Path, small: Preprocessing, tmp_path: Path
) -> Callable[..., dict[str, Any]]:
    """Arguments of `train` for a run of a second; keyword arguments replace them, those of `trainer` flag by flag.

    The strength of the linear fit is given: a third of such a run would go into finding it.
    """

    def make(tune: str = "frozen", **changes: Any) -> dict[str, Any]:
        model = ModelSettings(
            image=ImageSettings(source=encoder_folder("timm"), tune=tune),
            text=TextSettings(source=encoder_folder("bert"), tune=tune, layers=(-1, -2)),
            fusion=FusionSettings(width=16, num_heads=2),
        )
        trainer = {"_target_": "lightning.Trainer", "accelerator": "cpu", "devices": 1, "max_epochs": 3}
        return {
            "split": split_folder,
            "policies": split_folder / "policies",
            "out": tmp_path / "run",
            "preprocessing": small,
            "model": model,
            "optim": OptimSettings(batch_size=8, learning_rate=1e-3, probe_strength=0.1),
            "cache_dir": tmp_path / "cache",
            **changes,
            "trainer": trainer | {"num_sanity_val_steps": 0} | changes.get("trainer", {}),
        }

    return make


@pytest.fixture
def stopped_before() -> Callable[[int], AbstractContextManager[None]]:
    """A block in which a run ends by an exception before it has done more than so many optimiser steps."""

    class StoppedError(RuntimeError):
        pass

    @contextmanager
    def stopped(steps: int) -> Iterator[None]:
        compute = PolicyClassifier.training_step

        def dies(self: PolicyClassifier, batch: Any) -> Any:
            if self.global_step == steps:
                raise StoppedError
            return compute(self, batch)

        with pytest.MonkeyPatch.context() as patch, pytest.raises(StoppedError):
            patch.setattr(PolicyClassifier, "training_step", dies)
            yield

    return stopped
