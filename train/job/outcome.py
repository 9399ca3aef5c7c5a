"""What a run leaves beside its checkpoints: what it began with, its metrics, and their table."""

from pathlib import Path
from typing import Any

import yaml

from data.files import atomic_file
from data.policy import Policy
from train.inputs.quarantine import write_quarantine
from train.job.callbacks import KeepBestAndLast
from train.job.checkpoint import RunRecord
from train.job.resume import CONFIG, QUARANTINE, TOKENIZER
from train.monitoring.metrics import PolicyMetrics
from train.settings import ModelSettings


def write_start(out: Path, config: dict[str, Any], record: RunRecord, unreadable: list[dict[str, Any]]) -> None:
    """Write what is known of a run before its first step: its settings, tokenizer and quarantine."""
    with atomic_file(out / CONFIG) as file:
        file.write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    if record.tokenizer is not None:
        with atomic_file(out / TOKENIZER) as file:
            file.write_text(record.tokenizer, encoding="utf-8")
    write_quarantine(out / QUARANTINE, unreadable)


def metrics_content(num_epochs: int, keep: KeepBestAndLast) -> dict[str, Any]:
    """The content of metrics.json."""
    return {
        "schema": "setpoint/train_metrics/v1",
        "epochs": num_epochs,
        "best_epoch": keep.best_epoch + 1,
        "validation": {policy_id: metrics.model_dump() for policy_id, metrics in keep.best_metrics.items()},
    }


def unread_evidence(policies: list[Policy], model: ModelSettings) -> list[str]:
    """A line that says which policies' evidence the model does not hear, if any."""
    deaf = [policy.policy_id for policy in policies if "audio" in policy.evidence and model.audio is None]
    return [f"model.audio is null, so sound is not read: it is evidence for {', '.join(deaf)}"] if deaf else []


def metrics_table(metrics: dict[str, PolicyMetrics]) -> list[str]:
    """Validation metrics, a line a policy."""
    if not metrics:
        return []
    width = max(len("validation"), *(len(policy_id) for policy_id in metrics))
    lines = [f"{'validation':<{width}}  violating  average precision    AUC  recall at target precision"]
    for policy_id, one in metrics.items():
        target = "" if one.target_precision is None else f"{_shown(one.recall_at_target)} at {one.target_precision}"
        counts = f"{one.n_violating}/{one.n_known}"
        lines.append(
            f"{policy_id:<{width}}  {counts:>9}  {_shown(one.average_precision):>17}  {_shown(one.auc):>5}  {target}"
        )
    return lines


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
