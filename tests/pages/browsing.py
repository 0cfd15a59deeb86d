"""A real browser that goes through a proxy and has a page open, driven from a test."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from corscope.browsers import Kind, Marionette, find_browsers, launch
from corscope.recorder.cdp import hang_up
from corscope.recorder.picture import Debugger, Tab
from proxies import confdir, eventually
from test_html_live import LOOK, Overheard, connect, port_of


class Browser:
    """What both kinds can do."""

    def run(self, expression: str) -> Any:  # noqa: ANN401 - whatever JSON it is
        """Returns the value of JavaScript in the page, awaited where it is a promise."""
        raise NotImplementedError

    def go(self, url: str) -> None:
        """Opens a page."""
        raise NotImplementedError

    def complaints(self) -> list[str]:
        """Returns what the browser said of errors and of violations of the page's policy; the last that is asked."""
        raise NotImplementedError

    def picture(self) -> bytes:
        """Returns a PNG of what is to be seen."""
        raise NotImplementedError

    def wait(self, expression: str, seconds: float = 30) -> Any:  # noqa: ANN401
        """Returns the value of JavaScript as soon as it is true."""
        return eventually(lambda: self.run(expression), seconds)


class Chromium(Browser):
    def __init__(self, runner: asyncio.Runner, overheard: Overheard, tab: Tab) -> None:
        self._runner, self._overheard, self._tab = runner, overheard, tab
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        return self._runner.run(self._tab.call(method, **parameters))

    def run(self, expression: str) -> Any:  # noqa: ANN401
        return self._runner.run(self._tab.evaluate(expression))

    def go(self, url: str) -> None:
        self.call("Page.navigate", url=url)

    def complaints(self) -> list[str]:
        bad = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
        return [json.dumps(one) for one in self._overheard.told if one["method"] in bad]

    def picture(self) -> bytes:
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])


class Firefox(Browser):
    def __init__(self, marionette: Marionette) -> None:
        self._marionette = marionette
        marionette.call("WebDriver:NewSession", {})

    def run(self, expression: str) -> Any:  # noqa: ANN401
        script = f"return ({expression});"
        answer: Any = self._marionette.call("WebDriver:ExecuteScript", {"script": script, "args": []})
        return answer["value"]

    def go(self, url: str) -> None:
        self._marionette.call("WebDriver:Navigate", {"url": url})

    def complaints(self) -> list[str]:
        self._marionette.call("Marionette:SetContext", {"value": "chrome"})
        answer: Any = self._marionette.call(
            "WebDriver:ExecuteScript", {"script": LOOK, "args": ["http://corscope.test"]}
        )
        lines: list[str] = answer["value"]
        return lines

    def picture(self) -> bytes:
        answer: Any = self._marionette.call("WebDriver:TakeScreenshot", {"full": False})
        return base64.b64decode(answer["value"])


VARIABLES = {"MOZ_MARIONETTE": "1", "MOZ_REMOTE_ALLOW_SYSTEM_ACCESS": "1"}
"""What `--marionette --remote-allow-system-access` are on Firefox's command line; to be set before `browsing`."""


@contextlib.contextmanager
def browsing(kind: Kind, proxy_port: int) -> Iterator[Browser]:
    """A browser that uses a proxy of `proxies.Mitmdump`."""
    with launch(
        kind,
        find_browsers()[kind],
        "about:blank",
        proxy_port=proxy_port,
        ca_file=Path(confdir(), "mitmproxy-ca-cert.pem"),
        headless=True,
        remote_debugging=kind == "chromium",
        preferences={"marionette.port": 0, "remote.prefs.recommended": False} if kind == "firefox" else {},
    ) as browser:
        if browser.debugger_url is None:
            with Marionette(port_of(browser.profile)) as marionette:
                yield Firefox(marionette)
            return
        with asyncio.Runner() as runner:
            connection = runner.run(connect(browser.debugger_url))
            try:
                overheard = Overheard(connection)
                debugger = Debugger(overheard)  # type: ignore[arg-type]
                target = runner.run(debugger.call("Target.createTarget", url="about:blank"))
                yield Chromium(runner, overheard, runner.run(debugger.attach(target["targetId"])))
            finally:
                runner.run(hang_up(connection))
