"""What a run is made of, and which runs are the same: a run goes on from its own kind only."""

from typing import Any

from tokenizers import Tokenizer

from data.files import sha256_of_json
from data.policy import Policy
from data.preprocessing import Preprocessing
from train.features.encode_texts import untruncated_json
from train.inputs.parts import Split
from train.job.checkpoint import RunRecord
from train.network.assemble import Encoders
from train.settings import ModelSettings

# Trainer flags that say where and how loudly to compute, not what: a run may go on under others.
NOT_OF_THE_RESULT = (
    *("accelerator", "devices", "num_nodes", "strategy", "num_sanity_val_steps", "detect_anomaly"),
    *("log_every_n_steps", "profiler", "enable_progress_bar"),
)


def record_run(
    config: dict[str, Any],
    world_size: int,
    model: ModelSettings,
    encoders: Encoders,
    preprocessing: Preprocessing,
    policies: list[Policy],
    parts: Split,
    tokenizer: Tokenizer | None,
) -> RunRecord:
    """What checkpoints say of the run.

    Args:
        config: the resolved settings.
        world_size: number of processes.
        model: its part of the settings.
        encoders: as loaded.
        preprocessing: likewise.
        policies: in the order of the logits.
        parts: what is trained on.
        tokenizer: None without a text encoder.
    """
    content = {
        "model": model.model_dump(mode="json"),
        "encoders": encoders.describe(),
        "preprocessing": preprocessing.to_dict(),
        "policies": [policy.as_dict() for policy in policies],
        "tokenizer": None if tokenizer is None else untruncated_json(tokenizer),
        "data": parts.digests,
    }
    flags = {name: value for name, value in config["trainer"].items() if name not in NOT_OF_THE_RESULT}
    optim = {name: value for name, value in config["optim"].items() if name != "num_workers"}
    optim["batch_size"] *= world_size  # the same posts a step, on however many devices
    # Recomputed activations give the same gradients: a run that ran out of memory may go on with them.
    built = model.model_dump(mode="json", exclude={name: {"gradient_checkpointing"} for name in model.encoders})
    others = {name: config[name] for name in ("augment", "loss", "seed", "clip_decoder")}
    fingerprint = sha256_of_json({**content, **others, "model": built, "optim": optim, "trainer": flags})
    return RunRecord.model_validate(
        {"schema": "setpoint/checkpoint/v1", **content, "fingerprint": fingerprint, "config": config}
    )
