"""Sends requests through a proxy, each with the answer that it is to get (see `answering`)."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from answering import WANTED
from builders import CHROMIUM

ANSWERING = Path(__file__).with_name("answering.py")
PAGE = "http://app.example"
API = "http://api.example"

type Lines = Sequence[tuple[str, str]]

USUAL: Lines = (
    ("User-Agent", CHROMIUM),
    ("Accept", "*/*"),
    ("Sec-Fetch-Mode", "cors"),
    ("Sec-Fetch-Site", "cross-site"),
    ("Sec-Fetch-Dest", "empty"),
)


@dataclass(frozen=True, slots=True)
class Response:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Client:
    """One connection to a proxy. A context manager, which closes it."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=40)

    def send(self, method: str, url: str, lines: Iterable[tuple[str, str]] = ()) -> Response:
        """Sends a request with these header lines and `Host` as the URL says, unless they have one."""
        given = list(lines)
        self._connection.putrequest(method, url, skip_host=True, skip_accept_encoding=True)
        if not any(name.lower() == "host" for name, _ in given):
            given.insert(0, ("Host", url.partition("://")[2].partition("/")[0]))
        for name, value in given:
            self._connection.putheader(name, value.encode("utf-8", "surrogateescape"))
        self._connection.endheaders()
        answer = self._connection.getresponse()
        return Response(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def ask(
        self,
        url: str,
        answer: Lines = (),
        *,
        method: str = "GET",
        headers: Lines = (),
        status: int = 200,
        origin: str | None = PAGE,
    ) -> Response:
        """Sends what a page's script sends, and gets this answer."""
        own = [("Origin", origin)] if origin is not None else []
        wanted = (WANTED, json.dumps([status, list(answer)]))
        return self.send(method, url, [*USUAL, *own, *headers, wanted])

    def get(self, path: str, lines: Lines = (), *, host: str = "corscope.test") -> Response:
        """Asks for one of corscope's own pages."""
        return self.send("GET", f"http://{host}{path}", lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()


ALLOWS: Lines = (("Access-Control-Allow-Origin", PAGE), ("Access-Control-Allow-Credentials", "true"))
WILDCARD: Lines = (("Access-Control-Allow-Origin", "*"),)
COOKIE: Lines = (("Cookie", "sid=0123456789abcdef; theme=dark"),)


def converse(client: Client, rounds: int, first: int = 0) -> int:
    """Sends six exchanges a round, of four stories: a preflight with its request, a redirect, and two that are blocked;
    and an image, to which CORS does not apply. Returns how many of them are subject to CORS.
    """
    asks = (("Access-Control-Request-Method", "PUT"), ("Access-Control-Request-Headers", "x-tag"))
    permits = (*WILDCARD, ("Access-Control-Allow-Methods", "PUT"), ("Access-Control-Allow-Headers", "x-tag"))
    for number in range(first, first + rounds):
        client.ask(f"{API}/items/{number}", permits, method="OPTIONS", headers=asks, status=204)
        client.ask(f"{API}/items/{number}", WILDCARD, method="PUT", headers=(("X-Tag", "1"),))
        client.ask(f"http://other.example/feed/{number}", WILDCARD, headers=COOKIE)
        client.ask(f"{API}/old/{number}", (*WILDCARD, ("Location", f"/new/{number}")), status=302)
        client.ask(f"{API}/new/{number}", WILDCARD)
        client.ask(f"{API}/none/{number}", (("Server", "nginx"),))
        image = [("User-Agent", CHROMIUM), ("Sec-Fetch-Mode", "no-cors"), ("Sec-Fetch-Dest", "image")]
        client.send("GET", f"{API}/image.png", [*image, (WANTED, json.dumps([200, []]))])
    return 6 * rounds
