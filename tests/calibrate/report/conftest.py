"""One calibration with everything on its page, one browser, for all tests of the report."""

from collections.abc import Iterator

import pytest
from browser import chromium
from page_calibration import PageCalibration, write_page_calibration
from playwright.sync_api import Browser


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> PageCalibration:
    return write_page_calibration(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def url(made: PageCalibration) -> str:
    return made.page.as_uri()
