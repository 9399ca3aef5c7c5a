"""The verb `export`: a folder whose ONNX computes what the checkpoint does, and tells no more than it must."""

import getpass
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from transformers import BertConfig, BertModel, BertTokenizerFast, ViTConfig, ViTImageProcessor, ViTModel

from data.errors import InputError
from data.files import read_json
from data.policy import Policy
from data.preprocessing import Preprocessing
from data.scores import read_scores
from export.graph.decision_head import load_onnx
from export.model_folder import read_model_folder
from export.run import export, public_source
from export.scoring.run import score
from export.scoring.runtimes import OnnxRuntime
from train.encoders.sources import load_tokenizer
from train.job.checkpoint import RunRecord
from train.network.assemble import build_network, load_encoders
from train.optim.tuning import unstored_names
from train.settings import FusionSettings, ImageSettings, ModelSettings, TextSettings

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fire", "sale", "now"]
POLICY_IDS = ["fire", "mixed", "scam"]


def policy(policy_id: str, evidence: list[str]) -> Policy:
    content = {
        "schema": "setpoint/policy/v1",
        "policy_id": policy_id,
        "version": "1.2.0",
        "name": policy_id,
        "owner": "safety",
        "definition": "…",
        "violates": [{"code": "A", "text": "…"}],
        "evidence": evidence,
        "bands": [{"action": "review", "capacity_per_day": 5}],
    }
    return Policy.model_validate(content)


POLICIES = [policy("fire", ["visual"]), policy("mixed", ["visual", "text"]), policy("scam", ["text"])]


def write_checkpoint(path: Path, model: ModelSettings, preprocessing: Preprocessing, policies: list[Policy]) -> Path:
    """A checkpoint as `train` writes it, with random weights instead of trained ones."""
    torch.manual_seed(3)
    encoders = load_encoders(model)
    network = build_network(model, encoders, policies, preprocessing)
    unstored = unstored_names(network, model)
    for name, weight in network.named_parameters():
        # Zeros and near-zeros at the start of training would hide what differs.
        if name not in unstored and weight.numel() > 1 and weight.std() < 0.1:
            torch.nn.init.normal_(weight, std=0.3)
    record = RunRecord(
        schema="setpoint/checkpoint/v1",
        model=model,
        encoders=encoders.describe(),
        preprocessing=preprocessing.to_dict(),
        policies=policies,
        tokenizer=None if model.text is None else load_tokenizer(model.text.source).to_str(),
        data={"train": "ab" * 32},
        fingerprint="cd" * 32,
        config={},
    )
    kept = {f"network.{name}": tensor for name, tensor in network.state_dict().items() if name not in unstored}
    torch.save({"state_dict": kept, "setpoint": record.model_dump(mode="json", by_alias=True)}, path)
    return path


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of a tiny random ViT and a tiny random BERT with their processor and tokenizer."""
    folder = tmp_path_factory.mktemp("encoders")
    torch.manual_seed(2)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    ViTModel(ViTConfig(**sizes, image_size=32, patch_size=16)).save_pretrained(folder / "tiny-vit")
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder / "tiny-vit")
    text = BertConfig(**sizes, vocab_size=len(WORDS), max_position_embeddings=32)
    BertModel(text).save_pretrained(folder / "tiny-bert")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(vocab=str(folder / "vocab.txt")).save_pretrained(folder / "tiny-bert")
    return folder


@pytest.fixture(scope="module")
def preprocessing() -> Preprocessing:
    return Preprocessing(height=32, width=32, num_frames=3, max_tokens=16)


@pytest.fixture(scope="module")
def checkpoint(encoders: Path, preprocessing: Preprocessing) -> Path:
    model = ModelSettings(
        image=ImageSettings(source=str(encoders / "tiny-vit")),
        text=TextSettings(source=str(encoders / "tiny-bert"), tune="full"),
        fusion=FusionSettings(width=8, num_layers=1, num_heads=2),
    )
    return write_checkpoint(encoders / "best.ckpt", model, preprocessing, POLICIES)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory, write_posts) -> Path:
    folder = tmp_path_factory.mktemp("split")
    write_posts(folder / "validation", 20)
    return folder


@pytest.fixture(scope="module")
def model(checkpoint: Path, split: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "model"
    summary = export(checkpoint=checkpoint, split=split, out=out, parity_items=8)
    assert summary.written == [out]
    assert "8 validation items" in summary.lines[0]
    return out


def test_the_folder_holds_what_serving_needs(model: Path) -> None:
    files = sorted(str(file.relative_to(model)) for file in model.rglob("*") if file.is_file())
    assert files == [
        "contract.json",
        "model.json",
        "onnx/fp32/model.onnx",
        "preprocess.json",
        "reports/parity.json",
        "tokenizer/tokenizer.json",
    ]
    folder = read_model_folder(model)
    assert folder.record.policy_versions == dict.fromkeys(POLICY_IDS, "1.2.0")
    assert [policy.evidence for policy in folder.record.policies] == [["visual"], ["visual", "text"], ["text"]]
    assert folder.record.encoders["image"].source == "folder:tiny-vit"
    assert folder.contract.inputs[0].shape == [-1, -1, 3, 32, 32]
    assert folder.contract.inputs[3].range == (0, len(WORDS) - 1)
    assert folder.preprocessing.max_tokens == 16
    assert set(read_json(model / "preprocess.json")["decoders"]) == {"av", "libavcodec", "pillow"}


def test_parity_was_measured_at_many_shapes(model: Path) -> None:
    parity = read_json(model / "reports" / "parity.json")
    assert 0 < parity["max_logit_difference"] < 1e-4
    assert parity["min_cosine"] > 0.999999
    assert {shape["batch"] for shape in parity["shapes"]} >= {1, 2, 3, 7}
    assert {shape["frames"] for shape in parity["shapes"]} == {1, 2, 3}
    assert max(shape["tokens"] for shape in parity["shapes"]) == 16
    assert parity["reference"].startswith("torch-")
    assert parity["exported"].startswith("onnxruntime-")


def test_pixels_are_cast_before_anything_else_touches_them(model: Path) -> None:
    nodes = load_onnx(model / "onnx/fp32/model.onnx").graph.node
    readers = {node.op_type for node in nodes if "frames" in node.input}
    assert readers <= {"Cast", "Shape"}, "TensorRT has no uint8 Reshape"


def test_each_precision_is_a_model_of_its_own(checkpoint: Path, split: Path, write_posts, tmp_path: Path) -> None:
    shutil.copytree(split, tmp_path / "split")
    write_posts(tmp_path / "split" / "train", 10)
    precisions = ["fp32", "fp16", "bf16", "int8"]
    summary = export(checkpoint=checkpoint, split=tmp_path / "split", out=tmp_path / "model", precisions=precisions)
    record = read_model_folder(tmp_path / "model").record
    assert list(record.precisions) == precisions
    assert len({each.model_digest for each in record.precisions.values()}) == 4
    for precision in ("fp16", "bf16", "int8"):
        parity = read_json(tmp_path / "model" / "reports" / f"parity-{precision}.json")
        assert parity["max_logit_difference"] > 0
        assert parity["tolerance"] is None
        if precision == "bf16":
            assert parity["exported"].endswith("-cpu-bf16-emulated")
            assert "computed in fp32 on numbers rounded to bf16" in parity["emulated"]
            continue
        assert parity["emulated"] is None
        assert OnnxRuntime(tmp_path / "model", precision=precision).name.endswith(f"-cpu-{precision}")
    [line] = [line for line in summary.lines if line.startswith("bf16, ")]
    assert "emulated, as ONNX Runtime has no bf16 on CPUs" in line
    sizes = {name: (tmp_path / "model" / f"onnx/{name}/model.onnx").stat().st_size for name in precisions}
    assert sizes["bf16"] == pytest.approx(sizes["fp16"], rel=0.01)


def test_both_runtimes_score_alike(model: Path, checkpoint: Path, split: Path, tmp_path: Path) -> None:
    items = split / "validation" / "items.parquet"
    score(model=model, items=items, out=tmp_path / "onnx")
    score(model=checkpoint, items=items, out=tmp_path / "torch", batch_size=5)
    onnx, torch_ = (read_scores(tmp_path / name / "scores.parquet", POLICY_IDS) for name in ("onnx", "torch"))
    np.testing.assert_allclose(onnx.values, torch_.values, atol=1e-5)
    assert onnx.values.std(0).min() > 1e-3, "the scores differ between items"
    assert torch_.metadata.model_digest == read_model_folder(model).record.checkpoint_digest
    assert torch_.metadata.runtime == f"torch-{torch.__version__.split('+')[0]}-cpu-fp32"
    assert onnx.metadata.model_digest == read_model_folder(model).record.model_digest


def test_an_item_scores_the_same_whoever_is_beside_it(model: Path, split: Path, tmp_path: Path) -> None:
    items = split / "validation" / "items.parquet"
    alone = pl.read_parquet(items).sample(6, seed=1)
    alone = alone.with_columns(media=pl.col("media").list.eval(str(items.parent) + "/" + pl.element()))
    alone.write_parquet(tmp_path / "alone.parquet")
    score(model=model, items=items, out=tmp_path / "all", batch_size=16)
    score(model=model, items=tmp_path / "alone.parquet", out=tmp_path / "alone", batch_size=1)
    few = read_scores(tmp_path / "alone" / "scores.parquet", POLICY_IDS)
    every = read_scores(tmp_path / "all" / "scores.parquet", POLICY_IDS)
    np.testing.assert_allclose(few.values, every.of(few.item_ids), atol=1e-5)


@pytest.mark.slow
def test_a_second_export_is_byte_identical_and_no_file_tells_of_the_machine(
    model: Path, checkpoint: Path, split: Path, encoders: Path, tmp_path: Path
) -> None:
    export(checkpoint=checkpoint, split=split, out=tmp_path / "again", parity_items=8)
    for file in (file for file in model.rglob("*") if file.is_file()):
        content = file.read_bytes()
        assert content == (tmp_path / "again" / file.relative_to(model)).read_bytes(), file
        for word in (str(encoders.parent), str(tmp_path.parent), str(Path.cwd()), "site-packages"):
            assert word.encode() not in content, (file, word)
        assert getpass.getuser().encode() not in content.replace(b"[UNK]", b""), file


def test_an_export_that_differs_leaves_the_old_model_alone(
    model: Path, checkpoint: Path, split: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = load_onnx(model / "onnx/fp32/model.onnx")
    monkeypatch.setattr("export.run.export_onnx", lambda *arguments, **options: graph)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "kept").write_text("kept")
    run = OnnxRuntime.run

    def wrong(self, batch):
        outputs = run(self, batch)
        outputs.logits[-1, 0] += 0.5
        return outputs

    monkeypatch.setattr(OnnxRuntime, "run", wrong)
    with pytest.raises(InputError, match=r"differs from the checkpoint by 0\.5 in a logit"):
        export(checkpoint=checkpoint, split=split, out=tmp_path / "model")
    assert [path.name for path in tmp_path.rglob("*")] == ["model", "kept"]


@pytest.mark.parametrize("modality", [pytest.param("image", marks=pytest.mark.slow), "text"])
def test_models_of_one_modality(encoders, preprocessing, split, tmp_path, modality: str) -> None:
    model = ModelSettings(
        image=ImageSettings(source=str(encoders / "tiny-vit")) if modality == "image" else None,
        text=TextSettings(source=str(encoders / "tiny-bert")) if modality == "text" else None,
        fusion=FusionSettings(num_layers=0),
    )
    policies = [each for each in POLICIES if {"image": "visual", "text": "text"}[modality] in each.evidence]
    file = write_checkpoint(tmp_path / "best.ckpt", model, preprocessing, policies)
    export(checkpoint=file, split=split, out=tmp_path / "model", parity_items=4)
    score(model=tmp_path / "model", items=split / "validation" / "items.parquet", out=tmp_path / "scores")
    assert (
        len(read_scores(tmp_path / "scores" / "scores.parquet", [each.policy_id for each in policies]).values) == 20
    )


def test_places_of_local_encoders_are_not_told(tmp_path: Path) -> None:
    assert public_source(str(tmp_path)) == f"folder:{tmp_path.name}"
    assert public_source("~/encoders/vit") == "folder:vit"
    assert public_source("../vit") == "folder:vit"
    assert public_source("google/siglip2-base-patch16-224") == "google/siglip2-base-patch16-224"


def test_wrong_checkpoints_are_named(split: Path, tmp_path: Path) -> None:
    (tmp_path / "best.ckpt").write_bytes(b"PK\x03\x04 half a file")
    with pytest.raises(InputError, match=r"best\.ckpt: not a whole checkpoint"):
        export(checkpoint=tmp_path / "best.ckpt", split=split, out=tmp_path / "model")
    with pytest.raises(InputError, match=r"items\.parquet: no such file"):
        export(checkpoint=tmp_path / "best.ckpt", split=tmp_path, out=tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["best.ckpt"]
