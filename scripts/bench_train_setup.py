"""What scripts.bench_train measures: generated posts, and the job of `setpoint train` on them."""

import copy
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image
from tokenizers import Tokenizer

from data.policy import Policy
from data.preprocessing import Preprocessing
from train.encoders.sources import load_tokenizer
from train.features.encode import Encoded, encode
from train.inputs.batches import loader
from train.inputs.order import RankBatches, order_of
from train.inputs.parts import Part
from train.job.module import PolicyClassifier
from train.losses.criterion import Criterion
from train.losses.settings import BCE
from train.network.assemble import Encoders, build_network, load_encoders
from train.optim.optimiser import optimisation_of
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
