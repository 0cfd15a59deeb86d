"""Which cookies are stored, which of them travel, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corscope.cookie_jar import (
    AREAS,
    CAPACITY,
    NAMELESS,
    Context,
    CookieJar,
    Fate,
    Reason,
    SameSite,
    SetCookie,
    default_path,
    domain_matches,
    parse_date,
    parse_set_cookie,
    path_matches,
)
from corscope.model import BrowserFamily

NOW = 1_795_278_746.0
CHROMIUM, FIREFOX, OTHER, SPEC = (
    BrowserFamily.CHROMIUM,
    BrowserFamily.FIREFOX,
    BrowserFamily.OTHER,
    BrowserFamily.SPEC,
)

FETCH = Context(scheme="https", host="api.a.test", path="/v1/items?page=2", now=NOW, family=CHROMIUM)
"""A request of which nothing is known but where it goes."""
NEAR = replace(FETCH, site=b"same-site", origin=b"https://a.test", top_level_site="https://a.test")
FAR = replace(NEAR, host="b.test", site=b"cross-site", storage_access=b"none")
ALLOWED = replace(FAR, storage_access=b"active")
VISIT = replace(FETCH, site=b"none", navigation=True)
"""The address typed in the tab."""
PLAIN = replace(NEAR, scheme="http", site=b"", origin=b"http://a.test", top_level_site="http://a.test")


def at(context: Context, **changes: Any) -> Context:  # noqa: ANN401
    return replace(context, **changes)


# -- Set-Cookie --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(b"a=1", SetCookie(name="a"), id="nothing but a pair"),
        pytest.param(b" a \t= 1 ;", SetCookie(name="a"), id="white space"),
        pytest.param(b"a=b=c", SetCookie(name="a"), id="the first equals sign parts"),
        pytest.param(b"a=", SetCookie(name="a"), id="an empty value"),
        pytest.param(b"=1", SetCookie(name=NAMELESS), id="an empty name"),
        pytest.param(b"1; Secure", SetCookie(name=NAMELESS, secure=True), id="no equals sign"),
        pytest.param(b"=; Secure", None, id="neither name nor value"),
        pytest.param(b"", None, id="an empty line"),
        pytest.param(b"=__Secure-a=1", None, id="a value that looks like a prefixed name"),
        pytest.param(b"__hOST-a", None, id="the same without equals sign"),
        pytest.param(b"a=1\x00", None, id="a control character"),
        pytest.param(b"a=1\t2; Path=/", SetCookie(name="a", path="/"), id="a tab is none"),
        pytest.param(b"a=" + b"1" * 4095, SetCookie(name="a"), id="as long as may be"),
        pytest.param(b"a=" + b"1" * 4096, None, id="too long"),
        pytest.param(b"a=1; path=/x; PATH=y", SetCookie(name="a"), id="a path that is none means the default"),
        pytest.param(b"a=1; Path=/" + b"x" * 1024, SetCookie(name="a"), id="an attribute that is too long"),
        pytest.param(b"a=1; Domain=.A.Test", SetCookie(name="a", domain="a.test"), id="a domain with a dot"),
        pytest.param(b"a=1; Domain=a.test; Domain=", SetCookie(name="a"), id="the last attribute counts"),
        pytest.param(b"a=1; SameSite=nOne", SetCookie(name="a", same_site=SameSite.NONE), id="none"),
        pytest.param(b"a=1; SameSite=Lax", SetCookie(name="a", same_site=SameSite.LAX), id="lax"),
        pytest.param(b"a=1; samesite=strict ", SetCookie(name="a", same_site=SameSite.STRICT), id="strict"),
        pytest.param(b"a=1; SameSite=Strict; SameSite=often", SetCookie(name="a"), id="an unknown SameSite"),
        pytest.param(b"a=1; Secure=no; HttpOnly; x", SetCookie(name="a", secure=True, http_only=True), id="flags"),
        pytest.param(b"a=1;Partitioned", SetCookie(name="a", partitioned=True), id="partitioned"),
        pytest.param(b"a=1; Max-Age=60", SetCookie(name="a", expires=NOW + 60), id="an age"),
        pytest.param(b"a=1; Max-Age=60; Max-Age=6x", SetCookie(name="a", expires=NOW + 60), id="an age that is none"),
        pytest.param(b"a=1; Max-Age=0", SetCookie(name="a", expires=0.0), id="no age"),
        pytest.param(b"a=1; Max-Age=-5", SetCookie(name="a", expires=0.0), id="a negative age"),
        pytest.param(b"a=1; Max-Age=" + b"9" * 99, SetCookie(name="a", expires=NOW + 400 * 86400), id="for ever"),
        pytest.param(
            b"a=1; Max-Age=60; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
            SetCookie(name="a", expires=NOW + 60),
            id="age before date",
        ),
        pytest.param(
            b"a=1; Expires=Thu, 01-Jan-1970 00:00:01 GMT", SetCookie(name="a", expires=1.0), id="a date that has passed"
        ),
        pytest.param(b"a=1; Expires=Tomorrow", SetCookie(name="a"), id="a date that is none"),
    ],
)
def test_a_line_is_parsed(line: bytes, expected: SetCookie | None) -> None:
    assert parse_set_cookie(line, NOW) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"Sun, 06 Nov 1994 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        (b"Sun Nov  6 08:49:37 1994", datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)),
        (b"06 Nov 69 08:49:37", datetime(2069, 11, 6, 8, 49, 37, tzinfo=UTC)),
        (b"8:9:7 29 february 2028", datetime(2028, 2, 29, 8, 9, 7, tzinfo=UTC)),
        (b"29 Feb 2027 08:49:37", None),
        (b"31 Apr 2027 08:49:37", None),
        (b"06 Nov 1600 08:49:37", None),
        (b"06 Nov 1994 24:00:00", None),
        (b"06 Nov 1994", None),
        (b"", None),
    ],
)
def test_a_date_is_parsed(value: bytes, expected: datetime | None) -> None:
    assert parse_date(value) == (expected.timestamp() if expected else None)


@given(st.datetimes(min_value=datetime(1601, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001 - made aware below
def test_every_date_of_http_is_parsed(moment: datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=UTC)
    said = moment.strftime("%d %b ") + f"{moment.year:04d}" + moment.strftime(" %H:%M:%S GMT")
    assert parse_date(said.encode()) == moment.timestamp()


@pytest.mark.parametrize(
    ("host", "domain", "expected"),
    [
        ("a.test", "a.test", True),
        ("api.a.test", "a.test", True),
        ("a.test", "api.a.test", False),
        ("ba.test", "a.test", False),
        ("1.127.0.0.1", "127.0.0.1", False),
        ("a.test", "", False),
    ],
)
def test_domain_matches(host: str, domain: str, expected: bool) -> None:
    assert domain_matches(host, domain) is expected


@pytest.mark.parametrize(
    ("path", "cookie_path", "expected"),
    [
        ("/", "/", True),
        ("/v1", "/v1", True),
        ("/v1/", "/v1", True),
        ("/v1/x", "/v1", True),
        ("/v1x", "/v1", False),
        ("/v1", "/v1/", False),
        ("/", "/v1", False),
    ],
)
def test_path_matches(path: str, cookie_path: str, expected: bool) -> None:
    assert path_matches(path, cookie_path) is expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/", "/"), ("/v1", "/"), ("/v1/", "/v1"), ("/v1/x?y=/z/", "/v1"), ("", "/"), ("*", "/")],
)
def test_default_path(path: str, expected: str) -> None:
    assert default_path(path) == expected


# -- what is stored ----------------------------------------------------------------------------------------------------

STORED: tuple[Reason, ...] = ()


@pytest.mark.parametrize(
    ("line", "context", "expected"),
    [
        (b"a=1", VISIT, STORED),
        (b"a=1; SameSite=Strict", NEAR, STORED),
        (b"a=1; Domain=a.test", NEAR, STORED),
        (b"a=1; Domain=b.test", NEAR, (Reason.DOMAIN_MISMATCH,)),
        (b"a=1; Domain=v2.api.a.test", NEAR, (Reason.DOMAIN_MISMATCH,)),
        (b"a=1; Domain=test", NEAR, (Reason.DOMAIN_MISMATCH,)),
        (b"a=1; Domain=localhost", at(VISIT, host="localhost"), STORED),
        (b"a=1; Secure", PLAIN, (Reason.SECURE_OVER_HTTP,)),
        (b"a=1; Secure", at(PLAIN, host="localhost", origin=b"http://localhost", top_level_site=None), STORED),
        (b"a=1; Secure", at(PLAIN, host="127.0.0.1", origin=b"http://127.0.0.1:3000", top_level_site=None), STORED),
        (b"a=1; SameSite=None", NEAR, (Reason.SAMESITE_NONE_WITHOUT_SECURE,)),
        (b"a=1; SameSite=None", at(NEAR, family=OTHER), STORED),
        (b"a=1; Partitioned", NEAR, (Reason.PARTITIONED_WITHOUT_SECURE,)),
        (b"__Secure-a=1", NEAR, (Reason.PREFIX_VIOLATED,)),
        (b"__secure-a=1; Secure", NEAR, STORED),
        (b"__Host-a=1; Secure", NEAR, (Reason.PREFIX_VIOLATED,)),
        (b"__Host-a=1; Secure; Path=/", NEAR, STORED),
        # Where the default path is `/`, Firefox asks for no Path.
        (b"__Host-a=1; Secure", at(NEAR, path="/login"), (Reason.PREFIX_VIOLATED,)),
        (b"__Host-a=1; Secure", at(NEAR, path="/login", family=FIREFOX), STORED),
        (b"__Host-a=1; Secure", at(NEAR, family=FIREFOX), (Reason.PREFIX_VIOLATED,)),
        (b"__Host-a=1; Secure; Path=/v1", NEAR, (Reason.PREFIX_VIOLATED,)),
        (b"__HOST-a=1; Secure; Path=/; Domain=api.a.test", NEAR, (Reason.PREFIX_VIOLATED,)),
        (b"__Http-a=1; Secure", NEAR, (Reason.PREFIX_VIOLATED,)),
        (b"__Host-Http-a=1; Secure; Path=/; HttpOnly", NEAR, STORED),
        # Third parties
        (b"a=1", ALLOWED, (Reason.SAMESITE_DEFAULT,)),
        (b"a=1", at(ALLOWED, family=FIREFOX), STORED),
        (b"a=1", at(FAR, family=FIREFOX), STORED),
        (b"a=1; SameSite=Lax", at(FAR, family=FIREFOX), (Reason.SAMESITE_LAX,)),
        (b"a=1; SameSite=Strict", ALLOWED, (Reason.SAMESITE_STRICT,)),
        (b"a=1; SameSite=None; Secure", ALLOWED, STORED),
        (b"a=1; SameSite=None; Secure", FAR, (Reason.THIRD_PARTY_BLOCKED,)),
        (b"a=1; SameSite=None; Secure; Partitioned", FAR, STORED),
        (b"a=1", FAR, (Reason.SAMESITE_DEFAULT, Reason.THIRD_PARTY_BLOCKED)),
        (b"a=1; SameSite=None; Secure", at(FAR, family=OTHER, storage_access=b""), (Reason.THIRD_PARTY_BLOCKED,)),
        (b"a=1; SameSite=None; Secure", at(FAR, family=SPEC, storage_access=b""), STORED),
        # All faults at once, in order
        (
            b"__Host-a=1; SameSite=None; Domain=b.test; Partitioned",
            NEAR,
            (
                Reason.PREFIX_VIOLATED,
                Reason.SAMESITE_NONE_WITHOUT_SECURE,
                Reason.PARTITIONED_WITHOUT_SECURE,
                Reason.DOMAIN_MISMATCH,
            ),
        ),
    ],
)
def test_what_is_refused(line: bytes, context: Context, expected: tuple[Reason, ...]) -> None:
    jar = CookieJar()
    refusals = jar.set_cookie([line], context, "flow-1")
    assert tuple(reason for refusal in refusals for reason in refusal.reasons) == expected
    # What was refused is remembered, with its reasons and its flow, until it is stored.
    [fate] = jar.travel(context)
    assert (fate.flow_id, fate.refused, fate.reasons) == ("flow-1", bool(expected), expected)
    assert fate.travels is (not expected)
    assert fate.cookie == parse_set_cookie(line, NOW)


def test_access_that_third_parties_have_settles_what_may_be_one() -> None:
    """Without the page's site and Sec-Fetch-Storage-Access, as on a request without credentials."""
    jar, line = CookieJar(), b"a=1; SameSite=None; Secure; Path=/"
    jar.set_cookie([line], at(VISIT, host="b.test"), "flow-1")
    unknown = at(FAR, storage_access=b"", top_level_site=None)
    assert [fate.travels for fate in jar.travel(unknown)] == [None]
    assert [fate.travels for fate in jar.travel(ALLOWED)] == [True]
    assert [fate.travels for fate in jar.travel(unknown)] == [True]
    assert [fate.travels for fate in jar.travel(FAR)] == [False]
    assert [fate.travels for fate in jar.travel(unknown)] == [None]


def test_plain_http_leaves_secure_cookies_alone() -> None:
    jar = CookieJar()
    jar.set_cookie([b"a=1; Secure; Domain=a.test; Path=/"], VISIT, "secure")
    assert jar.set_cookie([b"a=2"], PLAIN, "plain")[0].reasons == (Reason.OVERWRITES_SECURE,)
    assert jar.set_cookie([b"b=2"], PLAIN, "plain") == ()
    assert jar.set_cookie([b"a=2"], NEAR, "secure") == ()


def test_public_suffixes_can_be_told() -> None:
    jar = CookieJar(lambda domain: domain in ("co.test", "test"))
    home = at(VISIT, host="shop.co.test")
    assert jar.set_cookie([b"a=1; Domain=co.test"], home, "1")[0].reasons == (Reason.DOMAIN_MISMATCH,)
    assert jar.set_cookie([b"b=1; Domain=co.test"], at(home, host="co.test"), "2") == ()
    assert [jar.registrable(host) for host in ("x.shop.co.test", "co.test", "127.0.0.1", "::1", "localhost")] == [
        "shop.co.test",
        "co.test",
        "127.0.0.1",
        "::1",
        "localhost",
    ]
    # Neighbours below a public suffix have nothing to do with one another.
    assert jar.travel(at(VISIT, host="other.co.test")) == ()


# -- what travels ------------------------------------------------------------------------------------------------------


def fate(jar: CookieJar, context: Context) -> Fate:
    """The fate of the only cookie."""
    [only] = jar.travel(context)
    return only


NONE = b"a=1; Path=/; SameSite=None; Secure"
HOME = at(VISIT, host="b.test")


@pytest.mark.parametrize(
    ("line", "set_in", "context", "travels", "reasons"),
    [
        pytest.param(b"a=1", VISIT, NEAR, True, (), id="to a neighbour"),
        pytest.param(b"a=1; SameSite=Strict", VISIT, NEAR, True, (), id="strict, to a neighbour"),
        pytest.param(b"a=1", VISIT, at(NEAR, path="/v2"), False, (Reason.PATH_MISMATCH,), id="another path"),
        pytest.param(b"a=1", VISIT, at(NEAR, host="a.test"), False, (Reason.DOMAIN_MISMATCH,), id="another host"),
        pytest.param(b"a=1; Domain=a.test", VISIT, at(NEAR, host="x.a.test"), True, (), id="a domain of several hosts"),
        pytest.param(b"a=1", at(VISIT, host="x.a.test"), NEAR, False, (Reason.DOMAIN_MISMATCH,), id="beside it"),
        pytest.param(
            b"a=1; Secure; Path=/x",
            VISIT,
            PLAIN,
            False,
            (Reason.PATH_MISMATCH, Reason.SECURE_OVER_HTTP),
            id="two reasons",
        ),
        pytest.param(b"a=1; Max-Age=9", VISIT, at(NEAR, now=NOW + 6), True, (), id="before it expires"),
        pytest.param(b"a=1; Max-Age=9", VISIT, at(NEAR, now=NOW + 9), None, (), id="about to expire"),
        pytest.param(b"a=1; Max-Age=9", VISIT, at(NEAR, now=NOW + 12), False, (Reason.EXPIRED,), id="expired"),
        pytest.param(b"a=1; Path=/", HOME, ALLOWED, False, (Reason.SAMESITE_DEFAULT,), id="default"),
        pytest.param(b"a=1; Path=/; SameSite=Lax", HOME, ALLOWED, False, (Reason.SAMESITE_LAX,), id="lax"),
        pytest.param(b"a=1; Path=/; SameSite=Strict", HOME, ALLOWED, False, (Reason.SAMESITE_STRICT,), id="strict"),
        pytest.param(NONE, HOME, ALLOWED, True, (), id="none"),
        pytest.param(NONE, HOME, FAR, False, (Reason.THIRD_PARTY_BLOCKED,), id="none, blocked"),
        pytest.param(
            b"a=1; Path=/",
            HOME,
            FAR,
            False,
            (Reason.SAMESITE_DEFAULT, Reason.THIRD_PARTY_BLOCKED),
            id="default, blocked",
        ),
        pytest.param(
            NONE, HOME, at(FAR, storage_access=b"inactive"), False, (Reason.THIRD_PARTY_BLOCKED,), id="unused"
        ),
        pytest.param(NONE, HOME, at(FAR, storage_access=b""), None, (), id="a browser that does not say"),
        pytest.param(NONE + b"; Partitioned", FAR, FAR, True, (), id="partitioned"),
        pytest.param(
            NONE + b"; Partitioned", HOME, ALLOWED, False, (Reason.PARTITIONED_ELSEWHERE,), id="partitioned at home"
        ),
        pytest.param(
            NONE + b"; Partitioned",
            FAR,
            at(FAR, origin=b"https://c.test", top_level_site="https://c.test"),
            False,
            (Reason.PARTITIONED_ELSEWHERE,),
            id="partitioned below another page",
        ),
        pytest.param(NONE + b"; Partitioned", FAR, at(FAR, top_level_site=None), None, (), id="a page unknown"),
        pytest.param(NONE + b"; Partitioned", FAR, at(FAR, origin=b"https://c.test"), True, (), id="from a frame"),
        pytest.param(
            b"a=1; SameSite=None; Secure; Partitioned",
            NEAR,
            at(NEAR, site=b"cross-site", origin=b"https://c.test", storage_access=b"active"),
            False,
            (Reason.PARTITIONED_ELSEWHERE,),
            id="partitioned, from a frame between",
        ),
        pytest.param(b"a=1", VISIT, at(NEAR, site=b"", origin=b""), None, (), id="who asks is not known"),
        pytest.param(b"a=1", VISIT, PLAIN, True, (), id="plain http, to a neighbour"),
        pytest.param(b"a=1", VISIT, at(PLAIN, origin=b"null"), None, (), id="plain http, a redirect or a sandbox"),
        pytest.param(
            b"a=1",
            VISIT,
            at(PLAIN, origin=b"http://c.test"),
            False,
            (Reason.SAMESITE_DEFAULT,),
            id="plain http, from a frame between",
        ),
        pytest.param(
            b"a=1",
            VISIT,
            at(NEAR, site=b"cross-site", origin=b"http://a.test", top_level_site="http://a.test"),
            False,
            (Reason.SAMESITE_DEFAULT,),
            id="from plain http",
        ),
        pytest.param(
            b"a=1", VISIT, at(NEAR, site=b"cross-site", origin=b"null"), True, (), id="a redirect that returns"
        ),
        pytest.param(
            b"a=1",
            HOME,
            at(ALLOWED, path="/v1", origin=b"null", storage_access=b""),
            False,
            (Reason.SAMESITE_DEFAULT,),
            id="a redirect that does not",
        ),
        pytest.param(
            b"a=1; SameSite=Lax",
            VISIT,
            at(NEAR, site=b"cross-site", origin=b"null", storage_access=b"active"),
            False,
            (Reason.SAMESITE_LAX,),
            id="a sandboxed frame",
        ),
        pytest.param(
            b"a=1", VISIT, at(NEAR, top_level_site="https://c.test"), False, (Reason.SAMESITE_DEFAULT,), id="in a frame"
        ),
        pytest.param(b"a=1", VISIT, at(VISIT, site=b"cross-site"), None, (), id="a link from elsewhere"),
        pytest.param(
            b"a=1; SameSite=Strict",
            VISIT,
            at(VISIT, site=b"cross-site"),
            False,
            (Reason.SAMESITE_STRICT,),
            id="strict, a link from elsewhere",
        ),
    ],
)
def test_what_travels(
    line: bytes, set_in: Context, context: Context, travels: bool | None, reasons: tuple[Reason, ...]
) -> None:
    jar = CookieJar()
    assert jar.set_cookie([line], set_in, "flow-1") == ()
    seen = fate(jar, context)
    assert (seen.travels, seen.reasons, seen.refused, seen.flow_id) == (travels, reasons, False, "flow-1")


def test_firefox_keeps_what_third_parties_set_apart() -> None:
    jar = CookieJar()
    far, home = at(FAR, family=FIREFOX), at(HOME, family=FIREFOX)
    jar.set_cookie([b"first=1; Path=/"], home, "home")
    jar.set_cookie([b"third=1; Path=/"], far, "far")
    assert {one.name: (one.travels, one.reasons) for one in jar.travel(far)} == {
        "first": (False, (Reason.THIRD_PARTY_BLOCKED,)),
        "third": (True, ()),
    }
    assert {one.name: (one.travels, one.reasons) for one in jar.travel(home)} == {
        "first": (True, ()),
        "third": (False, (Reason.PARTITIONED_ELSEWHERE,)),
    }


def test_firefox_takes_two_schemes_for_one_site() -> None:
    jar = CookieJar()
    upwards = at(NEAR, family=FIREFOX, site=b"cross-site", origin=b"http://a.test", top_level_site="http://a.test")
    jar.set_cookie([b"a=1; SameSite=Strict"], at(VISIT, family=FIREFOX), "flow-1")
    assert fate(jar, upwards).travels is True


def test_firefox_keeps_a_frame_between_apart_from_its_page() -> None:
    jar = CookieJar()
    plain = at(PLAIN, family=FIREFOX)
    between = at(plain, origin=b"http://c.test")
    jar.set_cookie([b"page=1"], plain, "page")
    jar.set_cookie([b"frame=1"], between, "frame")
    assert {one.name: (one.travels, one.reasons) for one in jar.travel(between)} == {
        "page": (False, (Reason.THIRD_PARTY_BLOCKED,)),
        "frame": (True, ()),
    }


def test_a_removed_cookie_is_known_by_its_remover() -> None:
    jar = CookieJar()
    jar.set_cookie([b"a=1; Path=/"], VISIT, "login")
    jar.set_cookie([b"a=; Path=/x; Max-Age=0"], VISIT, "elsewhere")
    assert fate(jar, NEAR).travels is True, "another path is another cookie"
    assert jar.set_cookie([b"a=; Path=/; Max-Age=0"], VISIT, "logout") == ()
    gone = fate(jar, NEAR)
    assert (gone.travels, gone.reasons, gone.refused, gone.flow_id) == (False, (Reason.EXPIRED,), False, "logout")
    jar.set_cookie([b"a=1; Path=/"], VISIT, "again")
    assert fate(jar, NEAR).travels is True


def test_a_removal_that_is_not_sure_leaves_doubt() -> None:
    jar = CookieJar()
    far = at(FAR, family=FIREFOX)
    jar.set_cookie([b"a=1; Path=/"], far, "login")
    assert fate(jar, far).travels is True
    jar.set_cookie([b"a=; Path=/; Max-Age=0"], at(far, top_level_site=None), "logout")
    assert fate(jar, far).travels is None


@pytest.mark.parametrize(
    ("line", "setter", "asked", "travels", "mode_open"),
    [
        pytest.param(b"a=1", {}, {}, None, True, id="nothing else is in doubt"),
        pytest.param(b"a=1", {"certain": True}, {}, True, False, id="nothing is"),
        pytest.param(b"a=1", {"offered": False}, {}, None, False, id="nobody meant it to be taken"),
        pytest.param(b"a=1", {"site": b"", "origin": b""}, {}, None, False, id="the setter's site is"),
        pytest.param(b"a=1", {}, {"site": b"", "origin": b""}, None, False, id="the asking site is"),
        pytest.param(b"a=1; Path=/x", {}, {}, False, True, id="it does not match"),
        pytest.param(b"a=1; Max-Age=5", {}, {"now": NOW + 4}, None, False, id="its end is"),
        pytest.param(b"a=1; SameSite=None", {}, {}, False, False, id="it is refused in any case"),
    ],
)
def test_that_only_the_setters_mode_is_in_doubt_is_told(
    line: bytes, setter: dict[str, Any], asked: dict[str, Any], travels: bool | None, mode_open: bool
) -> None:
    jar = CookieJar()
    path = {"path": "/"}
    jar.set_cookie([line], replace(NEAR, **{"certain": False, "offered": True, **path, **setter}), "login")
    told = fate(jar, replace(NEAR, **path, **asked))
    assert (told.travels, told.mode_open) == (travels, mode_open)


def test_what_settles_or_removes_an_open_cookie_is_a_change() -> None:
    jar = CookieJar()
    either = replace(NEAR, path="/", certain=False, offered=True)
    for settle in (
        lambda: jar.travelled(["a"], NEAR, "sent"),
        lambda: jar.set_cookie([b"a=1"], replace(either, certain=True), "again"),
        lambda: jar.set_cookie([b"a=; Max-Age=0"], either, "logout"),
        lambda: jar.set_cookie([b"a=; Path=/x; Max-Age=0"], either, "logout, perhaps"),
        lambda: jar.set_cookie([b"a=1"], replace(either, offered=False), "elsewhere"),
    ):
        jar.set_cookie([b"a=1"], either, "login")
        before = jar.changes
        assert fate(jar, NEAR).mode_open
        jar.set_cookie([b"a=1"], either, "login")
        assert jar.changes == before, "set again"
        settle()
        assert not fate(jar, NEAR).mode_open
        assert jar.changes > before


def test_since_when_there_is_a_cookie() -> None:
    jar = CookieJar()
    later = replace(VISIT, now=NOW + 60)
    jar.set_cookie([b"a=1; Path=/; Max-Age=90"], VISIT, "login")
    jar.set_cookie([b"a=1; Path=/; Max-Age=90"], later, "renewed")
    assert fate(jar, replace(NEAR, now=NOW + 70)).since == NOW
    jar.set_cookie([b"a=1; Path=/"], replace(later, now=NOW + 600), "after it had expired")
    assert fate(jar, replace(NEAR, now=NOW + 700)).since == NOW + 600


def test_a_refused_cookie_leaves_the_stored_one_alone() -> None:
    jar = CookieJar()
    jar.set_cookie([b"a=1; Path=/"], VISIT, "stored")
    jar.set_cookie([b"a=2; Path=/; SameSite=None"], VISIT, "refused")
    assert (fate(jar, NEAR).travels, fate(jar, NEAR).flow_id) == (True, "stored")


def test_a_cookie_that_travels_is_known_by_name() -> None:
    jar = CookieJar()
    jar.travelled(["old"], NEAR, "flow-1")
    assert fate(jar, NEAR) == Fate(name="old", travels=None, flow_id="flow-1")
    assert jar.travel(at(NEAR, host="x.a.test")) == ()
    # That a new one is refused does not remove it.
    jar.set_cookie([b"old=2; SameSite=None"], NEAR, "flow-2")
    assert fate(jar, NEAR).travels is None
    jar.set_cookie([b"old=3; SameSite=Strict"], NEAR, "flow-3")
    assert (fate(jar, NEAR).travels, fate(jar, NEAR).flow_id) == (True, "flow-3")


def test_a_third_partys_cookie_that_travels_tells_that_third_parties_may() -> None:
    jar = CookieJar()
    silent = at(FAR, storage_access=b"")
    jar.set_cookie([NONE, NONE.replace(b"a", b"b", 1)], HOME, "home")
    assert [one.travels for one in jar.travel(silent)] == [None, None]
    jar.travelled(["a"], silent, "flow-2")
    assert [one.travels for one in jar.travel(silent)] == [True, True]


# -- properties --------------------------------------------------------------------------------------------------------

contexts = st.builds(
    Context,
    scheme=st.sampled_from(("https", "http")),
    host=st.sampled_from(("a.test", "api.a.test", "b.test", "localhost", "127.0.0.1", "::1", "test", "")),
    path=st.sampled_from(("/", "/v1/x?y", "", "*")),
    now=st.floats(0, 2e9),
    family=st.sampled_from(BrowserFamily),
    site=st.sampled_from((b"", b"none", b"same-origin", b"same-site", b"cross-site", b"?")),
    origin=st.sampled_from((b"", b"null", b"https://a.test", b"http://b.test:81", b"\xff")),
    navigation=st.booleans(),
    top_level_site=st.sampled_from((None, "https://a.test", "http://b.test", "?")),
    storage_access=st.sampled_from((b"", b"none", b"active", b"inactive")),
)
SECRET = b"s3cr3t"
attributes = st.sampled_from(
    (
        *(b"Secure", b"HttpOnly", b"Partitioned", b"SameSite=None", b"SameSite=Lax", b"SameSite=Strict", b"Path=/"),
        *(b"Domain=a.test", b"Domain=b.test", b"Max-Age=0", b"Max-Age=1000", b"Expires=1 jan 1970 1:1:1", b"=", b""),
    )
)
names = st.sampled_from((b"", b"a=", b"b=", b"__Host-c=", b"__Secure-d=", b"="))
lines = st.builds(lambda name, rest: b"; ".join((name + SECRET, *rest)), names, st.lists(attributes, max_size=6))


def strings_in(thing: object, depth: int = 0) -> Iterator[str]:
    """All text and bytes that can be reached from a value."""
    assert depth < 30
    if isinstance(thing, str | bytes):
        yield thing if isinstance(thing, str) else thing.decode("latin-1")
    elif isinstance(thing, dict):
        for pair in thing.items():
            yield from strings_in(pair, depth + 1)
    elif isinstance(thing, tuple | list | set | frozenset):
        for one in thing:
            yield from strings_in(one, depth + 1)
    elif isinstance(thing, CookieJar):
        for slot in CookieJar.__slots__:
            yield from strings_in(getattr(thing, slot), depth + 1)
    elif is_dataclass(thing):
        for one in fields(thing):
            yield from strings_in(getattr(thing, one.name), depth + 1)


@given(st.lists(st.tuples(lines, contexts), max_size=12), contexts)
def test_no_value_is_kept(said: list[tuple[bytes, Context]], asked: Context) -> None:
    jar = CookieJar()
    for line, context in said:
        refusals = jar.set_cookie([line], context, "flow")
        assert SECRET.decode() not in repr(refusals)
    assert not [one for one in strings_in(jar) if SECRET.decode() in one]
    assert not [one for one in strings_in(jar.travel(asked)) if SECRET.decode() in one]


def test_the_search_for_values_would_find_one() -> None:
    jar = CookieJar()
    jar.set_cookie([SECRET + b"=1"], VISIT, "flow")
    assert [one for one in strings_in(jar) if SECRET.decode() in one]


@given(st.lists(st.tuples(st.binary(max_size=60) | lines, contexts), max_size=12), contexts, st.lists(st.text()))
def test_no_bytes_raise_and_every_fate_is_sound(
    said: list[tuple[bytes, Context]], asked: Context, seen: list[str]
) -> None:
    jar = CookieJar()
    for line, context in said:
        jar.set_cookie([line], context, "flow")
    jar.travelled(seen, asked, "seen")
    fates = jar.travel(asked)
    assert len({one.name for one in fates}) == len(fates)
    for one in fates:
        assert bool(one.reasons) is (one.travels is False)
        assert list(one.reasons) == sorted(one.reasons, key=list(Reason).index)
    # What travelled just now is not said to stay away.
    assert {one.name for one in fates if one.travels is not False} >= set(seen)


def test_memory_is_bounded() -> None:
    jar = CookieJar()
    for number in range(CAPACITY):
        jar.set_cookie([b"stored%d=1" % number, b"refused%d=1; SameSite=None" % number], NEAR, "flow")
        jar.travelled([f"seen{number}"], NEAR, "flow")
    assert len(jar) == CAPACITY
    known = {one.name for one in jar.travel(NEAR)}
    assert f"seen{CAPACITY - 1}" in known
    assert "stored0" not in known, "the oldest goes first"
    for number in range(AREAS):
        jar.set_cookie([b"x=1"], replace(NEAR, host=f"h{number}.example"), "flow")
    assert len(jar) == AREAS


def test_the_jar_tells_when_something_has_changed() -> None:
    """Whoever keeps what `travel` said asks for it."""
    jar = CookieJar()
    kept = [b"sid=1; Secure; Max-Age=3600"]

    jar.set_cookie(kept, NEAR, "one")
    first = jar.changes
    assert first > 0
    jar.set_cookie(kept, replace(NEAR, now=NEAR.now + 5), "two")
    jar.travelled(["sid"], NEAR, "three")
    assert jar.changes == first, "set again, sent as expected"
    jar.travelled(["theme"], NEAR, "four")
    seen = jar.changes
    assert seen > first, "a cookie that was not known"
    jar.travelled(["theme"], NEAR, "five")
    assert jar.changes == seen
    for line in (
        b"sid=1; Secure; SameSite=Strict",
        b"sid=1; Secure; Max-Age=30",
        b"sid=; Max-Age=0",
        b"sid=1; Path=/x",
    ):
        before = jar.changes
        jar.set_cookie([line], NEAR, "six")
        assert jar.changes > before, line


@given(st.lists(st.sampled_from(["/", "/a", "/a/b", "/a/", "/b", "/a/b/c"]), min_size=1), st.data())
def test_paths_that_match_the_same_cookies_have_the_same_fates(paths: list[str], data: Any) -> None:  # noqa: ANN401
    jar = CookieJar()
    for number, path in enumerate(paths):
        jar.set_cookie([b"c%d=1; Secure; Path=%s" % (number, path.encode())], NEAR, "flow")
    asked = st.sampled_from(["/", "/a", "/ab", "/a/b", "/a/b/", "/a/b/c?q=/", "/a/c", "/b?x", "/z"])
    one, other = data.draw(asked), data.draw(asked)
    if jar.matching_paths(one) == jar.matching_paths(other):
        assert jar.travel(replace(NEAR, path=one)) == jar.travel(replace(NEAR, path=other))
