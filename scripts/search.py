"""What a search for settings found, said at its end. Hydra loads this as one of its callbacks."""

import logging
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import OmegaConf


class SayBest(Callback):
    """Prints the best settings of an Optuna search and where they stand, and nothing else of Optuna's."""

    def on_multirun_start(self, config: Any, **kwargs: Any) -> None:
        """Silence Optuna but for warnings."""
        from optuna.logging import set_verbosity

        del config, kwargs
        set_verbosity(logging.WARNING)

    def on_multirun_end(self, config: Any, **kwargs: Any) -> None:
        """Read what the sweeper wrote."""
        del kwargs
        path = Path(config.hydra.sweep.dir) / "optimization_results.yaml"
        if path.is_file():
            found = OmegaConf.load(path)
            settings = " ".join(f"{name}={value}" for name, value in found.best_params.items())
            print(f"best: {found.best_value:.4f} with {settings}\n  {path}")
