"""Which requests are subject to the CORS protocol."""

from __future__ import annotations

from typing import Any

import pytest

from builders import ANY, CHROMIUM, FIREFOX, GOOD, Pairs, exchange, judged, preflight
from corscope.credentials import recognise
from corscope.headers import Names, pick
from corscope.model import Kind, Outcome, RequestMode
from corscope.modes import UNDECIDED, Request, Subject, post_mode, request_mode

CORS, NO_CORS, NAVIGATE = RequestMode.CORS, RequestMode.NO_CORS, RequestMode.NAVIGATE
SAME_ORIGIN, WEBSOCKET, UNKNOWN = RequestMode.SAME_ORIGIN, RequestMode.WEBSOCKET, RequestMode.UNKNOWN


def mode_of(asked: Request) -> Subject:
    """What is told of a request from the browser that its User-Agent names."""
    return request_mode(asked, recognise(asked.headers[b"user-agent"]))


@pytest.mark.parametrize(
    ("line", "given", "mode", "subject"),
    [
        pytest.param("GET https://b.test/", {}, CORS, True, id="a cross-origin fetch"),
        pytest.param("GET https://a.test:8443/", {}, CORS, True, id="another port is another origin"),
        pytest.param("GET https://sub.a.test/", {"site": "same-site"}, CORS, True, id="a subdomain, too"),
        pytest.param("GET https://a.test/", {"origin": "http://a.test"}, CORS, True, id="another scheme, too"),
        pytest.param("GET https://a.test/", {"origin": "null"}, CORS, True, id="an opaque origin has no own origin"),
        pytest.param("GET https://a.test/", {"origin": None, "site": "same-origin"}, CORS, False, id="a fetch at home"),
        pytest.param("POST https://a.test/", {"site": "same-origin"}, CORS, False, id="a POST at home has an Origin"),
        pytest.param("PUT https://a.test:443/", {"site": "same-origin"}, CORS, False, id="the default port is none"),
        pytest.param("POST https://b.test/", {"mode": "no-cors"}, NO_CORS, False, id="a beacon"),
        pytest.param("GET https://b.test/", {"origin": None, "mode": "no-cors"}, NO_CORS, False, id="an image"),
        pytest.param(
            "GET https://b.test/",
            {"mode": "no-cors", "headers": {"Sec-Fetch-Storage-Access": "inactive"}},
            NO_CORS,
            False,
            id="an image with Origin, as storage access makes it",
        ),
        pytest.param("POST https://b.test/", {"mode": "navigate"}, NAVIGATE, False, id="a form"),
        pytest.param(
            "POST https://b.test/", {"mode": "navigate", "origin": "null"}, NAVIGATE, False, id="hiding itself"
        ),
        pytest.param("GET https://b.test/", {"mode": "same-origin"}, SAME_ORIGIN, False, id="a worker's script"),
        pytest.param("GET https://b.test/", {"mode": "websocket"}, WEBSOCKET, False, id="Firefox's WebSocket"),
        pytest.param(
            "GET https://b.test/",
            {"mode": None, "site": None, "dest": None, "headers": {"Upgrade": "WebSocket"}},
            WEBSOCKET,
            False,
            id="Chromium's WebSocket says no mode",
        ),
        pytest.param("GET https://b.test/", {"origin": None, "mode": None}, UNKNOWN, False, id="no browser, no Origin"),
        pytest.param(
            "GET https://b.test/", {"origin": "chrome-extension://abc"}, UNKNOWN, False, id="an extension of Chromium"
        ),
        pytest.param("GET https://b.test/", {"origin": "moz-extension://abc"}, UNKNOWN, False, id="of Firefox"),
        pytest.param("GET https://b.test/", {"mode": "CORS"}, CORS, True, id="an unknown mode is told from the rest"),
    ],
)
def test_where_browsers_say_the_mode(line: str, given: dict[str, Any], mode: RequestMode, subject: bool) -> None:
    asked = Request(exchange(line, **given))
    found = mode_of(asked)
    assert (found.mode, found.exempt is None) == (mode, subject)


@pytest.mark.parametrize(
    ("agent", "priority", "mode", "subject"),
    [
        pytest.param(FIREFOX, "u=4", UNKNOWN, True, id="fetch, in mode cors or no-cors"),
        pytest.param(FIREFOX, None, CORS, True, id="XMLHttpRequest sends no Priority, and Origin before Referer"),
        pytest.param(FIREFOX, "u=6", NO_CORS, False, id="a beacon"),
        pytest.param(CHROMIUM, None, UNKNOWN, True, id="Chromium never sends it here"),
        pytest.param(FIREFOX.replace("153", "140"), None, UNKNOWN, True, id="a Firefox that was not looked at"),
    ],
)
def test_firefox_tells_its_initiators_by_priority(
    agent: str, priority: str | None, mode: RequestMode, subject: bool
) -> None:
    headers = {"Content-Type": "text/plain;charset=UTF-8", "Referer": "http://a.test/"}
    headers |= {"Priority": priority} if priority else {}
    found = mode_of(Request(exchange("POST http://b.test/", agent=agent, headers=headers)))
    assert (found.mode, found.exempt is None) == (mode, subject)


def test_a_fetch_of_high_priority_is_no_xmlhttprequest() -> None:
    """Firefox sends no Priority with it either, but Referer before Origin, whatever the mode."""
    headers = [("Referer", "http://a.test/"), ("Content-Type", "text/plain"), ("Origin", "http://a.test")]
    found = mode_of(Request(exchange("POST http://b.test/", agent=FIREFOX, origin=None, headers=headers)))
    assert found is UNDECIDED


def test_the_browser_knows_what_its_own_origin_is() -> None:
    """In reverse mode the URL is another server's."""
    asked = Request(exchange("POST http://127.0.0.1:9000/x", origin="http://localhost:8080", site="same-origin"))
    assert mode_of(asked).exempt == "the request goes to the page's own origin"


def test_a_report_is_exempt() -> None:
    asked = Request(exchange("POST http://b.test/r", headers={"Content-Type": "application/csp-report"}))
    assert mode_of(asked).mode is NO_CORS


@pytest.mark.parametrize(
    ("url", "given", "exempt"),
    [
        pytest.param("https://b.test/r", {"mode": None, "site": None, "dest": None}, True, id="Chromium's own"),
        pytest.param("https://b.test/r", {}, False, id="a page's fetch"),
        pytest.param("http://b.test/r", {}, False, id="where nobody says a mode"),
        pytest.param("https://b.test/r", {"mode": None, "browser": "firefox"}, False, id="Firefox says the mode"),
    ],
)
def test_what_the_reporting_api_delivers_is_exempt_where_the_answer_is_not_checked(
    url: str, given: dict[str, Any], exempt: bool
) -> None:
    asked = Request(exchange(f"POST {url}", headers={"Content-Type": "application/reports+json"}, **given))
    assert mode_of(asked).mode is (UNKNOWN if exempt else CORS)
    assert bool(mode_of(asked).exempt) is exempt


JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("line", "given", "mode", "subject"),
    [
        pytest.param("GET http://b.test/", {}, CORS, True, id="GET has an Origin only in mode cors"),
        pytest.param("HEAD http://b.test/", {}, CORS, True, id="HEAD, too"),
        pytest.param("GET http://b.test/", {"origin": None}, UNKNOWN, False, id="without Origin it is something else"),
        pytest.param("PUT http://b.test/", {}, CORS, True, id="no form sends PUT"),
        pytest.param("patch http://b.test/", {}, CORS, True, id="no form sends patch"),
        pytest.param("POST http://b.test/", {"headers": JSON}, CORS, True, id="no form sends JSON"),
        pytest.param("POST http://b.test/", {"headers": {**FORM, "X-T": "1"}}, CORS, True, id="no form sets headers"),
        pytest.param("POST http://b.test/", {"headers": FORM}, UNKNOWN, True, id="a form's POST may be anything"),
        pytest.param("POST http://b.test/", {}, UNKNOWN, True, id="so may a POST without a body, at first sight"),
        pytest.param(
            "POST http://b.test/",
            {"headers": {**FORM, "Accept": "text/html,*/*;q=0.8", "Upgrade-Insecure-Requests": "1"}},
            NAVIGATE,
            False,
            id="a form asks for HTML and upgrades",
        ),
        pytest.param(
            "POST http://b.test/", {"headers": {**FORM, "Accept": "text/html"}}, UNKNOWN, True, id="a script may ask so"
        ),
        pytest.param("POST http://b.test/", {"headers": {"Content-Type": "text/ping"}}, NO_CORS, False, id="a ping"),
        pytest.param("POST http://a.test/", {"origin": "http://a.test"}, UNKNOWN, False, id="any POST at home"),
        pytest.param("PUT http://a.test/", {"origin": "http://a.test"}, CORS, False, id="no form sends PUT at home"),
        pytest.param("GET http://b.test/", {"headers": {"Upgrade": "websocket"}}, WEBSOCKET, False, id="a WebSocket"),
        pytest.param(
            "GET http://xn--bcher-kva.test/",
            {"origin": "http://xn--bcher-kva.test"},
            CORS,
            False,
            id="an international home",
        ),
    ],
)
def test_where_browsers_do_not(line: str, given: dict[str, Any], mode: RequestMode, subject: bool) -> None:
    """Over plain http there is no Sec-Fetch-Mode."""
    asked = Request(exchange(line, **given))
    found = mode_of(asked)
    assert (found.mode, found.exempt is None) == (mode, subject)


def test_an_exempt_request_says_why() -> None:
    assert mode_of(Request(exchange("GET https://b.test/", mode="navigate"))).exempt == (
        "the request's mode is navigate"
    )
    assert mode_of(Request(exchange("POST https://a.test/"))).exempt == ("the request goes to the page's own origin")


@pytest.mark.parametrize(
    ("line", "given", "is_preflight"),
    [
        pytest.param(
            "OPTIONS https://b.test/", {"headers": {"Access-Control-Request-Method": "PUT"}}, True, id="a preflight"
        ),
        pytest.param(
            "OPTIONS https://a.test/", {"headers": {"Access-Control-Request-Method": "PUT"}}, True, id="even at home"
        ),
        pytest.param("OPTIONS https://b.test/", {}, False, id="a script's own OPTIONS"),
        pytest.param(
            "options https://b.test/", {"headers": {"Access-Control-Request-Method": "PUT"}}, False, id="lower case"
        ),
        pytest.param(
            "GET https://b.test/", {"headers": {"Access-Control-Request-Method": "PUT"}}, False, id="another method"
        ),
        pytest.param(
            "OPTIONS https://b.test/",
            {"origin": None, "headers": {"Access-Control-Request-Method": "PUT"}},
            False,
            id="no Origin",
        ),
    ],
)
def test_is_preflight(line: str, given: dict[str, Any], is_preflight: bool) -> None:
    assert Request(exchange(line, **given)).is_preflight is is_preflight


def test_a_preflight_over_http_may_carry_a_lone_mode() -> None:
    """Chromium's Sec-Fetch-Mode on a preflight to plain http is no sign that other requests carry it."""
    verdict = judged(preflight("http://b.test/", headers={"Sec-Fetch-Mode": "cors"}))
    assert (verdict.kind, verdict.mode, verdict.outcome) == (Kind.PREFLIGHT, CORS, Outcome.BLOCKED)


READ = Names((b"access-control-allow-origin", b"access-control-allow-methods", b"content-type", b"origin"))


@pytest.mark.parametrize(
    ("request_headers", "response", "follows", "mode", "subject"),
    [
        pytest.param({}, ANY, False, UNKNOWN, True, id="no type: a beacon or a no-cors fetch, perhaps"),
        pytest.param({}, {}, False, UNKNOWN, True, id="likewise, and a server that does not speak CORS"),
        pytest.param(FORM, ANY, False, UNKNOWN, True, id="a wildcard is sent to everyone"),
        pytest.param(FORM, GOOD, False, UNKNOWN, True, id="an answer that would pass"),
        pytest.param(
            FORM, {"Access-Control-Allow-Origin": "http://z.test"}, False, UNKNOWN, True, id="one that would not"
        ),
        pytest.param(FORM, {}, False, UNKNOWN, True, id="a form, perhaps"),
        pytest.param(FORM, {}, True, CORS, True, id="what follows a CORS request is one"),
        pytest.param({"Content-Type": "text/plain"}, {}, True, CORS, True, id="whatever it carries"),
        pytest.param({"Content-Type": "text/plain"}, {}, False, UNKNOWN, False, id="plain text without CORS: a beacon"),
        pytest.param({"Content-Type": "Text/Plain;charset=UTF-8"}, {}, False, UNKNOWN, False, id="in any case"),
        pytest.param(
            {"Content-Type": "text/plain"},
            {"Access-Control-Allow-Methods": "POST"},
            False,
            UNKNOWN,
            True,
            id="plain text to a server that knows CORS",
        ),
    ],
)
def test_post_mode(
    request_headers: dict[str, str], response: dict[str, str], follows: bool, mode: RequestMode, subject: bool
) -> None:
    asked = Request(exchange("POST http://b.test/", headers=request_headers, response=response))
    found = post_mode(
        asked, pick(asked.exchange.response_headers, READ), recognise(CHROMIUM.encode()), follows_cors=follows
    )
    assert (found.mode, found.exempt is None) == (mode, subject)
    assert UNDECIDED == (UNKNOWN, None)


@pytest.mark.parametrize(
    ("length", "response", "mode"),
    [
        pytest.param("0", ANY, CORS, id="nothing to deliver, and a server that speaks CORS: a script"),
        pytest.param("0", {}, UNKNOWN, id="a server that does not"),
        pytest.param("3", ANY, UNKNOWN, id="bytes without a type"),
    ],
)
def test_post_mode_in_firefox(length: str, response: dict[str, str], mode: RequestMode) -> None:
    """There a beacon shows by its Priority, before it comes to this."""
    asked = Request(exchange("POST http://b.test/", headers={"Content-Length": length}, response=response))
    read = pick(asked.exchange.response_headers, READ)
    assert post_mode(asked, read, recognise(FIREFOX.encode()), follows_cors=False).mode is mode


@pytest.mark.parametrize(
    ("line", "given"),
    [
        pytest.param("POST https://a.test/", {}, id="a POST at home"),
        pytest.param("POST https://b.test/", {"mode": "no-cors"}, id="a beacon"),
        pytest.param("POST https://b.test/", {"mode": "navigate"}, id="a form"),
        pytest.param(
            "GET https://b.test/", {"mode": None, "headers": {"Upgrade": "websocket"}, "status": 101}, id="a WebSocket"
        ),
        pytest.param("GET https://b.test/", {"origin": "chrome-extension://abc"}, id="an extension"),
        pytest.param(
            "GET https://b.test/", {"origin": None, "mode": "no-cors", "status": 403}, id="an image that is forbidden"
        ),
    ],
)
@pytest.mark.parametrize("response", [(), ANY, {"Access-Control-Allow-Origin": "https://z.test"}])
def test_what_is_exempt_is_never_judged(line: str, given: dict[str, Any], response: Pairs) -> None:
    verdict = judged(exchange(line, response=response, **given))
    assert verdict.outcome is Outcome.EXEMPT
    assert verdict.note
    assert (verdict.findings, verdict.devtools_error, verdict.failed_parameter) == ((), None, None)


def test_the_method_is_kept_as_sent() -> None:
    assert judged(exchange("patch https://b.test/", response=ANY)).method == "patch"


def test_the_url_names_an_international_host_in_ascii() -> None:
    verdict = judged(exchange("GET https://xn--bcher-kva.test/x?y", response=ANY))
    assert verdict.url == "https://xn--bcher-kva.test/x?y"
