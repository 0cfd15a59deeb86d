"""A response that something on the proxy changes after its headers came is judged as the browser gets it."""

from __future__ import annotations

import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from builders import ALLOW_METHODS, ANY, GOOD, MAX_AGE, exchange, fields
from corscope.model import Kind, Outcome
from corscope.session import Session
from proxies import Mitmdump, eventually, final, read_report
from servers import Asked, RawServer

ORIGIN = "https://app.example"


def bare(asked: Asked, connection: object) -> None:
    """Answers without any CORS header."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")  # type: ignore[attr-defined]


def test_headers_that_mitmproxy_adds_count(tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    with (
        RawServer(bare) as server,
        Mitmdump(modify_headers="/~s/Access-Control-Allow-Origin/*", cors_report=report) as proxy,
    ):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": f"http://127.0.0.1:{proxy.port}"}))
        asked = urllib.request.Request(server.url("/changed"), headers={"Origin": ORIGIN, "Sec-Fetch-Mode": "cors"})
        with opener.open(asked, timeout=20) as response:
            assert response.headers["Access-Control-Allow-Origin"] == "*"
        lines = eventually(lambda: read_report(report))
        last = eventually(lambda: [line for line in final(read_report(report)) if line["verdict"] == "conditional"])
    assert lines[0]["verdict"] == "blocked"
    assert [line["flow_id"] for line in last] == [lines[0]["flow_id"]]


def test_only_the_later_response_counts() -> None:
    """A preflight that would have passed without credentials, until its headers were taken away."""
    asked = {"Access-Control-Request-Method": "PUT"}
    allows = {**ANY, ALLOW_METHODS: "PUT", MAX_AGE: "600"}
    preflight = exchange("OPTIONS https://b.test/x", headers=asked, response=allows, flow="preflight")
    session = Session()
    (first,) = session.judge(preflight)
    assert first.outcome is Outcome.CONDITIONAL
    (second,) = session.judge(replace(preflight, response_headers=()))
    assert (second.flow_id, second.outcome) == ("preflight", Outcome.BLOCKED)
    # Neither as a step to follow nor as a permission does the first response live on.
    actual = exchange("PUT https://b.test/x", response=ANY, at=1000.02, flow="actual")
    (verdict,) = session.judge(actual)
    assert verdict.preflight is None
    assert session.settle(1100.0) == []


@pytest.mark.parametrize(
    ("headers", "method", "kind", "outcome"),
    [
        ({"Access-Control-Request-Method": "DELETE"}, b"OPTIONS", Kind.PREFLIGHT, Outcome.BLOCKED),
        ({"Access-Control-Request-Method": "PUT"}, b"OPTIONS", Kind.PREFLIGHT, Outcome.ALLOWED),
        ({}, b"PUT", Kind.ACTUAL, Outcome.ALLOWED),
    ],
)
def test_a_flow_that_was_edited_and_sent_again_is_judged_by_what_was_sent(
    headers: dict[str, str], method: bytes, kind: Kind, outcome: Outcome
) -> None:
    session = Session()
    allows = {**GOOD, ALLOW_METHODS: "PUT"}
    asked = exchange(
        "OPTIONS https://b.test/x", headers={"Access-Control-Request-Method": "PUT"}, response=allows, flow="one"
    )
    assert session.judge(asked)[0].outcome is Outcome.ALLOWED
    edited = replace(exchange("OPTIONS https://b.test/x", headers=headers, response=allows, flow="one"), method=method)
    (verdict,) = session.judge(edited)
    assert (verdict.kind, verdict.outcome) == (kind, outcome)


def test_what_it_follows_is_kept() -> None:
    asked = {"Access-Control-Request-Method": "PUT"}
    preflight = exchange(
        "OPTIONS https://b.test/x", headers=asked, response={**GOOD, ALLOW_METHODS: "PUT"}, flow="preflight"
    )
    actual = exchange("PUT https://b.test/x", response={}, at=1000.02, flow="actual")
    session = Session()
    session.judge(preflight)
    assert session.judge(actual)[0].outcome is Outcome.BLOCKED
    again = session.judge(replace(actual, response_headers=fields(GOOD)))[0]
    assert (again.outcome, again.preflight) == (Outcome.ALLOWED, "preflight")
