"""The smallest change: applied to what was sent, it lets the browser have it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    judged,
    preflight,
)
from corscope.catalogue import CATALOGUE
from corscope.fixes import Fix, fix_of
from corscope.headers import get_all
from corscope.model import Credentials, Edit, Exchange, Operation, Outcome, Verdict
from corscope.report import texts
from corscope.session import Session
from test_catalogue import CASES, parse, run


def edited(one: Exchange, edits: tuple[Edit, ...]) -> Exchange:
    """Returns an exchange whose response was changed."""
    for edit in edits:
        if edit.operation is Operation.STATUS:
            assert (b"%d" % (one.status or 0),) == edit.before
            one = replace(one, status=int(edit.values[0]))
            continue
        assert edit.operation is (Operation.SET if edit.values else Operation.REMOVE)
        assert edit.before or edit.values
        name = edit.name.lower().encode()
        assert tuple(get_all(one.response_headers, name)) == edit.before, "what was sent is told as it was sent"
        kept = tuple((key, value) for key, value in one.response_headers if key.lower() != name)
        one = replace(one, response_headers=(*kept, *((edit.name.encode(), value) for value in edit.values)))
    return one


def changes(verdict: Verdict, fix: Fix, *, include: bool) -> dict[str, tuple[Edit, ...]]:
    """Returns what a fix says is to be done to exchanges, by their ids; also what credentials need besides."""
    found = {}
    besides = fix.with_credentials if include else fix.with_credentials._replace(preflight=(), actual=())
    asked = verdict.flow_id
    if fix.actual_seen:
        found[verdict.flow_id] = (*fix.actual, *besides.actual)
        asked = verdict.story[-1].flow_id if verdict.story else ""
    if fix.preflight or besides.preflight:
        assert asked
        found[asked] = (*fix.preflight, *besides.preflight)
    return found


def mended(exchanges: list[Exchange], edits: dict[str, tuple[Edit, ...]]) -> list[Exchange]:
    """Returns exchanges with what was to be done to them."""
    assert edits.keys() <= {one.id for one in exchanges}
    return [edited(one, edits.get(one.id, ())) for one in exchanges]


def beyond(verdict: Verdict) -> bool:
    """Tells what no header mends, or none should."""
    assert verdict.reason is not None
    ids = {verdict.reason.id, *(one.id for one in verdict.findings)}
    return verdict.origin == "null" or "proxy-error" in ids or any(one.startswith("redirect-") for one in ids)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_what_is_blocked_passes_with_the_change(path: Path) -> None:
    steps = parse(path.read_text(encoding="utf-8"))
    for verdict in run(steps).values():
        fix = fix_of(verdict)
        if fix is None:
            assert verdict.outcome in (Outcome.ALLOWED, Outcome.EXEMPT) or beyond(verdict)
            continue
        assert verdict.outcome in (Outcome.BLOCKED, Outcome.CONDITIONAL)
        right = mended([step.exchange for step in steps], changes(verdict, fix, include=True))
        again = run([replace(step, exchange=one) for step, one in zip(steps, right, strict=True)])
        assert again[verdict.flow_id].outcome is Outcome.ALLOWED
        # Nothing is left to be changed.
        assert fix_of(again[verdict.flow_id]) is None


def headers(edits: tuple[Edit, ...]) -> dict[str, str]:
    return {edit.name or "status": b" | ".join(edit.values).decode() for edit in edits}


def fix(verdict: Verdict) -> Fix:
    found = fix_of(verdict)
    assert found is not None
    return found


def test_no_more_than_is_missing() -> None:
    one = exchange("GET https://b.test/x", headers={"Cookie": "sid=1"}, response={ALLOW_ORIGIN: "https://a.test"})
    found = fix(judged(one))
    assert headers(found.actual) == {ALLOW_CREDENTIALS: "true", "Vary": "Origin"}
    assert found.preflight == ()
    assert found.actual_seen


def test_what_is_sent_without_credentials_needs_none_allowed() -> None:
    found = fix(judged(exchange("GET https://b.test/x", response={"Vary": "Accept-Encoding"})))
    assert headers(found.actual) == {ALLOW_ORIGIN: "https://a.test", "Vary": "Accept-Encoding, Origin"}
    assert not found.policy.credentials


@pytest.mark.parametrize("vary", ["Origin", "origin", "Accept, ORIGIN", "*"])
def test_what_varies_already_stays(vary: str) -> None:
    found = fix(judged(exchange("GET https://b.test/x", response={"vary": vary})))
    assert headers(found.actual) == {ALLOW_ORIGIN: "https://a.test"}


def test_a_preflight_keeps_what_it_allowed_already() -> None:
    said = {**GOOD, ALLOW_METHODS: "GET, *", ALLOW_HEADERS: "X-Old"}
    found = fix(judged(preflight("https://b.test/x", "PUT", "x-new", status=405, response=said)))
    assert headers(found.preflight) == {"status": "204", ALLOW_HEADERS: "x-old, x-new"}
    assert not found.actual_seen
    assert headers(found.actual) == {ALLOW_ORIGIN: "https://a.test", "Vary": "Origin"}
    assert headers(found.with_credentials.preflight) == {ALLOW_METHODS: "GET, PUT"}
    assert headers(found.with_credentials.actual) == {ALLOW_CREDENTIALS: "true"}


def test_the_preflight_before_is_part_of_it() -> None:
    talk = Talk()
    talk.ask("https://b.test/x", "PUT", response={**GOOD, ALLOW_METHODS: "PUT", MAX_AGE: "600"})
    actual = talk.say("PUT https://b.test/x", headers={"Cookie": "sid=1"}, response=ANY)
    found = fix(talk[actual])
    assert found.preflight == (), "it was right"
    assert found.policy.methods == ("PUT", "GET", "HEAD", "POST")
    assert headers(found.actual) == {ALLOW_ORIGIN: "https://a.test", ALLOW_CREDENTIALS: "true", "Vary": "Origin"}


WITH = {STORAGE_ACCESS: "active"}
"""Firefox sends it on the preflight, too, of a request with credentials."""


def without_credentials(method: str, asks: str, response: dict[str, str]) -> Verdict:
    """Returns the verdict on a preflight after a hop that shows that the request has no credentials."""
    talk = Talk()
    talk.say(f"{method} https://b.test/", dest="font", status=307, response={**ANY, "Location": "/x"})
    verdict = talk[talk.ask("https://b.test/x", method, asks, dest="font", response=response)]
    assert verdict.credentials is Credentials.OMIT
    return verdict


def test_without_credentials_a_wildcard_that_passes_stays() -> None:
    found = fix(without_credentials("PUT", "x-t", {**ANY, ALLOW_HEADERS: "*"}))
    assert headers(found.preflight) == {ALLOW_METHODS: "PUT"}
    assert headers(found.actual) == {ALLOW_ORIGIN: "https://a.test", "Vary": "Origin"}
    assert not found.policy.credentials
    assert found.with_credentials == ((), ())


def test_of_what_only_credentials_stop_all_is_said_at_once() -> None:
    verdict = judged(exchange("GET https://api.a.test/x", site="same-site", browser="firefox", http=2, response=ANY))
    assert verdict.outcome is Outcome.CONDITIONAL
    found = fix(verdict)
    assert headers(found.actual) == {ALLOW_ORIGIN: "https://a.test", ALLOW_CREDENTIALS: "true", "Vary": "Origin"}
    assert found.with_credentials == ((), ())


def test_what_is_blocked_either_way_has_two_parts() -> None:
    found = fix(judged(exchange("GET https://api.a.test/x", site="same-site", browser="firefox", http=2)))
    assert headers(found.actual) == {ALLOW_ORIGIN: "https://a.test", "Vary": "Origin"}
    assert headers(found.with_credentials.actual) == {ALLOW_CREDENTIALS: "true"}


@pytest.mark.parametrize(
    ("method", "said", "right"),
    [
        ("GET", "GET POST PUT", "GET, POST, PUT"),
        ("DELETE", "GET; POST", "GET, POST, DELETE"),
        ("DELETE", "*", "DELETE"),
        ("DELETE", "purge, *", "purge, DELETE"),
        ("GET", "@", ""),
    ],
)
def test_a_list_of_methods_is_mended(method: str, said: str, right: str) -> None:
    one = preflight("https://b.test/x", method, browser="firefox", headers=WITH, response={**GOOD, ALLOW_METHODS: said})
    (edit,) = fix(judged(one)).preflight
    assert (edit.before, b"".join(edit.values).decode()) == ((said.encode(),), right)
    assert edit.operation is (Operation.SET if right else Operation.REMOVE)


@pytest.mark.parametrize(
    ("asks", "said", "right"),
    [
        ("", "content type; X-T", "content, type, x-t"),
        ("x-a", "X-B c@", "x-b, x-a"),
        ("x-a", "*", "x-a"),
        ("", "(", ""),
    ],
)
def test_a_list_of_headers_is_mended(asks: str, said: str, right: str) -> None:
    response = {**GOOD, ALLOW_HEADERS: said}
    one = preflight("https://b.test/x", "GET", asks, browser="firefox", headers=WITH, response=response)
    (edit,) = fix(judged(one)).preflight
    assert (edit.before, b"".join(edit.values).decode()) == ((said.encode(),), right)


def test_a_configuration_takes_back_nothing() -> None:
    said = {ALLOW_ORIGIN: "https://www.shop.test", ALLOW_METHODS: "PURGE, *", ALLOW_HEADERS: "X-Old; *"}
    policy = fix(without_credentials("patch", "x-new", said)).policy
    assert policy.origins == ("https://a.test", "https://www.shop.test")
    assert policy.methods == ("PURGE", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "patch")
    assert policy.request_headers == ("x-old", "content-type", "authorization", "x-new")
    assert not policy.credentials
    # To another page they were allowed.
    said[ALLOW_CREDENTIALS] = "true"
    found = fix(judged(exchange("GET https://b.test/x", dest="font", response=said)))
    assert found.policy.credentials
    assert headers(found.actual) == {ALLOW_ORIGIN: "https://a.test", "Vary": "Origin"}


@pytest.mark.parametrize(
    "value", ["https://www.shop.test/", "https://*.shop.test", "null", "https://b.test, https://c.test"]
)
def test_a_configuration_lets_in_no_value_that_is_no_origin(value: str) -> None:
    found = fix(judged(exchange("GET https://b.test/x", response={ALLOW_ORIGIN: value})))
    assert found.policy.origins == ("https://a.test",)


@pytest.mark.parametrize("value", ["http://a.test", "http://a.test:8080"])
def test_a_configuration_does_not_let_in_the_page_without_tls(value: str) -> None:
    """That origin was a slip; listed beside the right one it would let in whoever is on the way."""
    found = fix(judged(exchange("GET https://b.test/x", response={ALLOW_ORIGIN: value})))
    assert found.policy.origins == ("https://a.test",)


def test_firefox_asks_the_own_origin_for_no_allow_origin() -> None:
    one = preflight("https://b.test/x", "PUT", origin="https://b.test", browser="firefox", site="cross-site")
    assert headers(fix(judged(one)).preflight) == {ALLOW_METHODS: "PUT"}


def test_repeated_lines_become_one() -> None:
    lines = [(ALLOW_ORIGIN, "https://a.test"), (ALLOW_ORIGIN, "*")]
    found = fix(judged(exchange("GET https://b.test/x", response=lines)))
    edit = found.actual[0]
    assert (edit.values, edit.before) == ((b"https://a.test",), (b"https://a.test", b"*"))


def test_of_a_path_no_query_is_kept() -> None:
    found = fix(judged(exchange("GET https://b.test/x?token=secret")))
    assert found.policy.path == "/x"


def test_where_no_header_helps_there_is_no_change() -> None:
    away = {**ANY, "Location": "myapp://callback"}
    assert fix_of(judged(exchange("GET https://b.test/x", status=302, response=away))) is None
    assert fix_of(judged(exchange("GET https://b.test/x", status=502, proxy_made=True))) is None
    assert fix_of(judged(exchange("GET https://b.test/x", response=GOOD))) is None
    assert fix_of(judged(exchange("GET https://a.test/x", site="same-origin"))) is None
    assert fix_of(judged(preflight("https://b.test/x", "P T", response=GOOD))) is None


@pytest.mark.parametrize("response", [{}, ANY, {ALLOW_ORIGIN: "https://a.test"}])
@pytest.mark.parametrize("cookie", ["sid=1", ""])
def test_null_is_not_let_in(response: dict[str, str], cookie: str) -> None:
    sent = {"Cookie": cookie} if cookie else {}
    verdict = judged(exchange("GET https://b.test/x", origin="null", headers=sent, response=response))
    assert fix_of(verdict) is None
    assert fix_of(judged(preflight("https://b.test/x", "PUT", origin="null", response=response))) is None


@pytest.mark.parametrize("response", [{}, ANY, {"Location": "https://c.test/"}])
def test_an_origin_that_holds_a_users_name_is_not_let_in(response: dict[str, str]) -> None:
    """No browser sends one, others might; and its value is not shown."""
    status = 302 if "Location" in response else 200
    sent = {"Cookie": "sid=1"}
    verdict = judged(
        exchange("GET https://b.test/x", origin="https://u:p@a.test", headers=sent, status=status, response=response)
    )
    assert (verdict.outcome, verdict.origin) == (Outcome.BLOCKED, "https://…@a.test")
    assert fix_of(verdict) is None
    assert verdict.reason is not None
    assert texts(verdict.reason).fix.startswith("Send an Origin that is scheme, host and port alone")


@pytest.mark.parametrize("location", ["myapp://callback", "https://user@c.test/", "http://c.test/", "https://["])
@pytest.mark.parametrize("silent", [False, True])
def test_a_hop_that_leads_astray_besides_gets_no_fix(location: str, silent: bool) -> None:
    session = Session()
    session.silence = frozenset(CATALOGUE) if silent else frozenset()
    hop = exchange("GET https://b.test/x", status=302, headers={"Cookie": "a=1"}, response={"Location": location})
    verdict = session.judge(hop)[0]
    assert verdict.outcome is Outcome.BLOCKED
    assert fix_of(verdict) is None


def test_a_hop_that_leads_on_is_mended() -> None:
    away = {**ANY, "Location": "https://c.test/"}
    found = fix(judged(exchange("GET https://b.test/x", status=302, headers={"Cookie": "a=1"}, response=away)))
    assert headers(found.actual) == {ALLOW_ORIGIN: "https://a.test", ALLOW_CREDENTIALS: "true", "Vary": "Origin"}


# ---------------------------------------------------------------------- any exchange

MODES: dict[str, dict[str, Any]] = {
    "include": {"browser": "firefox", "headers": WITH},
    "omit": {"dest": "font"},
    "unknown": {"browser": "firefox", "site": "same-site", "http": 2},
}
OTHER = "https://www.a.test"
ALLOW_ORIGINS = [(), (PAGE,), ("*",), (OTHER,), ("",), (f"{PAGE}, {OTHER}",), (PAGE, PAGE), (PAGE, ""), ("*", PAGE)]
ALLOW_CREDENTIALS_LINES = [(), ("true",), ("True",), ("false",), ("true", "true"), ("true", "")]
LISTS = {
    ALLOW_METHODS: [
        (),
        ("*",),
        ("GET, PUT",),
        ("GET POST PUT",),
        ("GET", "DELETE"),
        ("get; patch, *",),
        ("@",),
        (" ,PUT",),
    ],
    ALLOW_HEADERS: [(), ("*",), ("Content-Type",), ("content type; x",), ("X-A", "*"), ("authorization,X-A",), ("(",)],
}


@st.composite
def answers(draw: st.DrawFn, *, preflight: bool) -> dict[str, Any]:
    """Draws a status and headers, right or wrong."""
    lines = {ALLOW_ORIGIN: ALLOW_ORIGINS, ALLOW_CREDENTIALS: ALLOW_CREDENTIALS_LINES, **(LISTS if preflight else {})}
    response = [(name, value) for name, choices in lines.items() for value in draw(st.sampled_from(choices))]
    response += [("Vary", value) for value in draw(st.sampled_from([(), ("Accept",), ("Origin",)]))]
    if preflight and draw(st.booleans()):
        response.append(("Location", "/login"))
    return {"status": draw(st.sampled_from([200, 204, 301, 404, 500])), "response": response}


@st.composite
def stories(draw: st.DrawFn) -> tuple[str, list[Exchange]]:
    """Draws a credentials mode, and a preflight, an actual request, or both."""
    mode = draw(st.sampled_from(sorted(MODES)))
    method = draw(st.sampled_from(["GET", "PUT", "DELETE", "patch"]))
    asks = draw(st.sampled_from(["", "content-type", "authorization,content-type", "x-a"]))
    parts = draw(st.sampled_from(["preflight", "actual", "both"]))
    told, url = MODES[mode], "https://api.a.test/x"
    story = []
    if mode == "omit":
        # What a preflight is for shows in the hop before.
        way = {"status": 307, "response": {**ANY, "Location": url}}
        story.append(exchange(f"{method} https://api.a.test/", flow="hop", at=999.9, **told, **way))
    if parts != "actual":
        answer = draw(answers(preflight=True))
        story.append(preflight(url, method, asks, flow="asked", **told, **answer))
    if parts != "preflight":
        values = {"content-type": "application/json", "authorization": "Bearer x", "x-a": "1"}
        sent = {name: values[name] for name in asks.split(",") if name} | told.get("headers", {})
        if mode == "include" and draw(st.booleans()):
            sent["Cookie"] = "sid=1"
        answer = draw(answers(preflight=False))
        rest = {**told, "headers": sent, **answer}
        story.append(exchange(f"{method} {url}", flow="actual", at=1000.1, **rest))
    return mode, story


def judge(story: list[Exchange]) -> dict[str, Verdict]:
    session = Session()
    return {verdict.flow_id: verdict for one in story for verdict in session.judge(one)}


@settings(max_examples=500)
@given(stories())
def test_any_story_passes_with_its_changes_and_not_with_fewer(drawn: tuple[str, list[Exchange]]) -> None:
    mode, story = drawn
    verdicts = judge(story)
    for verdict in verdicts.values():
        if len(verdicts) == 1 or mode == "omit":
            assert verdict.credentials == mode, "the story is what it is drawn as"
        found = fix_of(verdict)
        assert (found is None) is (verdict.outcome is Outcome.ALLOWED)
        if found is None:
            continue
        if verdict.credentials is not Credentials.UNKNOWN:
            assert found.with_credentials == ((), ())
        else:
            some = judge(mended(story, changes(verdict, found, include=False)))
            concerned = changes(verdict, found, include=True)
            assert all(some[flow].outcome is not Outcome.BLOCKED for flow in concerned)
        edits = changes(verdict, found, include=True)
        again = judge(mended(story, edits))
        for flow, all_of_them in edits.items():
            assert again[flow].outcome is Outcome.ALLOWED
            assert fix_of(again[flow]) is None
            assert not (verdicts[flow].outcome is Outcome.ALLOWED and all_of_them)
            if found.with_credentials != ((), ()):
                # What is set twice is no change less.
                continue
            for edit in all_of_them:
                if edit.name == "Vary":
                    continue
                fewer = {**edits, flow: tuple(one for one in all_of_them if one is not edit)}
                assert judge(mended(story, fewer))[flow].outcome is not Outcome.ALLOWED, edit


def test_names_that_no_script_can_send_stay_out_of_configurations() -> None:
    """jub0bs/cors refuses to start with them."""
    listed = "Origin, X-Requested-With, Sec-Fetch-Mode, Cookie, Access-Control-Allow-Origin, Authorization"
    answer = {
        ALLOW_ORIGIN: "https://a.test/",
        ALLOW_HEADERS: listed,
        "Access-Control-Expose-Headers": "Set-Cookie, X-T",
    }
    policy = fix(judged(preflight("https://b.test/x", "PUT", "x-new", response=answer))).policy
    assert policy.request_headers == ("x-requested-with", "authorization", "x-new")
    assert policy.exposed_headers == ("X-T",)
