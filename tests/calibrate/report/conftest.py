"""One calibration with everything on its page, for all tests of the report."""

import pytest
from page_calibration import PageCalibration, write_page_calibration


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> PageCalibration:
    return write_page_calibration(tmp_path_factory.mktemp("page"))


@pytest.fixture
def url(made: PageCalibration) -> str:
    return made.page.as_uri()
