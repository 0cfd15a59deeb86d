"""Plans for responses, as data: what they change, what they leave alone, and that the result passes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders import (
    ALLOW_CREDENTIALS,
    ALLOW_HEADERS,
    ALLOW_METHODS,
    ALLOW_ORIGIN,
    GOOD,
    MAX_AGE,
    PAGE,
    exchange,
    fields,
    preflight,
)
from corscope.headers import Fields, get_all, is_token
from corscope.model import Edit, Exchange, Operation, Outcome
from corscope.modes import read_head
from corscope.rewriter import (
    COOKIES_CROSS_SITE,
    COOKIES_PARTITIONED,
    Settings,
    beyond_headers,
    cross_site_cookie,
    drops_body,
    edited_fields,
    edited_status,
    needs,
    notes,
    plan,
)
from corscope.scope import AllowedOrigins
from corscope.session import Session
from test_properties import anything

ANYBODY = Settings(allowed=AllowedOrigins(any=True))
URL = "https://b.test/x"
EXPOSE = "Access-Control-Expose-Headers"


def planned(given: Exchange, **settings: Any) -> tuple[Edit, ...]:  # noqa: ANN401
    return plan(given, read_head(given.request_headers), replace(ANYBODY, **settings))


def rewritten(given: Exchange, **settings: Any) -> Exchange:  # noqa: ANN401
    edits = planned(given, **settings)
    return replace(
        given,
        response_headers=edited_fields(given.response_headers, edits),
        status=edited_status(given.status or 0, edits),
    )


def lines(given: Exchange, name: str) -> list[str]:
    return [value.decode("latin-1") for value in get_all(given.response_headers, name.lower().encode())]


# ---------------------------------------------------------------------- actual responses


@pytest.mark.parametrize(
    "response",
    [
        pytest.param([], id="nothing"),
        pytest.param([(ALLOW_ORIGIN, "*")], id="a wildcard"),
        pytest.param([(ALLOW_ORIGIN, "*"), (ALLOW_ORIGIN, PAGE), (ALLOW_CREDENTIALS, "True")], id="two and True"),
        pytest.param([(ALLOW_ORIGIN, f"{PAGE}/"), (ALLOW_CREDENTIALS, "false")], id="a slash and false"),
        pytest.param([(ALLOW_ORIGIN, PAGE), (ALLOW_CREDENTIALS, "true"), (ALLOW_CREDENTIALS, "true")], id="true twice"),
    ],
)
def test_an_actual_response_passes_afterwards(response: list[tuple[str, str]]) -> None:
    after = rewritten(exchange(f"GET {URL}", headers={"Cookie": "a=1"}, response=response))
    assert lines(after, ALLOW_ORIGIN) == [PAGE]
    assert lines(after, ALLOW_CREDENTIALS) == ["true"]
    assert lines(after, "Vary") == ["Origin"]
    assert Session().judge(after)[0].outcome is Outcome.ALLOWED


def test_null_is_an_origin_like_any_other() -> None:
    after = rewritten(exchange(f"GET {URL}", origin="null", response=[(ALLOW_ORIGIN, "*")]))
    assert lines(after, ALLOW_ORIGIN) == ["null"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], ["Origin"]),
        (["Accept-Encoding"], ["Accept-Encoding, Origin"]),
        (["Accept", "Cookie"], ["Accept", "Cookie, Origin"]),
        (["accept, ORIGIN"], ["accept, ORIGIN"]),
        (["Accept", "Origin"], ["Accept", "Origin"]),
        (["*"], ["*"]),
        ([""], ["Origin"]),
    ],
)
def test_vary(before: list[str], after: list[str]) -> None:
    assert lines(rewritten(exchange(f"GET {URL}", response=[("Vary", one) for one in before])), "Vary") == after


@pytest.mark.parametrize(
    ("wanted", "after"),
    [
        ((), ["*, X-Rate"]),
        (("X-Total", "ETag"), ["X-Rate, X-Total, ETag"]),
        (("*",), ["X-Rate, ETag, X-Total"]),
        (("*", "X-Later"), ["X-Rate, X-Later, ETag, X-Total"]),
    ],
)
def test_exposed_headers(wanted: tuple[str, ...], after: list[str]) -> None:
    response = [
        (EXPOSE, "*, X-Rate"),
        ("Content-Type", "a/b"),
        ("ETag", '"1"'),
        ("X-Total", "1"),
        ("Set-Cookie", "a=1"),
    ]
    assert lines(rewritten(exchange(f"GET {URL}", response=response), expose_headers=wanted), EXPOSE) == after


def test_what_is_right_is_left_alone() -> None:
    assert planned(exchange(f"GET {URL}", response={**GOOD, "Vary": "Origin"})) == ()


def test_an_edit_names_what_it_mends() -> None:
    edits = planned(exchange(f"GET {URL}", response=[("X-A", "1"), (ALLOW_ORIGIN, "*")]))
    assert edits[0] == Edit(
        Operation.SET, ALLOW_ORIGIN, (PAGE.encode(),), (b"*",), "allow-origin-wildcard-with-credentials"
    )
    assert (edits[1].name, edits[1].cures) == (ALLOW_CREDENTIALS, "allow-credentials-missing")
    assert (edits[2].name, edits[2].cures) == ("Vary", None)


def test_new_names_are_spelled_as_the_others_are() -> None:
    small = planned(exchange(f"GET {URL}", response=[("x-a", "1")]))
    assert [edit.name for edit in small] == [ALLOW_ORIGIN.lower(), ALLOW_CREDENTIALS.lower(), "vary"]


# ---------------------------------------------------------------------- preflights


def test_a_preflight_gets_what_it_asked_for_and_never_a_star() -> None:
    given = preflight(
        URL, "patch", "x-a,x-b", status=200, response={ALLOW_ORIGIN: "*", ALLOW_METHODS: "*", ALLOW_HEADERS: "*"}
    )
    after = rewritten(given)
    assert after.status == 200
    assert lines(after, ALLOW_METHODS) == ["patch"]
    assert lines(after, ALLOW_HEADERS) == ["x-a, x-b"]
    assert lines(after, MAX_AGE) == ["0"]
    assert Session().judge(after)[0].outcome is Outcome.ALLOWED


@pytest.mark.parametrize("status", [301, 307, 401, 404, 405, 500, 304])
def test_a_status_that_fails_a_preflight_goes_and_takes_what_it_said_along(status: int) -> None:
    response = [("Location", "/login"), ("Content-Type", "text/html"), ("Content-Length", "12"), ("X-A", "1")]
    given = preflight(URL, "PUT", status=status, response=response)
    after = rewritten(given)
    assert after.status == 204
    assert drops_body(planned(given))
    assert not set(map(bytes.lower, dict(after.response_headers))) & {b"location", b"content-type", b"content-length"}
    assert lines(after, "X-A") == ["1"]
    assert Session().judge(after)[0].outcome is Outcome.ALLOWED


def test_lists_that_name_what_was_asked_stay() -> None:
    given = preflight(
        URL, "PUT", "x-a", response={**GOOD, ALLOW_METHODS: "GET, PUT", ALLOW_HEADERS: "X-A", MAX_AGE: "0"}
    )
    assert planned(given) == ()


@pytest.mark.parametrize("lists", [{ALLOW_METHODS: "PUT, *"}, {ALLOW_HEADERS: "*, x-a"}])
def test_a_star_beside_what_was_asked_goes_too(lists: dict[str, str]) -> None:
    given = preflight(URL, "PUT", "x-a", response={**GOOD, ALLOW_METHODS: "PUT", ALLOW_HEADERS: "x-a", **lists})
    after = rewritten(given)
    assert (lines(after, ALLOW_METHODS), lines(after, ALLOW_HEADERS)) == (["PUT"], ["x-a"])


def test_how_long_a_preflight_is_kept_can_be_set() -> None:
    assert lines(rewritten(preflight(URL, "PUT", response=GOOD), max_age=60), MAX_AGE) == ["60"]


# ---------------------------------------------------------------------- cookies


@pytest.mark.parametrize(
    ("line", "after"),
    [
        (b"a=1", b"a=1; SameSite=None; Secure"),
        (b"a=1; Path=/; SameSite=Lax; HttpOnly", b"a=1; Path=/; HttpOnly; SameSite=None; Secure"),
        (b"a=1; secure; samesite=strict", b"a=1; SameSite=None; Secure"),
        (b"a=1; Partitioned", b"a=1; SameSite=None; Secure; Partitioned"),
        (b'a="x=y";Path=/', b'a="x=y";Path=/; SameSite=None; Secure'),
    ],
)
def test_a_cookie_made_cross_site(line: bytes, after: bytes) -> None:
    assert cross_site_cookie(line, partitioned=False) == after
    assert cross_site_cookie(after, partitioned=False) == after


def test_cookies_are_touched_only_when_asked_and_where_it_helps() -> None:
    response = [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2; SameSite=Lax")]
    over_https = exchange(f"GET {URL}", response=response)
    over_http = exchange("GET http://b.test/x", origin="http://a.test", response=response)
    assert lines(rewritten(over_https), "Set-Cookie") == ["a=1", "b=2; SameSite=Lax"]
    there = rewritten(over_https, cookies=COOKIES_PARTITIONED)
    assert lines(there, "Set-Cookie") == [
        "a=1; SameSite=None; Secure; Partitioned",
        "b=2; SameSite=None; Secure; Partitioned",
    ]
    assert lines(rewritten(over_http, cookies=COOKIES_CROSS_SITE), "Set-Cookie") == ["a=1", "b=2; SameSite=Lax"]
    (note,) = notes(over_http, replace(ANYBODY, cookies=COOKIES_CROSS_SITE))
    assert "over plain http" in note
    assert notes(over_https, replace(ANYBODY, cookies=COOKIES_CROSS_SITE)) == ()


# ---------------------------------------------------------------------- what is rewritten


def test_needs() -> None:
    everything = replace(ANYBODY, everything=True)
    blocked = Session().judge(exchange(f"GET {URL}"))[0]
    fine = Session().judge(exchange(f"GET {URL}", response=GOOD))[0]
    exempt = Session().judge(exchange(f"GET {URL}", mode="no-cors"))[0]
    assert [needs(one, ANYBODY) for one in (blocked, fine, exempt)] == [True, False, False]
    assert [needs(one, everything) for one in (blocked, fine, exempt)] == [True, True, False]


def test_a_redirect_to_a_user_is_beyond_headers() -> None:
    there = {**GOOD, "Location": "https://u:p@b.test/y"}
    verdict = Session().judge(exchange(f"GET {URL}", status=302, response=there))[0]
    assert beyond_headers(verdict) == "redirect-with-user-info"


NAMED = {
    b"access-control-allow-origin",
    b"access-control-allow-credentials",
    b"access-control-allow-methods",
    b"access-control-allow-headers",
    b"access-control-max-age",
    b"access-control-expose-headers",
    b"vary",
    b"set-cookie",
}
OF_A_BODY = {b"location", b"content-type", b"content-length", b"content-encoding", b"transfer-encoding"}


def others(given: Fields, status_changed: bool) -> list[tuple[bytes, bytes]]:
    """The lines that no edit may touch."""
    named = NAMED | (OF_A_BODY | {b"content-language"} if status_changed else set())
    return [(name, value) for name, value in given if name.lower() not in named]


SETTINGS = st.builds(
    Settings,
    allowed=st.just(AllowedOrigins(any=True)),
    max_age=st.integers(0, 10),
    expose_headers=st.sampled_from([(), ("*",), ("X-A",)]),
    cookies=st.sampled_from(["off", COOKIES_CROSS_SITE, COOKIES_PARTITIONED]),
)


@given(anything(), SETTINGS, st.sampled_from([b"https://a.test", b"null"]))
def test_a_second_rewrite_changes_nothing_and_no_other_header_is_touched(
    given: Exchange, settings: Settings, origin: bytes
) -> None:
    kept = tuple(line for line in given.request_headers if line[0].lower() != b"origin")
    given = replace(given, request_headers=(*kept, (b"Origin", origin)), status=given.status or 200)
    head = read_head(given.request_headers)
    edits = plan(given, head, settings)
    after = replace(
        given,
        response_headers=edited_fields(given.response_headers, edits),
        status=edited_status(given.status or 200, edits),
    )
    changed = after.status != given.status
    assert others(after.response_headers, changed) == others(given.response_headers, changed)
    assert plan(after, head, settings) == ()
    verdict = Session().judge(after)[0]
    # A preflight for a method that is no token comes from no browser, and no list can name it.
    if beyond_headers(verdict) is None and is_token(head.get(b"access-control-request-method", b"GET")):
        assert verdict.outcome in (Outcome.ALLOWED, Outcome.EXEMPT), (verdict, edits)


def test_repeated_and_foreign_bytes_survive() -> None:
    response = fields([("Set-Cookie", "a=\xe9"), ("X-\xff", "\xfe"), ("Set-Cookie", "b=2"), (ALLOW_ORIGIN, "*")])
    given = replace(exchange(f"GET {URL}"), response_headers=response)
    after = edited_fields(response, planned(given))
    assert after[:3] == response[:3]
