"""The HTML report in real browsers: 5,000 exchanges, used as a reader does, with the keyboard too."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
from mitmproxy.certs import CertStore
from tornado.websocket import WebSocketClientConnection, websocket_connect

from builders import ALLOW_CREDENTIALS, ALLOW_ORIGIN, ANY, GOOD, PAGE, Talk
from corscope.browsers import Kind, Marionette, find_browsers, launch
from corscope.formats.document import CaptureSummary, Summary
from corscope.formats.html import Html
from corscope.recorder.cdp import hang_up
from corscope.recorder.picture import Debugger, Tab
from corscope.report import as_json, wire_json
from proxies import eventually

ROUNDS = 1000
"""Each makes five exchanges, of three stories and what is not subject to CORS."""
HOSTILE = "</script><img src=x onerror=alert(1)>"


def write_report(path: Path) -> None:
    """Writes a report of two captures, each of half the rounds."""
    captures = []
    with path.open("w", encoding="utf-8") as file:
        report = Html(file)
        for capture in ("first.mitm", "second.mitm"):
            talk = converse(ROUNDS // 2)
            for number, verdict in enumerate(talk.verdicts.values()):
                assert verdict.exchange is not None
                wire = wire_json(verdict.exchange)
                report.add({**as_json(verdict), "wire": wire, "capture": capture, "number": number, "known": False})
            outcomes = [verdict.outcome for verdict in talk.verdicts.values()]
            counts = {key: outcomes.count(key) for key in ("allowed", "blocked", "conditional", "exempt")}  # type: ignore[arg-type]
            captures.append(CaptureSummary(capture, len(outcomes), counts))
        report.finish(Summary(tuple(captures), {}, failed=True))


def converse(rounds: int) -> Talk:
    """A capture: in each round a preflight with what it permits, a preflight that fails, a wildcard, and a redirect."""
    talk = Talk()
    passes = {**GOOD, "Access-Control-Allow-Methods": "PUT"}
    for number in range(rounds):
        talk.ask(f"https://api.test/items/{number}", "PUT", response=passes)
        talk.say(f"PUT https://api.test/items/{number}", response=GOOD)
        talk.ask(f"https://api.test/old/{number}", "DELETE", response=GOOD)
        cookie = {"Cookie": "sid=1"}
        talk.say(f"GET https://other.test/feed/{number}", headers=cookie, response=ANY)
        lists = {ALLOW_ORIGIN: f"{PAGE}, {HOSTILE}", ALLOW_CREDENTIALS: "true"}
        talk.say(f"GET https://third.test/{number}", headers=cookie, response=lists)
    talk.end()
    return talk


# -- browsers ----------------------------------------------------------------------------------------------------------

KEYS = {"ArrowDown": (40, "\ue015"), "ArrowUp": (38, "\ue013"), "Enter": (13, "\ue007"), "Escape": (27, "\ue00c")}
"""Of each key the code that Chromium's debugger wants, and WebDriver's character."""


class Reader(Protocol):
    """A browser that has a page open."""

    def run(self, expression: str) -> Any:  # noqa: ANN401 - whatever JSON it is
        """Returns the value of JavaScript in the page, awaited where it is a promise."""

    def press(self, key: str) -> None:
        """Presses a key and lets it go."""

    def complaints(self) -> list[str]:
        """Returns what the browser said of errors and of violations of the page's policy, and what it loaded."""


class Overheard:
    """A debugger's connection that keeps what is told unasked."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self._connection = connection
        self.told: list[dict[str, Any]] = []

    async def write_message(self, message: str) -> None:
        await self._connection.write_message(message)

    async def read_message(self) -> str | bytes | None:
        message = await self._connection.read_message()
        if message is not None and "method" in (told := json.loads(message)):
            self.told.append(told)
        return message


class Chromium:
    """Chromium, by its debugger."""

    def __init__(self, runner: asyncio.Runner, overheard: Overheard, tab: Tab, url: str) -> None:
        self._runner = runner
        self._overheard = overheard
        self._tab = tab
        self._url = url
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        self._call("Page.navigate", url=url)

    def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        return self._runner.run(self._tab.call(method, **parameters))

    def run(self, expression: str) -> Any:  # noqa: ANN401
        return self._runner.run(self._tab.evaluate(expression))

    def press(self, key: str) -> None:
        code, _ = KEYS[key]
        # Without a text, Enter activates nothing.
        text = {"text": "\r"} if key == "Enter" else {}
        self._call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, **text)
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def complaints(self) -> list[str]:
        bad = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        said = [json.dumps(one) for one in self._overheard.told if one["method"] in bad]
        sent = [one["params"]["request"]["url"] for one in self._overheard.told if one["method"].endswith("WillBeSent")]
        return said + [url for url in sent if url.partition("#")[0] != self._url and not url.startswith("data:")]


LOOK = """
return Services.console.getMessageArray().filter((one) => one instanceof Ci.nsIScriptError)
    .filter((one) => one.sourceName.startsWith(arguments[0]) || one.category.includes("CSP"))
    .map((one) => one.errorMessage);
"""


class Firefox:
    """Firefox, by its own automation."""

    def __init__(self, marionette: Marionette, url: str) -> None:
        self._marionette = marionette
        self._url = url
        marionette.call("WebDriver:NewSession", {})
        marionette.call("WebDriver:Navigate", {"url": url})

    def run(self, expression: str) -> Any:  # noqa: ANN401
        script = f"return ({expression});"
        answer: Any = self._marionette.call("WebDriver:ExecuteScript", {"script": script, "args": []})
        return answer["value"]

    def press(self, key: str) -> None:
        _, value = KEYS[key]
        actions = [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        self._marionette.call(
            "WebDriver:PerformActions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}
        )

    def complaints(self) -> list[str]:
        self._marionette.call("Marionette:SetContext", {"value": "chrome"})
        answer: Any = self._marionette.call("WebDriver:ExecuteScript", {"script": LOOK, "args": [self._url]})
        lines: list[str] = answer["value"]
        return lines


@contextlib.contextmanager
def opened(kind: Kind, url: str, folder: Path) -> Iterator[Reader]:
    """A browser with a page open."""
    CertStore.from_store(folder, "mitmproxy", 2048)
    with launch(
        kind,
        find_browsers()[kind],
        "about:blank",
        # Nothing is listening there: what the page would load would fail, and be told.
        proxy_port=9,
        ca_file=folder / "mitmproxy-ca-cert.pem",
        headless=True,
        remote_debugging=kind == "chromium",
        preferences={"marionette.port": 0, "remote.prefs.recommended": False} if kind == "firefox" else {},
    ) as browser:
        if browser.debugger_url is None:
            with Marionette(port_of(browser.profile)) as marionette:
                yield Firefox(marionette, url)
            return
        with asyncio.Runner() as runner:
            connection = runner.run(connect(browser.debugger_url))
            try:
                overheard = Overheard(connection)
                tab = runner.run(tab_without_proxy(Debugger(overheard)))  # type: ignore[arg-type]
                yield Chromium(runner, overheard, tab, url)
            finally:
                runner.run(hang_up(connection))


async def tab_without_proxy(debugger: Debugger) -> Tab:
    context = await debugger.call("Target.createBrowserContext", proxyServer="direct://")
    target = await debugger.call("Target.createTarget", url="about:blank", browserContextId=context["browserContextId"])
    return await debugger.attach(target["targetId"])


async def connect(url: str) -> WebSocketClientConnection:
    return await websocket_connect(url, max_message_size=1 << 28)


def port_of(profile: Path) -> int:
    file = profile / "MarionetteActivePort"
    return int(eventually(lambda: file.exists() and file.read_text()))


# -- a reading ---------------------------------------------------------------------------------------------------------

SHOWN = "document.querySelector('.count')?.textContent"
ROWS = "document.querySelectorAll('.stories tbody tr').length"
STORY = "document.querySelector('.detail h2')?.textContent"
FOCUSED = "document.activeElement.textContent"
FIRST = "document.querySelector('.stories tbody a')"


@dataclass(slots=True)
class Seen:
    """What a browser showed, step by step."""

    states: dict[str, Any] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)


def read(reader: Reader) -> Seen:
    """Reads the report as its reader does."""
    seen = Seen()

    def note(name: str, expression: str) -> None:
        seen.states[name] = reader.run(expression)

    eventually(lambda: reader.run(f"{ROWS} > 0"))
    note("headline", "document.querySelector('.headline').textContent")
    note("tiles", "[...document.querySelectorAll('.tile')].map((one) => one.textContent)")
    note("reasons", "[...document.querySelectorAll('.reasons')].map((one) => one.textContent)")
    note("shown", f"[{ROWS}, {SHOWN}]")
    note("title", "document.title")

    reader.run("document.querySelector('[data-verdict=allowed]').click()")
    note("only allowed", f"[{SHOWN}, location.hash]")
    reader.run("document.querySelector('[data-verdict=allowed]').click()")
    reader.run("document.querySelector('[data-finding=allow-origin-list]').click()")
    note("one finding", f"[{SHOWN}, location.hash, document.getElementById('finding').value]")
    reader.run(choose("capture", "second.mitm"))
    note("of one capture", f"[{SHOWN}, location.hash]")
    reader.run("document.querySelector('form .quiet').click()")
    note("cleared", f"[{SHOWN}, location.hash]")

    reader.run(choose("q", "delete OLD/17", event="input"))
    eventually(lambda: reader.run(f"{SHOWN} !== '4,000 requests, 1 to 100 shown'"))
    note("searched", f"[{SHOWN}, location.hash]")
    reader.run("document.querySelector('form .quiet').click()")

    reader.run(f"{FIRST}.focus()")
    for key in ("ArrowDown", "ArrowDown", "ArrowUp"):
        reader.press(key)
    note("second row", f"[document.querySelectorAll('.stories tbody a')[1] === document.activeElement, {FOCUSED}]")
    reader.press("Enter")
    note("opened", f"[{STORY}, {FOCUSED}, location.hash]")
    note("steps", "[...document.querySelectorAll('.sequence li.outcome')].map((one) => one.textContent)")
    note("wrong", "[...document.querySelectorAll('.sequence .header.wrong')].map((one) => one.textContent)")
    note("changes", "[...document.querySelectorAll('.diff > *')].map((one) => one.textContent)")
    note("findings", "[...document.querySelectorAll('.finding h4')].map((one) => one.textContent)")
    reader.press("Escape")
    note("closed", f"[{STORY} ?? null, {FOCUSED}, location.hash]")

    reader.run("[...document.querySelectorAll('.pager button')].at(-1).click()")
    note("turned", f"[{SHOWN}, location.hash]")
    bookmark = "#verdict=allowed&host=api.test&story=first.mitm%3A0"
    reader.run(f"location.hash = {json.dumps(bookmark)}")
    eventually(lambda: reader.run(f"{STORY} === 'PUT https://api.test/items/0'"))
    note("bookmarked", f"[{SHOWN}, document.getElementById('host').value]")
    note("both steps", "[...document.querySelectorAll('.sequence li.outcome')].map((one) => one.textContent)")
    reader.run(f"location.hash = {json.dumps('#story=first.mitm%3A4')}")
    eventually(lambda: reader.run(f"{STORY} === 'GET https://third.test/0'"))
    note("hostile", "[document.querySelector('.header.wrong').textContent, document.images.length]")
    seen.complaints = reader.complaints()
    return seen


def choose(control: str, value: str, event: str = "change") -> str:
    """Returns JavaScript that sets a control as a user does."""
    return (
        f"((one) => {{ one.value = {json.dumps(value)}; "
        f"one.dispatchEvent(new Event({json.dumps(event)})); }})(document.getElementById({json.dumps(control)}))"
    )


@pytest.fixture(scope="module")
def readings() -> dict[str, Seen]:
    """Those that were made: each browser reads once, and all that is tested is tested of that."""
    return {}


@pytest.fixture(params=["chromium", "firefox"])
def seen(
    request: pytest.FixtureRequest,
    readings: dict[str, Seen],
    one_browser: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Seen:
    """What each browser showed, as far as it is installed."""
    kind: Kind = request.param
    request.getfixturevalue(kind)
    if kind not in readings:
        # What `--marionette --remote-allow-system-access` are on the command line.
        monkeypatch.setenv("MOZ_MARIONETTE", "1")
        monkeypatch.setenv("MOZ_REMOTE_ALLOW_SYSTEM_ACCESS", "1")
        write_report(tmp_path / "report.html")
        with opened(kind, (tmp_path / "report.html").as_uri(), tmp_path / "ca") as reader:
            readings[kind] = read(reader)
    return readings[kind]


# -- what is seen ------------------------------------------------------------------------------------------------------


def test_the_counts_are_said_in_plain_words(seen: Seen) -> None:
    states = seen.states
    assert states["headline"] == "3,000 of 4,000 requests were blocked: the page could not read the answers."
    assert states["tiles"] == ["✗3,000 blocked", "?0 depends", "✓1,000 allowed", "–0 not subject to CORS"]
    assert states["reasons"][0] == (
        "Why requests were blocked1,000Allow-Origin is a list1,000* with credentials1,000DELETE not allowed"
    )
    assert states["title"] == "3,000 blocked – CORS report"


def test_five_thousand_exchanges_are_listed_a_page_at_a_time(seen: Seen) -> None:
    assert seen.states["shown"] == [100, "4,000 requests, 1 to 100 shown"]
    assert seen.states["turned"] == ["4,000 requests, 101 to 200 shown", "#page=2"]


def test_filters_and_search_narrow_the_list_and_are_in_the_address(seen: Seen) -> None:
    states = seen.states
    assert states["only allowed"] == ["1,000 requests of 4,000, 1 to 100 shown", "#verdict=allowed"]
    finding = "allow-origin-list"
    assert states["one finding"] == ["1,000 requests of 4,000, 1 to 100 shown", f"#finding={finding}", finding]
    of_one = ["500 requests of 4,000, 1 to 100 shown", "#finding=allow-origin-list&capture=second.mitm"]
    assert states["of one capture"] == of_one
    assert states["cleared"] == ["4,000 requests, 1 to 100 shown", ""]
    # 17 and 170 to 179, in either capture.
    assert states["searched"] == ["22 requests of 4,000", "#q=delete+OLD%2F17"]


def test_the_keyboard_opens_a_story_and_comes_back_to_its_row(seen: Seen) -> None:
    states, name = seen.states, "GET https://other.test/feed/0"
    assert states["second row"] == [True, name]
    assert states["opened"] == [name, name, "#story=first.mitm%3A3"]
    assert states["closed"] == [None, name, ""]


def test_a_story_shows_where_it_failed_and_what_to_change(seen: Seen) -> None:
    states = seen.states
    assert states["steps"] == [
        "✗Blocked here: * with credentials. The server did answer, but the browser keeps the answer from the page."
    ]
    assert states["wrong"] == [
        "Access-Control-Allow-Origin: * ← to change",
        "Access-Control-Allow-Credentials is missing",
    ]
    assert states["changes"] == [
        "Remove - Access-Control-Allow-Origin: *",
        "Send + Access-Control-Allow-Origin: https://a.test",
        "Send + Access-Control-Allow-Credentials: true",
        "Send + Vary: Origin",
    ]
    assert states["findings"] == ["✗error: * with credentialswhy it is blocked", "✗error: no Allow-Credentials"]


def test_a_bookmark_brings_filters_and_story_back(seen: Seen) -> None:
    assert seen.states["bookmarked"] == ["1,000 requests of 4,000, 1 to 100 shown", "api.test"]
    assert seen.states["both steps"] == [
        "✓Permitted: the browser may send the PUT.",
        "✓Allowed: the page gets the answer.",
    ]


def test_captured_text_stays_text(seen: Seen) -> None:
    assert seen.states["hostile"] == [f"Access-Control-Allow-Origin: {PAGE}, {HOSTILE} ← to change", 0]


def test_the_browser_has_nothing_to_complain_of(seen: Seen) -> None:
    assert seen.complaints == []
