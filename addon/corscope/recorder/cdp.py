"""Listens to Chromium's debugger while a page runs: how each request ended, which cookies it did not send or take, and
what the console says about CORS.

Needs tornado, which comes with mitmproxy from a package registry.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any

from tornado.websocket import WebSocketClientConnection, websocket_connect

from corscope.recorder.truth import Ending

CLOSING_SECONDS = 5.0
SECONDS = 30.0
"""Within which a command is answered, and what is waited for comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CookieNews:
    """What became of a cookie on a request, or of one that its response set."""

    request: str
    """The debugger's id: `Heard.urls` knows its URL."""
    name: str
    set_by_response: bool
    reasons: tuple[str, ...]
    """Why it was not sent, or not taken, by the debugger's names; empty where it was sent."""


@dataclass(slots=True, kw_only=True)
class Heard:
    """What the debugger told, growing while it listens."""

    endings: list[Ending] = field(default_factory=list)
    urls: dict[str, str] = field(default_factory=dict)
    """Of each request the URL of the first hop, by the debugger's id."""
    cookies: list[CookieNews] = field(default_factory=list)
    """All that a request sent or might have sent, and those that a response set in vain."""
    sentences: list[str] = field(default_factory=list)
    """Console lines."""


class _Listener:
    def __init__(self, connection: WebSocketClientConnection, url: str) -> None:
        self._connection = connection
        self._url = url
        self._number = 0
        self._target: str | None = None
        self._create: int | None = None
        self._open: dict[tuple[str, str], Ending] = {}
        self.heard = Heard()

    def send(self, method: str, session: str | None = None, **parameters: object) -> int:
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        # The connection keeps the order; its future only tells of a closed socket, as the next message will.
        self._connection.write_message(json.dumps(message))
        return self._number

    def start(self) -> None:
        self._auto_attach(None)
        self._create = self.send("Target.createTarget", url="about:blank")

    def _auto_attach(self, session: str | None) -> None:
        self.send("Target.setAutoAttach", session, autoAttach=True, waitForDebuggerOnStart=True, flatten=True)

    def take(self, message: dict[str, object]) -> None:
        parameters = message.get("params") or {}
        assert isinstance(parameters, dict)
        session = str(message.get("sessionId", ""))
        match message.get("method"):
            case "Target.attachedToTarget":
                inner = parameters["sessionId"]
                # Network first: a target runs only after the last of these.
                self.send("Network.enable", inner, maxPostDataSize=1024)
                self.send("Log.enable", inner)
                self._auto_attach(inner)
                self.send("Runtime.runIfWaitingForDebugger", inner)
                info = parameters["targetInfo"]
                if info["type"] == "page" and self._target is None and info["url"] == "about:blank":
                    self._target = info["targetId"]
                    # Hidden pages get slow timers and no media.
                    self.send("Page.bringToFront", inner)
                    self.send("Page.navigate", inner, url=self._url)
            case "Network.requestWillBeSent":
                key = (session, parameters["requestId"])
                request = parameters["request"]
                self.heard.urls.setdefault(parameters["requestId"], request["url"])
                if key not in self._open:
                    self._open[key] = Ending(
                        url=request["url"], time=parameters["wallTime"], post_data=request.get("postData", "")
                    )
            case "Network.loadingFinished":
                if begun := self._open.pop((session, parameters["requestId"]), None):
                    self.heard.endings.append(replace(begun, finished=True))
            case "Network.loadingFailed":
                if begun := self._open.pop((session, parameters["requestId"]), None):
                    status = parameters.get("corsErrorStatus") or {}
                    text = parameters.get("errorText")
                    if parameters.get("blockedReason"):
                        text = f"{text} ({parameters['blockedReason']})"
                    self.heard.endings.append(
                        replace(
                            begun, error=status.get("corsError"), parameter=status.get("failedParameter"), text=text
                        )
                    )
            # These two may come before the request that they tell of.
            case "Network.requestWillBeSentExtraInfo":
                self.heard.cookies += [
                    CookieNews(
                        request=parameters["requestId"],
                        name=one["cookie"]["name"],
                        set_by_response=False,
                        reasons=tuple(one["blockedReasons"]),
                    )
                    for one in parameters["associatedCookies"]
                ]
            case "Network.responseReceivedExtraInfo":
                self.heard.cookies += [
                    CookieNews(
                        request=parameters["requestId"],
                        name=one["cookieLine"].partition("=")[0],
                        set_by_response=True,
                        reasons=tuple(one["blockedReasons"]),
                    )
                    for one in parameters["blockedCookies"]
                ]
            case "Log.entryAdded":
                self.heard.sentences.append(parameters["entry"]["text"])


async def listen(debugger: str, url: str, done: Callable[[], bool]) -> Heard:
    """Opens a URL in a Chromium and listens until `done`, which is asked a few times a second, says so."""
    connection = await websocket_connect(debugger, max_message_size=1 << 28)
    listener = _Listener(connection, url)
    listener.start()
    pending = asyncio.ensure_future(connection.read_message())
    while True:
        # Quiet first: what the browser tells of the last requests may come after the page's own report.
        finished, _ = await asyncio.wait({pending}, timeout=0.3)
        if not finished:
            if done():
                break
            continue
        message = pending.result()
        if message is None:
            raise ConnectionError("the browser closed its debugger")
        listener.take(json.loads(message))
        pending = asyncio.ensure_future(connection.read_message())
    connection.close()
    await asyncio.wait({pending}, timeout=CLOSING_SECONDS)
    await hang_up(connection)
    return listener.heard


async def hang_up(connection: WebSocketClientConnection) -> None:
    """Closes a connection and waits for its end: the closing handshake closes the socket, not the garbage collector."""
    connection.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSING_SECONDS):
            while await connection.read_message() is not None:
                pass


# -- one command after another -----------------------------------------------------------------------------------------


class DebuggerFailure(Exception):
    """The debugger refused a command, or did not answer in time; the message is one line."""


class Debugger:
    """Asks Chromium's debugger one thing after another; what it tells unasked is passed over."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self._connection = connection
        self._number = 0

    async def call(self, method: str, session: str | None = None, **parameters: object) -> dict[str, Any]:
        """Returns a command's result. Raises DebuggerFailure with what the browser said if it failed."""
        self._number += 1
        message: dict[str, object] = {"id": self._number, "method": method, "params": parameters}
        if session is not None:
            message["sessionId"] = session
        await self._connection.write_message(json.dumps(message))
        while True:
            said = await asyncio.wait_for(self._connection.read_message(), SECONDS)
            if said is None:
                raise DebuggerFailure("the browser closed its debugger")
            answer: dict[str, Any] = json.loads(said)
            if answer.get("id") != self._number:
                continue
            if "error" in answer:
                raise DebuggerFailure(f"the browser refused {method}: {answer['error'].get('message')}")
            result: dict[str, Any] = answer["result"]
            return result

    async def attach(self, target: str) -> Tab:
        """Returns a target that is there, as a tab."""
        attached = await self.call("Target.attachToTarget", targetId=target, flatten=True)
        return Tab(self, attached["sessionId"])


class Tab:
    """A tab of the browser."""

    def __init__(self, debugger: Debugger, session: str) -> None:
        self._debugger = debugger
        self._session = session

    async def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Returns a command's result."""
        return await self._debugger.call(method, self._session, **parameters)

    async def evaluate(self, expression: str) -> Any:  # noqa: ANN401 - whatever JSON it is
        """Returns the value of JavaScript in the page; None if it fails, as while a page is being loaded."""
        answer = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        return None if "exceptionDetails" in answer else answer["result"].get("value")

    async def click(self, what: str, selector: str, text: str) -> None:
        """Clicks the first element with that selector whose text the regular expression fits, once it is there."""
        found = f"""[...document.querySelectorAll({json.dumps(selector)})].find(
            (one) => new RegExp({json.dumps(text)}).test(one.textContent.trim()))"""
        await self.wait_for(what, f"((one) => (one?.click(), one !== undefined))({found})")

    async def wait_for(self, what: str, expression: str) -> Any:  # noqa: ANN401
        """Returns the value of JavaScript as soon as it is true. Raises DebuggerFailure when that takes too long."""
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if value := await self.evaluate(expression):
                return value
            await asyncio.sleep(0.1)
        raise DebuggerFailure(f"{what} did not come within {SECONDS:.0f} s")


@contextlib.asynccontextmanager
async def connected(debugger_url: str) -> AsyncIterator[Debugger]:
    """Opens a connection to Chromium's debugger, and closes it in the end."""
    connection = await websocket_connect(debugger_url, max_message_size=1 << 28)
    try:
        yield Debugger(connection)
    finally:
        await hang_up(connection)
