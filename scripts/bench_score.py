"""How fast is `setpoint score`, and one request, against what is physically there? Exits 1 if a claim fails.

Run, after `.ci/run`'s run on moderation-mini: python -m scripts.bench_score [--posts 720] [--clips 120] [--turns 3]

Claims, ONNX fp32 on the CPU:

- files in, decisions out: at least 90 % of the throughput that decoding alone and inference alone leave room for.
  Both take the same cores, so the limit is cores / (core-seconds of decoding + core-seconds of inference) an item:
  what either does alone on its share of the cores. And at least 90 % of the slower of the two on one core each.
- one request: at most 1.03 times the latency of the same network by a plain `torch.onnx.export` in a session with
  default options.

Printed beside them: the slower of the two alone on all cores, which no pipeline on those cores can reach unless the
other costs nothing; torch eager and torch.compile. What is compared takes turns; figures are medians. Four
minutes at most.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from data.items import read_items
from data.media import Frames, load_frames
from data.scores import read_scores
from data.text import compose_text, tokenize
from export.graph.decision_head import Decision
from export.machine import this_machine, usable_cores
from export.scoring.batch import Batch, collate, groups_of_one_shape
from export.scoring.run import score_items
from export.scoring.runtimes import OnnxRuntime, TorchRuntime
from scripts.bench_calibrate import Claims
from scripts.bench_score_latency import latencies

MINI = Path("../shared/data/moderation-mini/items.parquet")
WORKSPACE = Path("outputs/moderation_mini")
BATCH_SIZE = 4  # the default of `score`
LEAST_SHARE, MOST_LATENCY = 0.9, 1.03


@dataclass(frozen=True)
class Cost:
    """What a stage took for each item, in seconds: of the clock, and of all cores together."""

    wall: float
    cores: float


@dataclass(frozen=True)
class Turn:
    """One measurement of all, right after each other."""

    decoding: Cost
    inference: Cost
    both: Cost

    @property
    def limit(self) -> float:
        """The least seconds an item on these cores."""
        return (self.decoding.cores + self.inference.cores) / usable_cores()


def stages(runtime: OnnxRuntime, items: pl.DataFrame, turns: int) -> list[Turn]:
    """Decoding alone, inference alone, and the verb from files to decisions; a first turn warms up."""
    posts = list(items.select("media", "media_type").iter_rows())
    decode: Callable[[Any], Frames] = lambda post: load_frames(post[0], post[1], runtime.preprocessing)  # noqa: E731
    batches = batches_of(runtime, items, [decode(post) for post in posts])
    zeros = np.zeros(len(runtime.policy_versions), np.float32)
    decision = Decision(zeros + 1, zeros, zeros, np.arange(len(zeros)))

    def files_to_decisions() -> None:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            given = {"batch_size": BATCH_SIZE, "workers": 0, "max_unreadable_fraction": 0.0}
            score_items(runtime, items, out=out, **given)  # type: ignore[arg-type]
            decision.apply(read_scores(out / "scores.parquet", list(runtime.policy_versions)).values)

    with ThreadPoolExecutor(usable_cores()) as pool:
        work: list[Callable[[], object]] = [
            lambda: list(pool.map(decode, posts)),
            lambda: list(pool.map(runtime.run, batches)),
            files_to_decisions,
        ]
        return [Turn(*(cost_of(each, len(items)) for each in work)) for _ in range(turns + 1)][1:]


def batches_of(runtime: OnnxRuntime, items: pl.DataFrame, clips: Sequence[Frames]) -> list[Batch]:
    """The batches that the verb makes of these items."""
    settings = runtime.preprocessing
    texts = [compose_text(*row) for row in items.select("caption", "ocr_text", "asr_text").iter_rows()]
    token_ids, token_mask = tokenize(runtime.tokenizer, texts, settings.max_tokens)
    groups = groups_of_one_shape(
        [len(clip.times) for clip in clips],
        token_mask.sum(1).tolist(),
        max_tokens=settings.max_tokens,
        batch_size=BATCH_SIZE,
    )
    return [
        collate(
            [clips[place] for place in group.places],
            token_ids[group.places],
            token_mask[group.places],
            size=(settings.height, settings.width),
            pad_token_id=runtime.pad_token_id,
            num_frames=group.num_frames,
            num_tokens=group.num_tokens,
        )
        for group in groups
    ]


def cost_of(work: Callable[[], object], count: int) -> Cost:
    """Of one run."""
    wall, cores = time.perf_counter(), time.process_time()
    work()
    return Cost((time.perf_counter() - wall) / count, (time.process_time() - cores) / count)


def throughput(claims: Claims, what: str, turns: Sequence[Turn]) -> None:
    """The rows of one kind of posts."""
    median = statistics.median
    decoding, inference = ([getattr(turn, stage).cores for turn in turns] for stage in ("decoding", "inference"))
    note = f"{1e3 * median(turn.both.wall for turn in turns):.1f} ms an item over a limit of "
    note += f"{1e3 * median(turn.limit for turn in turns):.1f}; decoding {1e3 * median(decoding):.1f}, "
    note += f"inference {1e3 * median(inference):.1f} core-ms"
    share = median(turn.limit / turn.both.wall for turn in turns)
    claims.at_least(f"{what}: of what the cores allow", share, LEAST_SHARE, note)
    slower = median(max(turn.decoding.cores, turn.inference.cores) / turn.both.wall for turn in turns)
    claims.at_least(f"{what}: of the slower stage, a core each", slower, LEAST_SHARE, "")
    alone = median(max(turn.decoding.wall, turn.inference.wall) / turn.both.wall for turn in turns)
    most = median(max(turn.decoding.wall, turn.inference.wall) / turn.limit for turn in turns)
    print(f"{f'{what}: of the slower stage on all cores':58} {alone:8.2f} x   (at most {most:.2f} is possible)")


def main() -> int:
    """Run all claims."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=WORKSPACE / "model")
    parser.add_argument("--checkpoint", type=Path, default=WORKSPACE / "train" / "checkpoints" / "best.ckpt")
    parser.add_argument("--items", type=Path, default=MINI)
    parser.add_argument("--posts", type=int, default=720)
    parser.add_argument("--clips", type=int, default=120)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    claims, machine = Claims(), this_machine()
    print(f"{machine.cpu}, {machine.cores} cores, {' '.join(machine.flags)}")
    runtime = OnnxRuntime(options.model, threads=1)
    items = read_items(options.items)
    mixed = items.sample(min(len(items), options.posts), seed=0, shuffle=True)
    clips = items.filter(pl.col("media_type") == "video").head(options.clips)
    throughput(claims, "posts of moderation-mini", stages(runtime, mixed, options.turns))
    throughput(claims, "its clips", stages(runtime, clips, max(1, options.turns - 1)))
    frames = {"photo": mixed.filter(pl.col("media_type") == "photo").head(1), "clip": clips.head(1)}
    requests = {}
    for name, item in frames.items():
        media, media_type = item.select("media", "media_type").row(0)
        [requests[name]] = batches_of(runtime, item, [load_frames(media, media_type, runtime.preprocessing)])
    reference = TorchRuntime(options.checkpoint)
    latencies(claims, options.model, reference.trained.network, requests, most=MOST_LATENCY)
    for failure in claims.failures:
        print(f"FAILED {failure}")
    return 1 if claims.failures else 0


if __name__ == "__main__":
    sys.exit(main())
