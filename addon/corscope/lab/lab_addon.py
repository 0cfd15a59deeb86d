"""The mitmproxy addon that is the lab's web: answers its hosts' requests, and keeps what the page reports.

No server and no name resolution is needed; mitmproxy must not connect before it has a request
(`connection_strategy=lazy`).
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from pathlib import Path

from mitmproxy import ctx, http
from mitmproxy.addonmanager import Loader

from corscope.lab.answers import RESULTS_PATH, Asked, Served, answer, origins, place_of

DEFAULT_PORTS = {"http": 80, "https": 443}

logger = logging.getLogger(__name__)


class Lab:
    """Serves the lab, and appends the page's reports to a file."""

    def __init__(self) -> None:
        self._seen: Counter[tuple[str, str, bool]] = Counter()

    def load(self, loader: Loader) -> None:
        """Adds the option."""
        loader.add_option("cors_lab_results", str, "", "Append what the lab's page saw to this file, as JSON Lines.")

    def request(self, flow: http.HTTPFlow) -> None:
        """Answers requests to the lab's hosts; others pass."""
        origin = request_origin(flow.request)
        if flow.response or origin not in origins():
            return
        fields = flow.request.headers.fields
        asked = Asked(
            method=flow.request.data.method.decode("ascii", "replace"),
            origin=origin,
            path=flow.request.path,
            headers=tuple((name.decode("ascii", "replace"), value.decode("latin-1")) for name, value in fields),
        )
        if place_of(asked.path):
            key = (origin, asked.path, asked.preflight)
            asked = Asked(
                method=asked.method, origin=origin, path=asked.path, headers=asked.headers, seen=self._seen[key]
            )
            self._seen[key] += 1
        served = answer(asked) or Served(status=404, headers=(("Content-Length", "0"),))
        if asked.path == RESULTS_PATH and asked.method == "POST":
            self._keep(flow.request.get_content(strict=False) or b"")
        flow.response = response(served, flow.request.is_http2)

    def _keep(self, report: bytes) -> None:
        if not ctx.options.cors_lab_results:
            return
        try:
            said = json.loads(report)
        except ValueError:
            logger.warning("The lab's page sent a report that is no JSON.")
            return
        with Path(ctx.options.cors_lab_results).open("a", encoding="utf-8") as file:
            file.write(json.dumps(said, separators=(",", ":")) + "\n")


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
