"""Fixtures for the tests that need a real browser."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from _environment import take
from corscope.browsers import find_browsers

BROWSERS = {"chromium": "Chromium", "firefox": "Firefox"}


def installed(kind: str) -> Path:
    """Returns a browser's executable; skips or, where browsers are required, fails the test that asks for it."""
    if path := find_browsers().get(kind):
        return path
    if os.environ.get("CORSCOPE_REQUIRE_BROWSERS") == "1":
        pytest.fail(f"{BROWSERS[kind]} is not installed, and CORSCOPE_REQUIRE_BROWSERS=1 requires it", pytrace=False)
    pytest.skip(
        f"{BROWSERS[kind]} is not installed: this test is skipped (CORSCOPE_REQUIRE_BROWSERS=1 makes that a failure)"
    )


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The executable of a browser of Chromium's family."""
    return installed("chromium")


@pytest.fixture(scope="session")
def firefox() -> Path:
    """Firefox's executable."""
    return installed("firefox")


@pytest.fixture
def one_browser() -> Iterator[None]:
    """Holds a lock between processes, so that browsers run one at a time: two at once make each other time out."""
    descriptor = os.open(Path(tempfile.gettempdir(), "corscope-tests-browser.lock"), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        while not take(descriptor):
            time.sleep(0.1)
        yield
    finally:
        os.close(descriptor)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves all that needs a browser to one process, where tests run in several: the others need not wait then."""
    for item in items:
        if BROWSERS.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group("browsers"))


@pytest.fixture(autouse=True)
def _one_browser_where_needed(request: pytest.FixtureRequest) -> None:
    if BROWSERS.keys() & set(request.fixturenames):
        request.getfixturevalue("one_browser")
