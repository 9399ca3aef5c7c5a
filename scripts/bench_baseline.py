"""Is the network at least as good as logistic regression on the same frozen features? Exits 1 if not.

    python -m scripts.bench_baseline [--out FOLDER] [--cache FOLDER] [--seeds 0 1 2]

Trains on the split of moderation-mini once a seed and compares AUC on its golden part: the mean of the seeds
against the better of two regressions (C = 1, features as they are, or standardised).
"""

import argparse
import sys
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "moderation-mini"
MINILM_DIM = 384
# Where negatives from another source make the whole policy easy, the source of the hard ones is shown as well.
WITHIN = {"firearms": "firearms_cctv", "physical_fight": "surveillance"}


def main() -> int:
    """Run the benchmark.

    Returns:
        0, or 1 if the network is worse than the regression on some policy.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("outputs/bench_baseline"))
    parser.add_argument("--cache", type=Path, default=Path("outputs/cache"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()

    import numpy as np

    from data.golden import load_golden
    from data.labels import derive_labels, label_matrix
    from data.policy import load_policies
    from scripts.verbs import run_verb
    from train.checkpoint import load_checkpoint
    from train.evaluate import (
        encode_like,
        known_auc,
        logits_of,
        mean_frame_features,
        regression_scores,
        text_features,
    )
    from train.parts import read_split

    common = ["data=moderation_mini", f"data.folder={DATA}", f"root={arguments.out}"]
    if not (arguments.out / "split").exists():
        run_verb("split", common)
    policies = load_policies(DATA / "policies")
    policy_ids = [policy.policy_id for policy in policies]
    parts = read_split(arguments.out / "split", policies)
    golden = load_golden(arguments.out / "split" / "golden" / "golden" / "1")
    items = golden.items
    labels = label_matrix(items["item_id"].to_list(), derive_labels(golden.annotations, policies), policy_ids)

    ours = []
    for seed in arguments.seeds:
        out = arguments.out / f"seed{seed}"
        run_verb(
            "train",
            [*common, f"seed={seed}", f"out={out}", f"cache_dir={arguments.cache}", "logger=none", "overwrite=true"],
        )
        trained = load_checkpoint(out / "checkpoints" / "best.ckpt")
        encoded = encode_like(trained, items, arguments.cache)
        ours.append(logits_of(trained, items, encoded))
    known = encode_like(trained, parts.train.items, arguments.cache)

    print(f"{'policy':<32} {'labels':>12} {'network':>8} {'regression':>10}")
    worse = []
    for column, policy in enumerate(policies):
        if policy.evidence == ["text"]:
            seen = text_features(parts.train.items, known, MINILM_DIM)
            unseen = text_features(items, encoded, MINILM_DIM)
        else:
            seen, unseen = mean_frame_features(parts.train.items, known), mean_frame_features(items, encoded)
        regression = regression_scores(seen, parts.train.labels[:, column], unseen)
        rows = {policy.policy_id: np.ones(len(items), dtype=bool)}
        if policy.policy_id in WITHIN:
            source = WITHIN[policy.policy_id]
            rows[f"  {policy.policy_id} within {source}"] = (items["source"] == source).to_numpy()
        for name, row in rows.items():
            truth = labels[row, column]
            network = float(np.mean([known_auc(logits[row, column], truth) for logits in ours]))
            best = max(known_auc(scores[row], truth) for scores in regression)
            counts = f"{int(np.nansum(truth))}/{int((~np.isnan(truth)).sum())}"
            print(f"{name:<32} {counts:>12} {network:>8.4f} {best:>10.4f}")
            if name == policy.policy_id and network < best:
                worse.append(name)
    print(f"worse than regression: {', '.join(worse)}" if worse else "nowhere worse than regression")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
