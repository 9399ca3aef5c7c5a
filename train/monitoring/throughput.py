"""Where the time of training steps goes: sums over steps, their shares, and whether the loader starves the step."""

from dataclasses import dataclass

STARVED_SHARE = 0.3  # of the time; waiting more than this is worth a person's attention
WATCHED_STEPS = 50


@dataclass(frozen=True)
class Step:
    """What was measured of one step, or the sum of several.

    Attributes:
        items: in the batch.
        seconds: from the end of the step before to the end of this one.
        waited: of these, blocked on the next batch.
        decoding: seconds that decoding the batch took, in whichever process.
        steps: how many this is the sum of.
    """

    items: int
    seconds: float
    waited: float
    decoding: float
    steps: int = 1

    def __add__(self, other: "Step") -> "Step":
        return Step(
            self.items + other.items,
            self.seconds + other.seconds,
            self.waited + other.waited,
            self.decoding + other.decoding,
            self.steps + other.steps,
        )


NOTHING = Step(0, 0.0, 0.0, 0.0, 0)


@dataclass(frozen=True)
class Shares:
    """How the time of steps divides; the three sum to 1.

    Attributes:
        decode: blocked because the batch was still being decoded.
        wait: blocked for another reason: tokens, padding, handing over, the disk, workers that start.
        compute: the rest.
    """

    decode: float
    wait: float
    compute: float


def shares_of(step: Step, num_workers: int) -> Shares:
    """Divide the time.

    Workers decode beside the step, so of their decoding counts what each of them could not hide: of a time blocked,
    at most decoding / num_workers.

    >>> shares_of(Step(items=8, seconds=2.0, waited=1.0, decoding=0.5), num_workers=0)
    Shares(decode=0.25, wait=0.25, compute=0.5)
    """
    if step.seconds <= 0:
        return Shares(0.0, 0.0, 1.0)
    waited = min(1.0, step.waited / step.seconds)
    decode = min(waited, step.decoding / max(1, num_workers) / step.seconds)
    return Shares(decode, waited - decode, 1 - waited)


class StarvationWatch:
    """Says once when `WATCHED_STEPS` steps or more spent more of their time waiting than `STARVED_SHARE`.

    Args:
        num_workers: of the loader.
        num_cores: that this process may use.
    """

    def __init__(self, *, num_workers: int, num_cores: int) -> None:
        self.num_workers, self.num_cores = num_workers, num_cores
        self.seen = NOTHING
        self.has_spoken = False

    def add(self, steps: Step) -> str | None:
        """Take note of a step, or of several.

        Returns:
            The warning, at the first steps where there is one.
        """
        self.seen += steps
        if self.has_spoken or self.seen.steps < WATCHED_STEPS:
            return None
        total, self.seen = self.seen, NOTHING
        if total.waited <= STARVED_SHARE * total.seconds:
            return None
        self.has_spoken = True
        decode = shares_of(total, self.num_workers).decode
        return (
            f"train: {total.waited / total.seconds:.0%} of the last {total.steps} steps' time went into waiting "
            f"for data ({decode:.0%} for decoding); {self._advice(total)}"
        )

    def _advice(self, total: Step) -> str:
        if not total.decoding:
            return "nothing is decoded here: put cache_dir on a faster disk, or raise optim.batch_size"
        if self.num_workers < self.num_cores:
            return f"raise optim.num_workers (now {self.num_workers}; {self.num_cores} cores here)"
        return (
            f"optim.num_workers={self.num_workers} keeps all {self.num_cores} cores busy: lower "
            "data.preprocessing.num_frames, height or width, or freeze the encoders (model=frozen)"
        )
