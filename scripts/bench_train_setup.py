"""What scripts.bench_train measures: generated posts, the job of `setpoint train` on them, and a loop beside it.

The loop is what one would write without Lightning: the same network, loss, optimiser, schedule and loader.
"""

import copy
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger
from PIL import Image
from tokenizers import Tokenizer

from data.loading import Batch
from data.policy import Policy
from data.preprocessing import Preprocessing
from train.encoders.sources import load_tokenizer
from train.features.encode import Encoded, encode
from train.inputs.batches import loader
from train.inputs.order import RankBatches, order_of
from train.inputs.parts import Part
from train.job.callbacks import KeepBestAndLast
from train.job.module import PolicyClassifier, seed_device
from train.job.preemption import StopSignals
from train.job.trainer import build_trainer
from train.losses.criterion import Criterion
from train.losses.settings import BCE
from train.monitoring.loggers import LogCurves
from train.monitoring.monitor import ThroughputMonitor
from train.network.assemble import Encoders, build_network, load_encoders
from train.network.forward import evidence_of
from train.optim.optimiser import adamw, optimisation_of, parameter_groups, warmup_and_cosine
from train.optim.tuning import start_tuning, unstored_names
from train.settings import ModelSettings, OptimSettings

SEED = 0
CPU = torch.device("cpu")
WORDS = ("the", "red", "old", "cat", "dog", "house", "sells", "burning", "street", "market", "photo", "of", "with")
POLICY_EVIDENCE = (("a", ["visual", "text"]), ("b", ["visual"]), ("c", ["text"]), ("d", ["visual", "text"]))


@dataclass(frozen=True)
class Posts:
    """Generated posts and the policies that they are labelled for."""

    part: Part
    policies: list[Policy]


def make_posts(folder: Path, *, num_items: int, num_photos: int, width: int, height: int) -> Posts:
    """Posts of one JPEG photo and a caption each; a third of the labels are unknown.

    Args:
        folder: for the photos.
        num_items: posts.
        num_photos: files, and captions, that they share in turn.
        width: of a photo, pixels.
        height: likewise.
    """
    random = np.random.default_rng(SEED)
    for index in range(num_photos):
        rough = random.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
        Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{index}.jpg")
    captions = [" ".join(random.choice(WORDS, 12)) for _ in range(num_photos)]
    items = pl.DataFrame(
        {
            "item_id": [f"item {index}" for index in range(num_items)],
            "media": [[str(folder / f"{index % num_photos}.jpg")] for index in range(num_items)],
            "media_type": ["photo"] * num_items,
            "caption": [captions[index % num_photos] for index in range(num_items)],
            "ocr_text": pl.Series([None] * num_items, dtype=pl.String),
            "asr_text": pl.Series([None] * num_items, dtype=pl.String),
        }
    )
    labels = (random.random((num_items, len(POLICY_EVIDENCE))) < 0.5).astype(np.float32)
    labels[random.random(labels.shape) < 1 / 3] = np.nan
    return Posts(Part(items, labels, labels, {}), [_policy(name, evidence) for name, evidence in POLICY_EVIDENCE])


def _policy(policy_id: str, evidence: list[str]) -> Policy:
    return Policy.model_validate(
        {
            "schema": "setpoint/policy/v1",
            "policy_id": policy_id,
            "version": "1.0.0",
            "name": policy_id,
            "owner": "bench",
            "definition": "None.",
            "violates": [{"code": "V1", "text": "Never."}],
            "evidence": evidence,
            "bands": [{"action": "review", "target_precision": 0.9, "confidence": 0.95}],
        }
    )


@dataclass(frozen=True)
class Subject:
    """A model over posts, ready to train.

    Attributes:
        fed_with: the model for which the loader makes batches; another than `model` to run frozen encoders each step.
        device: where it trains: encoders in float32 on the CPU, in bfloat16 on a GPU.
    """

    posts: Posts
    model: ModelSettings
    fed_with: ModelSettings
    optim: OptimSettings
    preprocessing: Preprocessing
    encoders: Encoders
    tokenizer: Tokenizer | None
    encoded: Encoded
    device: torch.device

    def job(self) -> PolicyClassifier:
        """The Lightning job, with weights of its own."""
        network = build_network(self.model, copy.deepcopy(self.encoders), self.posts.policies, self.preprocessing)
        start_tuning(network, self.model)
        part = self.posts.part
        return PolicyClassifier(
            network,
            criterion=Criterion(BCE(), [0.01] * len(self.posts.policies), part.labels, part.p_violating),
            targets={policy.policy_id: 0.9 for policy in self.posts.policies},
            optimisation=optimisation_of(self.optim, self.model),
            seed=SEED,
            record={},
            unstored=unstored_names(network, self.model),
        )

    def loader(self, job: PolicyClassifier) -> Any:
        """The loader of `setpoint train`."""
        order = order_of("shuffled", self.posts.part.labels, SEED)
        return loader(
            self.posts.part,
            self.encoded,
            model=self.fed_with,
            network=job.network,
            preprocessing=self.preprocessing,
            tokenizer=self.tokenizer,
            batches=RankBatches(order, batch_size=self.optim.batch_size),
            num_workers=self.optim.num_workers,
            pin_memory=self.device.type == "cuda",
        )


def make_subject(
    posts: Posts,
    model: ModelSettings,
    optim: OptimSettings,
    preprocessing: Preprocessing,
    *,
    cached: bool = True,
    device: torch.device = CPU,
) -> Subject:
    """Load the encoders and, for frozen ones, encode the posts.

    Args:
        posts: to train on.
        model: settings of the network.
        optim: rates, batch size, workers.
        preprocessing: size of frames, tokens.
        cached: False to run frozen encoders at each step.
        device: where it will train.
    """
    encoders = load_encoders(model)
    tokenizer = None if model.text is None else load_tokenizer(model.text.source)
    encoded = Encoded(None, {}, [])
    if cached and not model.tuned:
        with tempfile.TemporaryDirectory() as folder:
            encoded = encode(
                posts.part.items,
                encoders=encoders,
                tokenizer=tokenizer,
                preprocessing=preprocessing,
                cache_dir=Path(folder),
                device=device,
            )
    changes = {name: one.model_copy(update={"tune": "full"}) for name, one in model.encoders.items()}
    fed_with = model if cached else model.model_copy(update=changes)
    return Subject(posts, model, fed_with, optim, preprocessing, encoders, tokenizer, encoded, device)


class BareLoop:
    """Training without Lightning, a step at a time, over epochs without end."""

    def __init__(self, subject: Subject, total_steps: int) -> None:
        self.device = subject.device
        self.job = subject.job().to(self.device)
        self.network, self.criterion = self.job.network, self.job.criterion
        self.optimizer = adamw(parameter_groups(self.network, self.job.optimisation))
        optimisation = self.job.optimisation
        self.schedule = warmup_and_cosine(
            self.optimizer, total_steps=total_steps, warmup_fraction=optimisation.warmup_fraction
        )
        self.batches, self.steps = _without_end(subject.loader(self.job)), 0

    def step(self) -> None:
        """Fetch a batch and learn from it; seeded step by step, as whoever wants to resume exactly does."""
        batch = next(self.batches).to(self.device)
        seed_device(self.device, SEED + self.steps)
        self.steps += 1
        with torch.autocast("cuda", torch.bfloat16) if self.device.type == "cuda" else nullcontext():
            evidence = evidence_of(batch, self.network)
        summed = self.criterion(self.network.fuse(evidence), batch.labels, batch.p_violating)
        loss = summed.mean(num_labels=summed.num_labels, world_size=1)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()


def _without_end(made: Any) -> Iterator[Batch]:
    for epoch in count():
        made.batch_sampler.sampler.set_epoch(epoch)
        yield from made


@dataclass(frozen=True)
class Cost:
    """Of a step.

    Attributes:
        wall: seconds.
        processor: seconds of this process, all threads together; workers are other processes.
    """

    wall: float
    processor: float


class Interleaved(Callback):
    """Runs a block of steps of another loop after each block of Lightning's, and takes the time of both.

    Args:
        other: takes one step.
        block: steps a block.
    """

    def __init__(self, other: Callable[[], None], block: int) -> None:
        self.other, self.block = other, block
        self.lightning_costs: list[Cost] = []
        self.other_costs: list[Cost] = []
        self._seen, self._since = 0, _now()

    def on_train_batch_end(self, *given: Any) -> None:
        """After the last step of a block: the other's turn. The first block of each warms up."""
        del given
        self._seen += 1
        if self._seen % self.block:
            return
        now = _now()
        for _ in range(self.block):
            self.other()
        end = _now()
        if self._seen > self.block:
            self.lightning_costs.append(self._step_between(self._since, now))
            self.other_costs.append(self._step_between(now, end))
        self._since = _now()

    def _step_between(self, start: Cost, end: Cost) -> Cost:
        return Cost((end.wall - start.wall) / self.block, (end.processor - start.processor) / self.block)


def _now() -> Cost:
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()  # what was asked for belongs to the block that asked
    return Cost(time.perf_counter(), time.process_time())


def interleaved(subject: Subject, *, blocks: int, block: int) -> Interleaved:
    """Steps of the job as `setpoint train` runs it, with its callbacks and a logger, and of a bare loop, in turns.

    Args:
        subject: what to train.
        blocks: measured pairs.
        block: steps of each.
    """
    total = (blocks + 1) * block
    turns = Interleaved(BareLoop(subject, total).step, block)
    job = subject.job()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        trainer = build_trainer(
            {
                "_target_": "lightning.Trainer",
                "accelerator": subject.device.type,
                "devices": 1,
                "precision": "bf16-mixed" if subject.device.type == "cuda" else "32-true",
                "max_steps": total,
                "deterministic": "warn",
                "limit_val_batches": 0,
                "log_every_n_steps": 10,
            },
            callbacks=[KeepBestAndLast(out, StopSignals()), LogCurves()],
            extra_callbacks=None,
            logged=True,
            out=out,
        )
        trainer.logger = CSVLogger(out)
        trainer.callbacks.append(turns)  # type: ignore[attr-defined]
        ThroughputMonitor({}).watch(trainer)
        trainer.fit(job, subject.loader(job))
    return turns
