"""What holds for any traffic whatever."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from builders import (
    AGENTS,
    ALLOW_CREDENTIALS,
    ALLOW_HEADERS,
    ALLOW_METHODS,
    ALLOW_ORIGIN,
    ANY,
    GOOD,
    MAX_AGE,
    PAGE,
    STORAGE_ACCESS,
    exchange,
    pass_by,
    preflight,
)
from corscope import origins
from corscope.engine import (
    cors_check,
    cors_preflight_fetch,
    cors_unsafe_request_header_names,
    max_age,
)
from corscope.headers import extract_tokens
from corscope.model import BrowserFamily, Exchange, Kind, Outcome, Severity, Verdict
from corscope.modes import Head
from corscope.origins import ascii_host, host_of, is_valid_url, parse_location, serialize_origin, site
from corscope.privacy import shown_url
from corscope.report import as_json, comment, explanation, headline, log_line
from corscope.session import Session

# ---------------------------------------------------------------------- any bytes

NAMES = st.sampled_from(
    [
        b"Origin",
        b"Cookie",
        b"Authorization",
        b"Content-Type",
        b"Sec-Fetch-Mode",
        b"Sec-Fetch-Site",
        b"Sec-Fetch-Dest",
        b"Sec-Fetch-Storage-Access",
        b"Access-Control-Request-Method",
        b"Access-Control-Request-Headers",
        b"Access-Control-Allow-Origin",
        b"Access-Control-Allow-Credentials",
        b"Access-Control-Allow-Methods",
        b"Access-Control-Allow-Headers",
        b"Access-Control-Max-Age",
        b"Location",
        b"Set-Cookie",
        b"ETag",
        b"If-None-Match",
        b"Upgrade",
        b"User-Agent",
        b"Referer",
        b"Accept",
        b"Cache-Control",
        b"X-T",
    ]
) | st.binary(max_size=12)
VALUES = st.binary(max_size=40) | st.sampled_from(
    [
        b"*",
        b"null",
        b"true",
        b"https://a.test",
        b"https://b.test/x",
        b"cors",
        b"no-cors",
        b"navigate",
        b"cross-site",
        b"same-site",
        b"empty",
        b"document",
        b"PUT",
        b"x-t",
        b"a=1; b=2",
        b"sid=; Max-Age=0",
        b"http://b.test//[",
        b"https://u:p@\xff@c.test:99999/?{0}#",
        b"\\\\c.test\\..\\%2e",
        b"Basic x",
        b"websocket",
        b"text/plain",
        AGENTS["chromium"].encode(),
        AGENTS["firefox"].encode(),
        b"Chrome/" + b"9" * 40,
    ]
)
LINES = st.lists(st.tuples(NAMES, VALUES), max_size=12).map(tuple)
ORIGINS = st.just(()) | st.tuples(
    st.tuples(
        st.just(b"Origin"),
        st.sampled_from([b"https://a.test", b"null", b"https://u:p@a.test", b"https://", b"a.test"]) | VALUES,
    )
)
"""Most of what is blocked has but one Origin."""
PATHS = st.sampled_from(["/", "/x", "/x?a=1", "/\udcff?\udcfe", "", "*", "//b.test", "/é?token=1", "/%"]) | st.text(
    max_size=12
).map("/".__add__)


@st.composite
def anything(draw: st.DrawFn) -> Exchange:
    """Any exchange that a capture could hold, however broken."""
    started = draw(st.floats(0, 100) | st.sampled_from([0.0, 1.0, 1.01]))
    return Exchange(
        id=str(draw(st.integers(0, 5))),
        client=draw(st.sampled_from(["", "one", "two"])),
        connection=draw(st.sampled_from([None, "", "1", "2"])),
        started=started,
        answered=started + draw(st.floats(-1, 20)),
        method=draw(st.sampled_from([b"GET", b"POST", b"PUT", b"OPTIONS", b"patch", b"", b"\xff"])),
        scheme=draw(st.sampled_from(["http", "https"])),
        host=draw(st.sampled_from(["a.test", "b.test", "xn--8ca.test", "ü.test", "::1", "127.0.0.1", "", "\udcff"])),
        port=draw(st.sampled_from([80, 443, 8080, 0])),
        path=draw(PATHS),
        http_version=draw(st.integers(1, 3)),
        request_headers=draw(ORIGINS) + draw(LINES),
        status=draw(st.none() | st.sampled_from([0, 101, 200, 204, 301, 302, 304, 404, 500, 999])),
        response_headers=draw(LINES),
        client_certificate=draw(st.booleans()),
        sanitized=draw(st.booleans()),
        proxy_made=draw(st.booleans()),
    )


def check_verdict(verdict: Verdict) -> None:
    """Checks what holds for every verdict, and that every form of it can be made."""
    severities = [finding.severity for finding in verdict.findings]
    if verdict.outcome is Outcome.BLOCKED:
        assert severities[0] is Severity.ERROR
    else:
        assert (verdict.devtools_error, verdict.failed_parameter) == (None, None)
        assert Severity.ERROR not in severities
    if verdict.outcome is Outcome.CONDITIONAL:
        assert severities[0] is Severity.WARNING
    if verdict.outcome is Outcome.EXEMPT:
        assert verdict.note
    assert (verdict.failed_parameter is None) is (verdict.devtools_error is None)
    assert verdict.settled or verdict.outcome is Outcome.CONDITIONAL
    data = as_json(verdict)
    assert json.loads(json.dumps(data)) == data
    assert 0 < len(headline(verdict)) <= 60
    assert comment(verdict)
    assert log_line(verdict)
    assert explanation(data)


@given(st.lists(anything(), max_size=12), st.sampled_from(["auto", "chromium", "firefox", "spec"]))
@settings(max_examples=200)
def test_nothing_makes_the_session_raise(exchanges: list[Exchange], browser: str) -> None:
    session = Session(browser=browser)
    told: list[Verdict] = []
    for number, one in enumerate(exchanges):
        if number % 4 == 1 and one.status is not None and pass_by(session, one):
            continue
        if number % 4 == 2:
            told += session.begin(one)
        verdicts = session.judge(one)
        if one.status is not None:
            assert verdicts[0].flow_id == one.id
            told.append(verdicts[0])
        told += verdicts
    told += session.settle(60.0)
    told += session.finish()
    for verdict in told:
        check_verdict(verdict)


@given(st.binary(max_size=60), LINES)
def test_nothing_makes_the_engine_raise(value: bytes, lines: tuple[tuple[bytes, bytes], ...]) -> None:
    Head(lines).unsafe_names  # noqa: B018
    cors_unsafe_request_header_names(lines)
    tokens = extract_tokens(value)
    assert tokens is None or all(tokens)
    assert isinstance(is_valid_url(value), bool)
    host_of(value)
    site(value)
    for family in BrowserFamily:
        assert 0 <= max_age({b"access-control-max-age": value}, family) <= 86400


@given(st.text(max_size=40) | st.binary(max_size=40).map(lambda raw: raw.decode("latin-1")), PATHS)
@example("https://[::1", "/")
@example("https:\\\\u:p@@c.test:0443?\udc80#", "/")
def test_locations(location: str, path: str) -> None:
    """Whatever a Location says, it leads to an absolute http(s) URL, elsewhere, or nowhere."""
    target = parse_location(f"https://b.test{path}", location)
    if target is None:
        return
    if target.scheme not in ("http", "https"):
        assert target.origin == b"null"
        return
    assert target.url.startswith(target.origin.decode() + "/")
    assert target.url.isascii()
    assert not set(target.url) & set(' #\t\n\r"<>')
    assert "/../" not in target.url.partition("?")[0]
    again = parse_location("http://other.test/", target.url)
    assert again == target._replace(has_credentials=False), "a parsed URL is parsed to itself"


@given(st.text("/.?#%2eEaZ~:@;=&'é \\", max_size=12), st.sampled_from(("", "https://c.test", "http://c.test:8080")))
def test_plain_locations(ends: str, begins: str) -> None:
    """What needs no parser is read as the parser reads it."""
    location = begins + ends
    assert parse_location("https://b.test/x", location) == origins._parse_location("https://b.test/x", location)


@given(st.text(max_size=30), st.none() | st.integers(0, 65535))
def test_origins(host: str, port: int | None) -> None:
    origin = serialize_origin("https", host, port)
    assert origin.startswith(b"https://")
    assert not origin.endswith(b":443") or host.endswith(":443")
    assert ascii_host(ascii_host(host)) == ascii_host(host)


# ---------------------------------------------------------------------- secrets

SECRET = "SECRETsecretSECRET"
WORDS = st.text(alphabet="abcdefghXYZ0123456789-_.~%/?&=;#@:[]+", max_size=20)
SECRET_NAMES = st.sampled_from(
    ["token", "access_token", "password", "api_key", "code", "sig", "X-Amz-Signature", "sid"]
)


@given(WORDS, WORDS, SECRET_NAMES, st.sampled_from("?&;#"))
def test_a_secret_parameter_is_never_shown(before: str, after: str, name: str, mark: str) -> None:
    url = f"https://b.test/{before}{mark}{name}={SECRET}&{after}"
    assert SECRET not in shown_url(url)


@given(WORDS, st.sampled_from(["https://", "http:", "//", "HTTPS:\\\\"]), st.text(alphabet="ab:@.%", max_size=8))
def test_user_info_is_never_shown(after: str, start: str, user: str) -> None:
    assert SECRET not in shown_url(f"{start}{user}{SECRET}@b.test/{after}")


@given(st.text(max_size=60))
def test_any_text_can_be_shown(url: str) -> None:
    assert isinstance(shown_url(url), str)
    if not set(url) & set("=@"):
        assert shown_url(url) == url


@given(st.dictionaries(st.sampled_from(["sid", "theme", "x"]), st.just(SECRET), min_size=1), st.booleans())
def test_cookies_and_tokens_are_never_shown(cookies: dict[str, str], blocked: bool) -> None:
    sent = "; ".join(f"{name}={value}" for name, value in cookies.items())
    headers = {"Cookie": sent, "Authorization": f"Basic {SECRET}", "X-Api-Key": SECRET, "Referer": f"{PAGE}/{SECRET}"}
    response = {**(ANY if blocked else GOOD), "Set-Cookie": f"sid={SECRET}"}
    (verdict,) = Session().judge(exchange("GET https://b.test/x", headers=headers, response=response))
    assert SECRET not in json.dumps(as_json(verdict)) + comment(verdict) + log_line(verdict)


# ---------------------------------------------------------------------- monotony

CORS_VALUES = st.sampled_from(
    [b"*", b"null", b"true", b"https://a.test", b"https://z.test", b"", b"a, b", b"PUT", b"b@d"]
)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            b"access-control-allow-origin",
            b"access-control-allow-credentials",
            b"access-control-allow-methods",
            b"access-control-allow-headers",
            b"location",
        ]
    ),
    CORS_VALUES | st.sampled_from([b"x-t", b"*, x-t", b"authorization"]),
)


@given(
    HEADERS,
    st.sampled_from([b"https://a.test", b"null", b"https://z.test"]),
    st.sampled_from([b"GET", b"PUT", b"*", b"patch"]),
    st.sets(st.sampled_from([b"x-t", b"authorization", b"*"])),
    st.sampled_from([200, 204, 302, 404]),
    st.sampled_from(list(BrowserFamily)),
)
@settings(max_examples=500)
def test_what_passes_with_credentials_passes_without(
    headers: dict[bytes, bytes], origin: bytes, method: bytes, names: set[bytes], status: int, family: BrowserFamily
) -> None:
    if not cors_check(origin, headers, include=True):
        assert not cors_check(origin, headers, include=False)
    unsafe = tuple(sorted(names))

    def fetch(include: bool) -> tuple[Any, ...]:
        return cors_preflight_fetch(origin, method, unsafe, status, headers, include=include, family=family)

    if not fetch(True):
        assert not fetch(False)
    assert len(fetch(False)) <= len(fetch(True)), "credentials never mend a fault"


# ---------------------------------------------------------------------- stories

RESPONSES = [
    {},
    ANY,
    GOOD,
    {ALLOW_ORIGIN: PAGE},
    {ALLOW_ORIGIN: "null", ALLOW_CREDENTIALS: "true"},
]
PREFLIGHT_ANSWERS = [
    {**response, ALLOW_METHODS: methods, ALLOW_HEADERS: "x-t", MAX_AGE: age}
    for response in RESPONSES
    for methods in ("PUT", "*")
    for age in ("0", "600")
]


@st.composite
def story(draw: st.DrawFn, host: str, connections: tuple[str, ...], pace: float) -> list[Exchange]:
    """A plausible fetch to `host`: perhaps a preflight, perhaps a redirect, then the answer."""
    number = draw(st.integers(0, 2))
    url = f"https://{host}/{number}"
    common: dict[str, Any] = {
        "browser": draw(st.sampled_from(["chromium", "firefox"])),
        "http": draw(st.sampled_from([1, 2])),
        "site": draw(st.sampled_from(["cross-site", "same-site"])),
    }
    common["client"] = common["browser"]
    headers = draw(st.sampled_from([{}, {"Cookie": "sid=1"}, {STORAGE_ACCESS: "none"}]))
    exchanges: list[Exchange] = []
    at = 1000 + pace * draw(st.floats(0, 8))

    def add(make: Any, *line: str, **given: Any) -> None:  # noqa: ANN401
        nonlocal at
        took = pace * draw(st.sampled_from([0.005, 0.05, 1.0]))
        connection = draw(st.sampled_from(connections))
        exchanges.append(make(*line, at=at, took=took, connection=connection, **common, **given))
        at += took + pace * draw(st.sampled_from([0.001, 0.1, 4.0]))

    method = "GET"
    if draw(st.booleans()):
        method = "PUT"
        add(preflight, url, "PUT", response=draw(st.sampled_from(PREFLIGHT_ANSWERS)))
        if draw(st.booleans()):
            return exchanges
    if draw(st.booleans()):
        hop = {**draw(st.sampled_from(RESPONSES)), "Location": f"/{number}/to"}
        add(exchange, f"{method} {url}", headers=headers, status=307, response=hop)
        url += "/to"
    response = {**draw(st.sampled_from(RESPONSES)), **draw(st.sampled_from([{}, {"Set-Cookie": "sid="}]))}
    add(exchange, f"{method} {url}", headers=headers, response=response)
    return exchanges


def traffic(
    client: str, host: str, connections: tuple[str, ...] = ("1", "2"), pace: float = 1.0
) -> st.SearchStrategy[list[Exchange]]:
    """Returns the traffic of one client with one host, in the order in which it was answered.

    `pace` stretches or shrinks its times: at 1 it takes up to some twenty seconds.
    """

    def named(stories: list[list[Exchange]]) -> list[Exchange]:
        # One browser each: its family is part of the client.
        family = stories[0][0].client if stories else ""
        all_of_them = [one for exchanges in stories for one in exchanges if one.client == family]
        ordered = sorted(all_of_them, key=lambda one: one.answered)
        return [
            replace(one, id=f"{client} {host} {number}", client=f"{client} {family}")
            for number, one in enumerate(ordered)
        ]

    return st.lists(story(host, connections, pace), max_size=5).map(named)


BRIEF = 0.1
"""A pace at which all is over before the grace time is: then order is the only thing that time can change."""


def final(exchanges: list[Exchange]) -> dict[str, Verdict]:
    """Returns the last verdict on each exchange."""
    session = Session()
    told = [verdict for one in exchanges for verdict in session.judge(one)]
    return {verdict.flow_id: verdict for verdict in told + session.finish()}


@given(traffic("one", "b.test"))
def test_judging_is_deterministic(exchanges: list[Exchange]) -> None:
    first, second = Session(), Session()
    for one in exchanges:
        assert first.judge(one) == second.judge(one)
    assert first.finish() == second.finish()
    first.clear()
    told = [verdict for one in exchanges for verdict in first.judge(one)] + first.finish()
    assert {verdict.flow_id: verdict for verdict in told} == final(exchanges)


def merged(draw: st.DataObject, left: list[Exchange], right: list[Exchange]) -> list[Exchange]:
    """Returns both in one of the orders that keep the order of each."""
    left, right = list(left), list(right)
    both = []
    while left and right:
        both.append((left if draw.draw(st.booleans()) else right).pop(0))
    return both + left + right


def told_apart(verdicts: dict[str, Verdict]) -> dict[str, tuple[Any, ...]]:
    """Returns what a verdict decides, without the words of its evidence."""
    return {
        flow: (verdict.outcome, verdict.credentials, verdict.devtools_error, verdict.preflight, verdict.redirected_from)
        for flow, verdict in verdicts.items()
    }


@given(traffic("one", "b.test", pace=BRIEF), traffic("two", "b.test", pace=BRIEF), st.data())
@settings(max_examples=200)
def test_the_order_of_two_clients_flows_does_not_matter(one: list[Exchange], two: list[Exchange], draw: Any) -> None:  # noqa: ANN401
    assert told_apart(final(merged(draw, one, two))) == told_apart(final(one + two))


@given(traffic("one", "b.test", ("1", "2"), pace=BRIEF), traffic("one", "c.test", ("3", "4"), pace=BRIEF), st.data())
@settings(max_examples=200)
def test_nor_does_that_of_one_clients_flows_that_share_nothing(
    one: list[Exchange],
    two: list[Exchange],
    draw: Any,  # noqa: ANN401
) -> None:
    assume(not one or not two or one[0].client == two[0].client)
    assume(not any(habits(one)) and not any(habits(two)))
    assert told_apart(final(merged(draw, one, two))) == told_apart(final(one + two))


def habits(exchanges: list[Exchange]) -> list[bool]:
    """What is learned of a client as a whole: how it treats cookies."""
    session = Session()
    for one in exchanges:
        session.judge(one)
    firefox = BrowserFamily.FIREFOX
    return [
        known.mixes or (known.tells_storage_access and known.browser.family is firefox)
        for known in session._clients.values()
    ]


@given(traffic("one", "b.test"), traffic("two", "b.test"))
@settings(max_examples=200)
def test_another_client_is_no_more_than_time_that_passes(one: list[Exchange], two: list[Exchange]) -> None:
    together, alone = Session(), Session()
    told: tuple[list[Verdict], list[Verdict]] = ([], [])
    for each in sorted(one + two, key=lambda each: each.answered):
        told[0].extend(together.judge(each))
        told[1].extend(alone.judge(each) if each in one else alone.settle(each.answered))
    told[0].extend(together.finish())
    told[1].extend(alone.finish())
    mine = {each.id for each in one}
    assert [verdict for verdict in told[0] if verdict.flow_id in mine] == told[1]


@given(traffic("one", "b.test"))
def test_a_stranger_changes_nothing(exchanges: list[Exchange]) -> None:
    """Another client at the same moments, with the same connections and URLs, leaves every verdict as it is."""
    strangers = [replace(one, id=f"stranger {one.id}", client="stranger") for one in exchanges]
    pairs = [one for pair in zip(exchanges, strangers, strict=True) for one in pair]
    verdicts = final(pairs)
    assert {one.id: verdicts[one.id] for one in exchanges} == final(exchanges)


@given(traffic("one", "b.test"), st.data())
def test_passing_by_and_judging_leave_the_same_behind(exchanges: list[Exchange], draw: Any) -> None:  # noqa: ANN401
    """Ordinary traffic of the same client, on the same connections, between its CORS exchanges."""
    assume(exchanges)
    judging, passing = Session(), Session()
    told: tuple[list[Verdict], list[Verdict]] = ([], [])
    ordinary = exchange("GET https://b.test/i.png", origin=None, mode="no-cors", flow="ordinary")
    for one in exchanges:
        told[0].extend(judging.judge(one))
        told[1].extend(passing.judge(one))
        between = replace(
            ordinary,
            client=one.client,
            connection=draw.draw(st.sampled_from([one.connection, "9", None])),
            http_version=one.http_version,
            started=one.answered,
            answered=one.answered,
            request_headers=ordinary.request_headers
            + draw.draw(st.sampled_from([(), ((b"Cookie", b"sid=1"),), ((b"cookie", b"a"), (b"X", b"y"))])),
            response_headers=draw.draw(st.sampled_from([(), ((b"Set-Cookie", b"sid="),), ((b"set-cookie", b"a=b"),)])),
        )
        told[0].extend(judging.judge(between)[1:])
        if pass_by(passing, between):
            told[1].extend(passing.settle(between.answered))
        else:
            assert between.response_headers, "only what sets a cookie is looked at"
            told[1].extend(passing.judge(between)[1:])
    told[0].extend(judging.finish())
    told[1].extend(passing.finish())
    assert told[0] == told[1]


@given(traffic("one", "b.test"))
def test_beginning_changes_no_verdict(exchanges: list[Exchange]) -> None:
    """A live proxy sees requests before their responses; where none is slow, that tells nothing new."""
    # Random traffic has both classes on one connection, as no browser does: which proof comes first would then matter.
    exchanges = [replace(one, connection=None) for one in exchanges]
    live = Session()
    events = sorted(
        [(one.started, 0, one) for one in exchanges] + [(one.answered, 1, one) for one in exchanges],
        key=lambda event: event[:2],
    )
    told: list[Verdict] = []
    for _, answered, one in events:
        told += live.judge(one) if answered else live.begin(replace(one, status=None, response_headers=()))
    told += live.finish()
    verdicts = {verdict.flow_id: verdict for verdict in told}
    assert verdicts.keys() == {one.id for one in exchanges}
    direct = final(exchanges)
    for flow, verdict in verdicts.items():
        check_verdict(verdict)
        if Outcome.CONDITIONAL not in (verdict.outcome, direct[flow].outcome):
            assert verdict.outcome is direct[flow].outcome


@given(traffic("one", "b.test"))
def test_verdicts_hold_together(exchanges: list[Exchange]) -> None:
    verdicts = final(exchanges)
    assert verdicts.keys() == {one.id for one in exchanges}
    for verdict in verdicts.values():
        check_verdict(verdict)
        if verdict.kind is Kind.ACTUAL and verdict.preflight is not None:
            assert verdicts[verdict.preflight].kind is Kind.PREFLIGHT
        if verdict.redirected_from is not None:
            before = verdicts[verdict.redirected_from]
            assert before.kind is Kind.REDIRECT
            assert before.outcome is not Outcome.BLOCKED, "a blocked hop is not followed"
