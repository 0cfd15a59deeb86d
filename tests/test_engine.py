"""The CORS protocol's algorithms: the CORS check, preflights, redirects, safelists."""

from __future__ import annotations

import pytest

from builders import fields
from corscope.engine import (
    REFUSED_HEADERS,
    Fault,
    Headers,
    as_firefox_reads,
    cors_check,
    cors_preflight_fetch,
    cors_preflight_reason,
    cors_unsafe_request_header_names,
    http_redirect_fetch,
    is_cors_safelisted_method,
    is_cors_safelisted_request_header,
    max_age,
    method_after_redirect,
    normalize_method,
    origin_after_redirect,
    tainted_origin,
)
from corscope.headers import Names, pick
from corscope.model import BrowserFamily
from corscope.modes import Head
from corscope.origins import Target

CHROMIUM, FIREFOX, SPEC = BrowserFamily.CHROMIUM, BrowserFamily.FIREFOX, BrowserFamily.SPEC
EVERY_FAMILY = (CHROMIUM, FIREFOX, SPEC)

READ = Names(
    (
        b"access-control-allow-origin",
        b"access-control-allow-credentials",
        b"access-control-allow-methods",
        b"access-control-allow-headers",
        b"access-control-max-age",
        b"location",
    )
)
"""Typed anew, so that a typo in the package can't hide."""

type Lines = list[tuple[str, str]]

ORIGIN = b"https://a.test"


def read(lines: Lines, family: BrowserFamily = CHROMIUM, http: int = 1) -> Headers:
    """Returns the combined headers as a browser reads them."""
    given = fields(lines)
    headers = pick(given, READ)
    return as_firefox_reads(headers, given, http) if family is FIREFOX else headers


def check(
    lines: Lines, *, include: bool, family: BrowserFamily = CHROMIUM, http: int = 1, origin: bytes = ORIGIN
) -> list[str]:
    """Returns the ids of the faults that a CORS check finds."""
    return [fault.id for fault in cors_check(origin, read(lines, family, http), include=include)]


def allow_origin(*values: str) -> Lines:
    return [("Access-Control-Allow-Origin", value) for value in values]


def allow_credentials(*values: str) -> Lines:
    return [("Access-Control-Allow-Credentials", value) for value in values]


MISSING, MULTIPLE, INVALID, MISMATCH = (
    "allow-origin-missing",
    "allow-origin-multiple",
    "allow-origin-invalid",
    "allow-origin-mismatch",
)
WILDCARD, NOT_TRUE = "allow-origin-wildcard-with-credentials", "allow-credentials-not-true"


@pytest.mark.parametrize("family", EVERY_FAMILY)
@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        pytest.param(allow_origin("https://a.test"), None, id="the origin itself"),
        pytest.param(allow_origin("*"), None, id="a wildcard"),
        pytest.param([("access-control-ALLOW-origin", "*")], None, id="names in any case"),
        pytest.param(allow_origin("  https://a.test \t"), None, id="spaces and tabs around"),
        pytest.param(allow_origin("\r\n *"), None, id="a folded line"),
        pytest.param([], MISSING, id="no header"),
        pytest.param([("Access-Control-Allow-Origin ", "*")], MISSING, id="a space in the name makes another header"),
        pytest.param([("Access-Control-Allow-Origins", "*")], MISSING, id="a misspelt name"),
        pytest.param(allow_origin(""), INVALID, id="an empty value"),
        pytest.param(allow_origin("a.test"), INVALID, id="no scheme"),
        pytest.param(allow_origin('"*"'), INVALID, id="a quoted wildcard"),
        pytest.param(allow_origin("*\x0c"), INVALID, id="a trailing form feed"),
        pytest.param(allow_origin("\x0b*"), INVALID, id="a leading vertical tab"),
        pytest.param(allow_origin("**"), INVALID, id="two stars"),
        pytest.param(allow_origin("\xff"), INVALID, id="a byte that is no text"),
        pytest.param(allow_origin("https://z.test"), MISMATCH, id="another origin"),
        pytest.param(allow_origin("null"), MISMATCH, id="null for an origin that has a name"),
        pytest.param(allow_origin("https://a.test/"), MISMATCH, id="a trailing slash"),
        pytest.param(allow_origin("https://a.test/path"), MISMATCH, id="a path"),
        pytest.param(allow_origin("https://a.test:443"), MISMATCH, id="the default port"),
        pytest.param(allow_origin("https://a.test:8443"), MISMATCH, id="another port"),
        pytest.param(allow_origin("http://a.test"), MISMATCH, id="another scheme"),
        pytest.param(allow_origin("HTTPS://A.TEST"), MISMATCH, id="upper case"),
        pytest.param(allow_origin("https://A.test"), MISMATCH, id="one letter in upper case"),
        pytest.param(allow_origin("https://*.test"), MISMATCH, id="a pattern is no wildcard"),
        pytest.param(allow_origin("https://sub.a.test"), MISMATCH, id="a subdomain"),
        pytest.param(allow_origin("https://a.test", "https://a.test"), MULTIPLE, id="the origin twice"),
        pytest.param(allow_origin("*", "*"), MULTIPLE, id="a wildcard twice"),
        pytest.param(allow_origin("*", ""), MULTIPLE, id="a wildcard and an empty line"),
        pytest.param(allow_origin("", "*"), MULTIPLE, id="an empty line and a wildcard"),
        pytest.param(allow_origin("https://a.test", ""), MULTIPLE, id="the origin and an empty line"),
        pytest.param(allow_origin("", "https://a.test"), MULTIPLE, id="an empty line and the origin"),
        pytest.param(allow_origin("*", "https://a.test"), MULTIPLE, id="a wildcard and the origin"),
        pytest.param(allow_origin("https://a.test, https://z.test"), MULTIPLE, id="a list with commas"),
        pytest.param(allow_origin("https://a.test https://z.test"), MULTIPLE, id="a list with spaces"),
        pytest.param(allow_origin("*,"), MULTIPLE, id="a wildcard and a comma"),
        pytest.param(allow_origin(",*"), MULTIPLE, id="a comma and a wildcard"),
        pytest.param(allow_origin("*,*"), MULTIPLE, id="two wildcards in one line"),
        pytest.param(allow_origin("https://a.test,"), MULTIPLE, id="the origin and a comma"),
    ],
)
def test_allow_origin(lines: Lines, fault: str | None, family: BrowserFamily) -> None:
    """The value is compared byte by byte, whatever the credentials mode."""
    assert check(lines, include=False, family=family) == ([fault] if fault else [])
    if lines != allow_origin("*") and not any(value.strip() == "*" and len(lines) == 1 for _, value in lines):
        with_credentials = [*lines, *allow_credentials("true")]
        assert check(with_credentials, include=True, family=family) == ([fault] if fault else [])


@pytest.mark.parametrize("family", EVERY_FAMILY)
@pytest.mark.parametrize("credentials", [allow_credentials("true"), allow_credentials("*"), []])
def test_a_wildcard_never_serves_credentials(credentials: Lines, family: BrowserFamily) -> None:
    assert check([*allow_origin("*"), *credentials], include=True, family=family)[0] == WILDCARD


@pytest.mark.parametrize(
    ("values", "chromium", "firefox"),
    [
        pytest.param(("true",), True, True, id="true"),
        pytest.param(("  true \t",), True, True, id="spaces and tabs around"),
        pytest.param((), False, False, id="no header"),
        pytest.param(("",), False, False, id="an empty value"),
        pytest.param(("TRUE",), False, False, id="upper case"),
        pytest.param(("True",), False, False, id="a capital"),
        pytest.param(('"true"',), False, False, id="quotes"),
        pytest.param(("false",), False, False, id="false"),
        pytest.param(("1",), False, False, id="one"),
        pytest.param(("yes",), False, False, id="yes"),
        pytest.param(("true", "true"), False, False, id="twice"),
        pytest.param(("true, true",), False, False, id="twice in a list"),
        pytest.param(("true,",), False, False, id="a comma"),
        pytest.param(("true", "false"), False, False, id="true and false"),
        pytest.param(("true", ""), False, True, id="Firefox drops an empty second line"),
        pytest.param(("", "true"), False, True, id="and an empty first line"),
        pytest.param(("true", "", ""), False, True, id="and several of them"),
        pytest.param(("true", "true", ""), False, False, id="but not a second value"),
        pytest.param(("", ""), False, False, id="nothing but empty lines"),
    ],
)
def test_allow_credentials(values: tuple[str, ...], chromium: bool, firefox: bool) -> None:
    """Only the four letters will do; the standard is as strict as Chromium."""
    lines = [*allow_origin("https://a.test"), *allow_credentials(*values)]
    for family, passes in ((CHROMIUM, chromium), (FIREFOX, firefox), (SPEC, chromium)):
        assert check(lines, include=True, family=family) == ([] if passes else [NOT_TRUE])
        assert check(lines, include=False, family=family) == [], "without credentials the header is never looked at"


@pytest.mark.parametrize(
    ("values", "http", "faults"),
    [
        pytest.param(("https://a.test", ""), 1, [MULTIPLE], id="over HTTP/1 an empty line counts"),
        pytest.param(("https://a.test", ""), 2, [], id="over HTTP/2 it is dropped"),
        pytest.param(("", "*", ""), 2, [], id="wherever it is"),
        pytest.param(("https://a.test", "https://a.test", ""), 2, [MULTIPLE], id="a second value is not"),
        pytest.param(("https://a.test, ",), 2, [MULTIPLE], id="nor an empty member of a list"),
        pytest.param(("", ""), 2, [INVALID], id="nothing is left of empty lines alone"),
    ],
)
def test_firefox_drops_empty_lines(values: tuple[str, ...], http: int, faults: list[str]) -> None:
    assert check(allow_origin(*values), include=False, family=FIREFOX, http=http) == faults
    if not faults:
        assert check(allow_origin(*values), include=False, family=CHROMIUM, http=http) == [MULTIPLE]


@pytest.mark.parametrize(
    ("lines", "include", "faults"),
    [
        pytest.param(allow_origin("null"), False, [], id="null for an opaque origin"),
        pytest.param(allow_origin("*"), False, [], id="a wildcard for an opaque origin"),
        pytest.param([*allow_origin("null"), *allow_credentials("true")], True, [], id="null with credentials"),
        pytest.param(allow_origin("null"), True, [NOT_TRUE], id="null with credentials that are not allowed"),
        pytest.param(allow_origin("https://a.test"), False, [MISMATCH], id="the real origin for a tainted one"),
        pytest.param(allow_origin("NULL"), False, [INVALID], id="null in upper case"),
    ],
)
def test_opaque_origins(lines: Lines, include: bool, faults: list[str]) -> None:
    assert check(lines, include=include, origin=b"null") == faults


@pytest.mark.parametrize(
    ("lines", "faults"),
    [
        pytest.param(allow_origin("*"), [WILDCARD, NOT_TRUE], id="the wildcard comes before the credentials"),
        pytest.param([], [MISSING, NOT_TRUE], id="a missing origin, too"),
        pytest.param(allow_origin("https://z.test"), [MISMATCH, NOT_TRUE], id="another origin, too"),
    ],
)
def test_all_faults_are_listed_in_the_browsers_order(lines: Lines, faults: list[str]) -> None:
    assert check(lines, include=True) == faults


def test_a_fault_says_what_the_browser_says() -> None:
    headers = {b"access-control-allow-origin": b"https://z.test", b"access-control-allow-credentials": b"no"}
    faults = cors_check(ORIGIN, headers, include=True)
    assert faults == (
        Fault(MISMATCH, "https://z.test", {"value": "https://z.test", "origin": "https://a.test"}),
        Fault(NOT_TRUE, "no", {"value": "no", "said": "“no”", "origin": "https://a.test"}),
    )


def test_hosts_are_compared_in_ascii() -> None:
    origin = b"https://xn--bcher-kva.test"
    assert check(allow_origin("https://xn--bcher-kva.test"), include=False, origin=origin) == []
    assert check(allow_origin("https://b\xc3\xbccher.test"), include=False, origin=origin) == [MISMATCH]


# ---------------------------------------------------------------------- preflights

STATUS, REDIRECTED = "preflight-status", "preflight-redirected"
BAD_METHODS, BAD_HEADERS = "allow-methods-unparsable", "allow-headers-unparsable"
METHOD, HEADER = "method-not-allowed", "header-not-allowed"


def ask(
    lines: Lines,
    method: str = "PUT",
    names: str = "",
    *,
    include: bool = False,
    status: int = 204,
    family: BrowserFamily = CHROMIUM,
    origin: Lines | None = None,
    same_origin: bool = False,
) -> list[str]:
    """Returns the ids of the faults that a preflight finds; its CORS check passes unless `origin` says otherwise."""
    good = [("Access-Control-Allow-Origin", "https://a.test"), ("Access-Control-Allow-Credentials", "true")]
    given = read([*(good if origin is None else origin), *lines], family)
    unsafe = tuple(name.encode() for name in names.split(",") if name)
    faults = cors_preflight_fetch(
        ORIGIN, method.encode(), unsafe, status, given, include=include, family=family, same_origin=same_origin
    )
    return [fault.id for fault in faults]


def methods(*values: str) -> Lines:
    return [("Access-Control-Allow-Methods", value) for value in values]


def headers(*values: str) -> Lines:
    return [("Access-Control-Allow-Headers", value) for value in values]


@pytest.mark.parametrize(
    ("status", "passes"),
    [(200, True), (201, True), (204, True), (226, True), (299, True)]
    + [(status, False) for status in (199, 300, 304, 400, 401, 403, 404, 405, 500, 503)],
)
def test_a_preflight_needs_an_ok_status(status: int, passes: bool) -> None:
    assert ask(methods("PUT"), status=status) == ([] if passes else [STATUS])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_preflight_is_never_redirected(status: int) -> None:
    assert ask([*methods("PUT"), ("Location", "https://b.test/")], status=status) == [REDIRECTED]


def test_a_redirect_without_location_is_a_bad_status() -> None:
    assert ask(methods("PUT"), status=302) == [STATUS]
    assert ask([*methods("PUT"), ("Location", "")], status=302) == [STATUS]


@pytest.mark.parametrize(
    ("value", "parameter"),
    [("https://a.test\r\n x", "https://a.test x"), ("null\r\n\tx", "null x"), ("https://\xe4.test", "")],
    ids=["folded", "with a tab", "not ASCII"],
)
def test_the_value_that_chromium_names(value: str, parameter: str) -> None:
    (fault,) = cors_check(ORIGIN, read(allow_origin(value), CHROMIUM), include=False)
    assert fault.parameter == parameter


def test_a_redirected_preflight_says_so_even_without_cors_headers() -> None:
    assert ask([("Location", "/")], status=302, origin=[])[0] == REDIRECTED


@pytest.mark.parametrize("status", [404, 405, 500])
def test_a_missing_origin_is_reported_before_the_status(status: int) -> None:
    assert ask(methods("PUT"), status=status, origin=[]) == [MISSING, STATUS]


@pytest.mark.parametrize(
    ("lines", "method", "include", "faults"),
    [
        pytest.param(methods("PUT"), "PUT", False, [], id="the method"),
        pytest.param(methods("PUT"), "PUT", True, [], id="the method, with credentials"),
        pytest.param(methods("GET, PUT, DELETE"), "DELETE", False, [], id="one of several"),
        pytest.param(methods("GET", "PUT"), "PUT", False, [], id="repeated lines are one list"),
        pytest.param(methods(",PUT,, ,"), "PUT", False, [], id="empty members are skipped"),
        pytest.param(methods("*"), "PUT", False, [], id="a wildcard"),
        pytest.param(methods("foo, *"), "PUT", False, [], id="a wildcard among others"),
        pytest.param(methods("*"), "PUT", True, [METHOD], id="a wildcard is a mere name with credentials"),
        pytest.param(methods("*"), "*", True, [], id="and such a method it does allow"),
        pytest.param([], "PUT", False, [METHOD], id="no header"),
        pytest.param(methods(""), "PUT", False, [METHOD], id="an empty header"),
        pytest.param(methods("POST"), "PUT", False, [METHOD], id="another method"),
        pytest.param(methods("put"), "PUT", False, [METHOD], id="lower case does not allow upper case"),
        pytest.param(methods("PATCH"), "patch", False, [METHOD], id="patch is not PATCH"),
        pytest.param(methods("patch"), "PATCH", False, [METHOD], id="PATCH is not patch"),
        pytest.param(methods("patch"), "patch", False, [], id="patch is patch"),
        pytest.param(methods("PUT POST"), "PUT", False, [BAD_METHODS], id="spaces are no commas"),
        pytest.param(methods("PUT;POST"), "PUT", False, [BAD_METHODS], id="semicolons are no commas"),
        pytest.param(methods('"PUT"'), "PUT", False, [BAD_METHODS], id="quotes"),
        pytest.param(methods("PUT, b@d"), "PUT", False, [BAD_METHODS], id="one bad member spoils the list"),
        pytest.param(methods("PUT", "b@d"), "PUT", False, [BAD_METHODS], id="in another line, too"),
        pytest.param(methods("b@d"), "POST", False, [BAD_METHODS], id="even where no permission is needed"),
    ],
)
def test_allow_methods(lines: Lines, method: str, include: bool, faults: list[str]) -> None:
    assert ask(lines, method, include=include) == faults


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("lines", [[], methods(""), methods("PUT")])
def test_safelisted_methods_need_no_permission(method: str, lines: Lines) -> None:
    assert ask([*lines, *headers("x-t")], method, "x-t", include=True) == []


@pytest.mark.parametrize("method", ["get", "Post", "OPTIONS", "PUT", "PATCH", "*"])
def test_other_methods_do(method: str) -> None:
    assert ask([], method) == [METHOD]


@pytest.mark.parametrize(
    ("lines", "names", "include", "faults"),
    [
        pytest.param(headers("x-t"), "x-t", False, [], id="the header"),
        pytest.param(headers("X-T"), "x-t", True, [], id="names have no case"),
        pytest.param(headers("x-a, x-t"), "x-a,x-t", False, [], id="all of several"),
        pytest.param(headers("x-a", "x-t"), "x-a,x-t", False, [], id="repeated lines are one list"),
        pytest.param(headers("*"), "x-a,x-t", False, [], id="a wildcard"),
        pytest.param(headers("x-a, *"), "x-t", False, [], id="a wildcard among others"),
        pytest.param(headers("*"), "x-t", True, [HEADER], id="a wildcard is a mere name with credentials"),
        pytest.param(headers("*"), "*", True, [], id="and such a header it does allow"),
        pytest.param([], "x-t", False, [HEADER], id="no header"),
        pytest.param(headers(""), "x-t", False, [HEADER], id="an empty header"),
        pytest.param(headers("x-a"), "x-a,x-b,x-t", False, [HEADER, HEADER], id="each missing one counts"),
        pytest.param(headers("x-t b"), "x-t", False, [BAD_HEADERS], id="spaces are no commas"),
        pytest.param(headers("x-t, b@d"), "x-t", False, [BAD_HEADERS], id="one bad member spoils the list"),
        pytest.param(headers("b@d"), "", False, [BAD_HEADERS], id="even where no permission is needed"),
        pytest.param(headers("content-type"), "content-type", True, [], id="the most frequent one"),
    ],
)
def test_allow_headers(lines: Lines, names: str, include: bool, faults: list[str]) -> None:
    assert ask(lines, "POST", names, include=include) == faults


@pytest.mark.parametrize(
    ("lines", "include", "browsers", "standard"),
    [
        pytest.param(headers("authorization"), True, True, True, id="listed by name"),
        pytest.param(headers("Authorization, *"), False, True, True, id="listed beside a wildcard"),
        pytest.param(headers("*"), False, True, False, id="a wildcard covers it in browsers, not in the standard"),
        pytest.param(headers("*"), True, False, False, id="with credentials nowhere"),
        pytest.param([], False, False, False, id="not listed"),
    ],
)
def test_authorization(lines: Lines, include: bool, browsers: bool, standard: bool) -> None:
    for family, passes in ((CHROMIUM, browsers), (FIREFOX, browsers), (SPEC, standard)):
        assert ask(lines, "GET", "authorization", include=include, family=family) == ([] if passes else [HEADER])


def test_a_preflight_is_checked_in_the_mode_of_what_it_asks_for() -> None:
    assert ask(methods("PUT"), origin=allow_origin("*")) == []
    assert ask(methods("PUT"), origin=allow_origin("*"), include=True) == [WILDCARD, NOT_TRUE]
    assert ask(methods("PUT"), origin=allow_origin("https://a.test"), include=True) == [NOT_TRUE]


def test_every_fault_of_a_preflight_is_listed_in_chromiums_order() -> None:
    found = ask([("Location", "/"), *methods("b@d"), *headers("a b")], "PUT", "x-t", origin=[], status=302)
    assert found == [REDIRECTED, MISSING, BAD_METHODS, BAD_HEADERS]
    assert ask([], "PUT", "x-t,x-u", status=500) == [STATUS, METHOD, HEADER, HEADER]


def test_firefox_checks_no_origin_on_a_preflight_to_the_pages_own() -> None:
    """It sends one on a redirect back home."""
    assert ask(methods("PUT"), family=FIREFOX, origin=[], same_origin=True) == []
    assert ask([], family=FIREFOX, origin=[], same_origin=True, status=404) == [STATUS, METHOD]


def test_a_preflights_faults_name_what_to_allow() -> None:
    given = pick(fields([*allow_origin("*"), *methods("GET"), *headers("x-a")]), READ)
    faults = cors_preflight_fetch(ORIGIN, b"PUT", (b"x-a", b"x-t"), 200, given, include=False, family=CHROMIUM)
    method = {"method": "PUT", "methods": "GET, PUT", "value": "GET", "said": "“GET”"}
    header = {"header": "x-t", "headers": "x-a, x-t", "value": "x-a", "said": "“x-a”"}
    assert faults == (
        Fault(METHOD, "PUT", {**method, "origin": "https://a.test"}),
        Fault(HEADER, "x-t", {**header, "origin": "https://a.test"}),
    )
    missing = cors_preflight_fetch(
        ORIGIN, b"PUT", (), 200, {b"access-control-allow-origin": b"*"}, include=False, family=CHROMIUM
    )
    assert [(fault.values["value"], fault.values["said"], fault.values["methods"]) for fault in missing] == [
        ("", "missing", "PUT")
    ]


@pytest.mark.parametrize(
    ("value", "chromium", "firefox", "spec"),
    [
        pytest.param(None, 5, 5, 5, id="absent"),
        pytest.param("", 5, 5, 5, id="empty"),
        pytest.param("600", 600, 600, 600, id="ten minutes"),
        pytest.param("  600  ", 600, 600, 600, id="spaces around"),
        pytest.param("0", 0, 0, 0, id="nothing"),
        pytest.param("-1", 0, 0, 5, id="less than nothing"),
        pytest.param("7200", 7200, 7200, 7200, id="Chromium's limit"),
        pytest.param("7201", 7200, 7201, 7200, id="above Chromium's limit"),
        pytest.param("86400", 7200, 86400, 7200, id="Firefox's limit"),
        pytest.param("86401", 7200, 86400, 7200, id="above Firefox's limit"),
        pytest.param("9" * 5000, 7200, 86400, 7200, id="beyond all measure"),
        pytest.param("+600", 600, 0, 5, id="a sign"),
        pytest.param("600.5", 5, 0, 5, id="a fraction"),
        pytest.param("abc", 5, 0, 5, id="no number"),
        pytest.param("600, 600", 5, 0, 5, id="two lines"),
        pytest.param("--1", 5, 0, 5, id="two signs"),
        pytest.param("٦٠٠", 5, 0, 5, id="digits of another script"),
    ],
)
def test_max_age(value: str | None, chromium: int, firefox: int, spec: int) -> None:
    given = {} if value is None else pick(((b"Access-Control-Max-Age", value.encode()),), READ)
    assert [max_age(given, family) for family in (CHROMIUM, FIREFOX, SPEC)] == [chromium, firefox, spec]


@pytest.mark.parametrize(
    ("method", "names", "words"),
    [
        ("PUT", (), "the method PUT is not GET, HEAD or POST"),
        ("patch", (b"x-t",), "the method patch is not GET, HEAD or POST"),
        ("POST", (b"content-type",), "its Content-Type is not one that a form could send"),
        ("GET", (b"authorization", b"x-t"), "request headers that a form could not send: authorization, x-t"),
        ("POST", (), "nothing that the wire shows: an upload listener or a streamed body asks for one"),
    ],
)
def test_why_a_preflight_was_needed(method: str, names: tuple[bytes, ...], words: str) -> None:
    assert cors_preflight_reason(method.encode(), names) == words


# ---------------------------------------------------------------------- safelists


@pytest.mark.parametrize(
    ("typed", "sent"),
    [("get", "GET"), ("Post", "POST"), ("delete", "DELETE"), ("put", "PUT"), ("options", "OPTIONS"), ("head", "HEAD")]
    + [(same, same) for same in ("patch", "PATCH", "Patch", "propfind", "X")],
)
def test_only_six_methods_are_normalized(typed: str, sent: str) -> None:
    assert normalize_method(typed.encode()) == sent.encode()


def test_safelisted_methods_have_their_case() -> None:
    assert [is_cors_safelisted_method(method) for method in (b"GET", b"HEAD", b"POST", b"get", b"PUT")] == [
        True,
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("name", "value", "safe"),
    [
        pytest.param("accept", "a" * 128, True, id="128 bytes"),
        pytest.param("accept", "a" * 129, False, id="129 bytes"),
        pytest.param("accept", "text/html;q=0.9", True, id="an ordinary Accept"),
        pytest.param("accept", '"', False, id="a quote in Accept"),
        pytest.param("accept", "a\tb", True, id="a tab in Accept"),
        pytest.param("accept", "a\x7f", False, id="a delete byte in Accept"),
        pytest.param("accept-language", "en-US,*;q=0.1", True, id="languages"),
        pytest.param("accept-language", "en_US", False, id="an underscore in a language"),
        pytest.param("content-language", "en@", False, id="an at sign in a language"),
        pytest.param("content-type", "text/plain", True, id="plain text"),
        pytest.param("content-type", "text/plain;charset=utf-8", True, id="with a parameter"),
        pytest.param("content-type", 'text/plain;charset="utf-8"', False, id="with a quoted parameter"),
        pytest.param("content-type", "APPLICATION/x-www-form-urlencoded", True, id="types have no case"),
        pytest.param("content-type", "multipart/form-data; boundary=x", True, id="a form with files"),
        pytest.param("content-type", "text/plain, text/plain", False, id="two types"),
        pytest.param("content-type", "application/json", False, id="JSON"),
        pytest.param("content-type", "", False, id="no type"),
        pytest.param("range", "bytes=0-10", True, id="a range"),
        pytest.param("range", "bytes=0-", True, id="an open range"),
        pytest.param("range", "bytes=10-10", True, id="a single byte"),
        pytest.param("range", "bytes=-10", False, id="a range from the end"),
        pytest.param("range", "bytes=10-5", False, id="a range backwards"),
        pytest.param("range", "bytes=0-1,3-4", False, id="two ranges"),
        pytest.param("range", "items=0-1", False, id="another unit"),
        pytest.param("range", "bytes=0", False, id="no dash"),
        pytest.param("x-t", "1", False, id="a custom header"),
        pytest.param("authorization", "Basic eA==", False, id="Authorization"),
        pytest.param("if-none-match", '"x"', False, id="a condition"),
    ],
)
def test_safelisted_request_headers(name: str, value: str, safe: bool) -> None:
    assert is_cors_safelisted_request_header(name.encode(), value.encode()) is safe


def test_unsafe_names_are_sorted_and_in_lower_case() -> None:
    given = fields([("X-Zed", "1"), ("Accept", "*/*"), ("Content-Type", "application/json"), ("X-alpha", "2")])
    assert cors_unsafe_request_header_names(given) == (b"content-type", b"x-alpha", b"x-zed")


def test_too_much_of_what_is_safe_is_unsafe() -> None:
    just_enough = fields([("Accept", "a" * 128)] * 8)
    assert cors_unsafe_request_header_names(just_enough) == ()
    assert cors_unsafe_request_header_names((*just_enough, (b"Accept-Language", b"e"))) == (
        b"accept",
        b"accept-language",
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Type", "text/plain"),
        ("Content-Type", "application/csp-report"),
        ("Sec-CH-UA", "x"),
        ("Proxy-Authorization", "x"),
        (":authority", "b.test"),
        ("Authorization", "Basic x"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("Cache-Control", "no-cache"),
        ("Last-Event-ID", "1"),
        ("DNT", "1"),
        ("Content-Language", "en"),
    ],
)
def test_headers_that_a_browser_may_add_or_that_are_safelisted_need_no_permission(name: str, value: str) -> None:
    assert Head(fields([(name, value)])).unsafe_names == ()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("X-Requested-With", "XMLHttpRequest"),
        ("Content-Type", "application/json"),
        ("content-TYPE", 'text/plain; a="b"'),
        ("X-T", ""),
        ("Idempotency-Key", "1"),
        ("Content-Language", "en@"),
    ],
)
def test_other_headers_do(name: str, value: str) -> None:
    assert Head(fields([(name, value)])).unsafe_names == (name.lower().encode(),)


# ---------------------------------------------------------------------- redirects

A, B, C = b"https://a.test", b"https://b.test", b"https://c.test"


@pytest.mark.parametrize(
    ("chain", "origins"),
    [
        pytest.param([A, B], [None, A], id="from the page's own origin to another"),
        pytest.param([A, A, B], [None, None, A], id="over the page's own origin first"),
        pytest.param([B, B], [A, A], id="within another origin"),
        pytest.param([B, A], [A, b"null"], id="back to the page's own origin"),
        pytest.param([B, C], [A, b"null"], id="from another origin to a third"),
        pytest.param([B, C, B], [A, b"null", b"null"], id="and back to the second"),
        pytest.param([A, B, A], [None, A, b"null"], id="there and back"),
        pytest.param([A, B, B, C], [None, A, A, b"null"], id="staying a while does not taint"),
    ],
)
def test_the_origin_of_each_hop(chain: list[bytes], origins: list[bytes | None]) -> None:
    """The page is at https://a.test, which sends no Origin to itself with GET."""
    origin = origins[0]
    for index in range(1, len(chain)):
        origin = origin_after_redirect(origin, chain[index - 1], chain[index])
        assert origin == origins[index]


def test_an_opaque_origin_stays_opaque() -> None:
    assert origin_after_redirect(b"null", B, B) == b"null"
    assert origin_after_redirect(b"null", B, C) == b"null"


def test_a_sent_origin_of_the_page_itself_stays() -> None:
    """A same-origin POST does send its Origin."""
    assert origin_after_redirect(A, A, B) == A
    assert not tainted_origin(A, A, B)
    assert tainted_origin(A, B, A)


@pytest.mark.parametrize(
    ("method", "status", "then"),
    [
        ("POST", 301, "GET"),
        ("POST", 302, "GET"),
        ("POST", 303, "GET"),
        ("POST", 307, "POST"),
        ("POST", 308, "POST"),
        ("PUT", 301, "PUT"),
        ("PUT", 302, "PUT"),
        ("PUT", 303, "GET"),
        ("PUT", 307, "PUT"),
        ("HEAD", 303, "HEAD"),
        ("GET", 303, "GET"),
        ("patch", 303, "GET"),
    ],
)
def test_the_method_of_the_next_hop(method: str, status: int, then: str) -> None:
    assert method_after_redirect(method.encode(), status) == then.encode()


def to(url: str = "https://b.test/next", origin: bytes = B, *, user_info: bool = False) -> Target:
    return Target(url, url.partition(":")[0], origin, user_info)


def follow(
    target: Target,
    *,
    origin: bytes | None = A,
    current: bytes = B,
    redirects: int = 0,
    secure: bool = True,
    trustworthy: bool = True,
) -> list[str]:
    found = http_redirect_fetch(
        origin, current, target, secure_page=secure, redirects=redirects, trustworthy=trustworthy
    )
    return [fault.id for fault in found]


@pytest.mark.parametrize("redirects", [0, 1, 19])
def test_up_to_twenty_redirects_are_followed(redirects: int) -> None:
    assert follow(to(), redirects=redirects) == []


@pytest.mark.parametrize("redirects", [20, 21])
def test_the_twenty_first_is_not(redirects: int) -> None:
    assert follow(to(), redirects=redirects) == ["redirect-limit"]


@pytest.mark.parametrize("url", ["ftp://b.test/", "javascript:1", "app://x", "mailto:a@b.test"])
def test_only_http_is_followed(url: str) -> None:
    assert follow(to(url, b"null")) == ["redirect-scheme"]


@pytest.mark.parametrize("url", ["data:text/plain,hi", "file:///x", "about:blank", "blob:https://a.test/1"])
def test_what_the_network_itself_refuses_is_no_matter_of_cors(url: str) -> None:
    assert follow(to(url, b"null")) == ["redirect-unsafe"]


@pytest.mark.parametrize(
    ("origin", "current", "target", "faults"),
    [
        pytest.param(A, B, B, ["redirect-with-user-info"], id="within another origin"),
        pytest.param(A, B, A, ["redirect-with-user-info"], id="back to the page's own origin"),
        pytest.param(None, A, B, ["redirect-with-user-info"], id="away from the page's own origin"),
        pytest.param(A, A, B, ["redirect-with-user-info"], id="away from it after a POST"),
        pytest.param(b"null", B, B, ["redirect-with-user-info"], id="for an opaque origin"),
        pytest.param(None, A, A, [], id="within the page's own origin, which is not CORS"),
        pytest.param(A, A, A, [], id="within it after a POST"),
    ],
)
def test_user_info_in_the_target(origin: bytes | None, current: bytes, target: bytes, faults: list[str]) -> None:
    assert follow(to(origin=target, user_info=True), origin=origin, current=current) == faults


@pytest.mark.parametrize(
    ("secure", "trustworthy", "faults"),
    [
        pytest.param(True, False, ["redirect-mixed-content"], id="from a secure page to plain http"),
        pytest.param(True, True, [], id="from a secure page to a trustworthy target"),
        pytest.param(False, False, [], id="from a plain page to plain http"),
    ],
)
def test_mixed_content(secure: bool, trustworthy: bool, faults: list[str]) -> None:
    target = to("http://b.test/", b"http://b.test")
    assert follow(target, secure=secure, trustworthy=trustworthy) == faults


@pytest.mark.parametrize("port", [25, 6667, 10080])
def test_nothing_is_sent_to_a_bad_port(port: int) -> None:
    assert follow(to(f"https://b.test:{port}/", f"https://b.test:{port}".encode())) == ["redirect-bad-port"]


@pytest.mark.parametrize("url", ["https://b.test/", "https://b.test:8443/", "https://[::1]/", "https://[::19]:8443/"])
def test_other_ports_are_none(url: str) -> None:
    assert follow(to(url, url.rstrip("/").encode())) == []


def test_of_many_refused_headers_some_are_told_and_all_are_to_be_sent() -> None:
    names = tuple(f"x-{number}".encode() for number in range(REFUSED_HEADERS + 5))
    given = {b"access-control-allow-origin": A}
    faults = cors_preflight_fetch(A, b"GET", names, 204, given, include=False, family=CHROMIUM)
    assert [fault.parameter for fault in faults] == [f"x-{number}" for number in range(REFUSED_HEADERS)]
    assert faults[0].values["headers"] == ", ".join(f"x-{number}" for number in range(REFUSED_HEADERS + 5))
