"""Every named family of encoders trains a step, exports by the verb's own path, and passes parity.

Some hold several families at once: an export costs seconds.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from PIL import Image

from data.items import read_items
from data.loading import Collate, ItemDataset
from data.policy import load_policies
from data.preprocessing import Preprocessing
from export.graph.parity import batches_of_many_shapes, read_samples
from export.run import export
from export.scoring.run import score
from export.scoring.runtimes import OnnxRuntime
from train.encoders.describing import describe
from train.encoders.sources import load_tokenizer
from train.job.checkpoint import load_checkpoint
from train.network.assemble import build_network, hearing, load_encoders
from train.network.forward import evidence_of
from train.run import train
from train.settings import AudioSettings, FusionSettings, ImageSettings, ModelSettings, OptimSettings, TextSettings

NETWORKS = {
    "siglip2 videomae xlm-r whisper": {"image": "siglip", "clip": "videomae", "text": "xlmr", "audio": "whisper"},
    "clip vjepa2 e5 ast": {"image": "clip", "clip": "vjepa2", "text": "e5", "audio": "ast"},
    "dinov3 timesformer minilm": {"image": "dinov3", "clip": "timesformer", "text": "bert"},
    "timm": {"image": "timm"},
    "vit": {"image": "vit"},
}
SETTINGS = {"image": ImageSettings, "clip": ImageSettings, "text": TextSettings, "audio": AudioSettings}
SEEN = Preprocessing(height=32, width=32, num_frames=5, max_tokens=8, audio_seconds=1)


@pytest.fixture(scope="session")
def spoken_split(
    tmp_path_factory: pytest.TempPathFactory, write_clip: Callable[..., None], split_folder: Path
) -> Path:
    """A split of photos, silent clips and clips with sound, with policies for what is seen, read and heard."""
    root = tmp_path_factory.mktemp("spoken")
    (root / "policies").mkdir()
    content = yaml.safe_load((split_folder / "policies" / "red.yaml").read_text())
    for policy_id, evidence in (("all", ["visual", "text", "audio"]), ("loud", ["audio", "visual"])):
        text = yaml.safe_dump({**content, "policy_id": policy_id, "evidence": evidence})
        (root / "policies" / f"{policy_id}.yaml").write_text(text)
    generator = np.random.default_rng(0)
    for part, count in (("train", 12), ("validation", 9)):
        (root / part / "media").mkdir(parents=True)
        items, annotations = [], []
        for index in range(count):
            kind = ("photo", "silent", "heard")[index % 3]
            name = f"media/{index}.{'png' if kind == 'photo' else 'mp4'}"
            if kind == "photo":
                Image.fromarray(generator.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(root / part / name)
            else:
                sound = generator.normal(0, 0.1, 4000 + 3000 * index).astype(np.float32) if kind == "heard" else None
                write_clip(root / part / name, generator.integers(0, 255, 3 + index % 4).tolist(), sound)
            items.append(
                {"item_id": f"{part}{index}", "media": [name], "media_type": "photo" if kind == "photo" else "video"}
                | {"caption": None if index % 4 == 3 else "bad cat" if index % 2 else "fine sun and the sea"}
                | {"creator_id": f"{part} {index}", "cluster_id": f"{part} {index}"}
            )
            annotations += [
                {"item_id": f"{part}{index}", "policy_id": policy_id, "policy_version": "1.0.0", "annotator_id": "a"}
                | {"source": "human", "round": "blind", "value": "violating" if index % 2 else "not_violating"}
                for policy_id in ("all", "loud")
            ]
        pl.DataFrame(items).write_parquet(root / part / "items.parquet")
        pl.DataFrame(annotations).write_parquet(root / part / "annotations.parquet")
    return root


def model_of(kinds: dict[str, str], encoder_folder: Callable[[str], str], tune: str) -> ModelSettings:
    encoders = {name: SETTINGS[name](source=encoder_folder(kind), tune=tune) for name, kind in kinds.items()}
    return ModelSettings(
        **{"image": None, "text": None, **encoders}, fusion=FusionSettings(width=8, num_heads=2, modality_dropout=0.0)
    )


def trained(model: ModelSettings, split: Path, out: Path) -> Path:
    """The checkpoint of a run of one step."""
    summary = train(
        split=split,
        policies=split / "policies",
        out=out / "run",
        preprocessing=SEEN,
        model=model,
        optim=OptimSettings(batch_size=12, learning_rate=1e-3, encoder_learning_rate=1e-3, warmup_fraction=0),
        trainer={"_target_": "lightning.Trainer", "accelerator": "cpu", "max_epochs": 1, "num_sanity_val_steps": 0},
        cache_dir=out / "cache",
    )
    assert summary.ok
    return out / "run" / "checkpoints" / "best.ckpt"


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_family_trains_exports_and_passes_parity(
    name: str, encoder_folder: Callable[[str], str], spoken_split: Path, tmp_path: Path
) -> None:
    model = model_of(NETWORKS[name], encoder_folder, "full")
    checkpoint = trained(model, spoken_split, tmp_path)
    run = load_checkpoint(checkpoint)
    for kind, described in load_encoders(model, audio_seconds=1).describe().items():
        tuned = describe(run.network.encoders[kind])
        assert tuned["digest"] != described["digest"], f"{kind} did not move"
    assert all(weight.isfinite().all() for weight in run.network.state_dict().values())

    export(checkpoint=checkpoint, split=spoken_split, out=tmp_path / "model", parity_items=9)
    parity = json.loads((tmp_path / "model" / "reports" / "parity.json").read_text())
    assert parity["max_logit_difference"] < 1e-3
    assert {shape["batch"] for shape in parity["shapes"]} >= {1, 2, 3, 7}
    assert {shape["frames"] for shape in parity["shapes"]} >= {1, 2, 5}

    items_file = spoken_split / "validation" / "items.parquet"
    runtime = OnnxRuntime(tmp_path / "model")
    samples = read_samples(runtime, read_items(items_file), 9)
    for batch in batches_of_many_shapes(runtime, samples):
        logits = runtime.run(batch).logits
        assert np.isfinite(logits).all()
        noise = np.random.default_rng(1)
        changed = replace(
            batch,
            frames=np.where(
                batch.frame_mask[..., None, None, None], batch.frames, noise.integers(0, 256, dtype=np.uint8)
            ),
            token_ids=np.where(batch.token_mask, batch.token_ids, 7),
        )
        if batch.log_mel is not None and batch.audio_mask is not None:
            log_mel = np.where(batch.audio_mask[:, None], batch.log_mel, np.float32(np.nan))
            changed = replace(changed, log_mel=log_mel)
        assert np.array_equal(runtime.run(changed).logits, logits), "what is masked has an influence"
    score(model=tmp_path / "model", items=items_file, out=tmp_path / "scores")


@pytest.mark.parametrize(
    "kinds",
    [
        NETWORKS["siglip2 videomae xlm-r whisper"],
        NETWORKS["clip vjepa2 e5 ast"],
        {"clip": "timesformer", "audio": "whisper"},
    ],
)
def test_gradients_reach_every_weight_and_the_serving_graph_agrees(
    kinds: dict[str, str], encoder_folder: Callable[[str], str], spoken_split: Path
) -> None:
    torch.manual_seed(0)
    model = model_of(kinds, encoder_folder, "full")
    encoders = load_encoders(model, audio_seconds=1)
    settings = hearing(SEEN, encoders)
    network = build_network(model, encoders, load_policies(spoken_split / "policies"), settings)
    assert network.fusion is not None
    torch.nn.init.normal_(network.linear.weight)
    torch.nn.init.normal_(network.fusion.head)
    items = read_items(spoken_split / "train" / "items.parquet")
    labels = np.zeros((len(items), 2), np.float32)
    dataset = ItemDataset(items, labels, preprocessing=settings, reads_sound=True)
    tokenizer = load_tokenizer(encoder_folder(kinds.get("text", "bert")))
    batch = Collate(tokenizer, settings)([dataset[row] for row in range(9)])
    assert {name: int(present.sum()) for name, present in batch.present.items()} == {"clip": 6, "text": 7, "audio": 3}
    logits = network.eval().fuse(evidence_of(batch, network))
    logits.square().sum().backward()
    for name, encoder in network.encoders.items():
        grads = {key: weight.grad for key, weight in encoder.named_parameters() if weight.requires_grad}
        assert grads
        unreached = [key for key, grad in grads.items() if grad is None or not grad.isfinite().all()]
        assert not unreached, f"{name}: {unreached}"
        assert next(grad for grad in grads.values() if grad.ndim > 1).abs().max() > 0, f"{name}: the first layer"
    with torch.no_grad():
        served = network(
            batch.frames,
            batch.frame_mask,
            batch.frame_times,
            batch.token_ids,
            batch.token_mask,
            batch.log_mel,
            batch.audio_mask,
        )
    torch.testing.assert_close(served, logits.detach(), atol=1e-4, rtol=1e-4)


def test_frozen_encoders_of_all_kinds_give_from_the_cache_what_they_serve(
    encoder_folder: Callable[[str], str], spoken_split: Path, tmp_path: Path
) -> None:
    from train.monitoring.evaluate import encode_like, logits_of

    kinds = {"image": "vit", "clip": "videomae", "text": "bert", "audio": "whisper"}
    run = load_checkpoint(trained(model_of(kinds, encoder_folder, "frozen"), spoken_split, tmp_path))
    items = read_items(spoken_split / "validation" / "items.parquet")
    cached = logits_of(run, items, encode_like(run, items, tmp_path / "cache"))
    dataset = ItemDataset(items, np.zeros((9, 2), np.float32), preprocessing=run.preprocessing, reads_sound=True)
    batch = Collate(run.tokenizer, run.preprocessing)([dataset[row] for row in range(9)])
    with torch.inference_mode():
        logits = run.network.fuse(evidence_of(batch, run.network))
    torch.testing.assert_close(torch.from_numpy(cached), logits, atol=1e-4, rtol=1e-4)
