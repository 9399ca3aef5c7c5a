"""The verb `train`: a split and policies in, checkpoints and metrics out. Reads from top to bottom."""

import math
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import lightning
from pydantic import Field

from data.augment import AugmentSettings
from data.files import write_json
from data.policy import load_policies
from data.preprocessing import Preprocessing
from data.splits import linked_groups
from data.summary import Summary
from train.encoders.sources import load_tokenizer
from train.features.encode import encode, encode_together
from train.inputs.augmenting import augment_line, augment_of, check_augment
from train.inputs.batches import encoded_batches, loader, probed
from train.inputs.fast_clips import check_clip_decoder, load_frames_by
from train.inputs.known_labels import count_known, counts_of, known_labels_table
from train.inputs.order import AsGiven, RankBatches
from train.inputs.parts import read_split
from train.inputs.quarantine import quarantine
from train.inputs.shards import order_for, stream
from train.inputs.workers import dead_workers_explained
from train.job.callbacks import KeepBestAndLast, is_rehearsal, writes_files
from train.job.module import PolicyClassifier
from train.job.outcome import metrics_content, metrics_table, unread_evidence, write_start
from train.job.preemption import StopSignals
from train.job.processes import lost_processes_explained, on_first
from train.job.record import record_run
from train.job.replacing import replacing
from train.job.resume import CHECKPOINTS, LAST, METRICS, QUARANTINE, THROUGHPUT, WRITTEN, settled, starting_point
from train.job.targets import checked
from train.job.trainer import (
    build_trainer,
    matmul_precision,
    one_thread_for_small_networks,
    without_cudnn_attention,
)
from train.losses.criterion import Criterion
from train.losses.hard_negatives import mine_hard_negatives
from train.losses.settings import BCE, LossSettings
from train.losses.unknowns import priors_of
from train.monitoring.loggers import LogCurves, logging_to
from train.monitoring.metrics import target_precision_of
from train.monitoring.monitor import ThroughputMonitor
from train.network.assemble import build_network, hearing, load_encoders
from train.network.probe import prepare
from train.optim.averaging import WeightAverage
from train.optim.optimiser import optimisation_of
from train.optim.tuning import check_tuning, start_tuning, unstored_names
from train.settings import ClipDecoder, Count, ModelSettings, OptimSettings, Positive


def train(
    *,
    split: Path,
    policies: Path,
    out: Path,
    preprocessing: Preprocessing,
    model: ModelSettings,
    optim: OptimSettings,
    trainer: dict[str, Any],
    loss: LossSettings = BCE(),  # noqa: B008 (immutable)
    augment: AugmentSettings = AugmentSettings(),  # noqa: B008 (immutable)
    callbacks: dict[str, dict[str, Any] | None] | None = None,
    logger: dict[str, Any] | None = None,
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0,
    cache_dir: Path = Path("outputs/cache"),
    max_unreadable_fraction: Annotated[float, Field(ge=0, le=1)] = 0.05,
    shards: str | None = None,
    shards_cache_gb: Annotated[float, Field(gt=0)] = 100.0,
    shards_mixed: Annotated[int, Field(ge=1)] = 8,
    clip_decoder: ClipDecoder = "pyav",
    checkpoint_every_n_steps: Count | None = None,
    checkpoint_every_n_minutes: Positive | None = 10.0,
    ckpt_path: str | None = "auto",
    overwrite: bool = False,
) -> Summary:
    """Train one classifier for all policies.

    Writes to `out`: `checkpoints/best.ckpt` and `last.ckpt`, `config.yaml`, `metrics.json` (last of all: a run with
    it is finished), `quarantine.json`, `throughput.json`, and `tokenizer.json` if the model reads text.

    Raises:
        InputError: for wrong input or settings; nothing is loaded before the settings are checked.
        Preempted: a signal asked the run to stop, and it has, where the same command goes on.
    """
    config: dict[str, Any] = {
        "preprocessing": preprocessing.to_dict(),
        "model": model.model_dump(mode="json"),
        "optim": optim.model_dump(mode="json"),
        "loss": loss.model_dump(mode="json"),
        "augment": augment.model_dump(mode="json"),
        "trainer": trainer,
        "seed": seed,
        "clip_decoder": clip_decoder,
    }
    check_augment(augment, model)
    check_clip_decoder(clip_decoder, model, preprocessing)
    lightning.seed_everything(seed, workers=True, verbose=False)
    keep = KeepBestAndLast(
        out / CHECKPOINTS,
        StopSignals(),
        every_n_steps=checkpoint_every_n_steps,
        every_n_minutes=checkpoint_every_n_minutes,
    )
    fit = build_trainer(
        trainer,
        callbacks=[keep, *([WeightAverage(optim.ema_decay)] if optim.ema_decay else []), LogCurves()],
        extra_callbacks=callbacks,
        logged=bool(logger),
        out=out,
    )
    open_logger = checked(logger, "logger") if logger else None
    all_policies = load_policies(policies)
    priors = priors_of(loss, [policy.policy_id for policy in all_policies])
    parts = read_split(split, all_policies)
    streamed = None
    if shards is not None:
        streamed = stream(
            parts,
            shards,
            cache_dir=cache_dir,
            cache_gb=shards_cache_gb,
            mixed=shards_mixed,
            world_size=fit.world_size,
            sampler=optim.sampler,
            weighted=loss.hard_negatives > 0,
            reads_media=bool(model.tuned - {"text"}),
        )
        parts = streamed.parts

    encoders = load_encoders(model, audio_seconds=preprocessing.audio_seconds)
    preprocessing = hearing(preprocessing, encoders)
    config["preprocessing"] = preprocessing.to_dict()
    tokenizer = None if model.text is None else load_tokenizer(model.text.source)
    network = build_network(model, encoders, all_policies, preprocessing)
    check_tuning(network, model)
    record = record_run(config, fit.world_size, model, encoders, preprocessing, all_policies, parts, tokenizer)
    starting = partial(starting_point, out, fingerprint=record.fingerprint, ckpt_path=ckpt_path, overwrite=overwrite)
    start = on_first(fit, settled(starting, out), elsewhere=starting)

    encoding = partial(
        encode,
        encoders=encoders,
        tokenizer=tokenizer,
        preprocessing=preprocessing,
        cache_dir=cache_dir,
        device=fit.strategy.root_device,
    )
    encoded = encode_together({name: part.items for name, part in parts.by_name.items()}, encoding)
    unreadable = quarantine(
        encoded,
        num_items=parts.num_items,
        max_fraction=max_unreadable_fraction,
        began_with=out / QUARANTINE if start else None,
    )
    readable = {name: part.without(encoded[name].unreadable) for name, part in parts.by_name.items()}

    known = probed(readable["train"])
    prepare(
        network,
        encoded_batches(known, encoded["train"], network=network, preprocessing=preprocessing),
        linked_groups(known.items, ["creator_id", "cluster_id"]).to_list(),
        strength=optim.probe_strength,
    )
    start_tuning(network, model)
    criterion = Criterion(loss, priors, readable["train"].labels, readable["train"].p_violating)
    job = PolicyClassifier(
        network,
        criterion=criterion,
        targets={policy.policy_id: target_precision_of(policy) for policy in all_policies},
        optimisation=optimisation_of(optim, model),
        seed=seed,
        record=record.model_dump(mode="json", by_alias=True),
        unstored=unstored_names(network, model),
    )
    loading = partial(
        loader,
        model=model,
        network=network,
        preprocessing=preprocessing,
        tokenizer=tokenizer,
        num_workers=optim.num_workers,
        seed=seed,
        pin_memory=fit.strategy.root_device.type == "cuda",
    )
    sharing = partial(RankBatches, batch_size=optim.batch_size, rank=fit.global_rank, world_size=fit.world_size)
    ahead = None if streamed is None else streamed.ahead(readable["train"].items, batch_size=optim.batch_size)
    order = order_for(
        readable["train"],
        streamed,
        sampler=optim.sampler,
        seed=seed,
        repeats=bool(trainer.get("overfit_batches")),
        batch_size=optim.batch_size,
        world_size=fit.world_size,
    )
    augmented = augment_of(augment, readable["train"], all_policies, seed)
    mine_hard_negatives(fit, order, readable["train"].labels, strength=loss.hard_negatives)
    labelled = count_known(readable["train"].labels, [policy.policy_id for policy in all_policies])
    monitor = ThroughputMonitor(counts_of(labelled, num_unreadable=len(unreadable)))
    monitor.watch(fit)
    with (
        replacing(out, WRITTEN, out / LAST) if overwrite and writes_files(fit) else nullcontext(),
        logging_to(fit, open_logger, config),
        one_thread_for_small_networks(model),
        matmul_precision(optim.matmul_precision),
        without_cudnn_attention(),
        dead_workers_explained(),
        lost_processes_explained(),
        keep.signals.watched(),
    ):
        if writes_files(fit):
            write_start(out, config, record, unreadable)
        fit.fit(
            job,
            loading(
                readable["train"],
                encoded["train"],
                batches=sharing(order, start=start.place if start else (0, 0), ahead=ahead),
                augment=augmented,
                load=load_frames_by(clip_decoder, device=fit.strategy.root_device),
            ),
            loading(
                readable["validation"],
                encoded["validation"],
                batches=sharing(AsGiven(len(readable["validation"].items))),
            ),
            ckpt_path=None if start is None else start.path_holding(job.stored_names()),
            weights_only=True,
        )
    if is_rehearsal(fit):
        return Summary("train: fast_dev_run went through; nothing was kept")
    if fit.is_global_zero:
        write_json(out / THROUGHPUT, monitor.report(fit))
        write_json(out / METRICS, metrics_content(fit.current_epoch, keep))
    return Summary(
        f"train: {fit.current_epoch} epochs on {len(readable['train'].items):,} items, best after epoch "
        f"{keep.best_epoch + 1}; {len(unreadable)} quarantined",
        [out / CHECKPOINTS / "best.ckpt", out / METRICS],
        [
            *([f"continued from {start.path}"] if start else []),
            *([f"cannot be read, left out (see {QUARANTINE}): {len(unreadable)} items"] if unreadable else []),
            *([streamed.line] if streamed else []),
            *augment_line(augmented),
            *unread_evidence(all_policies, model),
            *monitor.line(fit),
            *known_labels_table(labelled, len(readable["train"].items)),
            *criterion.summary(),
            *metrics_table(keep.best_metrics),
        ],
        objective=keep.best_score if math.isfinite(keep.best_score) else None,
    )
