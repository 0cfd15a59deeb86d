"""Real browsers that open a page, through a real proxy or without one, and tell what is on it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Protocol

from mitmproxy.certs import CertStore
from tornado.websocket import WebSocketClientConnection, websocket_connect

from corscope.browsers import Kind, Marionette, find_browsers, launch
from corscope.recorder.cdp import Debugger, Tab, hang_up
from corscope.recorder.record import PREFERENCES
from proxies import Mitmdump, confdir

THIRD_PARTY_COOKIES: Mapping[str, object] = MappingProxyType({"profile.cookie_controls_mode": 0})
"""Lets Chromium have third-party cookies, as Chrome does by default and some distributions don't."""
KEYS = {"ArrowDown": (40, "\ue015"), "ArrowUp": (38, "\ue013"), "Enter": (13, "\ue007"), "Escape": (27, "\ue00c")}
"""Of each key the code that Chromium's debugger wants, and WebDriver's character."""


class Visitor(Protocol):
    """A browser with a tab."""

    def open(self, url: str) -> None:
        """Opens a page."""

    def run(self, expression: str) -> Any:  # noqa: ANN401 - whatever JSON it is
        """Returns the value of JavaScript in the page, awaited where it is a promise."""

    def press(self, key: str) -> None:
        """Presses a key and lets it go."""

    def complaints(self, beginning: str) -> list[str]:
        """Returns what the browser said of errors, and of violations of policies, Firefox on pages whose URLs begin so,
        Chromium on any; and without a proxy what else than that page Chromium loaded. The last that is asked of it.
        """


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

    def __init__(self, runner: asyncio.Runner, tab: Tab, told: list[dict[str, Any]], *domains: str) -> None:
        self._runner = runner
        self._tab = tab
        self._told = told
        for domain in ("Runtime", "Log", *domains):
            self._call(f"{domain}.enable")

    def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        return self._runner.run(self._tab.call(method, **parameters))

    def open(self, url: str) -> None:
        self._call("Page.bringToFront")
        self._call("Page.navigate", url=url)

    def run(self, expression: str) -> Any:  # noqa: ANN401
        return self._runner.run(self._tab.evaluate(expression))

    def press(self, key: str) -> None:
        code, _ = KEYS[key]
        # Without a text, Enter activates nothing.
        text = {"text": "\r"} if key == "Enter" else {}
        self._call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, **text)
        self._call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def complaints(self, beginning: str) -> list[str]:
        bad = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        said = [json.dumps(one) for one in self._told if one["method"] in bad]
        sent = [one["params"]["request"]["url"] for one in self._told if one["method"].endswith("WillBeSent")]
        return said + [url for url in sent if url.partition("#")[0] != beginning and not url.startswith("data:")]


LOOK = """
return Services.console.getMessageArray().filter((one) => one instanceof Ci.nsIScriptError)
    .filter((one) => one.sourceName.startsWith(arguments[0]) || one.category.includes("CSP"))
    .map((one) => one.errorMessage);
"""


class Firefox:
    """Firefox, by its own automation."""

    def __init__(self, marionette: Marionette) -> None:
        self._marionette = marionette
        marionette.call("WebDriver:NewSession", {"timeouts": {"script": 30_000}})

    def open(self, url: str) -> None:
        self._marionette.call("WebDriver:Navigate", {"url": url})

    def run(self, expression: str) -> Any:  # noqa: ANN401
        answer: Any = self._marionette.call(
            "WebDriver:ExecuteScript", {"script": f"return ({expression});", "args": []}
        )
        return answer["value"]

    def press(self, key: str) -> None:
        _, value = KEYS[key]
        actions = [{"type": "keyDown", "value": value}, {"type": "keyUp", "value": value}]
        self._marionette.call(
            "WebDriver:PerformActions", {"actions": [{"type": "key", "id": "keyboard", "actions": actions}]}
        )

    def complaints(self, beginning: str) -> list[str]:
        self._marionette.call("Marionette:SetContext", {"value": "chrome"})
        answer: Any = self._marionette.call("WebDriver:ExecuteScript", {"script": LOOK, "args": [beginning]})
        lines: list[str] = answer["value"]
        return lines


@contextlib.contextmanager
def visitor(
    kind: Kind, proxy: Mitmdump | None, preferences: Mapping[str, object] = MappingProxyType({})
) -> Iterator[Visitor]:
    """A browser on a throw-away profile that uses the proxy, if any; the http web stays http there."""
    CertStore.from_store(confdir(), "mitmproxy", 2048)
    with launch(
        kind,
        find_browsers()[kind],
        "about:blank",
        # Nothing is listening at the other port: what a page would load would fail, and be told.
        proxy_port=proxy.port if proxy else 9,
        ca_file=confdir() / "mitmproxy-ca-cert.pem",
        headless=True,
        remote_debugging=True,
        preferences={**PREFERENCES[kind], **preferences},
    ) as browser:
        if browser.debugger_url is None:
            with browser.marionette() as marionette:
                yield Firefox(marionette)
            return
        with asyncio.Runner() as runner:
            connection = runner.run(_connect(browser.debugger_url))
            try:
                overheard = Overheard(connection)
                tab = runner.run(_tab(Debugger(overheard)))  # type: ignore[arg-type]
                # A proxy sees by itself what is loaded.
                yield Chromium(runner, tab, overheard.told, *(() if proxy else ("Page", "Network")))
            finally:
                runner.run(hang_up(connection))


async def _connect(url: str) -> WebSocketClientConnection:
    return await websocket_connect(url, max_message_size=1 << 28)


async def _tab(debugger: Debugger) -> Tab:
    target = await debugger.call("Target.createTarget", url="about:blank")
    return await debugger.attach(target["targetId"])


def click(identifier: str) -> str:
    """Returns JavaScript that clicks an element."""
    return f"document.getElementById({json.dumps(identifier)}).click()"


def choose(control: str, value: str, event: str = "change") -> str:
    """Returns JavaScript that sets a control as a user does."""
    return (
        f"((one) => {{ one.value = {json.dumps(value)}; "
        f"one.dispatchEvent(new Event({json.dumps(event)})); }})(document.getElementById({json.dumps(control)}))"
    )
