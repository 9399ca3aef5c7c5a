"""Training, the verb `score` and a release's predict.py make the same tensors of the same files, bit by bit."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from media_matrix import MediaMatrix
from torch.utils.data import DataLoader

from data.items import read_items
from data.loading import Collate, ItemDataset
from export.model_folder import read_preprocessing
from export.scoring import chunks
from export.scoring.run import score
from export.scoring.runtimes import OnnxRuntime

NAMES = ("frames", "frame_mask", "frame_times")
# In a process of its own, as a serving team runs it: nothing of Setpoint, no torch.
PREDICT = """
import json, runpy, sys
import numpy as np

release, items, out = sys.argv[1:]
bundle = runpy.run_path(release + "/predict.py")
predictor = bundle["load"](release)
session, given, refused = predictor.session, {}, {}

class Recorder:
    def run(self, names, tensors):
        given.update({f"{item_id} {name}": array for name, array in tensors.items()})
        return session.run(names, tensors)

predictor.session = Recorder()
for item in json.load(open(items)):
    item_id = item["item_id"]
    kind = item["media_type"] if item_id.endswith("gif") else None  # else told by the name
    try:
        predictor.predict(item["media"], media_type=kind)
    except bundle["MediaError"] as error:
        refused[item_id] = str(error)
assert not {"torch", "data", "export"} & set(sys.modules)
np.savez(out, **given)
print(json.dumps(refused))
"""
Tensors = dict[str, dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def items(media_matrix: MediaMatrix, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("items") / "items.parquet"
    pl.DataFrame(media_matrix.rows()).write_parquet(file)
    return file


@pytest.fixture(scope="module")
def trained_on(items: Path, untouched_release: Path, media_matrix: MediaMatrix) -> Tensors:
    """What a training step sees of each readable item, from the loader's padded batches."""
    table = read_items(items).filter(~pl.col("item_id").is_in(list(media_matrix.broken)))
    preprocessing = read_preprocessing(untouched_release / "preprocess.json")
    dataset = ItemDataset(table, np.zeros((len(table), 2), np.float32), preprocessing=preprocessing)
    seen = {}
    for batch in DataLoader(dataset, batch_size=7, collate_fn=Collate(None, preprocessing)):
        for row, index in enumerate(batch.index.tolist()):
            seen[dataset.item_ids[index]] = {name: getattr(batch, name)[row].numpy() for name in NAMES}
    return {item_id: _unpadded(tensors) for item_id, tensors in seen.items()}


@pytest.fixture(scope="module")
def scored(items: Path, untouched_release: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tensors, Any]:
    """What the model is given of each item by `score`, and the reasons of those it is not."""
    out, given = tmp_path_factory.mktemp("scores"), []
    run = OnnxRuntime.run
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "LARGEST_CHUNK", 1)  # one item at a time, in their order
        patch.setattr(OnnxRuntime, "run", lambda self, batch: (given.append(batch), run(self, batch))[1])
        score(model=untouched_release, items=items, out=out, max_unreadable_fraction=0.2, workers=1)
    read = pl.read_parquet(out / "scores.parquet")["item_id"].to_list()
    reasons = dict(pl.read_parquet(out / "failures.parquet").select("item_id", "reason").iter_rows())
    tensors = [{name: getattr(batch, name)[0] for name in NAMES} for batch in given]
    return {item_id: _unpadded(each) for item_id, each in zip(read, tensors, strict=True)}, reasons


@pytest.fixture(scope="module")
def predicted(items: Path, untouched_release: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tensors, Any]:
    """What the model is given of each item by predict.py, and the reasons of those it is not."""
    folder = tmp_path_factory.mktemp("predicted")
    (folder / "items.json").write_text(pl.read_parquet(items).write_json())
    given = [sys.executable, "-I", "-B", "-c", PREDICT, untouched_release, folder / "items.json", folder / "out.npz"]
    done = subprocess.run([str(part) for part in given], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    tensors: Tensors = {}
    with np.load(folder / "out.npz") as held:
        for key in held.files:
            item_id, name = key.split(" ")
            if name in NAMES:
                tensors.setdefault(item_id, {})[name] = held[key][0]
    return {item_id: _unpadded(each) for item_id, each in tensors.items()}, json.loads(done.stdout)


def _unpadded(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    real = tensors["frame_mask"]
    return {"frames": tensors["frames"][real], "frame_times": tensors["frame_times"][real]}


@pytest.mark.parametrize("path", ["scored", "predicted"])
def test_tensors_are_those_of_training(
    path: str, trained_on: Tensors, media_matrix: MediaMatrix, request: pytest.FixtureRequest
) -> None:
    found, _ = request.getfixturevalue(path)
    assert found.keys() == trained_on.keys() == {**media_matrix.photos, **media_matrix.clips}.keys()
    assert list(_different(found, trained_on)) == []
    assert all(tensors["frames"].dtype == np.uint8 and len(tensors["frames"]) for tensors in found.values())
    assert len({tensors["frames"].tobytes() for tensors in found.values()}) > 60, "the files do not differ"


def _different(found: Tensors, expected: Tensors) -> Iterator[str]:
    for item_id, tensors in expected.items():
        for name, array in tensors.items():
            if array.tobytes() != found[item_id][name].tobytes():
                yield f"{item_id}: {name}"


def test_what_cannot_be_read_is_refused_in_the_same_words(
    scored: Any, predicted: Any, media_matrix: MediaMatrix
) -> None:
    assert scored[1] == predicted[1]
    assert scored[1].keys() == media_matrix.broken.keys()
