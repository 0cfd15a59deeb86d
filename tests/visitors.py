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

from corscope.browsers import Kind, Marionette, find_browsers, launch
from corscope.proxy import Mitmdump
from corscope.recorder.cdp import Debugger, Tab, connected
from corscope.recorder.record import PREFERENCES

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


class Chromium:
    """Chromium, by its debugger."""

    def __init__(self, runner: asyncio.Runner, tab: Tab) -> None:
        self._runner = runner
        self._tab = tab

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


@contextlib.contextmanager
def visitor(
    kind: Kind, proxy: Mitmdump, ca_file: Path, preferences: Mapping[str, object] = MappingProxyType({})
) -> Iterator[Visitor]:
    """A browser on a throw-away profile that uses the proxy; the http web stays http there."""
    with launch(
        kind,
        find_browsers()[kind],
        "about:blank",
        proxy_port=proxy.port,
        ca_file=ca_file,
        headless=True,
        remote_debugging=True,
        preferences={**PREFERENCES[kind], **preferences},
    ) as browser:
        if browser.debugger_url is None:
            with browser.marionette() as marionette:
                yield Firefox(marionette)
            return
        with asyncio.Runner() as runner:
            opening = connected(browser.debugger_url)
            debugger = runner.run(opening.__aenter__())
            try:
                yield Chromium(runner, runner.run(_tab(debugger)))
            finally:
                runner.run(opening.__aexit__(None, None, None))


async def _tab(debugger: Debugger) -> Tab:
    target = await debugger.call("Target.createTarget", url="about:blank")
    return await debugger.attach(target["targetId"])


def click(identifier: str) -> str:
    """Returns JavaScript that clicks an element."""
    return f"document.getElementById({json.dumps(identifier)}).click()"
