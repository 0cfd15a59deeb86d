"""The lab's web as mitmproxy serves it: reads a flow's request, makes mitmproxy's response, counts what came before.

No server and no name resolution is needed.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import replace

from mitmproxy import http

from corscope.lab.answers import Asked, Served, answer, place_of
from corscope.lab.steps import step_named
from corscope.memory import bound

DEFAULT_PORTS = {"http": 80, "https": 443}

COUNTED = 50_000
"""URLs whose requests are counted; the oldest are forgotten."""

LENGTH = 1000
"""Characters of a path whose requests are counted: the lab's own have some seventy."""

NOT_FOUND = Served(status=404, headers=(("Content-Length", "0"),))


class LabWeb:
    """Answers for the lab's hosts; `local` as in `answer`."""

    def __init__(self, *, local: bool = False) -> None:
        self._local = local
        self._seen: OrderedDict[tuple[str, str, bool], int] = OrderedDict()
        self.named: OrderedDict[str, int] = OrderedDict()
        """The step that a flow's request names in its body, by the flow's id; the oldest are forgotten."""

    def answer(self, flow: http.HTTPFlow) -> http.Response:
        """Return the answer to a request to one of the lab's hosts; 404 for what it does not have."""
        return response(answer(self.read(flow), local=self._local) or NOT_FOUND, flow.request.is_http2)

    def read(self, flow: http.HTTPFlow) -> Asked:
        """Return a request; if it belongs to a scenario, count it, and remember which step it says it is."""
        asked = read(flow.request)
        if len(asked.path) > LENGTH or place_of(asked.path) is None:
            return asked
        named = step_named(asked.content.decode("utf-8", "replace"))
        if named is not None:
            self.named[flow.id] = named
            bound(self.named, COUNTED)
        return replace(asked, seen=self._count(asked))

    def _count(self, asked: Asked) -> int:
        """Return how many of a kind came for a URL before."""
        key = (asked.origin, asked.path, asked.preflight)
        before = self._seen.get(key, 0)
        self._seen[key] = before + 1
        bound(self._seen, COUNTED)
        return before


def read(request: http.Request, *, seen: int = 0) -> Asked:
    """Return a request as the lab's web reads it; `seen` as in `Asked`."""
    fields = request.headers.fields
    return Asked(
        method=request.data.method.decode("ascii", "replace"),
        origin=request_origin(request),
        path=request.path,
        headers=tuple((name.decode("ascii", "replace"), value.decode("latin-1")) for name, value in fields),
        # As it came: no page encodes what it sends, and what is small may decode to gigabytes.
        content=request.raw_content or b"",
        seen=seen,
    )


def request_origin(request: http.Request) -> str:
    """The serialized origin of a request's URL."""
    host = request.host.lower()
    if ":" in host:
        host = f"[{host}]"
    elif not host.isascii():
        # mitmproxy hands out international host names in Unicode.
        host = host.encode("idna").decode("ascii")
    port = "" if DEFAULT_PORTS.get(request.scheme) == request.port else f":{request.port}"
    return f"{request.scheme}://{host}{port}"


def response(served: Served, http2: bool) -> http.Response:
    """Makes mitmproxy's response, with exactly the bytes that the browser will get."""
    fields = []
    for name, value in served.headers:
        # HTTP/2 knows neither upper case in names nor white space around values.
        fields.append((name.lower(), value.strip(" \t")) if http2 else (name, value))
    made = http.Response.make(served.status, served.content)
    made.headers = http.Headers([(name.encode(), value.encode()) for name, value in fields])
    made.http_version = "HTTP/2.0" if http2 else "HTTP/1.1"
    return made
