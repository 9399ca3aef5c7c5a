"""What Lightning does at each step for nobody, left out: hooks that no one overrides, contexts that measure nothing.

At each step it calls six hooks of every callback and of the job, each within a context of its profiler. On cached
features, where a step takes milliseconds, that is felt (`python -m scripts.bench_train`).
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.profilers import PassThroughProfiler

STEP_HOOKS = (
    *("on_train_batch_start", "on_before_zero_grad", "on_before_backward", "on_after_backward"),
    *("on_before_optimizer_step", "on_train_batch_end"),
)
NOTHING: AbstractContextManager[Any] = nullcontext()


class NoProfiler(PassThroughProfiler):
    """Measures nothing, as Lightning's default, without a generator for each call that it does not measure."""

    def profile(self, action_name: str) -> AbstractContextManager[Any]:  # type: ignore[override]
        """One context for all."""
        del action_name
        return NOTHING


def leave_out_idle_hooks(trainer: lightning.Trainer, job: lightning.LightningModule) -> None:
    """Have Lightning pass over the hooks of a step that callbacks, or the job, do not override.

    It does so where a hook cannot be called. All others come in their order.
    """
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    for owner, base in [*((one, Callback) for one in callbacks), (job, lightning.LightningModule)]:
        for name in STEP_HOOKS:
            if getattr(getattr(owner, name), "__func__", None) is getattr(base, name):
                setattr(owner, name, None)
