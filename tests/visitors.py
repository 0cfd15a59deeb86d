"""Real browsers that open a page through a real proxy, and tell what is on it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from mitmproxy.certs import CertStore

from corscope.browsers import Kind, Marionette, find_browsers, launch
from corscope.recorder.cdp import Debugger, Tab, hang_up
from corscope.recorder.record import PREFERENCES
from proxies import Mitmdump, confdir
from test_html_live import LOOK, Overheard, connect

THIRD_PARTY_COOKIES: Mapping[str, object] = MappingProxyType({"profile.cookie_controls_mode": 0})
"""Lets Chromium have third-party cookies, as Chrome does by default and some distributions don't."""


class Visitor(Protocol):
    """A browser with a tab."""

    def open(self, url: str) -> None:
        """Opens a page."""

    def run(self, expression: str) -> Any:  # noqa: ANN401 - whatever JSON it is
        """Returns the value of JavaScript in the page, awaited where it is a promise."""

    def picture(self, path: Path, width: int, *, dark: bool) -> None:
        """Takes a picture of the whole page, as PNG, in a window of that width in pixels."""

    def complaints(self, beginning: str) -> list[str]:
        """Returns what the browser said of errors, and of violations of policies, on pages whose URLs begin so; the
        last that is asked of it.
        """


class Chromium:
    """Chromium, by its debugger."""

    def __init__(self, runner: asyncio.Runner, tab: Tab, told: list[dict[str, Any]]) -> None:
        self._runner = runner
        self._tab = tab
        self._told = told
        for domain in ("Runtime", "Log"):
            self._call(f"{domain}.enable")

    def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        return self._runner.run(self._tab.call(method, **parameters))

    def open(self, url: str) -> None:
        self._call("Page.bringToFront")
        self._call("Page.navigate", url=url)

    def run(self, expression: str) -> Any:  # noqa: ANN401
        return self._runner.run(self._tab.evaluate(expression))

    def picture(self, path: Path, width: int, *, dark: bool) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600
        )
        shot = self._call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def complaints(self, beginning: str) -> list[str]:
        bad = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        said = [json.dumps(one) for one in self._told if one["method"] in bad]
        return [one for one in said if beginning in one]


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

    def picture(self, path: Path, width: int, *, dark: bool) -> None:
        self._marionette.call("Marionette:SetContext", {"value": "chrome"})
        script = f"Services.prefs.setIntPref('layout.css.prefers-color-scheme.content-override', {0 if dark else 1})"
        self._marionette.call("WebDriver:ExecuteScript", {"script": script, "args": []})
        self._marionette.call("Marionette:SetContext", {"value": "content"})
        self._marionette.call("WebDriver:SetWindowRect", {"width": width, "height": 900})
        shot: Any = self._marionette.call("WebDriver:TakeScreenshot", {"full": True})
        path.write_bytes(base64.b64decode(shot["value"]))

    def complaints(self, beginning: str) -> list[str]:
        self._marionette.call("Marionette:SetContext", {"value": "chrome"})
        answer: Any = self._marionette.call("WebDriver:ExecuteScript", {"script": LOOK, "args": [beginning]})
        lines: list[str] = answer["value"]
        return lines


@contextlib.contextmanager
def visitor(kind: Kind, proxy: Mitmdump, preferences: Mapping[str, object] = MappingProxyType({})) -> Iterator[Visitor]:
    """A browser on a throw-away profile that uses the proxy; the http web stays http there."""
    CertStore.from_store(confdir(), "mitmproxy", 2048)
    with launch(
        kind,
        find_browsers()[kind],
        "about:blank",
        proxy_port=proxy.port,
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
            connection = runner.run(connect(browser.debugger_url))
            try:
                overheard = Overheard(connection)
                tab = runner.run(_tab(Debugger(overheard)))  # type: ignore[arg-type]
                yield Chromium(runner, tab, overheard.told)
            finally:
                runner.run(hang_up(connection))


async def _tab(debugger: Debugger) -> Tab:
    target = await debugger.call("Target.createTarget", url="about:blank")
    return await debugger.attach(target["targetId"])


def click(identifier: str) -> str:
    """Returns JavaScript that clicks an element."""
    return f"document.getElementById({json.dumps(identifier)}).click()"
