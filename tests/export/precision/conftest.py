"""A model folder to vary."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture
def model(hand_made_model: Path, tmp_path: Path) -> Path:
    """A model folder that a test may change."""
    return shutil.copytree(hand_made_model, tmp_path / "model")
