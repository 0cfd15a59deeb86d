"""What a flow tells: hosts, connections, and what a HAR leaves out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.connection import ConnectionState
from mitmproxy.flow import Error

from corscope import adapter
from corscope.modes import url_of
from corscope.privacy import shown_url
from proxies import API, CHROME, PAGE, cors_flow, final, read_report, replay


def entry(
    method: str, started: str, request: list[tuple[str, str]], status: int, response: list[tuple[str, str]]
) -> Any:  # noqa: ANN401
    """An entry of a HAR as Chrome writes it."""
    fields = [("User-Agent", CHROME), ("Origin", PAGE), ("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Site", "cross-site")]
    headers = [{"name": name, "value": value} for name, value in [*fields, *request]]
    return {
        "startedDateTime": f"2026-11-18T10:12:26.{started}Z",
        "time": 20,
        "request": {
            "method": method, "url": f"{API}/v1", "httpVersion": "http/2.0", "headers": headers, "queryString": [],
            "cookies": [], "headersSize": -1, "bodySize": 0,
        },
        "response": {
            "status": status, "statusText": "", "httpVersion": "http/2.0", "cookies": [], "redirectURL": "",
            "headers": [{"name": name, "value": value} for name, value in response],
            "content": {"size": 0, "mimeType": "text/plain", "text": ""}, "headersSize": -1, "bodySize": 0,
        },
        "cache": {},
        "timings": {"blocked": 0, "dns": -1, "connect": -1, "send": 1, "wait": 18, "receive": 1, "ssl": -1},
    }  # fmt: skip


def judged(entries: list[Any], folder: Path) -> list[dict[str, Any]]:
    har = folder / "traffic.har"
    har.write_text(
        json.dumps({"log": {"version": "1.2", "creator": {"name": "x", "version": "1"}, "entries": entries}})
    )
    report = folder / "report.jsonl"
    done = replay(har, cors_report=report)
    assert done.returncode == 0, done.stdout
    return final(read_report(report))


def test_a_har_gives_no_order_to_conclude_from(tmp_path: Path) -> None:
    """Chrome notes the time of the request before that of its preflight, and leaves cookies out."""
    anyone = [("Access-Control-Allow-Origin", "*")]
    asks = [("Access-Control-Request-Method", "PUT")]
    lines = judged(
        [
            entry("PUT", "100", [], 200, anyone),
            entry("OPTIONS", "105", asks, 204, [*anyone, ("Access-Control-Allow-Methods", "*")]),
            entry("GET", "900", [], 200, []),
        ],
        tmp_path,
    )
    assert [line["verdict"] for line in lines][1:] == ["conditional", "blocked"]
    assert lines[0]["verdict"] != "blocked"


def test_an_entry_without_a_response_has_no_verdict(tmp_path: Path) -> None:
    lines = judged([entry("GET", "100", [], 0, []), entry("GET", "200", [], 200, [])], tmp_path)
    assert len(lines) == 1


@pytest.mark.parametrize(
    ("authority", "scheme", "expected"),
    [
        (b"A.Example", "https", ("a.example", 443)),
        (b"a.example:8080", "http", ("a.example", 8080)),
        (b"[::1]:8080", "http", ("::1", 8080)),
        ("b\u00fccher.example".encode(), "http", ("xn--bcher-kva.example", 80)),
        (b"", "http", None),
        (b"a.example:x", "http", None),
    ],
)
def test_an_authority_is_read_as_browsers_write_it(
    authority: bytes, scheme: str, expected: tuple[str, int] | None
) -> None:
    assert adapter.parse_authority(authority, scheme) == expected


@pytest.mark.parametrize(
    ("http_version", "authority", "host", "named"),
    [
        (b"HTTP/2.0", b"API.test:8443", None, "api.test:8443"),
        (b"HTTP/2.0", b"", None, "connected.test:9443"),
        (b"HTTP/1.1", b"", b"api.test:8443", "api.test:8443"),
        (b"HTTP/1.1", b"proxied.test", b"api.test:8443", "api.test:8443"),
        (b"HTTP/1.1", b"proxied.test", None, "connected.test:9443"),
        (b"http/1.1", b"proxied.test", b"api.test:8443", "api.test:8443"),
    ],
)
@pytest.mark.parametrize("scheme", [b"https", b"http", b"HTTPS"])
def test_a_flows_url_is_its_exchanges(
    scheme: bytes, http_version: bytes, authority: bytes, host: bytes | None, named: str
) -> None:
    flow = cors_flow("https://connected.test:9443/")
    data = flow.request.data
    data.scheme, data.http_version, data.authority, data.path = scheme, http_version, authority, b"/\xc3\xa4?q=\xff"
    flow.request.headers.pop("host", None)
    if host is not None:
        flow.request.headers["host"] = host.decode()
    head = adapter.head(flow)
    exchange = adapter.exchange(flow, "", head)
    assert adapter.url_of(flow, head) == url_of(exchange) == f"{scheme.decode().lower()}://{named}/ä?q=\ufffd"
    assert exchange.http_version == (2 if http_version == b"HTTP/2.0" else 1)


def test_a_request_that_mitmproxy_sends_again_tells_nothing_of_a_connection() -> None:
    flow = cors_flow()
    assert adapter.exchange(flow, "client", adapter.head(flow)).connection == flow.client_conn.id
    flow.is_replay = "request"
    assert adapter.exchange(flow, "client", adapter.head(flow)).connection is None


def test_a_request_that_the_user_killed_got_no_answer() -> None:
    flow = cors_flow(live=True)
    asked = adapter.exchange(flow, "client", adapter.head(flow), answered=False)
    assert adapter.without_answer(asked, Error.KILLED_MESSAGE, 0) is None
    assert adapter.without_answer(asked, "Connection refused", 0) is not None


def test_mitmproxys_own_error_page_is_told() -> None:
    flow = cors_flow(status=502, response=[("server", "mitmproxy 12.2.3")])
    assert adapter.exchange(flow, "client", adapter.head(flow)).proxy_made
    flow = cors_flow(status=502, response=[("server", "nginx")])
    assert not adapter.exchange(flow, "client", adapter.head(flow)).proxy_made


def test_more_names_of_secrets() -> None:
    for name in ("bearer", "refresh", "pw", "hash", "ticket"):
        assert "S3CRET" not in shown_url(f"https://a.test/?{name}=S3CRET")


@pytest.mark.parametrize(
    ("message", "state", "judged"),
    [
        pytest.param("client disconnected", ConnectionState.OPEN, False, id="while mitmproxy was connecting"),
        pytest.param("peer closed connection", ConnectionState.CAN_WRITE, False, id="the browser's HTTP/2 connection"),
        pytest.param("peer closed connection", ConnectionState.OPEN, True, id="the server's"),
        pytest.param("server closed connection", ConnectionState.OPEN, True, id="over HTTP/1"),
    ],
)
def test_a_browser_that_went_away_was_answered_by_nobody(message: str, state: ConnectionState, judged: bool) -> None:
    flow = cors_flow(live=True)
    flow.response, flow.error = None, Error(message)
    flow.client_conn.state = state
    head = adapter.head(flow)
    assert (adapter.failed_exchange(flow, adapter.client_key(flow, head), head) is not None) is judged
