"""The pytest plugin: captures judged in tests and as tests, and a real proxy around a test's own browser or client.

Loading it costs nothing: what it needs is imported where it is used.
"""

from __future__ import annotations

import glob
import os
import warnings
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from corscope.assertions import CorsBlocked, CorsCaptureWarning, assert_no_cors_blocks, told_blocks, verdicts_of

if TYPE_CHECKING:
    from typing import Protocol

    from corscope.checking import Choice
    from corscope.model import Verdict
    from corscope.proxy import CorsProxy

    class CorsReplay(Protocol):
        """What the fixture `cors_replay` is. What is not given is as the project's configuration says."""

        def __call__(
            self,
            capture: str | os.PathLike[str],
            *,
            browser: str | None = None,
            silence: Iterable[str] | None = None,
            origins: Iterable[str] | None = None,
        ) -> list[Verdict]: ...


class Story(NamedTuple):
    """Exchanges of a capture that belong together: a preflight, what it permitted, redirects."""

    name: str
    """Such as `PUT api.example/v1 from https://app.example`."""
    verdicts: tuple[Verdict, ...]

    def assert_allowed(self) -> None:
        """Raise CorsBlocked, with the explanation, if any of them is blocked."""
        __tracebackhide__ = True
        assert_no_cors_blocks(self.verdicts)

    @property
    def open(self) -> str:
        """What would decide of an exchange that is neither allowed nor blocked for certain; empty where none is."""
        from corscope.report import headline, texts

        return next(
            (
                f"{headline(one)}: {texts(one.reason).message}"
                for one in self.verdicts
                if one.outcome == "conditional" and one.reason in one.findings and one.reason is not None
            ),
            "",
        )


# ---------------------------------------------------------------------- options


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options. https://docs.pytest.org/en/stable/reference/reference.html#initialization-hooks"""
    group = parser.getgroup("corscope", "CORS as browsers judge it")
    group.addoption(
        "--cors-capture",
        action="append",
        default=[],
        metavar="PATH",
        help="a capture (.mitm or HAR), a folder or a glob: each story in it becomes a test, which fails when a "
        "browser blocks it; may be given several times",
    )
    parser.addini("cors_silence", "ids of CORS findings that are not told", type="args", default=[])
    parser.addini("cors_origins", "pages whose CORS exchanges are tested; empty for all", type="args", default=[])
    parser.addini("cors_browser", "whose rules apply: auto, chromium, firefox or spec", default="auto")


_CAPTURES = pytest.StashKey[frozenset[Path]]()
_APART = pytest.StashKey[tuple[Path, ...]]()
"""Captures whose names pytest takes for something else, such as Firefox's `b.test_Archive [26-11-22 10-00-00].har`."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and let pytest collect the captures that were named."""
    config.addinivalue_line(
        "markers",
        "cors(*captures, browser=…, silence=…, origins=…): run the test once for each story in captures, paths and "
        "globs beside the test's file; the argument cors_story, if the test takes it, is the story, otherwise it must "
        "not be blocked",
    )
    config.addinivalue_line(
        "markers", "cors_proxy(**options): options of mitmproxy, ours among them, for the fixture cors_proxy"
    )
    named = config.getoption("--cors-capture")
    if not named:
        return
    from corscope.captures.sources import NoCapture, find_captures

    try:
        found = find_captures(named, unreadable=_warn)
    except NoCapture as error:
        raise pytest.UsageError(f"--cors-capture {error}") from error
    arguments = [one for one in found if "[" not in one and "::" not in one]
    config.stash[_CAPTURES] = frozenset(Path(one).resolve() for one in arguments)
    config.stash[_APART] = tuple(Path(one).absolute() for one in found if one not in arguments)
    known = {Path(one).resolve() for one in config.args}
    config.args += [one for one in arguments if Path(one).resolve() not in known]


def _choice(
    config: pytest.Config,
    browser: str | None = None,
    silence: Iterable[str] | None = None,
    origins: Iterable[str] | None = None,
) -> Choice:
    """Return how captures are judged: as is said, otherwise as the configuration says. Raises SettingError."""
    from corscope.checking import choose
    from corscope.settings import SettingError

    try:
        return choose(
            browser=browser if browser is not None else config.getini("cors_browser"),
            silence=silence if silence is not None else config.getini("cors_silence"),
            origins=origins if origins is not None else config.getini("cors_origins"),
        )
    except SettingError as error:
        # By the names that they have in the configuration.
        raise SettingError(f"cors_{error}") from error


def _warn(said: str) -> None:
    warnings.warn(CorsCaptureWarning(said), stacklevel=3)


@contextmanager
def _told_while_collecting(whose: str = "") -> Generator[None]:
    """Turn what is wrong with captures, or with how they are to be judged, into one line."""
    from corscope.captures.capture import UnreadableCapture
    from corscope.captures.sources import NoCapture
    from corscope.settings import SettingError

    try:
        yield
    except (NoCapture, UnreadableCapture, SettingError, OSError) as error:
        raise pytest.Collector.CollectError(f"{whose}{error}") from error


# ---------------------------------------------------------------------- stories of captures


def stories(path: Path, choice: Choice) -> list[Story]:
    """Return the stories of a capture that are subject to CORS, in its order, each by a name of its own.

    Raises UnreadableCapture or OSError; warns of what can't be read, and of a capture without such stories.
    """
    from corscope.privacy import plain, shown_url

    told: dict[str, list[Verdict]] = {}
    for verdict in verdicts_of(path, choice):
        if verdict.outcome != "exempt":
            told.setdefault(verdict.story_id, []).append(verdict)
    if not told:
        said = f"{path}: nothing in this capture, or in what is asked for of it, is subject to CORS"
        _warn(said)
    named = []
    for verdicts in told.values():
        asked = next((one for one in verdicts if one.kind != "preflight"), verdicts[0])
        where = shown_url(asked.url).partition("?")[0].partition("://")[2]
        # Of two colons pytest would think that they part the pieces of an id.
        named.append(plain(f"{_method(asked)} {_shortened(where)} from {asked.page}").replace("::", ":"))
    return [Story(name, tuple(verdicts)) for name, verdicts in zip(_told_apart(named), told.values(), strict=True)]


def _method(asked: Verdict) -> str:
    """Return the method that a page asked for; of a preflight alone, the one that it is about."""
    from corscope.headers import get, text

    about = None
    if asked.kind == "preflight" and asked.exchange is not None:
        about = get(asked.exchange.request_headers, b"access-control-request-method")
    return text(about) if about else asked.method


def _shortened(where: str) -> str:
    return where if len(where) <= NAME_LENGTH else f"{where[: NAME_LENGTH - 1]}…"


NAME_LENGTH = 80
"""Characters of host and path in a story's name."""


def _told_apart(names: Iterable[str]) -> list[str]:
    """Return names of which those that were there before are numbered."""
    counted: dict[str, int] = {}
    found = []
    for name in names:
        counted[name] = counted.get(name, 0) + 1
        found.append(f"{name} ({counted[name]})" if counted[name] > 1 else name)
    return found


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the captures that were named with --cors-capture, and those that are an argument, or an id, of a run."""
    named = file_path.resolve() in parent.config.stash.get(_CAPTURES, frozenset[Path]())
    if named or (file_path.suffix in _SUFFIXES and parent.session.isinitpath(file_path)):
        return CaptureFile.from_parent(parent, path=file_path)
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Collect the captures that could be no argument, before anything is chosen or left out."""
    for path in config.stash.get(_APART, ()):
        items += session.genitems(CaptureFile.from_parent(session, path=path))


_SUFFIXES = (".mitm", ".har")
"""How files end that are captures without --cors-capture; with it, whatever they are called."""


class CaptureFile(pytest.File):
    """A capture; its stories are tests."""

    def collect(self) -> Iterator[pytest.Item]:
        with _told_while_collecting():
            found = stories(self.path, _choice(self.config))
        for story in found:
            yield StoryItem.from_parent(self, name=story.name, story=story)


class StoryItem(pytest.Item):
    """A story that is not to be blocked. Where the capture leaves that open it is skipped, and says what would tell."""

    def __init__(self, *, story: Story, **more: Any) -> None:  # noqa: ANN401 - what pytest's nodes take
        super().__init__(**more)
        self.story = story

    def runtest(self) -> None:
        self.story.assert_allowed()
        if said := self.story.open:
            pytest.skip(f"{self.name}: {said}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:  # noqa: ANN401
        if isinstance(excinfo.value, CorsBlocked):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        # Of a name that ends as the item's id does, pytest would take each dot for a class's.
        return self.path, None, f"CORS: {self.name} "


# ---------------------------------------------------------------------- the marker

_STORY = "cors_story"
_OF_CHOICE = ("browser", "silence", "origins")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with the marker `cors` once for each story of its captures."""
    marks = list(metafunc.definition.iter_markers("cors"))
    if not marks:
        return
    from corscope.captures.sources import find_captures

    folder = metafunc.definition.path.parent
    named: list[str] = []
    found: list[Story] = []
    with _told_while_collecting(f"pytest.mark.cors of {metafunc.definition.name}: "):
        for mark in reversed(marks):
            if not mark.args:
                raise pytest.Collector.CollectError('name the captures: @pytest.mark.cors("recordings/*.har")')
            if unknown := mark.kwargs.keys() - _OF_CHOICE:
                said = f"pytest.mark.cors takes {', '.join(_OF_CHOICE)}, not {', '.join(sorted(unknown))}"
                raise pytest.Collector.CollectError(said)
            choice = _choice(metafunc.config, **mark.kwargs)
            captures = [_beside(folder, capture) for capture in mark.args]
            for path in map(Path, find_captures(captures, unreadable=_warn)):
                told = stories(path, choice)
                named += [f"{path.name}: {story.name}" for story in told]
                found += told
    if _STORY not in metafunc.fixturenames:
        metafunc.fixturenames.append(_STORY)
    metafunc.parametrize(_STORY, found, ids=_told_apart(named))


def _beside(folder: Path, capture: str | os.PathLike[str]) -> str:
    """Return where a capture, or a glob, beside a test's file is; what the folder is called is no glob."""
    path = folder / capture
    return str(path) if path.exists() else str(Path(glob.escape(str(folder))) / capture)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a test whose marker `cors` pytest can't follow: of a unittest.TestCase it makes no test for each story."""
    if not isinstance(item, pytest.Function) or item.get_closest_marker("cors") is None:
        return
    callspec = getattr(item, "callspec", None)
    if callspec is None or _STORY not in callspec.params:
        pytest.fail("pytest.mark.cors is for functions and plain classes, not for a unittest.TestCase", pytrace=False)


@pytest.fixture
def cors_story() -> Story:
    """A story of a capture: its `name`, its `verdicts` and `assert_allowed()`; from the marker `cors`."""
    pytest.fail('cors_story comes from a marker: @pytest.mark.cors("recordings/*.har")', pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """A test with the marker that does not take the story itself must not be blocked."""
    callspec = getattr(pyfuncitem, "callspec", None)
    story = callspec.params.get(_STORY) if callspec is not None else None
    if isinstance(story, Story) and _STORY not in _arguments(pyfuncitem):
        story.assert_allowed()
    return (yield)


def _arguments(function: pytest.Function) -> Sequence[str]:
    return function._fixtureinfo.argnames


# ---------------------------------------------------------------------- fixtures


@pytest.fixture
def cors_replay(request: pytest.FixtureRequest) -> CorsReplay:
    """A function that judges a capture beside the test's file, or below the root: returns its verdicts."""
    folders = (request.path.parent, request.config.rootpath)

    def replay(
        capture: str | os.PathLike[str],
        *,
        browser: str | None = None,
        silence: Iterable[str] | None = None,
        origins: Iterable[str] | None = None,
    ) -> list[Verdict]:
        paths = list(dict.fromkeys(folder / capture for folder in folders))
        path = next((path for path in paths if path.exists()), None)
        if path is None:
            raise FileNotFoundError(f"there is no capture {' nor '.join(map(str, paths))}")
        return list(verdicts_of(path, _choice(request.config, browser, silence, origins)))

    return replay


@pytest.fixture
def cors_proxy(request: pytest.FixtureRequest) -> Iterator[CorsProxy]:
    """A real proxy with the addon, for the test's own browser or client: `.url`, `.ca_file`, `.verdicts()` and more."""
    from corscope.proxy import CorsProxy, throwaway_confdir

    choice = _choice(request.config)
    options: dict[str, object] = {"cors_browser": choice.browser, "cors_silence": sorted(choice.silence)}
    for mark in reversed(list(request.node.iter_markers("cors_proxy"))):
        options.update(mark.kwargs)
    with CorsProxy(throwaway_confdir(), origins=choice.origins, **options) as proxy:
        yield proxy
        # If mitmdump has ended by itself, the test may have seen less than it thinks.
        proxy.verdicts()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say with a test that failed what was blocked in its proxy: often that is why it failed."""
    report = yield
    proxy: CorsProxy | None = getattr(item, "funcargs", {}).get("cors_proxy")
    if proxy is None or call.when != "call" or not report.failed or call.excinfo is None:
        return report
    if not isinstance(call.excinfo.value, CorsBlocked):
        from corscope.proxy import ProxyFailure

        try:
            told = told_blocks(proxy.settled(), _choice(item.config))
        except ProxyFailure as failure:
            told = str(failure)
        if told:
            report.sections.append(("CORS", told))
    return report
