"""Run by test_translated.py with SETPOINT_WORDS set: certificates of every kind, and a page; python … ROOT."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from choices import choice_of
from page_calibration import PageCalibration, write_page_calibration
from page_production import write_compared

from calibrate import Corrections, OperatingPoint, choose_recall_threshold, choose_threshold
from calibrate.draw import EVEN, Draw
from calibrate.looks import after_look, described_looks
from calibrate.operating_point import Look
from calibrate.prior_shift import choose_threshold_after_shift
from calibrate.probability import fit_platt
from calibrate.signing.sign import sign_choice

SAMPLES = (  # number of posts, share that violates, distance between the classes, target
    (600, 0.4, 3.0, 0.8),
    (3000, 0.2, 0.3, 0.95),
    (3000, 0.3, 4.0, 0.99),
    (400, 0.4, 3.0, 0.99),
    (40, 0.4, 3.0, 0.9),
    (600, 0.0, 0.0, 0.9),
)


def points_of(n: int, share: float, distance: float, target: float) -> Iterator[OperatingPoint]:
    """One sample's answers by every method."""
    random = np.random.default_rng(3)
    labels = (random.random(n) < share).astype(np.float32)
    scores, pilot_scores = random.normal(distance * labels, 1, (2, n)).astype(np.float32)
    known = np.where(random.random(n) < 0.7, labels, np.nan)
    pilot = {"pilot_scores": pilot_scores, "pilot_labels": labels}
    chances = random.choice([0.2, 0.4], n)
    pairs = [f"c{place // 2}" for place in range(n)]
    for asked in (
        {},
        pilot,
        {"method": "walk"},
        {"method": "walk", **pilot},
        {"method": "betting", **pilot},
        {"inclusion_prob": chances},
        {"clusters": pairs},
        {"monotone_precision": True},
        {"growing": True, **pilot},
        {"auditor": labels},
        {"auditor": labels, **pilot},
        {"corrections": Corrections(0.01, 0.02, prior_odds_ratio=0.9, unresolved="not_violating")},
    ):
        yield choose_threshold(scores, known, target_precision=target, **asked)
    for asked in ({}, {"inclusion_prob": chances}, {"clusters": pairs}):
        yield choose_recall_threshold(scores, labels, target_recall=target, **asked)
    for recent in ([1, 0, 0, 0] * 100, [0] * 50):
        point = choose_threshold_after_shift(scores, known, recent, target_precision=target)
        for claims, reuse in ((1, None), (3, None), (1, "why")):
            yield after_look(point, Look(2, 0.01, reuse), confidence=0.95, claims=claims)


def further_sentences() -> Iterator[str | None]:
    """Those that stand in no operating point."""
    few = [0.1, 2.0, 0.3] * 20
    yield from (fit_platt([0.1, 2.0], [0, 1]).reason, fit_platt([1.0] * 60, [0, 1] * 30).reason)
    yield fit_platt(few, [1, 0, 1] * 20).reason
    yield from (described_looks({"fire": 1}), described_looks({"fire": 1, "scam": 2, "spam": 1}))
    yield Draw(floor=1234.5).objection("recall")
    assert EVEN.objection("recall") is None


def signed(made: PageCalibration, root: Path) -> Iterator[str]:
    """What is said of signatures: of the thresholds as found, then of others, which the signed page shows."""
    moved = {"auto_remove": -1.0, "review": None}
    waivers = {"fire.auto_remove": "why"}
    for choice, waived in (
        (choice_of(made.out, "Ada Lovelace"), {}),
        (choice_of(made.out, "Ada Lovelace", **moved), waivers),
        (choice_of(made.out, "Grace Hopper", **moved), waivers),
    ):
        result = sign_choice(
            made.out,
            choice,
            waivers=waived,
            signatures=root / "signatures.jsonl",
            out=root / "signed",
            today=None,
        )
        yield from (result.title.removeprefix("sign: "), *result.lines)


def main(root: Path) -> None:
    """Write sentences.json and two pages, one compared with production and one signed."""
    made = write_page_calibration(root / "made", n=1500)
    sentences = {sentence for sentence in further_sentences() if sentence is not None}
    sentences |= set(signed(made, root))
    for sample in SAMPLES:
        for point in points_of(*sample):
            sentences |= {point.reason, point.method, *point.assumptions}
    (root / "sentences.json").write_text(json.dumps(sorted(sentences), ensure_ascii=False), encoding="utf-8")
    write_compared(made, root / "further")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
