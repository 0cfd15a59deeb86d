"""Listens to Chromium's debugger while a page runs: how each request ended, which cookies it did not send or take, and
what the console says about CORS.

Needs tornado, which comes with mitmproxy from a package registry.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from tornado.websocket import WebSocketClientConnection, websocket_connect

from corscope.lab.truth import Ending

CLOSING_SECONDS = 5.0


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
