"""The session: what exchanges prove of each other, over preflights, redirects, connections, cookies and time."""

from __future__ import annotations

import gc
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass, replace
from typing import Any

import pytest

from builders import (
    ALLOW_CREDENTIALS,
    ALLOW_HEADERS,
    ALLOW_METHODS,
    ALLOW_ORIGIN,
    ANY,
    GOOD,
    MAX_AGE,
    PAGE,
    STORAGE_ACCESS,
    Talk,
    exchange,
    fields,
    ids,
    judged,
    pass_by,
    preflight,
)
from corscope import session as session_module
from corscope.model import Credentials, Exchange, Kind, Outcome, RequestMode, Severity, Verdict
from corscope.session import Session

INCLUDE, OMIT, UNKNOWN = Credentials.INCLUDE, Credentials.OMIT, Credentials.UNKNOWN
ALLOWED, BLOCKED, CONDITIONAL, EXEMPT = Outcome.ALLOWED, Outcome.BLOCKED, Outcome.CONDITIONAL, Outcome.EXEMPT

URL = "https://b.test/x"
NEUTRAL: dict[str, Any] = {"browser": "firefox", "http": 2}
"""A browser of which neither a connection nor a missing Sec-Fetch-Storage-Access tells anything."""
SAME_SITE = "https://api.a.test/x"
"""Where a missing Sec-Fetch-Storage-Access tells nothing."""

PUT_ANY = {**ANY, ALLOW_METHODS: "*", ALLOW_HEADERS: "*"}
"""Lets a preflight pass, unless it is for a credentialed request."""
PUT_GOOD = {**GOOD, ALLOW_METHODS: "PUT, DELETE", ALLOW_HEADERS: "x-t"}
"""Lets it pass either way."""


# ---------------------------------------------------------------------- one exchange


@pytest.mark.parametrize("status", [200, 204, 206, 300, 400, 401, 403, 404, 405, 429, 500, 502, 503])
def test_the_status_of_an_actual_response_does_not_matter(status: int) -> None:
    assert judged(exchange(f"GET {URL}", status=status, response=GOOD)).outcome is ALLOWED
    verdict = judged(exchange(f"GET {URL}", status=status))
    assert (verdict.outcome, verdict.devtools_error) == (BLOCKED, "MissingAllowOriginHeader")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_status_without_location_is_an_ordinary_answer(status: int) -> None:
    verdict = judged(exchange(f"GET {URL}", status=status, response=GOOD))
    assert (verdict.outcome, verdict.kind) == (ALLOWED, Kind.ACTUAL)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://b.test:8443/x", "https://a.test"),
        ("https://a.test:8443/x", "https://a.test"),
        ("https://a.test/x", "http://a.test"),
        ("http://localhost:8000/x", "http://localhost:3000"),
        ("http://127.0.0.1:8000/x", "http://localhost:8000"),
        ("http://[::1]:8000/x", "http://[::1]:3000"),
        ("https://xn--bcher-kva.test/x", "https://xn--8ca.test"),
        ("https://b.test/x", "null"),
    ],
)
def test_origins_of_all_kinds(url: str, origin: str) -> None:
    good = {ALLOW_ORIGIN: origin, ALLOW_CREDENTIALS: "true"}
    verdict = judged(exchange(f"GET {url}", origin=origin, response=good))
    assert (verdict.outcome, verdict.origin, verdict.url) == (ALLOWED, origin, url)
    assert judged(exchange(f"GET {url}", origin=origin, response={ALLOW_ORIGIN: "https://z.test"})).outcome is BLOCKED


def test_a_verdict_says_all_that_is_known() -> None:
    one = exchange(f"GET {URL}?q=1", headers={"Cookie": "sid=1"}, response=ANY, at=5.0, flow="f-1")
    verdict = judged(one)
    assert verdict == Verdict(
        flow_id="f-1",
        timestamp=5.0,
        method="GET",
        url="https://b.test/x?q=1",
        status=200,
        kind=Kind.ACTUAL,
        mode=RequestMode.CORS,
        origin=PAGE,
        credentials=INCLUDE,
        credentials_evidence=("cookie header: sid",),
        outcome=BLOCKED,
        devtools_error="WildcardOriginNotAllowed",
        failed_parameter="",
        findings=verdict.findings,
        page=PAGE,
        dest=b"empty",
        accept=b"*/*",
        browser="chromium",
        reason=verdict.findings[0],
        story_id="f-1",
        exchange=one,
        complete=False,
    )
    assert ids(verdict) == ["allow-origin-wildcard-with-credentials", "allow-credentials-missing"]
    assert {finding.severity for finding in verdict.findings} == {Severity.ERROR}


def test_a_plain_post_that_may_be_a_form_is_conditional() -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    verdict = judged(exchange("POST http://b.test/x", headers=form))
    assert (verdict.outcome, verdict.mode, ids(verdict)) == (CONDITIONAL, RequestMode.UNKNOWN, ["mode-unknown"])
    passing = judged(exchange("POST http://b.test/x", headers=form, response=GOOD))
    assert (passing.outcome, passing.mode) == (ALLOWED, RequestMode.UNKNOWN)


@pytest.mark.parametrize(("method", "origin"), [("GET", None), ("POST", "http://a.test")])
@pytest.mark.parametrize(
    ("headers", "found"),
    [({}, ["mode-unknown"]), ({"Accept": "text/html,*/*;q=0.8", "Upgrade-Insecure-Requests": "1"}, [])],
    ids=["a script or an element", "a navigation"],
)
def test_over_plain_http_a_redirect_of_the_pages_own_origin_to_a_user_name_may_fail(
    method: str, origin: str | None, headers: dict[str, str], found: list[str]
) -> None:
    def redirected(to: str) -> Verdict:
        line = f"{method} http://a.test/x"
        return judged(exchange(line, origin=origin, headers=headers, status=302, response={"Location": to}))

    verdict, within = redirected("http://u:p@b.test/y"), redirected("http://u:p@a.test/y")
    assert (verdict.outcome, verdict.mode, ids(verdict)) == (EXEMPT, RequestMode.UNKNOWN, found)
    assert (within.outcome, ids(within)) == (EXEMPT, [])


def test_the_proxys_own_answer_is_named_as_the_cause() -> None:
    verdict = judged(exchange(f"GET {URL}", status=502, proxy_made=True))
    assert (verdict.outcome, ids(verdict)) == (BLOCKED, ["allow-origin-missing", "proxy-error"])


@pytest.mark.parametrize(
    ("browser", "outcome"), [("auto", ALLOWED), ("chromium", ALLOWED), ("firefox", ALLOWED), ("spec", BLOCKED)]
)
def test_the_rules_of_a_browser_can_be_chosen(browser: str, outcome: Outcome) -> None:
    response = {ALLOW_ORIGIN: "*", ALLOW_HEADERS: "*"}
    asked = preflight(URL, "GET", "authorization", response={**response, ALLOW_ORIGIN: PAGE, ALLOW_CREDENTIALS: "true"})
    talk = Talk(Session(browser=browser))
    talk.take(talk.session.judge(asked))
    talk.say(f"GET {URL}", headers={"Authorization": "Bearer x"}, response=ANY, at=asked.answered + 0.001)
    assert talk[asked.id].outcome is outcome


# ---------------------------------------------------------------------- 304


CONDITIONAL_GET = {"If-None-Match": '"1"'}


def stored(talk: Talk, response: dict[str, str]) -> None:
    talk.say(f"GET {URL}", response={**response, "ETag": '"1"'})


@pytest.mark.parametrize(
    ("before", "now", "outcome"),
    [
        pytest.param(GOOD, {}, ALLOWED, id="the stored headers are kept"),
        pytest.param(GOOD, GOOD, ALLOWED, id="and may be repeated"),
        pytest.param(GOOD, {ALLOW_ORIGIN: "https://z.test"}, BLOCKED, id="what the 304 says replaces them"),
        pytest.param({ALLOW_ORIGIN: "https://z.test"}, GOOD, ALLOWED, id="for the better, too"),
        pytest.param({}, {}, BLOCKED, id="what was not there is not there"),
        pytest.param(None, GOOD, ALLOWED, id="nothing is stored, but the 304 says it all"),
        pytest.param(None, {ALLOW_ORIGIN: "https://z.test"}, BLOCKED, id="nothing is stored, and the 304 is wrong"),
        pytest.param(None, {}, CONDITIONAL, id="nothing is stored, and the 304 says nothing"),
    ],
)
def test_a_304_is_checked_on_the_stored_headers(
    before: dict[str, str] | None, now: dict[str, str], outcome: Outcome
) -> None:
    talk = Talk()
    if before is not None:
        stored(talk, before)
    flow = talk.say(f"GET {URL}", headers=CONDITIONAL_GET, status=304, response=now)
    assert talk[flow].outcome is outcome
    if outcome is CONDITIONAL:
        assert ids(talk[flow]) == ["stored-response-unknown"]


def test_a_304_that_nobody_asked_for_is_checked_by_itself() -> None:
    talk = Talk()
    stored(talk, GOOD)
    assert talk[talk.say(f"GET {URL}", status=304)].outcome is BLOCKED
    assert talk[talk.say(f"GET {URL}", status=304, response=GOOD)].outcome is ALLOWED


def test_a_304_that_a_script_asked_for_is_checked_by_itself() -> None:
    """Its preflight asked for If-None-Match: the script gets the 304, not what the browser stored."""
    talk = Talk()
    stored(talk, GOOD)
    preflight = talk.ask(URL, "GET", "if-none-match", response={**GOOD, ALLOW_HEADERS: "If-None-Match"})
    flow = talk.say(f"GET {URL}", headers=CONDITIONAL_GET, status=304)
    assert (talk[flow].preflight, talk[flow].outcome) == (preflight, BLOCKED)


def test_stored_responses_belong_to_one_client_and_one_url() -> None:
    talk = Talk()
    stored(talk, GOOD)
    for line, client in ((f"GET {URL}", "other"), (f"GET {URL}?q", "chromium")):
        flow = talk.say(line, client=client, headers=CONDITIONAL_GET, status=304)
        assert talk[flow].outcome is CONDITIONAL


def test_a_304_may_lean_on_the_stored_allow_credentials() -> None:
    """It names the right origin; whether the stored response allows credentials is not in this traffic."""
    flow = exchange(
        f"GET {URL}", headers={**CONDITIONAL_GET, "Cookie": "a=1"}, status=304, response={ALLOW_ORIGIN: PAGE}
    )
    assert judged(flow).outcome is CONDITIONAL


# ---------------------------------------------------------------------- preflight and actual request


def test_a_preflight_that_passes_either_way_is_allowed_at_once() -> None:
    talk = Talk(defaults=NEUTRAL)
    flow = talk.ask(URL, response=PUT_GOOD)
    talk.wait(100)
    talk.end()
    assert (talk.first[flow].outcome, talk[flow].outcome, talk[flow].kind) == (ALLOWED, ALLOWED, Kind.PREFLIGHT)


def test_a_preflight_that_fails_either_way_is_blocked_at_once() -> None:
    talk = Talk(defaults=NEUTRAL)
    flow = talk.ask(URL, status=404)
    assert (talk[flow].outcome, talk[flow].devtools_error) == (BLOCKED, "PreflightMissingAllowOriginHeader")


def test_what_follows_a_preflight_proves_that_it_passed() -> None:
    talk = Talk(defaults=NEUTRAL)
    asked = talk.ask(URL, response=PUT_ANY)
    assert (talk[asked].outcome, talk[asked].settled) == (CONDITIONAL, False)
    flow = talk.say(f"PUT {URL}", response=ANY)
    assert talk.outcomes(asked, flow) == [ALLOWED, ALLOWED]
    assert [talk[one].credentials for one in (asked, flow)] == [OMIT, OMIT]
    assert talk[asked].credentials_evidence == (
        "the preflight was followed, although credentials would have stopped it",
    )
    assert (talk[flow].preflight, talk[asked].settled) == (asked, True)


def test_the_verdicts_that_an_exchange_settles_come_after_its_own() -> None:
    session = Session()
    asked = preflight(URL, response=PUT_ANY, at=1.0, flow="asked", **NEUTRAL)
    session.judge(asked)
    followed = session.judge(exchange(f"PUT {URL}", response=ANY, at=1.02, flow="actual", **NEUTRAL))
    assert [verdict.flow_id for verdict in followed] == ["actual", "asked"]


@pytest.mark.parametrize(
    ("after", "outcome"),
    [pytest.param(2.9, CONDITIONAL, id="within the grace time"), pytest.param(3.1, BLOCKED, id="after it")],
)
def test_a_preflight_that_nothing_follows_had_credentials(after: float, outcome: Outcome) -> None:
    talk = Talk(defaults=NEUTRAL)
    flow = talk.ask(URL, response=PUT_ANY)
    talk.take(talk.session.settle(talk[flow].timestamp + 0.01 + after))
    assert talk[flow].outcome is outcome
    if outcome is BLOCKED:
        assert (talk[flow].credentials, talk[flow].devtools_error) == (INCLUDE, "PreflightWildcardOriginNotAllowed")
        assert talk[flow].credentials_evidence == (
            "without credentials the preflight would have passed, yet nothing followed it",
        )


def test_the_grace_time_can_be_chosen() -> None:
    talk = Talk(Session(grace=20.0), defaults=NEUTRAL)
    flow = talk.ask(URL, response=PUT_ANY)
    talk.wait(19)
    assert talk[flow].outcome is CONDITIONAL
    talk.wait(2)
    assert talk[flow].outcome is BLOCKED


def test_time_passes_with_other_traffic_too() -> None:
    talk = Talk(defaults=NEUTRAL)
    flow = talk.ask(URL, response=PUT_ANY)
    talk.now += 5
    talk.say("GET https://c.test/", response=GOOD, client="other")
    assert talk[flow].outcome is BLOCKED


def test_what_comes_after_all_settles_it_once_more() -> None:
    talk = Talk(defaults=NEUTRAL)
    asked = talk.ask(URL, response=PUT_ANY)
    talk.wait(5)
    assert talk[asked].outcome is BLOCKED
    flow = talk.say(f"PUT {URL}", response=ANY)
    assert talk.outcomes(asked, flow) == [ALLOWED, ALLOWED]
    assert talk[asked].credentials is OMIT


def test_what_comes_much_later_is_another_request() -> None:
    talk = Talk(defaults=NEUTRAL)
    asked = talk.ask(URL, response=PUT_ANY)
    talk.wait(11)
    flow = talk.say(f"PUT {URL}", response=ANY)
    assert talk.outcomes(asked, flow) == [BLOCKED, CONDITIONAL]
    assert talk[flow].preflight is None


def test_a_request_that_waits_for_its_answer_has_followed() -> None:
    talk = Talk(defaults=NEUTRAL)
    asked = talk.ask(URL, response=PUT_ANY)
    slow = exchange(f"PUT {URL}", status=None, at=talk.now, flow="slow", **NEUTRAL)
    talk.take(talk.session.begin(slow))
    assert talk[asked].outcome is ALLOWED
    talk.wait(60)
    assert talk[asked].outcome is ALLOWED
    answered = replace(slow, status=200, answered=talk.now, response_headers=((b"Access-Control-Allow-Origin", b"*"),))
    talk.take(talk.session.judge(answered))
    assert (talk["slow"].outcome, talk["slow"].preflight) == (ALLOWED, asked)


def test_a_request_that_never_got_an_answer_has_followed() -> None:
    talk = Talk(defaults=NEUTRAL)
    asked = talk.ask(URL, response=PUT_ANY)
    talk.say(f"PUT {URL}", status=None)
    talk.wait(60)
    assert talk[asked].outcome is ALLOWED
    assert len(talk.verdicts) == 1, "without a response there is no verdict"


def test_one_clock_that_is_wrong_holds_up_no_other_exchange() -> None:
    """A preflight from the far future waits; those of today do not wait with it."""
    talk = Talk(defaults=NEUTRAL)
    strange = talk.ask("https://c.test/x", response=PUT_ANY, at=1e10, client="strange")
    now = talk.ask(URL, response=PUT_ANY, at=1000.0)
    talk.take(talk.session.settle(1004.0))
    assert talk.outcomes(strange, now) == [CONDITIONAL, BLOCKED]


@pytest.mark.parametrize(
    ("seconds", "outcome"),
    [
        pytest.param(0.0, CONDITIONAL, id="the client fell silent at once: the capture may have ended too early"),
        pytest.param(0.4, CONDITIONAL, id="it went on for less than half a second"),
        pytest.param(0.6, BLOCKED, id="it went on, but not with what the preflight asked for"),
    ],
)
def test_the_end_of_a_capture(seconds: float, outcome: Outcome) -> None:
    talk = Talk(defaults=NEUTRAL)
    asked = talk.ask(URL, response=PUT_ANY)
    if seconds:
        talk.say("GET https://c.test/", response=GOOD, at=talk[asked].timestamp + 0.01 + seconds)
    talk.end()
    assert talk[asked].outcome is outcome


def test_only_the_same_clients_activity_counts_at_the_end() -> None:
    talk = Talk(defaults=NEUTRAL)
    asked = talk.ask(URL, response=PUT_ANY)
    talk.say("GET https://c.test/", response=GOOD, at=talk.now + 1, client="other")
    talk.end()
    assert talk[asked].outcome is CONDITIONAL


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"line": "PUT https://b.test/y"}, id="another URL"),
        pytest.param({"line": "DELETE https://b.test/x"}, id="another method"),
        pytest.param({"line": "put https://b.test/x"}, id="another case of the method"),
        pytest.param({"origin": "https://c.test"}, id="another page"),
        pytest.param({"client": "another"}, id="another client"),
        pytest.param({"dest": "image"}, id="another destination"),
        pytest.param({"headers": {"X-T": "1"}}, id="a header that was not asked for"),
        pytest.param({"headers": {"Cookie": "a=1"}}, id="credentials, which would have stopped it"),
        pytest.param({"at": 999.0}, id="a request from before"),
    ],
)
def test_what_does_not_follow_a_preflight(given: dict[str, Any]) -> None:
    talk = Talk(defaults=NEUTRAL)
    asked = talk.ask(URL, response=PUT_ANY)
    flow = talk.say(given.pop("line", f"PUT {URL}"), response=ANY, **given)
    assert talk[flow].preflight is None
    talk.now += 1
    talk.say("GET https://c.test/", response=GOOD)
    talk.wait(5)
    assert (talk[asked].outcome, talk[asked].credentials) == (BLOCKED, INCLUDE)


@pytest.mark.parametrize(
    ("asks", "value", "follows"),
    [
        ("accept-language", "en-GB,en;q=0.9", False),
        ("accept-language", "en_GB", True),
        ("accept", "*/*", False),
        ("accept", "x" * 129, True),
        # The standard's safelist has it; Firefox asks.
        ("accept", "\xe9", True),
    ],
)
def test_what_every_request_has_was_asked_for_where_it_is_not_safelisted(asks: str, value: str, follows: bool) -> None:
    """A request that the page makes meanwhile, with the browser's own header, is not the one that was asked about."""
    talk = Talk(defaults=NEUTRAL)
    asked = talk.ask(URL, "GET", asks, response={**ANY, ALLOW_HEADERS: asks})
    flow = talk.say(f"GET {URL}", headers={asks: value}, response=ANY)
    assert talk[flow].preflight == (asked if follows else None)
    talk.now += 1
    talk.say("GET https://c.test/", response=GOOD)
    talk.wait(5)
    assert talk.outcomes(asked) == [ALLOWED if follows else BLOCKED]


def test_a_request_carries_every_header_that_its_preflight_asked_for() -> None:
    talk = Talk(defaults=NEUTRAL)
    asked = talk.ask(URL, "PUT", "authorization,x-t", response=PUT_ANY)
    without = talk.say(f"PUT {URL}", headers={"X-T": "1"}, response=ANY)
    flow = talk.say(f"PUT {URL}", headers={"X-T": "1", "authorization": "Bearer x"}, response=ANY)
    assert [talk[one].preflight for one in (without, flow)] == [None, asked]


def test_a_sanitized_capture_left_authorization_out() -> None:
    talk = Talk(defaults={**NEUTRAL, "sanitized": True})
    asked = talk.ask(URL, "PUT", "authorization,x-t", response=PUT_ANY)
    flow = talk.say(f"PUT {URL}", headers={"X-T": "1"}, response=ANY)
    talk.wait(5)
    assert talk[flow].preflight == asked
    assert talk.outcomes(asked, flow) == [ALLOWED, ALLOWED]


def test_a_preflight_over_plain_http() -> None:
    """Chromium's lone Sec-Fetch-Mode on it is nothing that the actual request would repeat."""
    talk = Talk(defaults={"origin": "http://a.test", "connection": None})
    asked = talk.ask("http://b.test/x", headers={"Sec-Fetch-Mode": "cors"}, response=PUT_ANY)
    flow = talk.say("PUT http://b.test/x", response=ANY)
    assert talk.outcomes(asked, flow) == [ALLOWED, ALLOWED]
    assert talk[flow].preflight == asked


def test_a_preflight_settles_what_a_plain_post_is() -> None:
    """Only a CORS request has a preflight: an upload listener asks for one even where a form could have sent it."""
    talk = Talk(defaults={"origin": "http://a.test"})
    asked = talk.ask("http://b.test/x", "POST", response={**GOOD, ALLOW_ORIGIN: "http://a.test"})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    flow = talk.say("POST http://b.test/x", headers=form)
    assert (talk[flow].outcome, talk[flow].mode, talk[flow].preflight) == (BLOCKED, RequestMode.CORS, asked)


REPORT: dict[str, Any] = {"mode": None, "site": None, "dest": None}
"""Chromium delivers reports without a word of who asks for what."""
REPORT_TYPE = {"Content-Type": "application/reports+json"}


def ask_to_report(talk: Talk, **given: Any) -> str:  # noqa: ANN401
    return talk.ask(URL, "POST", "content-type", response=PUT_ANY, **REPORT, **given)


@pytest.mark.parametrize("origin", [PAGE, None])
def test_a_report_follows_its_preflight_and_its_answer_is_not_checked(origin: str | None) -> None:
    """Some versions send it without Origin."""
    talk = Talk()
    # The second time the first answer is still in the preflight cache, which reports do not use.
    for _ in range(2):
        asked = ask_to_report(talk)
        assert talk[asked].outcome is CONDITIONAL
        report = exchange(f"POST {URL}", headers=REPORT_TYPE, origin=origin, at=talk.now, flow=asked + "+", **REPORT)
        assert not pass_by(talk.session, report)
        talk.take(talk.session.judge(report))
        talk.now += 1
        assert talk.outcomes(asked, report.id) == [ALLOWED, EXEMPT]
        assert (talk[asked].credentials, talk[report.id].preflight, talk[report.id].findings) == (OMIT, asked, ())


def test_a_report_that_waits_for_its_answer_has_followed() -> None:
    talk = Talk()
    asked = ask_to_report(talk)
    slow = exchange(f"POST {URL}", headers=REPORT_TYPE, status=None, at=talk.now, flow="slow", **REPORT)
    talk.take(talk.session.begin(slow))
    talk.wait(60)
    assert talk[asked].outcome is ALLOWED
    talk.take(talk.session.judge(replace(slow, status=204, answered=talk.now)))
    assert (talk["slow"].outcome, talk["slow"].preflight) == (EXEMPT, asked)


def test_reports_and_requests_of_a_page_do_not_follow_each_others_preflights() -> None:
    talk = Talk()
    pages = talk.ask(URL, "POST", "content-type", response=PUT_ANY)
    asked = ask_to_report(talk)
    report = exchange(f"POST {URL}", headers=REPORT_TYPE, at=talk.now, flow="report", **REPORT)
    talk.take(talk.session.judge(report))
    assert talk.outcomes(pages, asked) == [CONDITIONAL, ALLOWED]
    # It comes a second time where it dies in its body, or another addon changes the response.
    talk.take(talk.session.judge(replace(report, status=502)))
    assert (talk["report"].preflight, talk[pages].outcome) == (asked, CONDITIONAL)
    talk.wait(60)
    assert talk[pages].outcome is BLOCKED
    asked = ask_to_report(talk)
    talk.say(f"POST {URL}", headers={"Content-Type": "text/plain"}, response=GOOD)
    assert talk[asked].outcome is CONDITIONAL


def test_a_report_follows_no_redirect_of_a_page() -> None:
    talk = Talk(defaults=NEUTRAL | {"browser": "chromium", "connection": None})
    moved = {**ANY, "Location": "/reports"}
    hop = talk.say(f"POST {URL}", status=307, headers={"Content-Type": "text/plain"}, response=moved)
    report = talk.say("POST https://b.test/reports", headers=REPORT_TYPE, **REPORT)
    assert (talk[hop].credentials, talk[report].preflight) == (talk.first[hop].credentials, None)


def test_an_actual_response_is_checked_by_itself() -> None:
    """The preflight's headers do not serve for it."""
    talk = Talk()
    asked = talk.ask(URL, response=PUT_GOOD)
    flow = talk.say(f"PUT {URL}")
    assert talk.outcomes(asked, flow) == [ALLOWED, BLOCKED]
    assert talk[flow].devtools_error == "MissingAllowOriginHeader"


def test_a_preflight_asked_again_within_its_age_is_not_taken_for_another_mode() -> None:
    """Another window, a private one or a test's own context has a preflight cache of its own, on the same wire."""
    talk = Talk(defaults=NEUTRAL)
    kept = {**ANY, ALLOW_METHODS: "PUT", MAX_AGE: "600"}
    talk.ask(URL, response=kept)
    talk.say(f"PUT {URL}", response=ANY)
    talk.wait(20)
    again = talk.ask(URL, response=kept)
    flow = talk.say(f"PUT {URL}", response=ANY)
    talk.wait(10)
    talk.end()
    assert BLOCKED not in talk.outcomes(again, flow)


def test_a_preflight_asked_again_that_nothing_follows_had_credentials() -> None:
    talk = Talk(defaults=NEUTRAL)
    kept = {**ANY, ALLOW_METHODS: "PUT", MAX_AGE: "600"}
    first = talk.ask(URL, response=kept)
    talk.say(f"PUT {URL}", response=ANY)
    talk.wait(1)
    again = talk.ask(URL, response=kept)
    assert talk[again].outcome == CONDITIONAL
    talk.wait(10)
    talk.end()
    assert (talk[first].credentials, talk[again].credentials) == (OMIT, INCLUDE)
    assert (talk[again].outcome, talk[again].devtools_error) == (BLOCKED, "PreflightWildcardOriginNotAllowed")


@pytest.mark.parametrize(
    ("method", "given"),
    [
        pytest.param("PUT", NEUTRAL, id="any"),
        # A page's own, for it has Sec-Fetch-Mode.
        pytest.param(
            "POST", {"connection": None, "site": "same-site", "headers": REPORT_TYPE}, id="of a report's type"
        ),
    ],
)
def test_a_request_may_go_on_a_kept_preflight_though_a_new_one_is_there(method: str, given: dict[str, Any]) -> None:
    """Which of the two it went on can't be told, so nothing is concluded from either."""
    talk = Talk(defaults={key: value for key, value in given.items() if key != "headers"})
    headers = given.get("headers", {})
    permits = {ALLOW_METHODS: "PUT", ALLOW_HEADERS: "content-type"}
    talk.ask(URL, method, "content-type" if headers else "", response={**GOOD, **permits, MAX_AGE: "600"})
    talk.say(f"{method} {URL}", headers=headers, response=GOOD)
    talk.wait(1)
    again = talk.ask(URL, method, "content-type" if headers else "", response=PUT_ANY)
    flow = talk.say(f"{method} {URL}", headers=headers, response=ANY)
    talk.wait(10)
    talk.end()
    assert talk.outcomes(again, flow) == [CONDITIONAL, CONDITIONAL]


@pytest.mark.parametrize(
    ("given", "pause", "answer", "knows"),
    [
        pytest.param({}, 1, {}, True, id="the answer failed"),
        pytest.param({}, 1, ANY, False, id="the answer passed"),
        pytest.param({}, 0.05, {}, False, id="it may not have been forgotten yet"),
        pytest.param({"in_order": False}, 1, {}, False, id="a capture that does not tell when"),
        pytest.param({"browser": "chromium"}, 1, {}, False, id="Chromium forgets nothing"),
    ],
)
def test_firefox_forgets_a_preflight_whose_request_fails(
    given: dict[str, Any], pause: float, answer: dict[str, str], knows: bool
) -> None:
    """Then whoever tries once more can only have gone on the preflight that was just asked."""
    talk = Talk(defaults={"site": "same-site", "connection": None, "browser": "firefox", **given})
    first = talk.ask(URL, response={**ANY, ALLOW_METHODS: "PUT", MAX_AGE: "600"})
    talk.say(f"PUT {URL}", response=answer)
    talk.wait(pause)
    asked = talk.ask(URL, response=PUT_ANY)
    flow = talk.say(f"PUT {URL}", response=ANY)
    assert talk.outcomes(first, asked, flow) == [ALLOWED, *[ALLOWED if knows else CONDITIONAL] * 2]
    assert talk[flow].preflight == asked


def test_firefox_keeps_a_preflight_whose_request_passes_after_all() -> None:
    """The proxy mended the answer before the browser saw it."""
    talk = Talk(defaults={"site": "same-site", "connection": None, "browser": "firefox"})
    talk.ask(URL, response={**ANY, ALLOW_METHODS: "PUT", MAX_AGE: "600"})
    sent = exchange(f"PUT {URL}", at=talk.now, flow="sent", site="same-site", connection=None, browser="firefox")
    talk.take(talk.session.judge(sent))
    assert talk["sent"].outcome is BLOCKED
    talk.take(talk.session.judge(sent.with_response(200, fields(ANY))))
    talk.wait(1)
    asked = talk.ask(URL, response=PUT_ANY)
    flow = talk.say(f"PUT {URL}", response=ANY)
    assert talk.outcomes(asked, flow) == [CONDITIONAL, CONDITIONAL]


def test_the_stored_response_of_a_304_may_have_passed() -> None:
    """Then Firefox has forgotten nothing."""
    talk = Talk(defaults={"site": "same-site", "connection": None, "browser": "firefox"})
    permits = {**ANY, ALLOW_HEADERS: "x-t"}
    tagged = {"X-T": "1", "If-None-Match": "1"}
    talk.ask(URL, "GET", "x-t", response={**permits, MAX_AGE: "600"})
    talk.say(f"GET {URL}", status=304, headers=tagged)
    talk.wait(1)
    asked = talk.ask(URL, "GET", "x-t", response=permits)
    flow = talk.say(f"GET {URL}", headers=tagged, response=ANY)
    assert talk.outcomes(asked, flow) == [CONDITIONAL, CONDITIONAL]


def test_two_faults_of_which_credentials_decide() -> None:
    """Blocked either way; which reason the browser gives depends on what the wire does not tell."""
    verdict = judged(preflight(URL, status=404, response=PUT_ANY, **NEUTRAL))
    assert (verdict.outcome, verdict.devtools_error) == (BLOCKED, "PreflightInvalidStatus")
    assert ids(verdict) == [
        "options-not-routed",
        "other-fault-with-credentials",
        "further-fault-with-credentials",
    ]


@pytest.mark.parametrize(
    ("on_preflight", "on_request", "follows"),
    [(False, False, True), (True, True, True), (False, True, False), (True, False, False)],
)
def test_firefox_repeats_storage_access_of_the_preflight(on_preflight: bool, on_request: bool, follows: bool) -> None:
    talk = Talk(defaults=NEUTRAL)
    said = {STORAGE_ACCESS: "none"}
    asked = talk.ask(URL, response={**PUT_GOOD, MAX_AGE: "0"}, headers=said if on_preflight else {})
    flow = talk.say(f"PUT {URL}", response=GOOD, headers=said if on_request else {})
    assert talk[flow].preflight == (asked if follows else None)


# ---------------------------------------------------------------------- repeated, parallel, several clients


def test_the_same_url_again_and_again() -> None:
    talk = Talk(defaults=NEUTRAL)
    response = {**PUT_ANY, MAX_AGE: "0"}
    for _ in range(5):
        asked = talk.ask(URL, response=response)
        flow = talk.say(f"PUT {URL}", response=ANY)
        assert talk[flow].preflight == asked
        assert talk.outcomes(asked, flow) == [ALLOWED, ALLOWED]
        talk.wait(0.1)


def parallel(talk: Talk, count: int, *, followers: int, response: dict[str, str]) -> tuple[list[str], list[str]]:
    """Lets `count` preflights for one URL overlap, then as many requests."""
    start = talk.now
    asked = [talk.ask(URL, response=response, at=start + 0.001 * index, took=0.02) for index in range(count)]
    start += 0.03
    flows = [talk.say(f"PUT {URL}", response=ANY, at=start + 0.001 * index, took=0.02) for index in range(followers)]
    return asked, flows


def test_parallel_requests_that_all_went_on() -> None:
    talk = Talk(defaults=NEUTRAL)
    asked, flows = parallel(talk, 3, followers=3, response={**PUT_ANY, MAX_AGE: "0"})
    assert talk.outcomes(*asked, *flows) == [ALLOWED] * 6
    assert {talk[flow].preflight for flow in flows} == set(asked)


def test_parallel_requests_of_which_some_did_not_go_on() -> None:
    """Which of them had credentials can't be told; that those which went on had none, can."""
    talk = Talk(defaults=NEUTRAL)
    asked, flows = parallel(talk, 2, followers=1, response={**PUT_ANY, MAX_AGE: "0"})
    talk.wait(10)
    talk.end()
    assert talk.outcomes(*flows) == [ALLOWED]
    assert talk.outcomes(*asked) == [CONDITIONAL, CONDITIONAL]


def test_parallel_preflights_of_different_requests_are_told_apart() -> None:
    talk = Talk(defaults=NEUTRAL)
    one = talk.ask(URL, "PUT", response=PUT_ANY, at=1000.0, took=0.02)
    two = talk.ask(URL, "DELETE", response=PUT_ANY, at=1000.001, took=0.02)
    second = talk.say(f"DELETE {URL}", response=ANY, at=1000.03)
    first = talk.say(f"PUT {URL}", response=ANY, at=1000.031)
    assert [talk[flow].preflight for flow in (first, second)] == [one, two]
    assert talk.outcomes(one, two, first, second) == [ALLOWED] * 4


def test_two_pages_ask_for_the_same_url() -> None:
    talk = Talk(defaults=NEUTRAL)
    a = talk.ask(URL, response=PUT_ANY, at=1000.0, took=0.02)
    c = talk.ask(URL, response=PUT_ANY, at=1000.001, took=0.02, origin="https://c.test")
    of_c = talk.say(f"PUT {URL}", response=ANY, at=1000.03, origin="https://c.test")
    talk.wait(10)
    assert talk[of_c].preflight == c
    assert talk.outcomes(a, c, of_c) == [BLOCKED, ALLOWED, ALLOWED]


def test_two_browsers_ask_for_the_same_url() -> None:
    talk = Talk(defaults=NEUTRAL)
    one = talk.ask(URL, response=PUT_ANY, at=1000.0, took=0.02, client="one")
    two = talk.ask(URL, response=PUT_ANY, at=1000.001, took=0.02, client="two")
    of_two = talk.say(f"PUT {URL}", response=ANY, at=1000.03, client="two")
    talk.wait(10)
    assert talk[of_two].preflight == two
    assert talk.outcomes(one, two, of_two) == [BLOCKED, ALLOWED, ALLOWED]


CLIENT_STORIES = {
    "cookies": [("GET", {"headers": {"Cookie": "a=1"}, "response": GOOD}), ("GET", {"response": ANY})],
    "preflight": [("OPTIONS", {"response": PUT_ANY}), ("PUT", {"response": ANY})],
    "connection": [("GET", {"headers": {STORAGE_ACCESS: "none"}, "response": ANY}), ("GET", {"response": ANY})],
    "stored": [
        ("GET", {"response": {**GOOD, "ETag": '"1"'}}),
        ("GET", {"headers": CONDITIONAL_GET, "status": 304}),
    ],
    "redirect": [("GET", {"status": 302, "response": {**ANY, "Location": URL}}), ("GET", {"response": ANY})],
}


@pytest.mark.parametrize("story", CLIENT_STORIES)
def test_clients_never_mix(story: str) -> None:
    """What one client did says nothing of another, were even their connections called the same."""
    talk = Talk(defaults={"browser": "firefox", "site": "same-site"})
    for number, (method, given) in enumerate(CLIENT_STORIES[story]):
        given = {**given, "client": f"client-{number}"}
        if method == "OPTIONS":
            talk.ask(SAME_SITE, **given)
        else:
            flow = talk.say(f"{method} {SAME_SITE if story != 'redirect' or number == 0 else URL}", **given)
    verdict = talk[flow]
    assert (verdict.outcome, verdict.credentials) == (CONDITIONAL, UNKNOWN)
    assert (verdict.preflight, verdict.redirected_from, verdict.credentials_evidence) == (None, None, ())


# ---------------------------------------------------------------------- connections

CREDENTIALED: list[tuple[str, str, dict[str, Any]]] = [
    ("cookies", "GET https://api.a.test/c", {"headers": {"Cookie": "a=1"}, "response": GOOD}),
    ("storage access", "GET https://api.a.test/c", {"headers": {STORAGE_ACCESS: "none"}, "response": GOOD}),
    (
        "an image with cookies",
        "GET https://api.a.test/i.png",
        {"mode": "no-cors", "origin": None, "headers": {"Cookie": "a=1"}},
    ),
    ("a navigation", "GET https://api.a.test/", {"mode": "navigate", "origin": None, "dest": "document"}),
]


@pytest.mark.parametrize(("browser", "http"), [("chromium", 1), ("chromium", 2), ("firefox", 1)])
@pytest.mark.parametrize(("line", "given"), [pytest.param(line, given, id=name) for name, line, given in CREDENTIALED])
@pytest.mark.parametrize("later", [False, True], ids=["known before", "known after"])
def test_a_connection_of_credentialed_requests(
    browser: str, http: int, line: str, given: dict[str, Any], later: bool
) -> None:
    talk = Talk(defaults={"browser": browser, "http": http, "site": "same-site"})
    if not later:
        talk.say(line, **given)
    flow = talk.say(f"GET {SAME_SITE}", response=ANY)
    if later:
        assert talk[flow].outcome is CONDITIONAL
        talk.say(line, **given)
    assert (talk[flow].outcome, talk[flow].credentials) == (BLOCKED, INCLUDE)
    assert talk[flow].credentials_evidence[0].startswith("on a connection that the browser keeps for credentialed")


@pytest.mark.parametrize(("browser", "http"), [("chromium", 1), ("chromium", 2), ("firefox", 1)])
@pytest.mark.parametrize("later", [False, True], ids=["known before", "known after"])
def test_a_connection_of_preflights(browser: str, http: int, later: bool) -> None:
    talk = Talk(defaults={"browser": browser, "http": http, "site": "same-site"})
    if not later:
        talk.ask("https://api.a.test/p", response=PUT_GOOD)
    flow = talk.say(f"GET {SAME_SITE}", response=ANY)
    if later:
        assert talk[flow].outcome is CONDITIONAL
        talk.ask("https://api.a.test/p", response=PUT_GOOD)
    assert (talk[flow].outcome, talk[flow].credentials) == (ALLOWED, OMIT)


@pytest.mark.parametrize(("browser", "http"), [("firefox", 2), ("safari", 1), ("safari", 2)])
def test_where_connections_tell_nothing(browser: str, http: int) -> None:
    """Firefox mixes on HTTP/2; of other browsers nothing is known."""
    talk = Talk(defaults={"browser": browser, "http": http, "site": "same-site"})
    talk.ask("https://api.a.test/p", response=PUT_GOOD, connection="1")
    talk.say("GET https://api.a.test/c", headers={"Cookie": "a=1"}, response=GOOD, connection="2")
    flows = [
        talk.say(f"GET {SAME_SITE}/{one}", response=ANY, connection=one, origin="https://c.a.test") for one in "12"
    ]
    assert talk.outcomes(*flows) == [CONDITIONAL, CONDITIONAL]


def beside(talk: Talk, requests: int) -> None:
    """Lets Firefox use a credentialed connection to the API beside one of preflights."""
    talk.ask("https://api.a.test/p", response=PUT_GOOD, connection="1")
    for number in range(requests):
        talk.say(f"GET https://api.a.test/{number}", headers={"Cookie": "a=1"}, response=GOOD, connection="2")


@pytest.mark.parametrize(
    ("requests", "later", "outcome"),
    [
        pytest.param(3, 1, ALLOWED, id="while another connection serves the credentialed requests"),
        pytest.param(1, 1, CONDITIONAL, id="one request may have gone there by chance"),
        pytest.param(3, 120, CONDITIONAL, id="by now that one may be closed"),
    ],
)
def test_firefox_over_http2_keeps_to_two_connections_once_it_has_two(
    requests: int, later: float, outcome: Outcome
) -> None:
    talk = Talk(defaults={"browser": "firefox", "http": 2, "site": "same-site"})
    beside(talk, requests)
    talk.now += later
    # Another page: the cookies seen to travel from the first tell nothing of it.
    flow = talk.say(f"GET {SAME_SITE}", response=ANY, connection="1", origin="https://www.a.test")
    assert talk[flow].outcome is outcome


def test_connections_are_told_apart() -> None:
    talk = Talk(defaults={"site": "same-site"})
    talk.say("GET https://api.a.test/c", headers={"Cookie": "a=1"}, response=GOOD, connection="1")
    talk.ask("https://api.a.test/p", response=PUT_GOOD, connection="2")
    flows = [talk.say("GET https://api.a.test/f", response=ANY, connection=one) for one in ("1", "2", "3", None)]
    assert talk.outcomes(*flows) == [BLOCKED, ALLOWED, CONDITIONAL, CONDITIONAL]


def test_a_connection_that_carried_both_says_nothing() -> None:
    talk = Talk(defaults={"site": "same-site"})
    talk.say("GET https://api.a.test/c", headers={"Cookie": "a=1"}, response=GOOD)
    talk.ask("https://api.a.test/p", response=PUT_GOOD)
    flow = talk.say(f"GET {SAME_SITE}", response=ANY)
    talk.say("GET https://api.a.test/d", headers={"Cookie": "a=1"}, response=GOOD)
    assert (talk[flow].outcome, talk[flow].credentials_evidence) == (CONDITIONAL, ())


LOGIN = {"WWW-Authenticate": "Negotiate"}
BASIC = {"Authorization": "Basic dTpw"}


@pytest.mark.parametrize(
    ("status", "answer", "then", "again"),
    [
        pytest.param(401, LOGIN, {"headers": BASIC}, True, id="a browser's credentials"),
        pytest.param(401, {}, {"headers": BASIC}, False, id="nothing was asked for"),
        pytest.param(401, LOGIN, {}, True, id="nothing was there to answer Negotiate with"),
        pytest.param(401, LOGIN, {"browser": "chromium"}, False, id="which Chromium takes for an answer"),
        pytest.param(401, {"WWW-Authenticate": "Basic"}, {}, False, id="nothing was given"),
        pytest.param(401, LOGIN, {"headers": {"Authorization": "Bearer x"}}, False, id="a script's token"),
        pytest.param(401, LOGIN, {"headers": BASIC, "wait": 700.0}, False, id="too late"),
        pytest.param(421, {}, {}, True, id="a server that is the wrong one"),
        pytest.param(421, {}, {"headers": {"X-A": "1"}}, False, id="another request"),
        pytest.param(421, {}, {"wait": 2.0}, False, id="a page's own, after a while"),
        pytest.param(408, {}, {}, True, id="a server that did not wait"),
        pytest.param(408, {}, {"browser": "chromium"}, False, id="likewise"),
        pytest.param(403, LOGIN, {"headers": BASIC}, False, id="another answer"),
    ],
)
def test_an_answer_after_which_the_browser_asks_again_is_seen_by_no_page(
    status: int, answer: dict[str, str], then: dict[str, Any], again: bool
) -> None:
    said = dict(then)
    talk = Talk(defaults={"browser": said.pop("browser", "firefox"), "http": 2})
    first = talk.say(f"GET {URL}", status=status, response=answer)
    assert (talk[first].outcome, talk[first].complete) == (BLOCKED, False)
    talk.now += said.pop("wait", 0.0)
    second = talk.say(f"GET {URL}", response=GOOD, **said)
    assert talk[second].outcome is ALLOWED
    assert talk[first].outcome is (ALLOWED if again else BLOCKED)
    assert ("asked-again" in ids(talk[first])) is again


def test_a_script_that_may_log_in_does_so_after_a_401() -> None:
    talk = Talk(defaults=NEUTRAL)
    permits = {**PUT_GOOD, "Access-Control-Allow-Headers": "authorization"}
    talk.ask(URL, "GET", "authorization", response=permits)
    talk.say(f"GET {URL}", headers=BASIC, response=GOOD)
    first = talk.say(f"GET {URL}", status=401, response=LOGIN)
    talk.say(f"GET {URL}", headers=BASIC, response=GOOD)
    assert talk[first].outcome is BLOCKED


def test_asked_again_once() -> None:
    talk = Talk(defaults=NEUTRAL)
    flows = [talk.say(f"GET {URL}", status=421) for _ in range(3)]
    assert talk.outcomes(*flows) == [ALLOWED, BLOCKED, BLOCKED]


def test_a_chromium_that_mixes_once_may_mix_everywhere() -> None:
    """Where it blocks all cookies it has one class of connections only."""
    talk = Talk(defaults={"browser": "chromium", "http": 2, "site": "same-site"})
    talk.ask("https://api.a.test/p", response=PUT_ANY, connection="1")
    before = talk.say(f"GET {SAME_SITE}", response=ANY, connection="1")
    talk.say("GET https://b.test/x", headers={STORAGE_ACCESS: "none"}, response=GOOD, site="cross-site", connection="1")
    talk.ask("https://api.a.test/q", response=PUT_ANY, connection="2")
    later = talk.say(f"GET {SAME_SITE}", response=ANY, connection="2")
    assert (talk[before].credentials, talk[later].credentials) == (OMIT, UNKNOWN)


def test_what_a_request_carries_outweighs_its_connection() -> None:
    talk = Talk(defaults={"site": "same-site"})
    talk.ask("https://api.a.test/p", response=PUT_GOOD)
    flow = talk.say(f"GET {SAME_SITE}", headers={"Cookie": "a=1"}, response=ANY)
    assert (talk[flow].outcome, talk[flow].credentials) == (BLOCKED, INCLUDE)


def test_what_a_connection_learns_reaches_every_request_on_it() -> None:
    talk = Talk(defaults={"site": "same-site"})
    flows = [talk.say(f"GET https://api.a.test/{number}", response=ANY) for number in range(20)]
    assert talk.outcomes(*flows) == [CONDITIONAL] * 20
    talk.say("GET https://api.a.test/c", headers={"Cookie": "a=1"}, response=GOOD)
    assert talk.outcomes(*flows) == [BLOCKED] * 20


def test_what_one_request_proves_reaches_the_others_on_its_connection() -> None:
    """A followed redirect that credentials would have stopped makes its connection an uncredentialed one."""
    talk = Talk(defaults={"site": "same-site"})
    before = talk.say("GET https://api.a.test/f", response=ANY)
    hop = talk.say(f"GET {SAME_SITE}", status=302, response={**ANY, "Location": "/y"})
    talk.say("GET https://api.a.test/y", response=GOOD, connection="2")
    assert talk.outcomes(before, hop) == [ALLOWED, ALLOWED]


# ---------------------------------------------------------------------- cookies that travel


@pytest.mark.parametrize(("served", "known"), [(True, (ALLOWED, OMIT)), (False, (CONDITIONAL, UNKNOWN))])
def test_a_cookie_that_travelled_before_is_missed(served: bool, known: tuple[Outcome, Credentials]) -> None:
    """What a script set it may have removed, which leaves no trace on the wire."""
    talk = Talk(defaults=NEUTRAL)
    talk.say(f"GET {URL}", response=[*GOOD.items(), ("Set-Cookie", "sid=1")] if served else GOOD)
    talk.say(f"GET {URL}", headers={"Cookie": "sid=1"}, response=GOOD)
    flow = talk.say(f"GET {URL}", response=ANY)
    assert (talk[flow].outcome, talk[flow].credentials) == known
    assert talk[flow].credentials_evidence == ("no cookie sid, which travelled on this route before (flow flow-2)",)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"line": "GET https://b.test/y"}, id="another path, for which the cookie may not be"),
        pytest.param({"line": "GET https://c.test/x"}, id="another host"),
        pytest.param({"line": "GET http://b.test/x"}, id="another scheme"),
        pytest.param({"origin": "https://z.test"}, id="another page"),
        pytest.param({"site": "same-site"}, id="another relation of page and host"),
        pytest.param({"origin": "null"}, id="an opaque origin"),
        pytest.param({"sanitized": True}, id="a capture without cookies"),
        pytest.param({"client": "other"}, id="another client"),
        pytest.param({"at": 1400.0}, id="minutes later"),
    ],
)
def test_a_cookie_that_need_not_travel_is_not_missed(given: dict[str, Any]) -> None:
    talk = Talk(defaults=NEUTRAL)
    talk.say(f"GET {URL}", headers={"Cookie": "sid=1"}, response=GOOD)
    assert talk[talk.say(given.pop("line", f"GET {URL}"), response=ANY, **given)].credentials is UNKNOWN


@pytest.mark.parametrize("by", ["a CORS response", "an ordinary response"])
def test_a_cookie_that_was_removed_is_not_missed(by: str) -> None:
    talk = Talk(defaults=NEUTRAL)
    talk.say(f"GET {URL}", headers={"Cookie": "sid=1"}, response=GOOD)
    removal = {"Set-Cookie": "sid=; Max-Age=0"}
    if by == "a CORS response":
        talk.say("GET https://b.test/logout", response={**GOOD, **removal})
    else:
        one = exchange("GET https://b.test/logout", mode="no-cors", origin=None, response=removal, **NEUTRAL)
        assert not pass_by(talk.session, one)
        talk.take(talk.session.judge(one))
    assert talk[talk.say(f"GET {URL}", response=ANY)].credentials is UNKNOWN


HELD = "a=1; Path=/; Secure"
"""A cookie that goes with every request of its own site, once a visit has set it."""


def visit(talk: Talk, url: str, *, dest: str = "document", **given: Any) -> str:  # noqa: ANN401
    """A page is opened, in a tab or in a frame."""
    return talk.say(f"GET {url}", **{"origin": None, "mode": "navigate", "dest": dest, "site": "none", **given})


def test_a_cookie_that_a_visit_set_is_missed_where_no_verdict_hangs_on_it() -> None:
    talk = Talk(defaults={**NEUTRAL, "site": "same-site", "connection": None})
    set_in = visit(talk, "https://api.a.test/login", response={"Set-Cookie": HELD})
    either_way = talk.say(f"GET {SAME_SITE}", response=GOOD)
    assert talk[either_way].credentials is OMIT
    words = f"no cookie a, which was set in flow {set_in} and would have come along"
    assert talk[either_way].credentials_evidence == (words,)
    assert ids(talk[either_way]) == ["client-did-not-opt-in"]
    # Of two windows with cookies of their own it may be the other one.
    decides = talk.say(f"GET {SAME_SITE}", response=ANY)
    assert (talk[decides].outcome, talk[decides].credentials) == (CONDITIONAL, UNKNOWN)


@pytest.mark.parametrize(
    ("line", "given"),
    [
        pytest.param("a=1; Path=/elsewhere; Secure", {}, id="it would not have come"),
        pytest.param(HELD, {"headers": {"Cookie": "a=1"}}, id="it came"),
        pytest.param(HELD, {"sanitized": True}, id="a capture without cookies"),
    ],
)
def test_a_cookie_that_a_visit_set_is_not_always_missed(line: str, given: dict[str, Any]) -> None:
    talk = Talk(defaults={**NEUTRAL, "site": "same-site", "connection": None})
    visit(talk, "https://api.a.test/login", response={"Set-Cookie": line})
    flow = talk.say(f"GET {SAME_SITE}", response=GOOD, **given)
    assert talk[flow].credentials is not OMIT
    assert "client-did-not-opt-in" not in ids(talk[flow])


@pytest.mark.parametrize(
    ("dest", "outcome"),
    [
        pytest.param("document", ALLOWED, id="in a tab"),
        pytest.param("iframe", CONDITIONAL, id="in a frame, which may be in the other's tab"),
    ],
)
def test_whether_storage_access_is_due_is_known_of_an_origin_with_a_tab_to_itself(dest: str, outcome: Outcome) -> None:
    talk = Talk(defaults={"connection": None})
    visit(talk, "https://b.test/login")
    visit(talk, f"{PAGE}/")
    if dest != "document":
        visit(talk, f"{PAGE}/framed", dest=dest)
    visit(talk, f"{PAGE}/again")
    flow = talk.say(f"GET {URL}", response=ANY)
    assert talk[flow].outcome is outcome


PARTITIONED = "a=1; Path=/; Secure; SameSite=None; Partitioned"


@pytest.mark.parametrize("browser", ["chromium", "firefox"])
def test_a_cookie_that_is_kept_for_another_page_is_told(browser: str) -> None:
    access = {STORAGE_ACCESS: "none"}
    talk = Talk(defaults={"browser": browser})
    visit(talk, f"{PAGE}/")
    set_in = talk.say(f"GET {URL}", headers=access, response={**GOOD, "Set-Cookie": PARTITIONED})
    visit(talk, "https://c.test/")
    good = {**GOOD, ALLOW_ORIGIN: "https://c.test"}
    there = talk.say(f"GET {URL}", origin="https://c.test", headers=access, response=good)
    assert "cookie-partitioned-elsewhere" in ids(talk[there])
    (said,) = (one for one in talk[there].findings if one.id == "cookie-partitioned-elsewhere")
    assert said.values["cookies"] == f"a (set in flow {set_in})"
    # Back on the first page it would have come, so that its absence is of no partition's making.
    here = talk.say(f"GET {URL}", headers=access, response=GOOD)
    assert "cookie-partitioned-elsewhere" not in ids(talk[here])


def test_nothing_is_said_of_partitions_where_a_frame_may_have_asked() -> None:
    access = {STORAGE_ACCESS: "none"}
    talk = Talk()
    visit(talk, f"{PAGE}/", dest="iframe", site="cross-site")
    talk.say(f"GET {URL}", headers=access, response={**GOOD, "Set-Cookie": PARTITIONED})
    visit(talk, f"{PAGE}/")
    visit(talk, "https://c.test/")
    good = {**GOOD, ALLOW_ORIGIN: "https://c.test"}
    flow = talk.say(f"GET {URL}", origin="https://c.test", headers=access, response=good)
    assert "cookie-partitioned-elsewhere" not in ids(talk[flow])


def test_cookies_of_redirected_requests_do_not_count() -> None:
    """A redirect changes which cookies travel."""
    talk = Talk(defaults=NEUTRAL)
    talk.say(
        "GET https://b.test/start", headers={STORAGE_ACCESS: "none"}, status=302, response={**GOOD, "Location": "/x"}
    )
    hop = talk.say(f"GET {URL}", headers={"Cookie": "sid=1"}, response=GOOD)
    assert talk[hop].redirected_from == "flow-1"
    assert talk[talk.say(f"GET {URL}", response=ANY)].credentials is UNKNOWN


def test_cookies_of_ordinary_requests_do_not_count() -> None:
    """The page's own site may well send cookies that a cross-site request does not carry."""
    talk = Talk(defaults=NEUTRAL)
    talk.say(f"GET {URL}", mode="no-cors", origin=None, headers={"Cookie": "sid=1"})
    assert talk[talk.say(f"GET {URL}", response=ANY)].credentials is UNKNOWN


# ---------------------------------------------------------------------- redirects


def hop(location: str, response: dict[str, str] | None = None) -> dict[str, Any]:
    return {"status": 302, "response": {**(GOOD if response is None else response), "Location": location}}


@pytest.mark.parametrize(("kind", "credentials"), [("text/plain", UNKNOWN), ("application/json", OMIT)])
def test_what_may_be_none_of_corss_business_goes_on_with_credentials_too(kind: str, credentials: Credentials) -> None:
    """On plain http a POST of plain text may be in mode "no-cors"."""
    talk = Talk()
    headers = {"Content-Type": kind, "Accept": "*/*"}
    talk.say(
        "POST http://b.test/x", origin="http://a.test", mode=None, headers=headers, **hop("/y", ANY) | {"status": 307}
    )
    talk.say("POST http://b.test/y", origin="http://a.test", mode=None, headers=headers, response=ANY)
    last = talk.say("GET http://b.test/z", origin="http://a.test", mode=None, response=ANY)
    assert talk[last].credentials is credentials


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_each_hop_is_checked_before_it_is_followed(status: int) -> None:
    talk = Talk()
    flow = talk.say(f"GET {URL}", status=status, response={"Location": "/y"})
    assert (talk[flow].kind, talk[flow].outcome, talk[flow].devtools_error) == (
        Kind.REDIRECT,
        BLOCKED,
        "MissingAllowOriginHeader",
    )
    other = talk.say("GET https://b.test/y", response=GOOD)
    assert talk[other].redirected_from is None, "a hop that fails is not followed"


@pytest.mark.parametrize(
    ("chain", "origins"),
    [
        pytest.param(["https://a.test/1", "https://b.test/2"], [None, PAGE], id="away from home"),
        pytest.param(["https://b.test/1", "https://b.test/2"], [PAGE, PAGE], id="within another origin"),
        pytest.param(["https://b.test/1", "https://a.test/2"], [PAGE, "null"], id="back home"),
        pytest.param(["https://b.test/1", "https://c.test/2"], [PAGE, "null"], id="to a third origin"),
        pytest.param(
            ["https://b.test/1", "https://c.test/2", "https://b.test/3"], [PAGE, "null", "null"], id="and back"
        ),
        pytest.param(
            ["https://a.test/1", "https://b.test/2", "https://a.test/3"], [None, PAGE, "null"], id="there and back"
        ),
        pytest.param(["https://b.test/1", "https://b.test:8443/2"], [PAGE, "null"], id="to another port"),
        pytest.param(["https://b.test/1", "https://api.b.test/2"], [PAGE, "null"], id="to a subdomain"),
    ],
)
@pytest.mark.parametrize("browser", ["chromium", "firefox"])
def test_chains_are_joined(chain: list[str], origins: list[str | None], browser: str) -> None:
    talk = Talk(defaults={"browser": browser})
    flows = []
    for index, (url, origin) in enumerate(zip(chain, origins, strict=True)):
        good = {ALLOW_ORIGIN: origin or "", ALLOW_CREDENTIALS: "true"}
        given = hop(chain[index + 1], good) if index + 1 < len(chain) else {"response": good}
        flows.append(talk.say(f"GET {url}", origin=origin, **given))
    assert [talk[flow].redirected_from for flow in flows] == [None, *flows[:-1]]
    assert [talk[flow].outcome for flow in flows] == [EXEMPT if origin is None else ALLOWED for origin in origins]
    assert [talk[flow].kind for flow in flows] == [Kind.REDIRECT] * (len(flows) - 1) + [Kind.ACTUAL]
    assert talk[flows[-1]].first_url == chain[0]


@pytest.mark.parametrize(
    ("response", "outcome"),
    [
        pytest.param({ALLOW_ORIGIN: "null", ALLOW_CREDENTIALS: "true"}, ALLOWED, id="null"),
        pytest.param(ANY, ALLOWED, id="a wildcard"),
        pytest.param(GOOD, BLOCKED, id="the page's real origin"),
        pytest.param({}, BLOCKED, id="nothing, as if it were still the page's own"),
    ],
)
def test_after_a_detour_home_is_a_foreign_place(response: dict[str, str], outcome: Outcome) -> None:
    talk = Talk()
    talk.say(f"GET {URL}", **hop("https://a.test/y", ANY))
    flow = talk.say("GET https://a.test/y", origin="null", response=response)
    assert talk[flow].outcome is outcome
    assert talk[flow].redirected_from == "flow-1"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/y", "https://b.test/y"),
        ("y?q#part", "https://b.test/y?q"),
        ("?q", "https://b.test/x?q"),
        ("//b.test/y", "https://b.test/y"),
        ("https://B.test:443/a/../y z", "https://b.test/y%20z"),
        ("https://b.test//y", "https://b.test//y"),
    ],
)
def test_locations_are_resolved(location: str, url: str) -> None:
    talk = Talk()
    first = talk.say(f"GET {URL}", **hop(location))
    assert talk[talk.say(f"GET {url}", response=GOOD)].redirected_from == first


@pytest.mark.parametrize(
    ("method", "status", "then"),
    [("POST", 302, "GET"), ("POST", 307, "POST"), ("PUT", 303, "GET"), ("PUT", 302, "PUT"), ("GET", 301, "GET")],
)
def test_the_method_of_the_next_hop(method: str, status: int, then: str) -> None:
    talk = Talk()
    first = talk.say(f"{method} {URL}", status=status, response={**GOOD, "Location": "/y"})
    wrong = talk.say("DELETE https://b.test/y", response=GOOD)
    right = talk.say(f"{then} https://b.test/y", response=GOOD)
    assert [talk[flow].redirected_from for flow in (wrong, right)] == [None, first]


def test_a_followed_redirect_had_no_credentials_that_would_have_stopped_it() -> None:
    talk = Talk(defaults=NEUTRAL)
    first = talk.say(f"GET {URL}", **hop("/y", ANY))
    assert talk[first].outcome is CONDITIONAL
    then = talk.say("GET https://b.test/y", response=ANY)
    assert talk.outcomes(first, then) == [ALLOWED, ALLOWED]
    assert talk[first].credentials_evidence == (
        "the redirect was followed, although credentials would have stopped it",
    )


def test_a_redirect_that_nothing_follows_stays_open() -> None:
    """`redirect: "error"`, `"manual"`, a content security policy: many things stop a fetch there."""
    talk = Talk(defaults=NEUTRAL)
    first = talk.say(f"GET {URL}", **hop("/y", ANY))
    talk.now += 1
    talk.say("GET https://c.test/", response=GOOD)
    talk.wait(10)
    talk.end()
    assert talk[first].outcome is CONDITIONAL


def test_credentials_on_one_hop_are_credentials_on_all() -> None:
    """Firefox says no Storage-Access after a redirect that taints the origin."""
    talk = Talk(defaults=NEUTRAL)
    first = talk.say(f"GET {URL}", headers={"Cookie": "a=1"}, **hop("https://c.test/y"))
    then = talk.say("GET https://c.test/y", origin="null", response=ANY)
    assert (talk[then].outcome, talk[then].credentials, talk[then].redirected_from) == (BLOCKED, INCLUDE, first)
    assert talk[then].credentials_evidence == ("cookie header: a",)


def test_credentials_on_a_later_hop_settle_the_earlier_ones() -> None:
    talk = Talk(defaults=NEUTRAL)
    start = talk.say("GET https://b.test/w", **hop("/x"))
    first = talk.say(f"GET {URL}", **hop("/y"))
    then = talk.say("GET https://b.test/y", headers={"Cookie": "a=1"}, response=GOOD)
    again = talk.say("GET https://b.test/w", response=GOOD)
    assert [talk[flow].redirected_from for flow in (start, first, then, again)] == [None, start, first, None]
    assert talk[then].credentials is INCLUDE


def test_a_request_with_credentials_does_not_follow_a_hop_that_stopped_them() -> None:
    talk = Talk(defaults=NEUTRAL)
    first = talk.say(f"GET {URL}", **hop("/y", ANY))
    other = talk.say("GET https://b.test/y", headers={"Cookie": "a=1"}, response=GOOD)
    assert (talk[other].redirected_from, talk[first].outcome) == (None, CONDITIONAL)


@pytest.mark.parametrize(
    ("lasts", "outcome"),
    [
        ("Max-Age=2", CONDITIONAL),
        ("Expires=Thu, 01 Jan 1970 00:17:00 GMT", CONDITIONAL),
        ("Max-Age=600", ALLOWED),
        ("Expires=Fri, 01 Jan 2100 00:00:00 GMT", ALLOWED),
        ("Path=/", ALLOWED),
    ],
)
def test_the_absence_of_a_cookie_that_may_have_expired_proves_nothing(lasts: str, outcome: Outcome) -> None:
    talk = Talk(defaults=NEUTRAL)
    talk.say(f"GET {URL}", response=[*GOOD.items(), ("Set-Cookie", f"a=1; {lasts}")])
    talk.say(f"GET {URL}", headers={"Cookie": "a=1"}, response=GOOD)
    talk.now += 3
    last = talk.say(f"GET {URL}", response=ANY)
    assert talk[last].outcome is outcome


def test_a_preflight_does_not_ask_for_a_language_that_its_request_then_has() -> None:
    """Only a script sets Content-Language, and needs no permission for most of its values."""
    talk = Talk(defaults=NEUTRAL)
    asked = talk.ask(URL, "PUT", response=PUT_ANY)
    put = talk.say(f"PUT {URL}", headers={"Content-Language": "en"}, response=ANY)
    talk.end()
    assert (talk[asked].outcome, talk[asked].credentials) == (ALLOWED, OMIT)
    assert talk[put].preflight == asked


def test_a_language_alone_needs_no_preflight() -> None:
    talk = Talk(defaults=NEUTRAL)
    assert talk[talk.say(f"GET {URL}", headers={"Content-Language": "en"}, response=ANY)].preflight_reason is None
    assert talk[talk.say(f"GET {URL}", headers={"Content-Language": "en@"}, response=ANY)].preflight_reason


@pytest.mark.parametrize(("method", "outcome"), [("GET", CONDITIONAL), ("PUT", ALLOWED)])
def test_a_hop_since_a_preflight_was_not_preflighted(method: str, outcome: Outcome) -> None:
    """What follows may come from either then, unless it needs a preflight."""
    talk = Talk(defaults=NEUTRAL)
    asked = talk.ask("https://b.test/y", method, response=PUT_ANY)
    talk.say(
        f"{method} https://a.test/x",
        origin=None,
        site="same-origin",
        status=307,
        response={"Location": "https://b.test/y"},
    )
    talk.say(f"{method} https://b.test/y", response=ANY)
    talk.now += 1
    talk.say("GET https://c.test/", response=GOOD)
    talk.wait(5)
    assert talk.outcomes(asked) == [outcome]


@pytest.mark.parametrize("browser", ["chromium", "firefox"])
def test_a_redirect_after_a_preflight_is_preflighted_again(browser: str) -> None:
    talk = Talk(defaults={"browser": browser})
    asked = talk.ask(URL, response=PUT_GOOD)
    first = talk.say(f"PUT {URL}", status=307, response={**GOOD, "Location": "/y"})
    again = talk.ask("https://b.test/y", response=PUT_GOOD)
    then = talk.say("PUT https://b.test/y", response=GOOD)
    assert talk.outcomes(asked, first, again, then) == [ALLOWED] * 4
    assert (talk[first].preflight, talk[first].redirected_from) == (asked, None)
    assert (talk[again].preflight, talk[again].redirected_from) == (None, first)
    assert (talk[then].preflight, talk[then].redirected_from) == (again, first)


def test_the_preflight_of_a_hop_that_needs_none_any_more() -> None:
    """Firefox asks even after Content-Type is gone, and shows no reason."""
    talk = Talk(defaults={"browser": "firefox"})
    talk.ask(URL, "POST", "content-type", response={**GOOD, ALLOW_HEADERS: "content-type"})
    first = talk.say(f"POST {URL}", headers={"Content-Type": "application/json"}, **hop("/y"))
    again = talk.ask("https://b.test/y", "GET", response=GOOD)
    then = talk.say("GET https://b.test/y", response=GOOD)
    assert (talk[again].redirected_from, talk[then].preflight, talk[then].redirected_from) == (first, again, first)


def test_a_tainted_hop_is_preflighted_with_null_in_chromium() -> None:
    null = {ALLOW_ORIGIN: "null", ALLOW_METHODS: "PUT"}
    talk = Talk()
    talk.ask(URL, response=PUT_GOOD)
    talk.say(f"PUT {URL}", status=307, response={**GOOD, "Location": "https://c.test/y"})
    asked = talk.ask("https://c.test/y", origin="null", response=null)
    flow = talk.say("PUT https://c.test/y", origin="null", response=null)
    assert talk.outcomes(asked, flow) == [ALLOWED, ALLOWED]
    assert talk[flow].preflight == asked


def test_and_with_the_real_origin_in_firefox() -> None:
    talk = Talk(defaults={"browser": "firefox"})
    talk.ask(URL, response=PUT_GOOD)
    first = talk.say(f"PUT {URL}", status=307, response={**GOOD, "Location": "https://c.test/y"})
    asked = talk.ask("https://c.test/y", origin=PAGE, response=PUT_GOOD)
    flow = talk.say("PUT https://c.test/y", origin="null", response={ALLOW_ORIGIN: "null", ALLOW_CREDENTIALS: "true"})
    assert talk.outcomes(asked, flow) == [ALLOWED, ALLOWED]
    assert (talk[asked].redirected_from, talk[flow].preflight) == (first, asked)


def test_a_hop_back_home_is_preflighted_in_firefox_without_a_check_of_the_origin() -> None:
    talk = Talk(defaults={"browser": "firefox"})
    talk.ask(URL, response=PUT_GOOD)
    first = talk.say(f"PUT {URL}", status=307, response={**GOOD, "Location": "https://a.test/y"})
    asked = talk.ask("https://a.test/y", origin=PAGE, response={ALLOW_METHODS: "PUT"})
    flow = talk.say("PUT https://a.test/y", origin="null", response={ALLOW_ORIGIN: "null", ALLOW_CREDENTIALS: "true"})
    assert talk.outcomes(asked, flow) == [ALLOWED, ALLOWED]
    assert (talk[asked].redirected_from, talk[flow].preflight) == (first, asked)


@pytest.mark.parametrize(
    ("location", "finding", "error"),
    [
        ("https://u:p@b.test/y", "redirect-with-user-info", "RedirectContainsCredentials"),
        ("https://u@c.test/y", "redirect-with-user-info", "RedirectContainsCredentials"),
        ("https://u:p@a.test/y", "redirect-with-user-info", "RedirectContainsCredentials"),
        ("data:text/plain,hi", "redirect-unsafe", None),
        ("mailto:a@b.test", "redirect-scheme", "CorsDisabledScheme"),
        ("https://b.test:port/", "redirect-location", None),
        ("https://b.test:25/", "redirect-bad-port", None),
        ("http://b.test/y", "redirect-mixed-content", None),
    ],
)
def test_targets_that_are_never_followed(location: str, finding: str, error: str | None) -> None:
    verdict = judged(exchange(f"GET {URL}", **hop(location)))
    assert (verdict.outcome, verdict.kind, ids(verdict)) == (BLOCKED, Kind.REDIRECT, [finding])
    assert verdict.devtools_error == error
    assert verdict.failed_parameter == ("" if error else None)


def test_of_several_locations_none_is_followed_unless_they_are_the_same() -> None:
    def redirect(*locations: str) -> Verdict:
        return judged(
            exchange(f"GET {URL}", status=302, response=[*ANY.items(), *[("Location", one) for one in locations]])
        )

    two = redirect("https://b.test/y", "https://b.test/z")
    assert (two.outcome, ids(two), two.devtools_error) == (BLOCKED, ["redirect-locations"], None)
    answers = [("Location", "https://b.test/y"), ("Location", "https://b.test/z")]
    for status in (200, 201, 302):
        # Before anything is checked: what else is missing does not matter.
        none = judged(exchange(f"GET {URL}", status=status, response=answers))
        assert (none.outcome, ids(none)) == (BLOCKED, ["redirect-locations"])
    own = judged(exchange("GET https://a.test/x", origin=None, site="same-origin", status=302, response=answers))
    assert (own.outcome, [(one.id, one.severity) for one in own.findings]) == (
        EXEMPT,
        [("redirect-locations", Severity.WARNING)],
    )
    asking = Talk(defaults=NEUTRAL)
    asked = asking.ask(URL, response=[*PUT_ANY.items(), *answers])
    assert (asking[asked].outcome, ids(asking[asked])) == (BLOCKED, ["redirect-locations"])
    assert redirect("https://b.test/y, z").outcome is ALLOWED
    talk = Talk(defaults=NEUTRAL)
    twice = [*ANY.items(), ("Location", "https://b.test/y"), ("Location", "https://b.test/y")]
    first = talk.say(f"GET {URL}", status=302, response=twice)
    then = talk.say("GET https://b.test/y", response=ANY)
    assert talk.outcomes(first, then) == [ALLOWED, ALLOWED]
    assert talk[then].redirected_from == first


@pytest.mark.parametrize(
    ("location", "origin"),
    [
        pytest.param("http://localhost:8080/y", PAGE, id="localhost is trustworthy"),
        pytest.param("http://b.test/y", "http://a.test", id="a plain page may go to a plain target"),
    ],
)
def test_targets_that_are_no_mixed_content(location: str, origin: str) -> None:
    good = {ALLOW_ORIGIN: origin, ALLOW_CREDENTIALS: "true"}
    assert judged(exchange(f"GET {URL}", origin=origin, **hop(location, good))).outcome is ALLOWED


def test_a_redirect_from_home_to_user_info_is_blocked_though_home_is_exempt() -> None:
    verdict = judged(
        exchange("GET https://a.test/x", origin=None, site="same-origin", **hop("https://u:p@b.test/", {}))
    )
    assert (verdict.outcome, verdict.devtools_error) == (BLOCKED, "RedirectContainsCredentials")
    within = judged(exchange("GET https://a.test/x", origin=None, site="same-origin", **hop("https://u:p@a.test/", {})))
    assert within.outcome is EXEMPT


@pytest.mark.parametrize(
    ("location", "finding"),
    [
        ("http://b.test/y", "redirect-mixed-content"),
        ("data:,hi", "redirect-unsafe"),
        ("mailto:a@b", "redirect-scheme"),
        ("https://b.test:25/y", "redirect-bad-port"),
    ],
)
def test_a_redirect_from_home_that_stops_without_cors_is_exempt_with_a_warning(location: str, finding: str) -> None:
    """A fetch with `redirect: "manual"` gets it all the same, and a policy may upgrade plain http."""
    verdict = judged(exchange("GET https://a.test/x", origin=None, site="same-origin", **hop(location, {})))
    assert verdict.outcome is EXEMPT
    assert [(one.id, one.severity) for one in verdict.findings] == [(finding, Severity.WARNING)]
    assert (verdict.reason, verdict.devtools_error) == (verdict.findings[0], None)


@pytest.mark.parametrize("headers", [{}, {"Cookie": "a=1"}], ids=["without cookies", "with cookies"])
def test_a_target_that_was_upgraded_to_https_is_no_mixed_content(headers: dict[str, str]) -> None:
    """`upgrade-insecure-requests` turns http into https without a trace on the wire."""
    talk = Talk(defaults=NEUTRAL)
    first = talk.say(f"GET {URL}", headers=headers, **hop("http://b.test/y"))
    then = talk.say("GET https://b.test/y", headers=headers, response=GOOD)
    assert talk.outcomes(first, then) == [ALLOWED, ALLOWED]
    assert talk[then].redirected_from == first
    assert talk[then].credentials is (INCLUDE if headers else UNKNOWN), "that it was followed tells nothing of them"


@pytest.mark.parametrize(
    ("followed", "browser", "origin"),
    [
        ("https://b.test/y", "chromium", PAGE),
        ("https://b.test/y", "firefox", "null"),
        pytest.param("http://b.test/y", "chromium", "null", id="a shared worker of Chromium"),
    ],
)
def test_a_redirect_to_plain_http_that_was_followed_is_no_mixed_content(
    followed: str, browser: str, origin: str
) -> None:
    """As Chromium 156 and Firefox 153 ask for an upgraded target, and Chromium's shared workers for the plain one."""
    talk = Talk(defaults={"browser": browser})
    first = talk.say(f"GET {URL}", **hop("http://b.test/y"))
    assert talk[first].outcome is BLOCKED
    then = talk.say(f"GET {followed}", origin=origin, response=ANY)
    assert (talk[first].outcome, talk[then].redirected_from) == (ALLOWED, first)


@pytest.mark.parametrize(
    ("followed", "origin", "later"),
    [
        pytest.param("https://b.test/y", PAGE, 1.1, id="too late"),
        pytest.param("http://b.test/y", PAGE, 0.0, id="the plain target is of another origin"),
        pytest.param("https://b.test/z", PAGE, 0.0, id="another URL"),
    ],
)
def test_what_does_not_follow_a_redirect_to_plain_http(followed: str, origin: str, later: float) -> None:
    talk = Talk()
    first = talk.say(f"GET {URL}", **hop("http://b.test/y"))
    talk.now += later
    then = talk.say(f"GET {followed}", origin=origin, response=ANY)
    assert (talk[first].outcome, talk[then].redirected_from) == (BLOCKED, None)


def test_a_hop_from_plain_http_is_followed_to_https_where_there_are_more_headers() -> None:
    talk = Talk()
    first = talk.say("GET http://b.test/x", origin="http://a.test", **hop("https://c.test/y", ANY))
    then = talk.say("GET https://c.test/y", origin="null", response=ANY)
    assert talk[then].redirected_from == first


def test_a_hop_of_unknown_mode_is_followed_by_no_other_kind_of_request() -> None:
    """An image on the page's own origin, on plain http, and a font of the page's."""
    talk = Talk()
    talk.say("GET http://a.test/x", origin=None, mode=None, site=None, dest=None, **hop("https://b.test/y", {}))
    then = talk.say("GET https://b.test/y", origin="http://a.test", dest="font", response=ANY)
    assert talk[then].redirected_from is None


def chain_of_redirects(talk: Talk, urls: list[str]) -> list[str]:
    """Follows redirects over `urls`; the last one redirects, too."""
    flows = []
    for number, url in enumerate(urls):
        home = url.startswith(PAGE)
        target = urls[number + 1] if number + 1 < len(urls) else "https://b.test/over"
        given = hop(target, {} if home else GOOD)
        flows.append(talk.say(f"GET {url}", origin=None if home else PAGE, **given))
    return flows


def test_twenty_redirects_are_followed_and_no_more() -> None:
    talk = Talk()
    flows = chain_of_redirects(talk, [f"https://b.test/{number}" for number in range(21)])
    assert talk.outcomes(*flows) == [ALLOWED] * 20 + [BLOCKED]
    assert ids(talk[flows[-1]]) == ["redirect-limit"]
    assert [talk[flow].redirected_from for flow in flows] == [None, *flows[:-1]]


@pytest.mark.parametrize(
    ("location", "outcome"), [("data:,hi", BLOCKED), ("http://b.test/y", EXEMPT), ("https://b.test/y", EXEMPT)]
)
def test_a_redirect_from_home_that_follows_another_is_no_manual_one(location: str, outcome: Outcome) -> None:
    talk, own = Talk(), {"origin": None, "site": "same-origin"}
    talk.say("GET https://a.test/x", **own, **hop("/y", {}))
    then = talk.say("GET https://a.test/y", **own, **hop(location, {}))
    assert talk[then].outcome is outcome


@pytest.mark.parametrize("home", [1, 3])
def test_redirects_at_home_count(home: int) -> None:
    talk = Talk()
    urls = [f"https://a.test/{number}" for number in range(home)] + [
        f"https://b.test/{number}" for number in range(home, 21)
    ]
    flows = chain_of_redirects(talk, urls)
    assert talk.outcomes(*flows) == [EXEMPT] * home + [ALLOWED] * (20 - home) + [BLOCKED]


def test_redirects_of_images_and_navigations_are_none_of_corss_business() -> None:
    talk = Talk()
    for mode in ("no-cors", "navigate"):
        first = talk.say(f"GET {URL}", mode=mode, origin=None, **hop("data:text/plain,hi", {}))
        assert talk[first].outcome is EXEMPT


# ---------------------------------------------------------------------- what tells against what


def test_certain_proofs_against_each_other_prove_nothing() -> None:
    """A cookie after a hop at which credentials would have stopped the request: something else may have added it."""
    talk = Talk(defaults=NEUTRAL)
    first = talk.say("GET https://b.test/1", **hop("/2", ANY))
    second = talk.say("GET https://b.test/2", **hop("/3"))
    assert (talk[first].outcome, talk[first].credentials) == (ALLOWED, OMIT)
    third = talk.say("GET https://b.test/3", headers={"Cookie": "a=1"}, **hop("/4"))
    assert (talk[first].outcome, talk[first].credentials) == (CONDITIONAL, UNKNOWN)
    assert talk[first].credentials_evidence[-1] == "contradicted by: cookie header: a"
    fourth = talk.say("GET https://b.test/4", headers={"Cookie": "b=1"}, response=ANY)
    assert [talk[flow].redirected_from for flow in (second, third, fourth)] == [first, second, third]
    assert (talk[fourth].outcome, talk[fourth].credentials) == (CONDITIONAL, UNKNOWN), "nothing more settles it"


def test_a_request_with_credentials_does_not_start_where_they_would_have_stopped_it() -> None:
    talk = Talk(defaults=NEUTRAL)
    hops = talk.say(f"GET {URL}", **hop("/y", ANY))
    asked = talk.ask("https://b.test/y", "GET", headers={STORAGE_ACCESS: "none"}, response=GOOD)
    assert talk[asked].redirected_from is None
    assert talk[hops].outcome is CONDITIONAL


def test_the_weaker_evidence_gives_way() -> None:
    """That nothing followed is strong evidence, a cookie a certain one."""
    talk = Talk(defaults={"site": "same-site"})
    talk.ask("https://api.a.test/p", response=PUT_GOOD)
    flow = talk.say(f"GET {SAME_SITE}", headers={"Cookie": "a=1"}, response=ANY)
    assert talk[flow].credentials_evidence == ("cookie header: a",)


def test_evidence_found_later_is_told_of_every_open_exchange_once() -> None:
    session = Session()
    for number in range(3):
        one = exchange(f"GET {SAME_SITE}", response=ANY, site="same-site", at=number, flow=f"f-{number}")
        assert [verdict.outcome for verdict in session.judge(one)] == [CONDITIONAL]
    proof = exchange(f"GET {SAME_SITE}", headers={"Cookie": "a=1"}, response=GOOD, site="same-site", at=4, flow="proof")
    told = session.judge(proof)
    assert [verdict.flow_id for verdict in told] == ["proof", "f-0", "f-1", "f-2"]
    assert [verdict.outcome for verdict in told] == [ALLOWED, BLOCKED, BLOCKED, BLOCKED]
    assert session.settle(1e9) == session.finish() == []


def test_evidence_found_later_is_told_of_exchanges_whose_verdict_stays_too() -> None:
    """What is to be mended may depend on it, and it is what a page's author wants to know."""
    session = Session()
    unknown = {"response": GOOD, "flow": "good"}, {"response": {ALLOW_ORIGIN: "null"}, "flow": "bad"}
    first = [session.judge(exchange(f"GET {SAME_SITE}", site="same-site", **one))[0] for one in unknown]
    assert [(verdict.credentials, verdict.complete) for verdict in first] == [(UNKNOWN, False)] * 2
    told = session.judge(exchange(f"GET {SAME_SITE}", headers={"Cookie": "a=1"}, response=GOOD, flow="proof"))
    assert [(verdict.flow_id, verdict.outcome, verdict.credentials) for verdict in told] == [
        ("proof", ALLOWED, INCLUDE),
        ("good", ALLOWED, INCLUDE),
        ("bad", BLOCKED, INCLUDE),
    ]
    assert [one.id for one in told[2].findings] == ["allow-origin-null-sent", "allow-credentials-missing"]
    assert [one.id for one in first[1].findings] == ["allow-origin-null-sent", "further-fault-with-credentials"]


def test_what_is_proven_is_not_told_again() -> None:
    session = Session()
    cookie = {"headers": {"Cookie": "a=1"}, "response": GOOD, "site": "same-site"}
    first = session.judge(exchange(f"GET {SAME_SITE}", flow="first", connection="1", **cookie))
    assert [verdict.complete for verdict in first] == [True]
    for number in range(3):
        told = session.judge(exchange(f"GET {SAME_SITE}", flow=f"f-{number}", connection="1", **cookie))
        assert [verdict.flow_id for verdict in told] == [f"f-{number}"]
    assert session.settle(1e9) == session.finish() == []


def test_clear_forgets_everything() -> None:
    talk = Talk(defaults={"site": "same-site"})
    talk.say("GET https://api.a.test/c", headers={"Cookie": "a=1"}, response=GOOD)
    asked = talk.ask("https://api.a.test/p", response=PUT_ANY, connection="2")
    talk.session.clear()
    flow = talk.say("GET https://api.a.test/f", response=ANY, connection="1")
    talk.wait(100)
    talk.end()
    assert talk.outcomes(asked, flow) == [CONDITIONAL, CONDITIONAL]


# ---------------------------------------------------------------------- ordinary traffic


@pytest.mark.parametrize(
    ("line", "given", "passes"),
    [
        pytest.param("GET https://b.test/i.png", {"mode": "no-cors", "origin": None}, True, id="an image"),
        pytest.param("GET https://a.test/api", {"origin": None, "site": "same-origin"}, True, id="a fetch at home"),
        pytest.param("GET https://b.test/", {"origin": None, "mode": "navigate"}, False, id="a navigation"),
        pytest.param("GET https://b.test/x", {}, False, id="a request with Origin"),
        pytest.param("GET https://b.test/x", {"headers": {"oRIGIN": PAGE}}, False, id="in whatever case"),
        pytest.param("GET https://a.test/x", {"origin": None, "status": 302}, False, id="a redirect"),
        pytest.param("GET https://a.test/x", {"origin": None, "status": 304}, False, id="a 304"),
    ],
)
def test_what_can_be_passed_by(line: str, given: dict[str, Any], passes: bool) -> None:
    session = Session()
    assert not pass_by(session, exchange(line, **given)), "a client that is not known yet has to be judged"
    session.judge(exchange("GET https://a.test/", origin=None))
    assert pass_by(session, exchange(line, **given)) is passes


@pytest.mark.parametrize("header", ["Cookie", STORAGE_ACCESS])
@pytest.mark.parametrize("later", [False, True], ids=["known before", "known after"])
def test_what_is_passed_by_tells_of_its_connection(header: str, later: bool) -> None:
    talk = Talk(defaults={"site": "same-site"})
    ordinary = exchange("GET https://api.a.test/i.png", mode="no-cors", origin=None, headers={header: "none"})
    talk.say("GET https://api.a.test/first", response=GOOD, connection="9")
    if not later:
        assert pass_by(talk.session, ordinary)
    flow = talk.say(f"GET {SAME_SITE}", response=ANY)
    if later:
        assert talk[flow].outcome is CONDITIONAL
        assert pass_by(talk.session, ordinary)
        talk.take(talk.session.settle(talk.now))
    assert (talk[flow].outcome, talk[flow].credentials) == (BLOCKED, INCLUDE)


def test_what_is_passed_by_is_activity() -> None:
    talk = Talk(defaults=NEUTRAL)
    asked = talk.ask(URL, response=PUT_ANY)
    assert pass_by(
        talk.session, exchange("GET https://c.test/i.png", mode="no-cors", origin=None, at=talk.now + 1, **NEUTRAL)
    )
    talk.end()
    assert talk[asked].outcome is BLOCKED


# ---------------------------------------------------------------------- memory

CONTAINERS = (dict, OrderedDict, list, set, deque, tuple, frozenset)


def reachable(root: object) -> list[object]:
    """Returns every object of the package, and every container, that `root` holds."""
    seen: dict[int, object] = {}
    stack = [root]
    while stack:
        one = stack.pop()
        if id(one) in seen or isinstance(one, (str, bytes, int, float, type, type(gc))):
            continue
        if isinstance(one, CONTAINERS) or type(one).__module__.startswith("corscope"):
            seen[id(one)] = one
            stack += gc.get_referents(one)
    return list(seen.values())


def largest(root: object) -> int:
    return max(len(one) for one in reachable(root) if isinstance(one, CONTAINERS))


LIMIT = 4096
"""No container of a session may hold more than its largest constant says."""


def header(name: str, value: str) -> tuple[tuple[bytes, bytes], ...]:
    return ((name.encode(), value.encode()),)


URLS = preflight(URL, response={**PUT_ANY, MAX_AGE: "86400"}, connection=None)
"""One page asks for ever new URLs, and goes no further."""
FETCH = exchange(f"GET {SAME_SITE}", response=ANY, site="same-site")
REDIRECT = exchange(f"GET {URL}", **hop("/to", ANY), **NEUTRAL)
STORED = exchange(f"GET {URL}", response={**GOOD, "ETag": '"1"'}, **NEUTRAL)
NAVIGATION = exchange("GET https://b.test/", origin=None, mode="navigate", dest="document", connection=None)
COOKIE = exchange(f"GET {URL}", headers={"Cookie": "a=1"}, response=GOOD, **NEUTRAL)
PLAIN = exchange(f"GET {URL}", response=GOOD, **NEUTRAL)

FLOODS: dict[str, tuple[Exchange, Callable[[int], dict[str, Any]]]] = {
    "URLs": (URLS, lambda number: {"path": f"/{number}"}),
    "connections": (FETCH, lambda number: {"connection": str(number)}),
    "connections of Firefox": (REDIRECT, lambda number: {"connection": str(number), "path": f"/{number % 7}"}),
    "clients": (FETCH, lambda number: {"client": str(number)}),
    "requests on one connection": (FETCH, lambda number: {"path": f"/{number}"}),
    "redirects": (
        REDIRECT,
        lambda number: {
            "path": f"/{number}",
            "response_headers": REDIRECT.response_headers[:1] + header("Location", f"/to/{number}"),
        },
    ),
    "stored responses": (STORED, lambda number: {"path": f"/{number}"}),
    "hosts": (PLAIN, lambda number: {"host": f"h{number}.test", "connection": str(number % 1000)}),
    "navigations": (NAVIGATION, lambda number: {"host": f"h{number}.test"}),
    "cookies to many hosts": (COOKIE, lambda number: {"host": f"h{number}.test"}),
    "names of cookies": (
        COOKIE,
        lambda number: {"request_headers": COOKIE.request_headers[:-1] + header("Cookie", f"c{number}=1")},
    ),
    "names of headers": (
        PLAIN,
        lambda number: {
            "request_headers": PLAIN.request_headers + header(f"X-{number}", "1"),
            "response_headers": PLAIN.response_headers + header(f"X-{number}", "1"),
        },
    ),
    "requests without an answer": (PLAIN, lambda number: {"path": f"/{number}", "status": None}),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_memory_is_bounded(flood: str) -> None:
    """Together nearly 200,000 exchanges: what is kept of the second half is no more than of the first."""
    session = Session()
    template, change = FLOODS[flood]
    # Of cookies each is looked at with each request, and of one site there are no more than 512.
    count = 2_500 if flood == "names of cookies" else 200_000 // len(FLOODS)
    half = 0
    for number in range(count):
        # A hundred in a second.
        at = number / 100
        session.judge(replace(template, **{"id": str(number), "started": at, "answered": at + 0.005, **change(number)}))
        if number == count // 2:
            half = len(reachable(session))
    assert largest(session) <= LIMIT
    assert len(reachable(session)) <= half * 1.1 + 100


def test_a_burst_is_bounded_too() -> None:
    """All within the grace time, or with a clock that stands still."""
    session = Session()
    for number in range(10_000):
        session.judge(replace(URLS, id=str(number), path=f"/{number}"))
    assert largest(session) <= LIMIT


def test_overlapping_requests_for_one_url_are_bounded() -> None:
    """Two requests are always on their way, so that which follows which preflight is never quite sure."""
    session = Session()
    half, count = 0, 5_000
    for number in range(count):
        at = number * 0.02
        asked = preflight(URL, response={**PUT_ANY, MAX_AGE: "0"}, at=at, took=0.03, flow=f"p{number}", **NEUTRAL)
        actual = exchange(f"PUT {URL}", response=ANY, at=at + 0.0305, took=0.001, flow=f"a{number}", **NEUTRAL)
        session.judge(asked)
        session.judge(actual)
        if number == count // 2:
            half = len(reachable(session))
    assert largest(session) <= LIMIT
    assert len(reachable(session)) <= half * 1.1 + 100


def test_a_verdict_has_every_field() -> None:
    """Verdicts are filled field by field."""
    (verdict,) = Session().judge(exchange(f"GET {SAME_SITE}", response=GOOD, site="same-site"))
    assert all(hasattr(verdict, one.name) for one in dataclass_fields(Verdict))


def test_the_constants_are_what_the_bounds_are_measured_by() -> None:
    names = ("CLIENTS", "CONNECTIONS", "SITES", "PERMISSIONS", "STORED", "BEGUN")
    assert all(0 < getattr(session_module, name) <= LIMIT for name in names)
    assert is_dataclass(Exchange)
    assert {one.name for one in dataclass_fields(Exchange)} >= {"client", "connection"}


@pytest.mark.parametrize(
    ("given", "passes"),
    [
        pytest.param(
            {"response": {"Content-Type": "image/png", "X-Content-Type-Options": "nosniff"}}, True, id="plain"
        ),
        pytest.param({"response": {"Content-Type": "application/json"}}, False, id="data for an element"),
        pytest.param({"response": {"content-type": "text/html; charset=utf-8"}}, False, id="a page for an element"),
        pytest.param({"response": {"Content-Type": "application/json"}, "dest": "empty"}, True, id="data for a script"),
        pytest.param({"response": {"Content-Type": "text/html"}, "site": "same-origin"}, True, id="at home"),
        pytest.param({"response": {"Set-Cookie": "sid=1"}}, False, id="a cookie"),
        pytest.param({"response": {"cross-origin-resource-policy": "same-site"}}, False, id="a policy"),
    ],
)
def test_what_is_looked_at_of_ordinary_traffic(given: dict[str, Any], passes: bool) -> None:
    talk = Talk()
    talk.say(f"GET {URL}", response=GOOD)
    one = exchange("GET https://b.test/i", **{"origin": None, "mode": "no-cors", "dest": "image", **given})
    assert pass_by(talk.session, one) is passes


def test_other_rules_apply_from_then_on() -> None:
    session = Session()
    asked = [exchange(f"GET {URL}", browser="firefox", response=ANY, flow=str(number)) for number in range(3)]
    browsers = [session.judge(asked[0])[0].browser]
    for rules, one in zip(("chromium", "auto"), asked[1:], strict=True):
        session.use_rules(rules)
        browsers.append(session.judge(one)[0].browser)
    assert browsers == ["firefox", "chromium", "firefox"]
