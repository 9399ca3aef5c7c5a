"""A project in two precisions to seal."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from two_precisions import Project, write_project


@pytest.fixture(scope="session")
def untouched_project(
    hand_made_model: Path, write_posts: Callable[[Path, int], Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    return write_project(tmp_path_factory.mktemp("project"), hand_made_model, write_posts).root


@pytest.fixture
def project(untouched_project: Path, tmp_path: Path) -> Project:
    """A copy that a test may change."""
    return Project(shutil.copytree(untouched_project, tmp_path / "project"))
