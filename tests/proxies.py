"""Starts real mitmdumps and makes the flows and recordings that they read."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from mitmproxy import http
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.test import tflow

from corscope import proxy
from forks import CAN_FORK, Fork

ADDON = Path(__file__).parent.parent / "addon" / "cors_addon.py"

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
PAGE = "https://app.example"
API = "https://api.example"

confdir = proxy.throwaway_confdir
"""The folder of the certificate authority that all tests share."""

type Lines = Sequence[tuple[str, str]]


def arguments_of(addon: bool, options: Mapping[str, object]) -> list[str]:
    """mitmdump's arguments for the addon and for options."""
    return proxy.arguments_of(confdir(), addon, options)


def replay(recording: Path, *arguments: str, addon: bool = True, **options: object) -> subprocess.CompletedProcess[str]:
    """Lets mitmdump read a recording, and waits for its end; what it said is in `stdout`."""
    process = start_mitmdump(["-n", "-r", str(recording), *arguments_of(addon, options), *arguments])
    ended = threading.Event()

    def end() -> None:
        ended.set()
        process.kill()

    timer = threading.Timer(60, end)
    timer.start()
    try:
        assert process.stdout
        with process.stdout:
            said = process.stdout.read()
        code = process.wait()
    finally:
        timer.cancel()
        process.kill()
    assert not ended.is_set(), f"mitmdump did not end by itself: {said}"
    return subprocess.CompletedProcess(process.args, code, said)


def start_mitmdump(arguments: Sequence[str]) -> subprocess.Popen[str]:
    """Starts mitmdump, as a fork where there are forks."""
    return cast("subprocess.Popen[str]", Fork(arguments)) if CAN_FORK else proxy.start_mitmdump(arguments)


class Mitmdump(proxy.Mitmdump):
    """A mitmdump that serves as a proxy, with the tests' own certificate authority."""

    _start = staticmethod(start_mitmdump)

    def __init__(self, *arguments: str, addon: bool = True, **options: object) -> None:
        super().__init__(confdir(), *arguments, addon=addon, **options)


def eventually[T](look: Any, seconds: float = 20, *, every: float = 0.05) -> T:  # noqa: ANN401
    """Returns what `look` returns as soon as that is true; it looks every so many seconds."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline, f"still {seen!r} after {seconds} s"
        time.sleep(every)
    return seen


def read_report(path: Path) -> list[dict[str, Any]]:
    """A report's lines; a line that is being written does not count."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def final(lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The last line on each flow, in the order of the first ones."""
    return list({line["flow_id"]: line for line in lines}.values())


def cors_flow(
    url: str = f"{API}/v1",
    *,
    method: str = "GET",
    origin: str | None = PAGE,
    mode: str = "cors",
    request: Lines = (),
    status: int = 200,
    response: Lines = (),
    live: bool = False,
    started: float = 1_795_278_746.0,
) -> http.HTTPFlow:
    """A flow as Chrome's request and a server's response make it; `request` and `response` are further headers."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    fields = [("user-agent", CHROME), ("accept", "*/*"), ("sec-fetch-mode", mode), ("sec-fetch-dest", "empty")]
    fields += [("origin", origin)] if origin is not None else []
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    flow = http.HTTPFlow(tflow.tclient_conn(), tflow.tserver_conn(), live=live)
    flow.request = http.Request(
        parts.hostname or "", port, method.encode(), parts.scheme.encode(), parts.netloc.encode(), path.encode(),
        b"HTTP/2.0", encode([*fields, *request]), b"", None, started, started,
    )  # fmt: skip
    flow.response = http.Response(b"HTTP/2.0", status, b"", encode(response), b"", None, started + 0.01, started + 0.02)
    return flow


def encode(lines: Lines) -> http.Headers:
    """Headers in their order, repeated ones included."""
    return http.Headers([(name.encode(), value.encode("latin-1")) for name, value in lines])


def blocked_flow(url: str = f"{API}/blocked", *, live: bool = False) -> http.HTTPFlow:
    """A credentialed request that a wildcard stops."""
    return cors_flow(url, request=[("cookie", "sid=1")], response=[("access-control-allow-origin", "*")], live=live)


def allowed_flow(url: str = f"{API}/allowed", *, live: bool = False) -> http.HTTPFlow:
    """A credentialed request that is allowed."""
    allows = [("access-control-allow-origin", PAGE), ("access-control-allow-credentials", "true")]
    return cors_flow(url, request=[("cookie", "sid=1")], response=allows, live=live)


def exempt_flow(url: str = f"{PAGE}/image.png", *, live: bool = False) -> http.HTTPFlow:
    """An image of the page's own, without an Origin."""
    return cors_flow(url, origin=None, mode="no-cors", live=live)


def write_recording(path: Path, flows: Sequence[http.HTTPFlow]) -> Path:
    """Writes mitmproxy's own format."""
    with path.open("wb") as file:
        writer = FlowWriter(file)
        for flow in flows:
            writer.add(flow)
    return path


def read_recording(path: Path) -> list[http.HTTPFlow]:
    """Reads mitmproxy's own format."""
    with path.open("rb") as file:
        return [flow for flow in FlowReader(file).stream() if isinstance(flow, http.HTTPFlow)]
