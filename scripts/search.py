"""What a search for settings found, said at its end. Hydra loads this as one of its callbacks."""

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import OmegaConf


class SayBest(Callback):
    """Prints the best settings of an Optuna search and where they stand."""

    def on_multirun_end(self, config: Any, **kwargs: Any) -> None:
        """Read what the sweeper wrote."""
        del kwargs
        path = Path(config.hydra.sweep.dir) / "optimization_results.yaml"
        if path.is_file():
            found = OmegaConf.load(path)
            settings = " ".join(f"{name}={value}" for name, value in found.best_params.items())
            print(f"best: {found.best_value:.4f} with {settings}\n  {path}")
