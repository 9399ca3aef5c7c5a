"""The metrics of a served release: requests, batches, and how often each band flags."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from export.release.decisions import ServedPolicies
from export.serving.batching import Batched
from export.serving.metrics import SECONDS, SIZES, Counter, Gauge, Histogram, Labels, exposition
from export.serving.protocol import Array


@dataclass(frozen=True)
class Counts:
    """Everything that `/metrics` shows.

    Attributes:
        bands: labels of each column of the output `flags`.
        release: labels that say which release answers.
    """

    bands: Sequence[dict[str, str]]
    release: Labels
    requests: Counter = field(
        default_factory=lambda: Counter("setpoint_requests_total", "Requests to infer, by status of the answer.")
    )
    failures: Counter = field(
        default_factory=lambda: Counter("setpoint_failures_total", "Requests that the model could not answer.")
    )
    items: Counter = field(default_factory=lambda: Counter("setpoint_items_total", "Items that the model answered."))
    flags: Counter = field(default_factory=lambda: Counter("setpoint_flags_total", "Items that a band flagged."))
    in_flight: Gauge = field(default_factory=lambda: Gauge("setpoint_requests_in_flight", "Requests being answered."))
    seconds: Histogram = field(
        default_factory=lambda: Histogram("setpoint_request_seconds", "From headers to answer.", SECONDS)
    )
    queued: Histogram = field(
        default_factory=lambda: Histogram("setpoint_queue_seconds", "What requests wait for their batch.", SECONDS)
    )
    computed: Histogram = field(
        default_factory=lambda: Histogram("setpoint_compute_seconds", "What a batch takes in the model.", SECONDS)
    )
    sizes: Histogram = field(
        default_factory=lambda: Histogram("setpoint_batch_items", "Items that ran together.", SIZES)
    )

    def __post_init__(self) -> None:
        for labels in self.bands:
            self.flags.add(0, **labels)
        for counter in (self.items, self.failures):
            counter.add(0)

    def batch_ran(self, batch: Batched) -> None:
        """Count one batch."""
        self.sizes.observe(batch.num_items)
        self.computed.observe(batch.computed)
        for waited in batch.queued:
            self.queued.observe(waited)
        self.failures.add(batch.failures)

    def answered(self, flags_BK: Array) -> None:
        """Count the items of one answer, and their flags."""
        self.items.add(len(flags_BK))
        for column in np.flatnonzero(flags_BK.any(0)).tolist():
            self.flags.add(int(flags_BK[:, column].sum()), **self.bands[column])

    def text(self) -> str:
        """All of them, for Prometheus."""
        info = Gauge("setpoint_release_info", "Which release answers.", 1, self.release)
        histograms = (self.seconds, self.queued, self.computed, self.sizes)
        counters = (self.requests, self.failures, self.items, self.flags)
        return exposition([info, *counters, self.in_flight, *histograms])


def counts_of(served: ServedPolicies, *, release_id: str, precision: str) -> Counts:
    """Counts for the bands of a release."""
    bands = [
        {
            "policy": policy.policy_id,
            "version": policy.version,
            "action": band.action,
            "queue": band.queue or "",
            "band": str(band.index),
            **({"pack": pack.name} if pack.name else {}),
        }
        for pack, policy, band in served.all_bands()
    ]
    return Counts(bands=bands, release=(("release", release_id), ("precision", precision)))
