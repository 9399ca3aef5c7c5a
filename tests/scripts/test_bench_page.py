"""bench_page still runs, on a small set; its figures are for people to print, not for tests."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest
from browser import need_chromium

from scripts.bench_page import build, measured


@pytest.mark.parametrize("compared", [False, True])
def test_a_small_page_is_built_and_measured(tmp_path: Path, compared: bool) -> None:
    page, seconds = build(2, 1500, tmp_path, compared=compared)
    assert ('"production":{' in page.read_text(encoding="utf-8")) == compared
    assert seconds > 0
    need_chromium()
    with ProcessPoolExecutor(1, get_context("spawn")) as apart:  # this one may have a browser open already
        figures = apart.submit(measured, page).result()
    assert figures["overview"]["ready"] > 0
    assert figures["policy"]["ready"] > 0
    assert 0 < figures["policy"]["typical"] <= figures["policy"]["step"] < 60_000
    assert figures["policy"]["clock"] > 0
