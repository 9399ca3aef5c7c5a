"""Do checkpoint, exported model and predict.py decide alike? Every golden item, every band; exits 1 if not.

Run: python -m scripts.compare_decisions CHECKPOINT RELEASE GOLDEN, after `setpoint seal`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from data.files import read_json
from data.golden import load_golden
from data.scores import read_scores
from export.graph.decision_head import Decision, load_onnx, read_decision
from export.scoring.run import score


def main() -> int:
    """Print the largest differences and the number of flags that differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("checkpoint", "release", "golden"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    golden = load_golden(options.golden)
    policies = read_json(options.release / "policies.json")["policies"]
    policy_ids = [policy["policy_id"] for policy in policies]
    decision = read_decision(load_onnx(options.release / "onnx/fp32/model.onnx"))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for source, out in ((options.checkpoint, "torch"), (options.release, "onnx")):
            score(model=source, items=golden.folder / "items.parquet", out=folder / out)
        torch_scores = read_scores(folder / "torch/scores.parquet", policy_ids)
        onnx_scores = read_scores(folder / "onnx/scores.parquet", policy_ids)
        items = golden.items.filter(pl.col("item_id").is_in(onnx_scores.item_ids))
        predicted = _predict(options.release, items, folder)

    logits = {
        "torch checkpoint": torch_scores.of(items["item_id"].to_list()),
        "ONNX Runtime": onnx_scores.of(items["item_id"].to_list()),
        "predict.py": predicted,
    }
    return _compare(logits, decision)


def _predict(release: Path, items: pl.DataFrame, folder: Path) -> NDArray[np.float32]:
    lines = folder / "items.jsonl"
    columns = ("item_id", "media_type", "caption", "ocr_text", "asr_text")
    with lines.open("w", encoding="utf-8") as file:
        for row in items.iter_rows(named=True):
            item = {name: row[name] for name in columns}
            item["media"] = [str(Path(medium).resolve()) for medium in row["media"]]
            file.write(json.dumps(item) + "\n")
    command = [sys.executable, "-I", str(release / "predict.py"), "--items", str(lines)]
    answers = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [[policy["logit"] for policy in json.loads(answer)["policies"]] for answer in answers]
    return np.array(rows, dtype=np.float32)


def _compare(logits: dict[str, NDArray[np.float32]], decision: Decision) -> int:
    served = "ONNX Runtime"
    probabilities, flags = decision.apply(logits[served])
    print(f"{flags.shape[0]} golden items, {flags.shape[1]} bands, {int(flags.sum())} flags, served by {served}")
    differing = 0
    for name, values in logits.items():
        other_probabilities, other_flags = decision.apply(values)
        flips = int((other_flags != flags).sum())
        differing += flips
        print(
            f"{name:<17} largest difference: logit {np.abs(values - logits[served]).max():.2e}, "
            f"probability {np.abs(other_probabilities - probabilities).max():.2e}; flags that differ: {flips}"
        )
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
