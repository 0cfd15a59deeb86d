"""What tests share, above all those that need a real browser: they say so by a fixture or by the marker `browser`."""

from __future__ import annotations

import errno
import os
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from _environment import take
from corscope.browsers import Kind, find_browsers

# Images of containers have it set, most people's machines do not: what is started here must be heard of without it.
os.environ.pop("PYTHONUNBUFFERED", None)
# What is printed here is read by tests, whatever people and their continuous integration like to see.
for name in ("FORCE_COLOR", "NO_COLOR", "PY_COLORS", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES"):
    os.environ.pop(name, None)

settings.register_profile(
    "corscope",
    # How long an example takes is the machine's affair, which may be busy.
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    database=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("corscope")

BROWSERS: dict[Kind, str] = {"chromium": "Chromium", "firefox": "Firefox"}


def installed(kind: Kind) -> Path:
    """Returns a browser's executable; skips or, where browsers are required, fails the test that asks for it."""
    if path := find_browsers().get(kind):
        return path
    if os.environ.get("CORSCOPE_REQUIRE_BROWSERS") == "1":
        pytest.fail(f"{BROWSERS[kind]} is not installed, and CORSCOPE_REQUIRE_BROWSERS=1 requires it", pytrace=False)
    pytest.skip(
        f"{BROWSERS[kind]} is not installed: this test is skipped (CORSCOPE_REQUIRE_BROWSERS=1 makes that a failure)"
    )


@pytest.fixture
def closed_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that nobody may look into; whoever is root may look into any, so that this one is but said to be so."""
    folder = tmp_path / "closed"
    folder.mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path) == str(folder):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    return folder


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The executable of a browser of Chromium's family."""
    return installed("chromium")


@pytest.fixture(scope="session")
def firefox() -> Path:
    """Firefox's executable."""
    return installed("firefox")


@pytest.fixture(scope="module", params=[pytest.param(kind, marks=pytest.mark.browser(kind)) for kind in BROWSERS])
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of browser in turn, as far as it is installed."""
    wanted: Kind = request.param
    return wanted


def browsers_of(item: pytest.Item) -> list[Kind]:
    """The kinds of browsers that a test starts, in the order in which they are taken."""
    named = {kind for mark in item.iter_markers("browser") for kind in mark.args}
    # A parameter may have a fixture's name, and then there is no browser in it.
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    fixtures = {name for name in getattr(item, "fixturenames", ()) if name not in parameters}
    return [kind for kind in BROWSERS if kind in named or kind in fixtures]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves all that needs a browser to one process for each kind, where tests run in several: nobody waits then, and
    what a module's tests look at together is looked at once.
    """
    for item in items:
        if browsers := browsers_of(item):
            item.add_marker(pytest.mark.xdist_group(browsers[0]))


@contextmanager
def alone(kind: Kind) -> Iterator[None]:
    """Holds a lock between processes: of a kind only one browser runs at a time, for more make each other time out."""
    # Each user's own: another's could not be opened. Windows has a folder for each.
    user = f"-{os.getuid()}" if hasattr(os, "getuid") else ""
    path = Path(tempfile.gettempdir(), f"corscope-tests{user}-{kind}.lock")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not take(descriptor):
            time.sleep(0.1)
        yield
    finally:
        os.close(descriptor)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skips or fails the test before anything of it is set up, where one of its browsers is missing."""
    for kind in browsers_of(item):
        installed(kind)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Waits for the test's browsers, outside of its time limit: it may be another run of the tests that has them."""
    with ExitStack() as held:
        for kind in browsers_of(item):
            held.enter_context(alone(kind))
        return (yield)
