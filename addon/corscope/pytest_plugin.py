"""The pytest plugin: captures judged in tests and as tests, and a real proxy around a test's own browser or client.

Loading it costs nothing: what it needs is imported where it is used.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from corscope.assertions import CorsBlocked, assert_no_cors_blocks

if TYPE_CHECKING:
    from typing import Protocol

    from corscope.checking import Choice
    from corscope.model import Verdict
    from corscope.proxy import CorsProxy

    class CorsReplay(Protocol):
        """What the fixture `cors_replay` is."""

        def __call__(
            self, capture: str | Path, *, silence: Collection[str] = (), origins: Collection[str] = ()
        ) -> list[Verdict]: ...


class Story(NamedTuple):
    """Exchanges of a capture that belong together: a preflight, what it permitted, redirects."""

    name: str
    """Such as `PUT api.example/v1 from https://app.example`."""
    verdicts: tuple[Verdict, ...]
    silence: frozenset[str] = frozenset()
    """Findings that are not told, by the project's configuration."""

    def assert_allowed(self) -> None:
        """Raise CorsBlocked, with the explanation, if any of them is blocked."""
        __tracebackhide__ = True
        assert_no_cors_blocks(self.verdicts, silence=self.silence)

    @property
    def open(self) -> str:
        """What would decide of an exchange that is neither allowed nor blocked for certain; empty where none is."""
        from corscope.report import headline

        return next((headline(one) for one in self.verdicts if one.outcome == "conditional"), "")


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


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers, and let pytest collect the captures that were named."""
    config.addinivalue_line(
        "markers",
        "cors(*captures): run the test once for each story in captures, paths and globs beside the test's file; the "
        "argument cors_story, if the test takes it, is the story, otherwise it must not be blocked",
    )
    config.addinivalue_line(
        "markers", "cors_proxy(**options): options of mitmproxy, ours among them, for the fixture cors_proxy"
    )
    named = config.getoption("--cors-capture")
    if not named:
        return
    from corscope.captures.sources import NoCapture, find_captures

    try:
        found = find_captures(named)
    except NoCapture as error:
        raise pytest.UsageError(f"--cors-capture {error}") from error
    config.stash[_CAPTURES] = frozenset(Path(one).resolve() for one in found)
    known = {Path(one).resolve() for one in config.args}
    config.args += [one for one in found if Path(one).resolve() not in known]


def _choice(config: pytest.Config) -> Choice:
    """Return what the project's configuration says. Raises UsageError."""
    from corscope.checking import choose
    from corscope.settings import SettingError

    try:
        return choose(
            browser=config.getini("cors_browser"),
            silence=config.getini("cors_silence"),
            origins=config.getini("cors_origins"),
        )
    except SettingError as error:
        raise pytest.UsageError(f"in {config.inipath or 'the configuration'}, cors_{error}") from error


# ---------------------------------------------------------------------- stories of captures


def stories(path: Path, choice: Choice) -> list[Story]:
    """Return the stories of a capture that are subject to CORS, in its order, each by a name of its own.

    Raises UnreadableCapture or OSError; warns of what can't be read.
    """
    from corscope.checking import check_capture
    from corscope.privacy import shown_url

    told: dict[str, list[Verdict]] = {}
    damages: list[str] = []
    for checked in check_capture(path, choice, lambda one: damages.append(f"{one.where}: {one.what}")):
        if choice.takes(checked) and checked.verdict.outcome != "exempt":
            told.setdefault(checked.verdict.story_id, []).append(checked.verdict)
    if damages:
        more = f" (and {len(damages) - 1} more like it)" if len(damages) > 1 else ""
        warnings.warn(f"{path}: {damages[0]}{more}", pytest.PytestWarning, stacklevel=2)
    counted: dict[str, int] = {}
    found = []
    for verdicts in told.values():
        asked = next((one for one in verdicts if one.kind != "preflight"), verdicts[0])
        name = f"{asked.method} {shown_url(asked.url).partition('?')[0].partition('://')[2]} from {asked.page}"
        counted[name] = counted.get(name, 0) + 1
        if counted[name] > 1:
            name += f" ({counted[name]})"
        found.append(Story(name, tuple(verdicts), choice.silence))
    return found


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the captures that were named with --cors-capture."""
    captures = parent.config.stash.get(_CAPTURES, frozenset[Path]())
    return CaptureFile.from_parent(parent, path=file_path) if file_path.resolve() in captures else None


class CaptureFile(pytest.File):
    """A capture; its stories are tests."""

    def collect(self) -> Iterator[pytest.Item]:
        from corscope.captures.capture import UnreadableCapture

        try:
            found = stories(self.path, _choice(self.config))
        except (UnreadableCapture, OSError) as error:
            raise self.CollectError(str(error)) from error
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
            pytest.skip(said)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:  # noqa: ANN401
        if isinstance(excinfo.value, CorsBlocked):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        # Of a name that ends as the item's id does, pytest would take each dot for a class's.
        return self.path, None, f"CORS: {self.name} "


# ---------------------------------------------------------------------- the marker

_STORY = "cors_story"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with the marker `cors` once for each story of its captures."""
    marks = list(metafunc.definition.iter_markers("cors"))
    if not marks:
        return
    from corscope.captures.capture import UnreadableCapture
    from corscope.captures.sources import NoCapture, find_captures

    choice, folder = _choice(metafunc.config), metafunc.definition.path.parent
    named = [str(folder / capture) for mark in marks for capture in mark.args]
    try:
        found = [story for path in find_captures(named) for story in stories(Path(path), choice)]
    except (NoCapture, UnreadableCapture, OSError) as error:
        raise pytest.UsageError(f"pytest.mark.cors of {metafunc.definition.nodeid}: {error}") from error
    if _STORY not in metafunc.fixturenames:
        metafunc.fixturenames.append(_STORY)
    metafunc.parametrize(_STORY, found, ids=[story.name for story in found])


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
    from corscope.checking import check

    def replay(capture: str | Path, *, silence: Collection[str] = (), origins: Collection[str] = ()) -> list[Verdict]:
        beside = request.path.parent / capture
        path = beside if beside.exists() else request.config.rootpath / capture
        browser = request.config.getini("cors_browser")
        return list(check(path, browser=browser, silence=silence, origins=origins))

    return replay


@pytest.fixture(scope="session")
def _cors_confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for the proxy's certificate authority, which takes a second to make."""
    return tmp_path_factory.mktemp("corscope-ca")


@pytest.fixture
def cors_proxy(request: pytest.FixtureRequest, _cors_confdir: Path) -> Iterator[CorsProxy]:
    """A real proxy with the addon, for the test's own browser or client: `.url`, `.ca_file`, `.verdicts()` and more."""
    from corscope.proxy import CorsProxy

    options: dict[str, object] = {}
    for mark in reversed(list(request.node.iter_markers("cors_proxy"))):
        options.update(mark.kwargs)
    with CorsProxy(_cors_confdir, **options) as proxy:
        yield proxy
