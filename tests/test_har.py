"""HTTP Archives: each writer's dialect, what is odd or damaged, and any size."""

from __future__ import annotations

import bz2
import copy
import gc
import gzip
import io
import json
import lzma
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mitmproxy import flowfilter, http
from mitmproxy.addons.savehar import SaveHar
from mitmproxy.flow import Error
from mitmproxy.io import FlowReader, FlowWriter
from mitmproxy.test import taddons

from builders import (
    ALLOW_HEADERS,
    ALLOW_METHODS,
    ALLOW_ORIGIN,
    ANY,
    CHROMIUM,
    FIREFOX,
    GOOD,
    PAGE,
    STORAGE_ACCESS,
    Pairs,
)
from corscope.captures import har, json_stream, mitmproxys
from corscope.captures.capture import Damage, Entry, UnreadableCapture
from corscope.captures.har import read_har
from corscope.captures.json_stream import CutJson, JsonStream
from corscope.captures.mitm import read_mitm
from corscope.captures.sources import read_capture
from corscope.checking import check_entries
from corscope.model import Exchange, Observed, Verdict
from corscope.report import as_json
from corscope.session import Session
from proxies import allowed_flow, blocked_flow, cors_flow

CAPTURES = Path(__file__).parent / "captures"
RECORDINGS = Path(__file__).parent / "recordings"

type Har = dict[str, Any]


def read(content: bytes, wanted: str = "") -> tuple[list[Entry], list[Damage]]:
    """Returns the entries of a HAR, and what was said to be damaged."""
    damages: list[Damage] = []
    expression = flowfilter.parse(wanted) if wanted else None
    return list(read_har(io.BytesIO(content), wanted=expression, damaged=damages.append)), damages


class Dripping(io.RawIOBase):
    """A file that can't be wound back, and gives a few bytes at a time."""

    def __init__(self, content: bytes, size: int) -> None:
        self._rest, self._size = content, size

    def read(self, size: int = -1) -> bytes:
        part, self._rest = self._rest[: self._size], self._rest[self._size :]
        return part


def undamaged(damage: Damage) -> None:
    pytest.fail(str(damage))


def exchanges(whole: Har) -> list[Exchange]:
    """Returns the exchanges of a HAR in which nothing is damaged."""
    entries, damages = read(json.dumps(whole).encode())
    assert damages == []
    return [entry.exchange for entry in entries]


def judged(whole: Har) -> dict[str, Verdict]:
    """Returns the verdicts by the entry's index."""
    entries, damages = read(json.dumps(whole).encode())
    assert damages == []
    return {one.verdict.flow_id: one.verdict for one in check_entries(entries, Session())}


def headers(pairs: Pairs) -> list[dict[str, str]]:
    items = pairs.items() if hasattr(pairs, "items") else pairs
    return [{"name": name, "value": value} for name, value in items]


SENT = {"Origin": PAGE, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}


def entry(
    line: str,
    *,
    sent: Pairs = (),
    status: int = 200,
    response: Pairs = (),
    at: float = 1.0,
    agent: str = CHROMIUM,
    timings: dict[str, float] | None = None,
    **more: object,
) -> Har:
    """Returns an entry as the standard has it. `at` are seconds after the full minute."""
    method, _, url = line.partition(" ")
    return {
        "startedDateTime": f"2026-03-02T08:15:{at:06.3f}Z",
        "time": 30,
        "request": {
            "method": method,
            "url": url,
            "httpVersion": "HTTP/2",
            "cookies": [],
            "headers": headers({"User-Agent": agent, **SENT, **dict(sent)}),
        },
        "response": {
            "status": status,
            "statusText": "",
            "httpVersion": "HTTP/2",
            "cookies": [],
            "headers": headers(response),
            "content": {"size": 2, "mimeType": "application/json", "text": "{}"},
        },
        "cache": {},
        "timings": timings if timings is not None else {"blocked": 1, "send": 1, "wait": 20, "receive": 8},
        **more,
    }


def asked(url: str, **more: Any) -> Har:  # noqa: ANN401
    """Returns the entry of a same-site preflight for PUT."""
    sent = {"Access-Control-Request-Method": "PUT", "Sec-Fetch-Site": "same-site"}
    return entry(f"OPTIONS {url}", sent=sent, **{"status": 204, **more})


def chromium(one: Har, kind: str = "fetch", error: str | None = None, connection: str = "7", **more: object) -> Har:
    """Returns an entry with what Chromium's developer tools add."""
    one["response"]["_error"] = error
    return {**one, "_initiator": {"type": "script"}, "_resourceType": kind, "_connectionId": connection, **more}


def archive(*entries: object, creator: str | None = None) -> Har:
    log: Har = {"version": "1.2"}
    if creator is not None:
        log["creator"] = {"name": creator, "version": "1"}
    return {"log": {**log, "entries": list(entries)}}


# -- the dialects ------------------------------------------------------------------------------------------------------

OUTCOMES = {
    "charles": ["allowed", "blocked", "allowed", "allowed", "blocked"],
    "fiddler": ["allowed", "blocked", None, "blocked", "blocked"],
    "safari": ["exempt", "conditional", "allowed"],
    "insomnia": ["blocked"],
    "pairs": ["blocked"],
}
"""What comes out of each entry; None for those that are no exchanges."""


@pytest.mark.parametrize("name", OUTCOMES)
def test_what_each_writer_writes_is_judged(name: str) -> None:
    entries, damages = read((CAPTURES / f"{name}.har").read_bytes())
    told = {one.number: str(one.verdict.outcome) for one in check_entries(entries, Session())}
    assert damages == []
    assert told == {number: outcome for number, outcome in enumerate(OUTCOMES[name]) if outcome is not None}


@pytest.mark.parametrize(
    ("name", "connections", "versions", "sanitized"),
    [
        ("charles", {None}, {2}, False),
        # The port from which the browser spoke to Fiddler is its connection.
        ("fiddler", {"50912", "50913"}, {1}, False),
        ("safari", {None}, {2}, True),
        ("insomnia", {None}, {1}, True),
        ("pairs", {None}, {2}, True),
    ],
)
def test_what_each_writer_tells_of_connections_and_leaves_out(
    name: str, connections: set[str | None], versions: set[int], sanitized: bool
) -> None:
    found = [one.exchange for one in read((CAPTURES / f"{name}.har").read_bytes())[0]]
    assert {one.connection for one in found} == connections
    assert {one.http_version for one in found} == versions
    assert {one.sanitized for one in found} == {sanitized}
    assert not any(field.startswith(b":") for one in found for field, _ in one.request_headers + one.response_headers)


def test_an_error_page_of_fiddlers_own_is_no_servers_answer() -> None:
    *others, down = [one.exchange for one in read((CAPTURES / "fiddler.har").read_bytes())[0]]
    assert (down.status, down.proxy_made) == (502, True)
    assert not any(one.proxy_made for one in others)


@pytest.mark.parametrize(
    ("creator", "sanitized"),
    [
        ("WebInspector", True), ("Firefox", False), ("WebKit Web Inspector", True), ("Playwright", False),
        ("mitmproxy", False), ("Charles Proxy", False), ("Fiddler", False), ("somebody", True), (7, True),
    ],
)  # fmt: skip
def test_a_writer_is_known_by_its_name(creator: Any, sanitized: bool) -> None:  # noqa: ANN401
    whole = archive(entry("GET https://b.test/"), creator=creator)
    assert [one.sanitized for one in exchanges(whole)] == [sanitized]


@pytest.mark.parametrize(
    ("mark", "connection", "sanitized"),
    [
        ({"_initiator": {}, "_connectionId": "7", "connection": "443"}, "7", True),
        ({"_securityState": "secure", "connection": "443"}, None, False),
        ({"_fetchType": "Network Load", "connection": "7"}, None, True),
        ({"_serverPort": 443}, None, False),
        ({"connection": "ClientPort:50912;EgressPort:50919"}, "50912", False),
        ({"connection": "ClientPort:0;EgressPort:50919"}, None, True),
        ({"connection": 7}, None, True),
    ],
)
def test_a_writer_whose_name_comes_late_is_known_by_its_fields(
    mark: Har, connection: str | None, sanitized: bool
) -> None:
    (one,) = exchanges({"log": {"entries": [entry("GET https://b.test/", **mark)], "creator": {"name": "mitmproxy"}}})
    assert (one.connection, one.sanitized) == (connection, sanitized)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("HTTP/1.0", 1),
        ("HTTP/1.1", 1),
        ("http/1.1", 1),
        ("h2", 2),
        ("http/2.0", 2),
        ("HTTP/2", 2),
        ("HTTP/2.0", 2),
        ("h3", 3),
        ("h3-29", 3),
        ("HTTP/3", 3),
        ("quic", 3),
        ("http/2+quic/46", 3),
        ("", 2),
        ("unknown", 2),
        (None, 2),
        (11, 2),
    ],
)
def test_the_version_of_http_is_read_in_all_spellings(said: object, version: int) -> None:
    one = entry("GET https://b.test/")
    one["request"]["httpVersion"] = said
    assert exchanges(archive(one))[0].http_version == version


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://b.test", ("https", "b.test", 443, "/")),
        ("HTTPS://B.Test/A?b=1#c", ("https", "b.test", 443, "/A?b=1")),
        (" https://b.test/\n", ("https", "b.test", 443, "/")),
        ("http://b.test:8080?b=/c", ("http", "b.test", 8080, "/?b=/c")),
        ("http://[::1]:3000/x", ("http", "::1", 3000, "/x")),
        ("https://user:word@b.test/", ("https", "b.test", 443, "/")),
        ("https://bücher.test/", ("https", "xn--bcher-kva.test", 443, "/")),
        ("wss://b.test/live", ("https", "b.test", 443, "/live")),
        ("ws://b.test/live", ("http", "b.test", 80, "/live")),
    ],
)
def test_urls(url: str, place: tuple[str, str, int, str]) -> None:
    (one,) = exchanges(archive(entry(f"GET {url}")))
    assert (one.scheme, one.host, one.port, one.path) == place


@pytest.mark.parametrize(
    "url", ["data:text/plain,x", "blob:https://a.test/1", "chrome-extension://abc/x.js", "about:blank", "file:///x"]
)
def test_what_never_was_on_a_wire_is_passed_over_in_silence(url: str) -> None:
    found = exchanges(archive(entry(f"GET {url}"), entry("GET https://b.test/")))
    assert [one.id for one in found] == ["1"]


def test_a_tunnel_is_no_exchange() -> None:
    assert exchanges(archive(entry("CONNECT b.test:443"))) == []


def test_what_a_service_worker_answered_was_on_no_wire() -> None:
    one = entry("GET https://b.test/")
    one["response"]["_fetchedViaServiceWorker"] = True
    assert exchanges(archive(chromium(one))) == []


@pytest.mark.parametrize("resource", ["websocket", None])
@pytest.mark.parametrize("creator", [None, "WebInspector", "Firefox", "Charles Proxy", "Fiddler", "Postman"])
def test_a_websockets_url_tells_one_where_its_headers_do_not(creator: str | None, resource: str | None) -> None:
    """Over HTTP/2 there is no Upgrade, RFC 8441, and browsers before Sec-Fetch-Mode said nothing of it either."""
    url = "GET wss://b.test/live" if resource is None else "GET https://b.test/live"
    one = entry(url, sent={"Origin": PAGE, "Sec-WebSocket-Version": "13"})
    said = one["request"]["headers"]
    one["request"]["headers"] = [field for field in said if not field["name"].lower().startswith("sec-fetch-")]
    if resource is not None:
        one["_resourceType"] = resource
    verdict = judged(archive(one, creator=creator))["0"]
    assert (verdict.mode, verdict.outcome) == ("websocket", "exempt")


def test_a_websockets_handshake_is_exempt() -> None:
    sent = {"Upgrade": "websocket", "Sec-Fetch-Mode": "websocket"}
    one = entry("GET wss://b.test/live", sent=sent, status=101)
    assert judged(archive(chromium(one, "websocket")))["0"].mode == "websocket"


# -- headers -----------------------------------------------------------------------------------------------------------


def test_headers_come_as_they_went_over_the_wire() -> None:
    one = entry("GET https://b.test/")
    one["request"]["headers"] = headers([(":authority", "b.test"), (":method", "GET"), ("origin", "é"), ("X-A", "1")])
    one["response"]["headers"] = headers([("Set-Cookie", "a=1\nb=2"), ("Vary", "Origin"), ("vary", "X")])
    (found,) = exchanges(archive(one))
    assert found.request_headers == ((b"origin", "é".encode()), (b"X-A", b"1"))
    assert found.response_headers == (
        (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"), (b"Vary", b"Origin"), (b"vary", b"X"),
    )  # fmt: skip


def test_values_that_are_no_text_are_taken_for_text() -> None:
    one = entry("GET https://b.test/")
    one["response"]["headers"] = [{"name": "X-A", "value": None}, {"name": "X-B", "value": 7}, ["X-C", "c"]]
    (found,) = exchanges(archive(one))
    assert found.response_headers == ((b"X-A", b""), (b"X-B", b"7"), (b"X-C", b"c"))


def test_cookies_that_stand_only_in_their_own_list_are_seen() -> None:
    one = entry("GET https://b.test/", response=ANY)
    one["request"]["cookies"] = [{"name": "sid", "value": "s3cret"}, {"name": "b", "value": "2"}, "odd"]
    verdict = judged(archive(one))["0"]
    assert (verdict.outcome, verdict.credentials_evidence) == ("blocked", ("cookie header: sid, b",))
    assert "s3cret" not in json.dumps(as_json(verdict))


def test_what_firefox_adds_of_its_own_is_left_out() -> None:
    one = entry("POST https://b.test/", agent=FIREFOX, response={**GOOD, "X-Firefox-Spdy": "h2"})
    one["request"]["postData"] = {"mimeType": "multipart/form-data", "text": "--x"}
    one["request"]["headers"] += headers([("Content-Disposition", "form-data"), ("Content-Type", "image/png")])
    (found,) = exchanges(archive(one, creator="Firefox"))
    assert {name for name, _ in found.response_headers} == {
        b"Access-Control-Allow-Origin",
        b"Access-Control-Allow-Credentials",
    }
    assert [name for name, _ in found.request_headers][-1] == b"Sec-Fetch-Dest"


@pytest.mark.parametrize(
    ("kind", "mode", "outcome"),
    [
        ("xhr", "cors", "blocked"),
        ("document", "navigate", "exempt"),
        ("ping", "no-cors", "exempt"),
        ("fetch", "unknown", "exempt"),
    ],
)
def test_without_fetch_metadata_chromium_tells_what_asked(kind: str, mode: str, outcome: str) -> None:
    one = entry("POST http://b.test/", sent={"Content-Type": "text/plain"})
    one["request"]["headers"] = [one for one in one["request"]["headers"] if not one["name"].startswith("Sec-")]
    verdict = judged(archive(chromium(one, kind)))["0"]
    assert (verdict.mode, verdict.outcome) == (mode, outcome)
    assert verdict.exchange is not None
    assert not any(name.lower().startswith(b"sec-") for name, _ in verdict.exchange.request_headers)


# -- time and order ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("1970-01-01T00:00:02.5Z", 2.5),
        ("1970-01-01T01:00:02+01:00", 2.0),
        ("1970-01-01T00:00:02.1234567+00:00", 2.123456),
        ("1970-01-01T00:00:02", 2.0),
    ],
)
def test_dates_are_read_in_all_spellings(date: str, seconds: float) -> None:
    one = entry("GET https://b.test/", timings={})
    one["startedDateTime"], one["time"] = date, 0
    assert exchanges(archive(one))[0].started == pytest.approx(seconds, abs=1e-7)


def test_times_are_those_of_the_wire_where_the_writer_tells_them() -> None:
    timings = {"blocked": 100, "dns": 20, "connect": 30, "ssl": 10, "send": 5, "wait": 200, "receive": 900}
    one = entry("GET https://b.test/", at=0, timings=timings)
    took = {}
    for creator in ("WebInspector", "Firefox", "Charles Proxy"):
        (found,) = exchanges(archive(one, creator=creator))
        took[creator] = (round(found.started % 60, 3), round(found.answered - found.started, 3))
    # Chromium counts TLS among connecting; what a proxy tells begins when the request came.
    assert took == {"WebInspector": (0.15, 0.205), "Firefox": (0.16, 0.205), "Charles Proxy": (0.0, 0.205)}


@pytest.mark.parametrize("kind", [[], {}, 1, None])
def test_a_kind_of_resource_that_is_no_text_is_none(kind: object) -> None:
    one = {**entry("GET https://b.test/1"), "_resourceType": kind}
    assert [each.asker for each in exchanges(archive(one, creator="WebInspector"))] == [None]


def test_a_date_that_is_missing_is_the_one_before() -> None:
    one, two = entry("GET https://b.test/1"), entry("GET https://b.test/2")
    two["startedDateTime"] = ""
    first, second = exchanges(archive(one, two))
    assert first.started == second.started


def test_the_order_is_that_of_the_wire_and_the_ids_are_those_of_the_file() -> None:
    late = chromium(entry("PUT https://b.test/x", at=1.0, response=GOOD, timings={"blocked": 90, "send": 1, "wait": 9}))
    before = chromium(asked("https://b.test/x", at=1.01, response={**GOOD, ALLOW_METHODS: "PUT"}), "preflight")
    entries, _ = read(json.dumps(archive(late, before)).encode())
    assert [(one.exchange.id, one.number) for one in entries] == [("1", 1), ("0", 0)]
    told = list(check_entries(entries, Session()))
    assert [one.number for one in told] == [0, 1]
    assert told[0].verdict.preflight == "1"


def test_no_more_is_held_than_the_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(har, "WINDOW", 3)
    entries = [entry(f"GET https://b.test/{number}", at=number) for number in (5, 4, 3, 2, 1, 0)]
    # What comes too late for the window is not waited for.
    assert [one.id for one in exchanges(archive(*entries))] == ["3", "4", "5", "2", "1", "0"]


# -- what became of it -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status", "observed"),
    [
        (None, 200, Observed(True, "")),
        (None, 304, Observed(True, "")),
        ("net::ERR_FAILED", 200, Observed(False, "net::ERR_FAILED")),
        ("net::ERR_ABORTED", 204, Observed(None, "net::ERR_ABORTED")),
        ("net::ERR_CONNECTION_REFUSED", 200, Observed(None, "net::ERR_CONNECTION_REFUSED")),
        (
            "net::ERR_BLOCKED_BY_CLIENT",
            0,
            Observed(None, "net::ERR_BLOCKED_BY_CLIENT", "an extension, or the browser's own blocker"),
        ),
        ("net::ERR_BLOCKED_BY_ORB", 200, Observed(None, "net::ERR_BLOCKED_BY_ORB", "opaque response blocking")),
        (
            "net::ERR_BLOCKED_BY_CLIENT.MixedContent",
            0,
            Observed(None, "net::ERR_BLOCKED_BY_CLIENT.MixedContent", "mixed content"),
        ),
        (
            "net::ERR_BLOCKED_BY_RESPONSE.NotSameOrigin",
            200,
            Observed(
                None,
                "net::ERR_BLOCKED_BY_RESPONSE.NotSameOrigin",
                "Cross-Origin-Resource-Policy, or what a page that embeds others requires",
            ),
        ),
        (
            "net::ERR_QUIC_PROTOCOL_ERROR.QUIC_NETWORK_IDLE_TIMEOUT",
            0,
            Observed(
                None,
                "net::ERR_QUIC_PROTOCOL_ERROR.QUIC_NETWORK_IDLE_TIMEOUT",
                "the network, or a server that does not answer: net::ERR_QUIC_PROTOCOL_ERROR.QUIC_NETWORK_IDLE_TIMEOUT",
            ),
        ),
        ("mixed-content", 0, Observed(None, "mixed-content", "mixed content")),
        ("net::ERR_FAILED", 0, Observed(None, "net::ERR_FAILED")),
        (None, 302, Observed(None, "")),
        ("net::ERR_FAILED", 302, Observed(False, "net::ERR_FAILED")),
        ("Cannot load https://b.test/?token=s3cret", 200, Observed(None, "an error")),
    ],
)
def test_what_chromium_and_playwright_say_became_of_it(error: str | None, status: int, observed: Observed) -> None:
    one = chromium(entry("GET https://b.test/", status=status), error=error)
    two = entry("GET https://b.test/", status=status or -1)
    if error is not None:
        two["response"]["_failureText"] = error
    assert exchanges(archive(one))[0].observed == observed
    assert exchanges(archive(two, creator="Playwright"))[0].observed == observed


def test_a_preflights_own_entry_says_nothing_of_whether_it_passed() -> None:
    (one,) = exchanges(archive(chromium(asked("https://b.test/x"), "preflight")))
    assert one.observed == Observed(None, "")


def test_what_blink_never_sent_has_an_empty_error_in_chromium() -> None:
    (one,) = exchanges(archive(chromium(entry("GET https://b.test/", status=0), error="")))
    assert one.observed is not None
    assert (one.observed.delivered, one.observed.said) == (None, "")
    assert "Content-Security-Policy" in one.observed.not_cors
    (answered,) = exchanges(archive(chromium(entry("GET https://b.test/"), error="")))
    assert answered.observed == Observed(True, "")


# -- who asked, where there is no Origin -------------------------------------------------------------------------------


def provisional(url: str, kind: str, referer: str = f"{PAGE}/app?a=1", **more: Any) -> Har:  # noqa: ANN401
    """Returns Chromium's entry with the headers that the page gave, and no more."""
    one = entry(f"GET {url}", response=ANY, **more)
    one["request"]["headers"] = headers({"Referer": referer, "User-Agent": CHROMIUM, "sec-ch-ua": '"Chromium"'})
    return chromium(one, kind)


@pytest.mark.parametrize("kind", ["xhr", "fetch", "eventsource"])
def test_the_page_of_a_scripts_request_without_origin_is_told_by_its_referer(kind: str) -> None:
    verdict = judged(archive(provisional("https://b.test/x", kind)))["0"]
    assert (verdict.outcome, verdict.origin, verdict.page) == ("exempt", None, PAGE)
    assert verdict.note.endswith(f" (asked by {PAGE}, as its Referer tells)")


@pytest.mark.parametrize(
    ("kind", "note"),
    [
        ("xhr", "there is no Origin header, as there was on the wire"),
        ("fetch", "there is no Origin header: not a cross-origin CORS request"),
    ],
)
def test_what_goes_elsewhere_by_its_record_is_not_said_to_stay_at_home(kind: str, note: str) -> None:
    assert judged(archive(provisional("https://b.test/x", kind)))["0"].note.startswith(note)


def test_what_went_over_the_wire_without_origin_stays_at_home_whatever_its_referer() -> None:
    one = provisional("https://b.test/x", "xhr")
    one["request"]["headers"] += headers({"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"})
    assert judged(archive(one))["0"].note.startswith("the request goes to the page's own origin")


def test_what_came_from_the_cache_is_told_and_not_judged() -> None:
    found = judged(
        archive(
            provisional("https://b.test/1", "xhr", _fromCache="disk"),
            provisional("https://b.test/2", "font", f"{PAGE}/style.css", _fromCache="memory", at=2.0),
            chromium(entry("GET https://b.test/3", at=3.0), _fromCache="disk"),
            provisional(f"{PAGE}/4", "xhr", _fromCache="disk", at=4.0),
        )
    )
    cached = "there is no Origin header: the browser answered from its cache, by its own record, and sent nothing"
    assert found["0"].note == f"{cached} (asked by {PAGE}, as its Referer tells)"
    # Of an element the Referer may be a style sheet.
    assert (found["1"].note, found["1"].page) == (cached, "https://b.test")
    assert found["2"].outcome == "blocked", "it has an Origin"
    assert found["3"].note == "the request goes to the page's own origin"


def test_a_redirect_from_the_cache_is_not_judged_as_the_pages_own() -> None:
    redirect = provisional("https://b.test/5", "xhr", _fromCache="disk", status=301)
    redirect["response"]["headers"] = headers({"Location": "https://user:secret@c.test/"})
    assert judged(archive(redirect))["0"].outcome == "exempt"


@pytest.mark.parametrize(
    ("referer", "page"),
    [
        (f"{PAGE}/x", PAGE),
        ("about:srcdoc", ""),
        ("chrome-extension://abc/", ""),
        ("nonsense", ""),
        ("https://[", ""),
        ("", ""),
    ],
)
def test_only_a_referer_with_an_origin_tells_the_page(referer: str, page: str) -> None:
    (one,) = exchanges(archive(provisional("https://b.test/x", "xhr", referer)))
    assert (one.asker.page if one.asker is not None else "") == page


def test_a_scripts_url_and_the_tabs_page_tell_no_origin() -> None:
    one = provisional("https://b.test/x", "xhr", "")
    frames = [{"functionName": "f", "url": "https://cdn.test/lib.js", "lineNumber": 1}]
    one |= {"_initiator": {"type": "script", "url": "https://cdn.test/lib.js", "stack": {"callFrames": frames}}}
    log = archive({**one, "pageref": "page_1"})
    log["log"] = {"pages": [{"id": "page_1", "title": f"{PAGE}/"}], **log["log"]}
    assert exchanges(log)[0].asker is None


def test_a_page_tells_which_of_two_preflights_stopped_what_was_never_sent() -> None:
    other = asks(at=1.003)
    other["request"]["headers"] = [
        {**one, "value": "https://other.b.test"} if one["name"] == "Origin" else one
        for one in other["request"]["headers"]
    ]
    preflights = [chromium(asks(), "preflight"), chromium(other, "preflight", connection="8")]
    verdicts = judged(archive(refused(), *preflights))
    assert (verdicts["1"].outcome, verdicts["1"].credentials) == ("blocked", "include")
    assert (verdicts["2"].outcome, verdicts["2"].credentials) == ("conditional", "unknown")


def test_a_preflight_that_failed_on_its_way_is_not_counted_besides_its_request() -> None:
    one = asked("https://b.test/x", status=0)
    one["request"]["headers"] = headers({"Referer": f"{PAGE}/", "User-Agent": CHROMIUM})
    failed = chromium(one, "preflight", "net::ERR_CONNECTION_REFUSED", _initiator={"type": "preflight"})
    assert exchanges(archive(failed))[0].observed is None


def test_a_proxy_observes_nothing() -> None:
    assert exchanges(archive(entry("GET https://b.test/"), creator="Charles Proxy"))[0].observed is None


ONLY_UNCREDENTIALED = {ALLOW_ORIGIN: "*", ALLOW_METHODS: "PUT", ALLOW_HEADERS: "content-type"}
"""A preflight's answer that passes without credentials only."""


def refused(at: float = 1.0, error: str = "net::ERR_FAILED", **sent: str) -> Har:
    """Returns Chromium's entry of a request that it never sent: it has what the page gave, and no more."""
    one = entry("PUT https://b.test/x", status=0, at=at, timings={"blocked": 40, "send": 0, "wait": 0, "receive": 0})
    given = {"Referer": f"{PAGE}/", "User-Agent": CHROMIUM, "sec-ch-ua": '"Chromium";v="156"', **sent}
    one["request"]["headers"] = headers(given)
    one["request"]["httpVersion"] = one["response"]["httpVersion"] = ""
    found = chromium(one, error=error)
    del found["_connectionId"]
    return found


def asks(at: float = 1.002, **more: Any) -> Har:  # noqa: ANN401
    """Returns the entry of its preflight, which fails if it was asked for with credentials."""
    return asked("https://b.test/x", at=at, response=ONLY_UNCREDENTIALED, **more)


def test_what_chromium_never_sent_proves_that_its_preflight_failed() -> None:
    verdict = judged(archive(refused(), chromium(asks(), "preflight")))["1"]
    assert (verdict.outcome, verdict.credentials) == ("blocked", "include")
    assert verdict.credentials_evidence == (
        "the browser never sent the request that this preflight was for (net::ERR_FAILED)",
    )


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([refused(error="net::ERR_ABORTED")], id="given up"),
        pytest.param([refused(**{"X-Other": "1"})], id="another request"),
        pytest.param([refused(at=30.0)], id="later than its preflight"),
        pytest.param([refused(), chromium(asks(at=1.01), "preflight", connection="8")], id="one of two"),
    ],
)
def test_what_else_was_not_answered_proves_nothing(others: list[Har]) -> None:
    verdicts = judged(archive(chromium(asks(), "preflight"), *copy.deepcopy(others)))
    assert (verdicts["0"].outcome, verdicts["0"].credentials_evidence) == ("conditional", ())


def test_what_firefox_never_sent_proves_that_its_preflight_failed() -> None:
    actual = entry("PUT https://b.test/x", status=0, agent=FIREFOX, timings={})
    verdict = judged(archive(actual, asks(agent=FIREFOX), creator="Firefox"))["1"]
    assert (verdict.outcome, verdict.credentials) == ("blocked", "include")


def test_what_firefox_sent_comes_behind_the_preflight_that_it_waited_for() -> None:
    actual = entry("PUT https://b.test/x", at=1.0, agent=FIREFOX, response=ANY, timings={"blocked": -1, "wait": 3})
    other = entry("PUT https://b.test/y", at=1.001, agent=FIREFOX, response=ANY)
    verdicts = judged(archive(actual, other, asks(agent=FIREFOX), creator="Firefox"))
    assert (verdicts["0"].outcome, verdicts["0"].preflight) == ("allowed", "2")
    assert verdicts["2"].outcome == "allowed"
    assert verdicts["1"].preflight is None


def test_an_answer_that_was_revalidated_is_the_304_that_it_was_on_the_wire() -> None:
    sent = {"If-None-Match": '"1"', STORAGE_ACCESS: "none"}
    first = entry("GET https://b.test/x", response={**GOOD, "ETag": '"1"'}, sent={STORAGE_ACCESS: "none"})
    again = entry("GET https://b.test/x", at=2.0, response={"ETag": '"1"'}, sent=sent)
    assert judged(archive(first, again, creator="Playwright"))["1"].outcome == "allowed"


def test_one_connection_carries_one_class_of_requests_in_chromium() -> None:
    same = {"Sec-Fetch-Site": "same-site"}
    cookie = chromium(entry("GET https://b.test/1", sent={**same, "Cookie": "sid=1"}, response=GOOD))
    on_it = chromium(entry("GET https://b.test/2", sent=same, response=ANY, at=2.0), error="net::ERR_ABORTED")
    beside = chromium(copy.deepcopy(on_it), error="net::ERR_ABORTED", connection="9")
    verdicts = judged(archive(cookie, on_it, beside))
    assert [verdicts[one].outcome for one in ("1", "2")] == ["blocked", "conditional"]


# -- what mitmproxy writes ---------------------------------------------------------------------------------------------


def saved(flows: list[http.HTTPFlow]) -> bytes:
    """Returns the HAR that mitmproxy's own command `save.har` writes."""
    with taddons.context():
        return json.dumps(SaveHar().make_har(flows), indent=4).encode()


@cache
def recorded(name: str) -> list[http.HTTPFlow]:
    """Returns the first flows of a recording."""
    with lzma.open(RECORDINGS / f"{name}.mitm.xz") as file:
        flows = [flow for flow in islice(FlowReader(file).stream(), 1500) if isinstance(flow, http.HTTPFlow)]
    assert len(flows) == 1500
    return flows


@cache
def recorded_and_saved(name: str) -> bytes:
    """Returns the HAR of those."""
    return saved(recorded(name))


RECORDED = ("chromium-https", "chromium-localhost", "firefox-http", "firefox-https-nocookies")
DECIDED = {"chromium-https": 0.98, "chromium-localhost": 0.98, "firefox-http": 0.97, "firefox-https-nocookies": 0.9}
"""Which share of what is definite in the recording is so in its HAR, which has no connections."""


@pytest.mark.parametrize("name", RECORDED)
def test_what_mitmproxy_saves_as_har_tells_the_same_as_its_recording(name: str) -> None:
    flows = recorded(name)
    entries, damages = read(recorded_and_saved(name))
    assert damages == []
    for flow, one in zip(flows, entries, strict=True):
        found = one.exchange
        data = flow.request.data
        assert found.method == data.method.upper()
        assert found.request_headers == data.headers.fields
        assert found.started == pytest.approx(data.timestamp_start, abs=1e-5)
        assert flow.response is not None
        assert (found.status, found.response_headers) == (flow.response.status_code, flow.response.headers.fields)
        assert found.answered == pytest.approx(flow.response.timestamp_start, abs=1e-4)
        assert not found.sanitized


@pytest.mark.parametrize("name", RECORDED)
def test_no_verdict_on_what_mitmproxy_saves_as_har_contradicts_that_on_its_recording(name: str) -> None:
    flows = recorded(name)
    recording = io.BytesIO()
    writer = FlowWriter(recording)
    for flow in flows:
        writer.add(flow)
    recording.seek(0)
    of_recording = list(check_entries(read_mitm(recording, wanted=None, damaged=undamaged), Session()))
    of_har = {one.number: one.verdict for one in check_entries(read(recorded_and_saved(name))[0], Session())}
    seen = Counter((str(one.verdict.outcome), str(of_har[one.number].outcome)) for one in of_recording)
    definite = sum(count for (before, _), count in seen.items() if before != "conditional")
    changed = {pair: count for pair, count in seen.items() if len(set(pair)) == 2}
    assert definite > 1000
    assert {after for _, after in changed} <= {"conditional"}
    assert 1 - sum(changed.values()) / definite >= DECIDED[name]


def test_a_request_that_mitmproxy_answered_itself_is_told_as_such() -> None:
    down, gone = cors_flow(), cors_flow()
    for flow, words in ((down, "connect refused"), (gone, "Client disconnected.")):
        flow.response, flow.error = None, Error(words, flow.request.timestamp_start + 1)
    first, second = [one.exchange for one in read(saved([down, gone]))[0]]
    assert (first.status, first.proxy_made, first.proxy_error) == (502, True, "connect refused")
    assert (second.status, second.proxy_made) == (None, False)


# -- the user's filter -------------------------------------------------------------------------------------------------


def test_the_filter_marks_what_is_wanted_and_all_is_read() -> None:
    flows = [blocked_flow("https://api.example/one"), allowed_flow("https://api.example/two")]
    entries, damages = read(saved(flows), "~u two")
    assert ([one.wanted for one in entries], damages) == ([False, True], [])


def test_what_mitmproxy_can_make_no_flow_of_is_wanted_and_told() -> None:
    one, two = entry("GET https://b.test/one"), entry("GET https://b.test/two")
    for odd in (one, two):
        odd["request"]["postData"] = {"mimeType": "text/plain"}
    whole = json.dumps(archive(entry("GET https://b.test/zero"), one, two)).encode()
    entries, damages = read(whole, "~u zero")
    assert [one.wanted for one in entries] == [True, True, True]
    (damage,) = damages
    assert damage == Damage(
        "entry 1", "mitmproxy can't read it for the filter (KeyError)", "nothing: 2 told whatever the filter says"
    )


def test_of_what_mitmproxy_made_for_the_filter_little_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mitmproxys, "LEFT_BEHIND", 300_000)
    flow = blocked_flow()
    assert flow.response is not None
    flow.response.text = "x" * 100_000
    content = saved([flow] * 20)
    del flow
    gc.collect()
    gc.disable()
    try:
        entries, _ = read(content, "~b needle")
        left = [one for one in gc.get_objects() if isinstance(one, http.Response)]
    finally:
        gc.enable()
    assert len(entries) == 20
    assert len([one for one in left if len(one.raw_content or b"") == 100_000]) < 5


# -- what is odd -------------------------------------------------------------------------------------------------------


def changed(path: str, value: object) -> Har:
    """Returns an entry with something put in its place; None takes it out."""
    one = entry("GET https://b.test/odd")
    *ways, last = path.split(".")
    place = one
    for way in ways:
        place = place[way]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return one


@pytest.mark.parametrize(
    ("odd", "what"),
    [
        (7, "it is no object"),
        ({}, "it has no request"),
        (changed("request", None), "it has no request"),
        (changed("request", [1]), "its request is no object"),
        (changed("request.url", None), "its request has no url"),
        (changed("request.url", 7), "its request has no url"),
        (changed("request.url", " "), "its request's url has no scheme"),
        (changed("request.url", "/v1"), "its request's url has no scheme"),
        (changed("request.url", "//b.test/v1"), "its request's url has no scheme"),
        (changed("request.url", "b.test/v1?a=b:c"), "its request's url has no scheme"),
        (changed("request.url", "localhost:3000/v1"), "its request's url has no scheme"),
        (changed("request.url", "https:///x"), "its request's url names no host"),
        (changed("request.url", "https://b.test:http/"), "its request's url names no host"),
        (changed("request.method", {}), "its request has no method"),
        (changed("request.headers", "a: b"), "its request's headers are no list of names and values"),
        (changed("request.headers", {"a": "b"}), "its request's headers are no list of names and values"),
        (
            changed("request.headers", [{"name": 1, "value": "b"}]),
            "its request's headers are no list of names and values",
        ),
        (changed("response.headers", [{"name": "a", "value": []}]), "the value of a header in its response is no text"),
        (changed("response", "none"), "its response is no object"),
        (changed("response.status", "OK"), "its response's status is no status"),
        (changed("response.status", [200]), "its response's status is no status"),
        (changed("response.status", 20000), "its response's status is no status"),
        (changed("response.status", float("inf")), "its response's status is no status"),
    ],
)
def test_an_odd_entry_costs_itself_alone(odd: object, what: str) -> None:
    good = entry("GET https://b.test/good")
    entries, damages = read(json.dumps(archive(good, odd, odd, good)).encode())
    assert [one.exchange.id for one in entries] == ["0", "3"]
    assert damages == [Damage("entry 1", what, "2 entries")]


@pytest.mark.parametrize(
    "path",
    [
        "time", "timings", "cache", "startedDateTime", "request.headers", "request.cookies", "request.httpVersion",
        "response", "response.headers", "response.content", "response.status", "response.httpVersion",
    ],
)  # fmt: skip
def test_what_can_be_done_without_may_be_missing(path: str) -> None:
    (one,) = exchanges(archive(changed(path, None)))
    assert one.path == "/odd"
    assert (one.status is None) == (path in ("response", "response.status"))


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("2026-03-02T08:15:16.500Z", 16.5),
        ("2026-03-02T09:15:16+01:00", 16.0),
        ("2026-03-02T08:15:16", 16.0),
        ("2026/03/02 08:15:16", 16.0),
        ("2026-03-02T08:15:60Z", 59.0),
        ("Mon Mar 02 2026 09:15:16 GMT+0100 (Central European Standard Time)", 16.0),
        ("Mon Mar 02 2026 09:15:16 GMT+01:00", 16.0),
        ("Mon, 02 Mar 2026 08:15:16 GMT", 16.0),
        ("20260302T081516Z", 16.0),
        (1772439316500, 16.5),
        ("1772439316500", 16.5),
        (1772439316, 16.0),
    ],
)
def test_a_date_may_be_written_in_ways_that_tools_have(date: object, seconds: float) -> None:
    (one,) = exchanges(archive(changed("startedDateTime", date)))
    # It was sent a millisecond later.
    assert one.started == pytest.approx(1772439300.001 + seconds, abs=1e-6)


@pytest.mark.parametrize(
    "date",
    [
        "yesterday",
        "02/03/2026",
        True,
        5,
        1e300,
        [],
        {},
        "2026-13-45",
        "9" * 400,
        "March 2, 2026 8:15 PM",
        "Mon, 02 Mar 2026 08:15:16 +99999999999999999999",
        "Mon, 02 Mar 99999999999999 08:15:16 GMT",
    ],
)
def test_what_is_no_date_costs_nothing_but_the_time(date: object) -> None:
    good = entry("GET https://b.test/good")
    odd = changed("startedDateTime", date)
    entries, damages = read(json.dumps(archive(good, odd, odd, good)).encode())
    assert [one.exchange.path for one in entries] == ["/good", "/odd", "/odd", "/good"]
    kept = "nothing: 2 taken to be as old as the entry before"
    assert damages == [Damage("entry 1", "its startedDateTime is no date", kept)]


def test_timings_that_are_none_are_done_without() -> None:
    assert exchanges(archive(changed("timings", 5)))[0].path == "/odd"


def test_a_number_of_too_many_digits_costs_its_entry_alone() -> None:
    content = json.dumps(archive(*[entry(f"GET https://b.test/{number}") for number in range(3)]))
    begin = content.index('"time": 30', content.index("https://b.test/1") - 300)
    broken = content[:begin] + f'"time": {"9" * 5000}' + content[begin + 10 :]
    entries, damages = read(broken.encode())
    assert [one.exchange.path for one in entries] == ["/0", "/2"]
    assert [damage.what for damage in damages] == ["it holds a number of too many digits"]


def test_what_follows_an_archive_is_counted_to_its_end() -> None:
    content = json.dumps(archive(entry("GET https://b.test/"))).encode()
    entries, (damage,) = read(content + b"x" * 5_000_000)
    assert len(entries) == 1
    assert (damage.what, damage.skipped) == ("something follows the end of the archive", "5,000,000 characters")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("net::ERR_NAME_NOT_RESOLVED", "the network, or a server that does not answer: net::ERR_NAME_NOT_RESOLVED"),
        ("net::ERR_CONNECTION_REFUSED", "the network, or a server that does not answer: net::ERR_CONNECTION_REFUSED"),
        ("net::ERR_CERT_DATE_INVALID", "the network, or a server that does not answer: net::ERR_CERT_DATE_INVALID"),
        ("net::ERR_ABORTED", "called off before there was an answer, by the page or because it was left"),
    ],
)
def test_what_the_network_failed_is_not_corss(error: str, said: str) -> None:
    (one,) = exchanges(archive(chromium(entry("GET https://b.test/", status=0), error=error)))
    assert one.observed == Observed(None, error, said)
    # With an answer on record it says nothing of what became of that.
    (answered,) = exchanges(archive(chromium(entry("GET https://b.test/"), error=error)))
    assert answered.observed is not None
    assert answered.observed.not_cors == ""


def test_a_status_may_be_written_as_text() -> None:
    assert exchanges(archive(changed("response.status", "404")))[0].status == 404


# -- what is damaged ---------------------------------------------------------------------------------------------------

THREE = json.dumps(archive(*(entry(f"GET https://b.test/{number}", at=number) for number in range(3))), indent=1)


def read_so_far(content: bytes) -> tuple[list[str], list[str]]:
    """Returns the paths of what was read, and what was said of the rest."""
    try:
        entries, damages = read(content)
    except UnreadableCapture as error:
        return [], [str(error)]
    return [one.exchange.path for one in entries], [damage.what for damage in damages]


def test_a_file_that_is_cut_yields_all_entries_that_are_whole() -> None:
    ends = [position + 5 for position in range(len(THREE)) if THREE.startswith("\n   }", position)]
    assert len(ends) == 3
    for length in range(len(THREE)):
        paths, said = read_so_far(THREE[:length].encode())
        whole = sum(end <= length for end in ends)
        assert paths == ["/0", "/1", "/2"][:whole]
        # Where only the brackets behind the entries are missing, nothing is.
        lost = length <= ends[-1] or "]" not in THREE[ends[-1] : length]
        assert len(said) == lost
        if whole and lost:
            assert said == ["the file ends before its list of entries does"]


def test_how_much_of_a_cut_file_was_lost_is_told() -> None:
    second = THREE.index('"startedDateTime"', THREE.index("https://b.test/0"))
    begin = THREE.rindex("{", 0, second)
    entries, damages = read(THREE[: begin + 100].encode())
    assert len(entries) == 1
    what = "the file ends before its list of entries does"
    assert damages == [Damage("entry 1", what, "the last 100 characters")]


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "is empty"),
        (b" \n", "has none"),
        (b"{", "ends before it"),
        (b'{"log": {"entries"', "ends before it"),
        (b"[1, 2]", "has none"),
        (b'{"swagger": "2.0"}', "has none"),
        (b'{"log": {"entries": {"a": 1}}}', "has none"),
        (b'{"log": []}', "has none"),
        (b"<html>", "has none"),
        (b'{"a" 1, "log": 3, "b": 2222222222}', "has none"),
        (b"\x00\x01\x02\x03", "has none"),
    ],
)
def test_what_is_no_archive_is_told_in_one_line(content: bytes, found: str) -> None:
    expected = "expected an HTTP Archive, a JSON object with a list log.entries"
    assert read_so_far(content) == ([], [f"{expected}: this {found}"])


def test_an_archive_of_which_nothing_is_readable_is_unreadable() -> None:
    said = "none of its entries can be read: entry 0: it has no request"
    assert read_so_far(json.dumps(archive({}, {})).encode()) == ([], [said])


def test_an_archive_without_entries_is_none_the_worse() -> None:
    assert read(b'{"log": {"version": "1.2", "entries": []}}') == ([], [])


@pytest.mark.parametrize(
    ("good", "bad"),
    [
        pytest.param('"method": "GET"', '"method": GET', id="no JSON"),
        pytest.param('"https://b.test/1"', '"https://b.test/1', id="a quote is missing"),
        pytest.param('"cookies": []', '"cookies": ]', id="a bracket is missing"),
        pytest.param('"cache": {}', '"cache": ' + '{"a":' * 200_000, id="nested too deeply"),
    ],
)
def test_what_is_broken_in_the_middle_costs_no_more_than_itself(good: str, bad: str) -> None:
    begin = THREE.index("https://b.test/1") - 200
    content = THREE[:begin] + THREE[begin:].replace(good, bad, 1)
    entries, (damage,) = read(content.encode())
    assert [one.exchange.path for one in entries] == ["/0", "/2"]
    assert [one.exchange.id for one in entries] == ["0", "1"]
    first = content.index("{", content.index("/0") + 500)
    assert damage.where.startswith("character ")
    assert damage.skipped.endswith(" characters")
    assert (
        abs(int(damage.where.split()[1]) - content.rindex("{", 0, content.index("startedDateTime", first - 200))) < 3000
    )


def test_what_is_broken_to_the_end_is_told_with_what_went_before() -> None:
    begin = THREE.index("https://b.test/1")
    content = THREE[:begin] + '" oops ' * 40
    entries, (damage,) = read(content.encode())
    assert [one.exchange.path for one in entries] == ["/0"]
    assert int(damage.where.split()[1]) < begin
    assert damage.skipped == f"{len(content) - int(damage.where.split()[1]):,} characters"


def test_what_follows_an_archive_is_told() -> None:
    entries, damages = read(THREE.encode() + b"{}")
    assert len(entries) == 3
    assert damages == [Damage(f"character {len(THREE)}", "something follows the end of the archive", "2 characters")]


def test_what_keeps_the_file_from_being_read_comes_after_what_was_read() -> None:
    class Failing(Dripping):
        def read(self, size: int = -1) -> bytes:
            if part := super().read(size):
                return part
            raise EOFError("cut off")

    content = THREE[: THREE.index("https://b.test/2")].encode()
    entries = read_har(Failing(content, 1000), wanted=None, damaged=undamaged)  # type: ignore[arg-type]
    assert [one.exchange.path for one in islice(entries, 2)] == ["/0", "/1"]
    with pytest.raises(EOFError, match="cut off"):
        next(entries)


@pytest.mark.parametrize("behind", [b"\n", b"rubbish"])
@pytest.mark.parametrize("packed", [gzip.compress, partial(lzma.compress, preset=0), bz2.compress])
def test_what_stands_behind_what_is_packed_costs_nothing(
    packed: Callable[[bytes], bytes], behind: bytes, tmp_path: Path
) -> None:
    bodies = [entry(f"GET https://b.test/{number}", at=number) for number in range(50)]
    # How big the values are is how far is read ahead.
    bodies[3]["response"]["content"]["text"] = "x" * 300_000
    path = tmp_path / "rubbish.har"
    path.write_bytes(packed(json.dumps(archive(*bodies)).encode()) + behind)
    damages: list[Damage] = []
    assert len(list(read_capture(path, damaged=damages.append))) == 50
    assert all(one.where == "after what was read" for one in damages)


@pytest.mark.parametrize("damage", ["cut", "overwritten"])
@pytest.mark.parametrize("packed", [gzip.compress, partial(lzma.compress, preset=0), bz2.compress])
def test_of_an_archive_whose_compression_is_damaged_all_is_read_that_comes_before(
    packed: Callable[[bytes], bytes], damage: str, tmp_path: Path
) -> None:
    # What can't be compressed much, so that the damage is somewhere in the middle.
    noise = random.Random(1)
    bodies = [entry(f"GET https://b.test/{number}", at=number % 60) for number in range(2000)]
    for body in bodies:
        body["response"]["content"]["text"] = noise.randbytes(700).hex()
    content = packed(json.dumps(archive(*bodies)).encode())
    half = len(content) // 2
    path = tmp_path / "damaged.har"
    path.write_bytes(content[:half] + (b"" if damage == "cut" else b"\xff" * 2000 + content[half + 2000 :]))
    damages: list[Damage] = []
    entries = list(read_capture(path, damaged=damages.append))
    # bzip2 unpacks blocks of 900 kB.
    assert 400 < len(entries) < 1100
    # What is unpacked of what was overwritten, before that shows, need not be text.
    odd = [one.what for one in damages[:-1]]
    assert odd == ["it is not UTF-8, as the file is; taken for what it is"][: len(odd)]
    assert damages[-1].where == "after what was read"
    assert damages[-1].what.startswith("its compression is damaged: ")


# -- encodings, and any size -------------------------------------------------------------------------------------------

INTERNATIONAL = archive(entry("GET https://b.test/", response={"X-Name": "Łódź"}))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("escaped", [False, True])
def test_encodings(encoding: str, escaped: bool) -> None:
    content = json.dumps(INTERNATIONAL, ensure_ascii=escaped).encode(encoding)
    (one,), damages = read(content)
    assert one.exchange.response_headers == ((b"X-Name", "Łódź".encode()),)
    assert damages == []


def test_bytes_that_are_no_utf8_stay_what_they_are() -> None:
    one = entry("GET https://b.test/caf\xe9?n=\xe9", response={"X-Name": "caf\xe9", **GOOD})
    content = json.dumps(archive(one), ensure_ascii=False).encode("latin-1")
    (found,), (damage,) = read(content)
    assert dict(found.exchange.response_headers)[b"X-Name"] == b"caf\xe9"
    assert found.exchange.path == "/caf\ufffd?n=\ufffd"
    where = content.index(b"\xe9")
    assert damage == Damage(f"byte {where}", "it is not UTF-8, as the file is; taken for what it is", "nothing")
    (told,) = check_entries([found], Session())
    assert "caf" in json.dumps(as_json(told.verdict), ensure_ascii=False).encode().decode()


def test_half_a_surrogate_pair_does_no_harm() -> None:
    one = entry("GET https://b.test/x\ud800", response={"X-Name": "\ud800", **GOOD})
    (found,) = exchanges(archive(one))
    assert dict(found.response_headers)[b"X-Name"] == b"?"
    found.path.encode()


@pytest.mark.parametrize("value", ["NaN", "-Infinity", '"\x01 a control character"', "1e400", "12345678901234567890"])
def test_json_that_only_some_write_is_read(value: str) -> None:
    content = THREE.replace('"time": 30', f'"time": {value}')
    assert len(read(content.encode())[0]) == 3


@pytest.mark.parametrize(
    "log",
    [
        '{"entries": %s, "creator": {"name": "x"}}',
        '{"pages": [{"a": "]}", "b": ["\\\\", "\\"", {"entries": []}]}], "n": 1.5, "t": true, "entries": %s}',
        '{"_own": "{\\"entries\\": [1]}", "creator": {"name": 7}, "browser": null, "entries": %s, "comment": ""}',
        '{"creator": "me", "x": [], "y": {}, "z": [[[]]],"entries":%s}',
    ],
)
@pytest.mark.parametrize("wrapped", ['{"log": %s}', '{"v": {"log": 1}, "log": %s, "z": [1]}', "%s"])
def test_the_entries_are_found_wherever_they_stand(log: str, wrapped: str) -> None:
    entries = json.dumps([entry("GET https://b.test/")])
    found, damages = read((wrapped % (log % entries)).encode())
    assert ([one.exchange.host for one in found], damages) == (["b.test"], [])


@pytest.mark.parametrize("size", [1, 2, 3, 7, 61, 1000])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_it_does_not_matter_how_the_file_comes_in(size: int, encoding: str) -> None:
    log = '{"log": {"pages": [{"title": "\\\\ \\" é"}], "n": 17.25, "entries": [%s, %s], "x": -12.5e3, "y": null}}'
    one = json.dumps(entry("GET https://b.test/é", response={"X-Quoted": 'a\\"b\\\\'}), ensure_ascii=False)
    content = (log % (one, one)).encode(encoding)
    damages: list[Damage] = []
    found = list(read_har(Dripping(content, size), wanted=None, damaged=damages.append))  # type: ignore[arg-type]
    assert damages == []
    assert [(one.exchange.path, dict(one.exchange.response_headers)) for one in found] == [
        ("/é", {b"X-Quoted": b'a\\"b\\\\'})
    ] * 2


def test_a_value_that_is_larger_than_what_is_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "CHUNK", 100)
    large = entry("GET https://b.test/large")
    large["response"]["content"]["text"] = "x" * 10_000
    whole = archive(large, entry("GET https://b.test/small"))
    whole["log"] = {"pages": ["y" * 5000, {"z": [0] * 500}], **whole["log"]}
    assert [one.path for one in exchanges(whole)] == ["/large", "/small"]


def test_a_value_whose_end_is_lost_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "LARGEST", 2000)
    monkeypatch.setattr(json_stream, "CHUNK", 500)
    lost = THREE.replace('"https://b.test/1"', '"https://b.test/1' + "x" * 8000)
    entries, (damage,) = read(lost.encode())
    assert [one.exchange.path for one in entries] == ["/0", "/2"]
    assert damage.what in ("its end is not in sight after 2000 characters", "expecting ',' delimiter")


class Endless(io.RawIOBase):
    """An archive of so many entries, made as it is read."""

    def __init__(self, count: int) -> None:
        body = entry("GET https://b.test/", response=GOOD)
        body["response"]["content"]["text"] = "x" * 20_000
        one = json.dumps(body).encode()
        self.size = 0
        self._parts = self._make(one, count)

    def _make(self, one: bytes, count: int) -> Iterator[bytes]:
        yield b'{"log": {"pages": ["' + b"x" * 3_000_000 + b'"], "entries": [' + one
        for _ in range(count - 1):
            yield b"," + one
        yield b"]}}"

    def read(self, size: int = -1) -> bytes:
        part = next(self._parts, b"")
        self.size += len(part)
        return part


def test_an_archive_is_never_held_whole() -> None:
    file = Endless(2000)
    tracemalloc.start()
    try:
        count = sum(1 for _ in read_har(file, wanted=None, damaged=undamaged))  # type: ignore[arg-type]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == 2000
    assert file.size > 40_000_000
    assert peak < 16_000_000


@pytest.mark.parametrize(
    "value", ["17", '"a"', '"\\""', "[]", '{"a": [1, {"b": "}"}]}', "null", "-1.5e7", '["[", "]"]']
)
@pytest.mark.parametrize("behind", [",", "}", "]", " ,"])
def test_what_is_skipped_ends_where_it_ends(value: str, behind: str) -> None:
    stream = JsonStream(io.BytesIO(f" {value}{behind}".encode()))
    stream.skip()
    assert stream.peek() == behind.strip()


@pytest.mark.parametrize("cut", ['"abc', '"abc\\', "[1, 2", '{"a": "b"', "["])
def test_what_is_cut_is_not_skipped(cut: str) -> None:
    with pytest.raises(CutJson):
        JsonStream(io.BytesIO(cut.encode())).skip()


# -- anything at all ---------------------------------------------------------------------------------------------------

FILES = ("charles", "fiddler", "safari", "insomnia", "pairs")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["data:x", "GET"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ANYTHING = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def survives(content: bytes, wanted: str = "") -> None:
    """Reads and judges; only that nothing can be read at all may be said by an exception."""
    try:
        entries, damages = read(content, wanted)
    except UnreadableCapture:
        return
    assert all(isinstance(part, str) and part for damage in damages for part in damage)
    for one in check_entries(entries, Session()):
        json.dumps(as_json(one.verdict), ensure_ascii=False).encode()


def places(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yields the way to everything in a JSON value."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


@pytest.mark.parametrize("name", FILES)
@ANYTHING
@given(data=st.data())
def test_any_value_anywhere_is_survived(name: str, data: st.DataObject) -> None:
    whole = json.loads((CAPTURES / f"{name}.har").read_text(encoding="utf-8-sig"))
    *ways, last = data.draw(st.sampled_from([path for path in places(whole) if path]))
    place = whole
    for way in ways:
        place = place[way]
    place[last] = data.draw(JSON)
    survives(json.dumps(whole).encode(), data.draw(st.sampled_from(["", "~u api", "~b a & ~c 200"])))


@pytest.mark.parametrize("name", FILES)
@ANYTHING
@given(data=st.data())
def test_any_damage_anywhere_is_survived(name: str, data: st.DataObject) -> None:
    content = (CAPTURES / f"{name}.har").read_bytes()
    begin = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(begin, min(len(content), begin + 60)))
    survives(content[:begin] + data.draw(st.binary(max_size=12)) + content[end:])
    survives(content[:begin])


@ANYTHING
@given(content=st.binary(max_size=200) | st.text(alphabet='{}[]",:log\\ entries1', max_size=80).map(str.encode))
def test_any_file_is_survived(content: bytes) -> None:
    survives(content)
