"""Other libraries on the same draws, where they are installed (`pip install setpoint[bench]`)."""

import importlib.util
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

# As shipped, and fixed sequences over falling thresholds from one and from ten starts.
MAPIE_MODES = {"Holm": 0, "sequence": 1, "sequences": 10}


def has_mapie() -> bool:
    """Whether MAPIE can be imported."""
    return importlib.util.find_spec("mapie") is not None


def mapie_threshold(
    scores: NDArray[np.float64], labels: NDArray[np.float64], *, target: float, delta: float, mode: str
) -> float | None:
    """The threshold that MAPIE's BinaryClassificationController picks for a precision; None if it finds none.

    Args:
        scores: [N] in [0, 1].
        labels: [N], 1 or 0.
        target: precision.
        delta: 1 - confidence.
        mode: one of MAPIE_MODES.
    """
    from mapie.risk_control import BinaryClassificationController, FWERFixedSequenceTesting

    n_starts = MAPIE_MODES[mode]

    def predict(values: Any) -> NDArray[np.float64]:
        inside = np.asarray(values, np.float64)[:, 0]
        return np.stack([1 - inside, inside], axis=1)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        controller = BinaryClassificationController(
            predict,
            "precision",
            target,
            confidence_level=1 - delta,
            list_predict_params=np.linspace(0.99, 0, 100) if n_starts else np.linspace(0, 0.99, 100),
            fwer_method=FWERFixedSequenceTesting(n_starts=n_starts) if n_starts else "bonferroni_holm",
        )
        controller.calibrate(scores[:, None], labels.astype(int))
    found = controller.best_predict_param
    return None if found is None else float(found)
