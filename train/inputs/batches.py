"""Loaders of a run's parts: raw inputs where an encoder is tuned, cached features where it is frozen."""

from collections.abc import Iterator

from tokenizers import Tokenizer
from torch.utils.data import DataLoader

from data.augment import Augment
from data.loading import Batch, Collate, ItemDataset, Sample
from data.preprocessing import Preprocessing
from train.features.encode import Encoded
from train.inputs.fast_clips import LoadFrames
from train.inputs.order import RankBatches
from train.inputs.parts import Part
from train.inputs.workers import worker_settings
from train.network.classifier import MultimodalClassifier
from train.settings import ModelSettings

PROBED_ITEMS = 20_000
ITEMS_PER_PROBE_BATCH = 256


def loader(
    part: Part,
    encoded: Encoded,
    *,
    model: ModelSettings,
    network: MultimodalClassifier,
    preprocessing: Preprocessing,
    tokenizer: Tokenizer | None,
    batches: RankBatches,
    augment: Augment | None = None,
    num_workers: int,
    seed: int = 0,
    pin_memory: bool = False,
    load: LoadFrames | None = None,
) -> DataLoader[Sample]:
    """This process's batches of a part, its media read by `load`; the three before are of `worker_settings`."""
    still_runs = model.tuned
    dataset = ItemDataset(
        part.items,
        part.labels,
        p_violating=part.p_violating,
        preprocessing=preprocessing,
        reads_frames=bool(still_runs & {"image", "clip"}),
        reads_sound="audio" in still_runs,
        load=load,
        frame_features=None if "image" in still_runs else encoded.frames,
        vectors={name: rows for name, rows in encoded.vectors.items() if name not in still_runs},
        dims=network.dims,
        augment=augment,
    )
    return DataLoader(
        dataset,
        batch_sampler=batches,
        collate_fn=Collate(tokenizer if "text" in still_runs else None, preprocessing),
        # Cached features are read faster than workers could hand them over.
        **worker_settings(num_workers if still_runs else 0, seed=seed, pin_memory=pin_memory),
    )


def probed(part: Part) -> Part:
    """The items that the linear probe is fitted on: all, or of a large part an evenly spaced subset."""
    step = -(-len(part.items) // PROBED_ITEMS)
    return Part(part.items.gather_every(step), part.labels[::step], part.p_violating[::step], part.digests)


def encoded_batches(
    part: Part, encoded: Encoded, *, network: MultimodalClassifier, preprocessing: Preprocessing
) -> Iterator[Batch]:
    """The items of a part with their cached features, in order."""
    dataset = ItemDataset(
        part.items,
        part.labels,
        preprocessing=preprocessing,
        reads_frames=False,
        frame_features=encoded.frames,
        vectors=encoded.vectors,
        dims=network.dims,
    )
    collate = Collate(None, preprocessing)
    for start in range(0, len(dataset), ITEMS_PER_PROBE_BATCH):
        stop = min(len(dataset), start + ITEMS_PER_PROBE_BATCH)
        yield collate([dataset[index] for index in range(start, stop)])
