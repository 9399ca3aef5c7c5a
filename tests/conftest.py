"""Fixtures of all rooms: the real data set, and small items, annotations and policies to vary."""

import http.server
import os
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import settings
from media_matrix import MediaMatrix, write_media_matrix

# The same examples in every run, and no time limit for one: machines are noisy.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# Processes fill the cores; threads beside them, here and in what tests start, would only wait for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

REAL_POSTS = Path(__file__).resolve().parent.parent.parent / "shared" / "data" / "moderation-mini"

POLICY = {
    "schema": "setpoint/policy/v1",
    "policy_id": "fire",
    "version": "1.0.0",
    "name": "Fire",
    "owner": "safety",
    "definition": "Open fire.",
    "violates": [{"code": "F1", "text": "Flames."}],
    "evidence": ["visual"],
    "bands": [{"action": "auto_remove", "target_precision": 0.9, "confidence": 0.95}],
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with a limit of their own take longest: begun last, they would leave the other cores without work."""
    items.sort(key=_limit, reverse=True)


def _limit(item: pytest.Item) -> float:
    """Seconds of the test's own limit; 0 where it has none."""
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0.0


@pytest.fixture(scope="session")
def moderation_mini() -> Path:
    """Folder of the real data set; its absence is a failure in CI and a skip elsewhere."""
    if not REAL_POSTS.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"the real data set is missing: {REAL_POSTS}")
        pytest.skip(f"the real data set is not at {REAL_POSTS}")
    return REAL_POSTS


@pytest.fixture(scope="session")
def media_matrix(tmp_path_factory: pytest.TempPathFactory) -> MediaMatrix:
    """One picture as a photo and as a clip of every kind, and files that nobody can read."""
    return write_media_matrix(tmp_path_factory.mktemp("matrix"))


@pytest.fixture
def policy_folder(tmp_path: Path) -> Path:
    """A folder with the policies `fire` and `scam`."""
    folder = tmp_path / "policies"
    folder.mkdir()
    for content in (POLICY, {**POLICY, "policy_id": "scam", "evidence": ["text"]}):
        (folder / f"{content['policy_id']}.yaml").write_text(yaml.safe_dump(content))
    return folder


@pytest.fixture
def items_file(tmp_path: Path) -> Path:
    """Forty items of ten creators, clusters of two; no media files behind them."""
    rows = [
        {
            "item_id": f"i{index:02d}",
            "media": [f"media/{index}.jpg"],
            "media_type": "photo",
            "creator_id": f"c{index // 4}",
            "cluster_id": f"k{index // 2}",
        }
        for index in range(40)
    ]
    path = tmp_path / "items.parquet"
    pl.DataFrame(rows).write_parquet(path)
    return path


@pytest.fixture
def annotations_file(tmp_path: Path, items_file: Path) -> Path:
    """One adjudication for every item and both policies, every third one violating."""
    rows = [
        {
            "item_id": item_id,
            "policy_id": policy_id,
            "policy_version": "1.0.0",
            "annotator_id": "a",
            "source": "human",
            "value": "violating" if index % 3 == 0 else "not_violating",
            "round": "adjudication",
        }
        for index, item_id in enumerate(pl.read_parquet(items_file)["item_id"])
        for policy_id in ("fire", "scam")
    ]
    path = tmp_path / "annotations.parquet"
    pl.DataFrame(rows).write_parquet(path)
    return path


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    """A web server over `tmp_path`, on a free port of this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()
