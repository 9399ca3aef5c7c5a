"""TensorRT-RTX, without which these tests are skipped, and a model folder to vary."""

import shutil
from pathlib import Path

import pytest

from export.tensorrt.library import Library, is_installed, open_library


@pytest.fixture(scope="session")
def rtx() -> Library:
    """TensorRT-RTX as installed."""
    if not is_installed("tensorrt-rtx"):
        pytest.skip("tensorrt-rtx is not installed: pip install 'setpoint[tensorrt-rtx]'")
    return open_library("tensorrt-rtx")


@pytest.fixture
def model(hand_made_model: Path, tmp_path: Path) -> Path:
    """A model folder that a test may change."""
    return shutil.copytree(hand_made_model, tmp_path / "model")
