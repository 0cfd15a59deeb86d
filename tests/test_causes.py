"""What caused a fault: the entry of the catalogue that names it, by values as servers send them."""

from __future__ import annotations

import pytest

from builders import ALLOW_CREDENTIALS, ALLOW_HEADERS, ALLOW_METHODS, ALLOW_ORIGIN, exchange, ids, judged, preflight
from corscope.catalogue import CATALOGUE
from corscope.causes import looks_like_login
from corscope.console import console_message
from corscope.report import as_json

APP = "https://a.test"
LOCAL = "http://localhost:3000"

ORIGINS = [
    # one character too many, or another one
    (APP, "https://a.test/", "allow-origin-trailing-slash"),
    (APP, "https://a.test//", "allow-origin-path"),
    # several, in ways that no header knows
    (APP, "https://x.test;https://a.test", "allow-origin-list"),
    (APP, "https://x.test|https://a.test", "allow-origin-list"),
    (APP, "https://a.test/app", "allow-origin-path"),
    (APP, "https://a.test/?x=1", "allow-origin-path"),
    (APP, "https://A.test", "allow-origin-case"),
    (APP, "HTTPS://A.TEST/", "allow-origin-case"),
    (APP, "https://a.test:443", "allow-origin-default-port"),
    ("http://a.test", "http://a.test:80", "allow-origin-default-port"),
    ("http://a.test", "http://a.test:443", "allow-origin-port"),
    (APP, "https://a.test:80", "allow-origin-port"),
    (APP, "https://a.test:8443", "allow-origin-port"),
    ("https://a.test:8443", APP, "allow-origin-port"),
    (LOCAL, "http://localhost:3001", "allow-origin-port"),
    (LOCAL, "http://localhost", "allow-origin-port"),
    (APP, "http://a.test", "allow-origin-scheme"),
    ("http://a.test", APP, "allow-origin-scheme"),
    ("http://localhost:3000", "https://localhost:3001", "allow-origin-scheme"),
    # the same machine
    (LOCAL, "http://127.0.0.1:3000", "allow-origin-loopback-name"),
    ("http://127.0.0.1:3000", LOCAL, "allow-origin-loopback-name"),
    ("http://[::1]:3000", LOCAL, "allow-origin-loopback-name"),
    (LOCAL, "http://0.0.0.0:3000", "allow-origin-loopback-name"),
    ("http://[::1]:3000", "http://[::1]:3001", "allow-origin-port"),
    ("http://[::1]", "http://[::1]:80", "allow-origin-default-port"),
    ("http://[2001:db8::1]", "http://[2001:db8::2]", "allow-origin-mismatch"),
    ("http://[2001:db8::1]:3000", "http://[2001:DB8::1]:3000", "allow-origin-case"),
    (LOCAL, "http://192.168.1.20:3000", "allow-origin-mismatch"),
    # the same site, perhaps
    (APP, "https://www.a.test", "allow-origin-www"),
    ("https://www.a.test", APP, "allow-origin-www"),
    ("https://www.a.test", "http://a.test", "allow-origin-www"),
    ("https://shop.a.test", APP, "allow-origin-subdomain"),
    (APP, "https://shop.a.test", "allow-origin-subdomain"),
    ("https://shop.a.test", "https://office.a.test", "allow-origin-mismatch"),
    # not the same site, however alike
    (APP, "https://a.test.evil.com", "allow-origin-mismatch"),
    (APP, "https://evil-a.test", "allow-origin-mismatch"),
    (APP, "https://evil.com/https://a.test", "allow-origin-mismatch"),
    (APP, "https://a.test@evil.com", "allow-origin-mismatch"),
    (APP, "https://b.test", "allow-origin-mismatch"),
    (APP, "https://b.test/app", "allow-origin-mismatch"),
    # null, on either side
    (APP, "null", "allow-origin-null-sent"),
    ("null", APP, "origin-is-null"),
    ("null", "https://a.test/", "origin-is-null"),
    ("null", "https://*.a.test", "allow-origin-pattern"),
    ("null", "NULL", "allow-origin-without-scheme"),
    # patterns
    (APP, "https://*.a.test", "allow-origin-pattern"),
    (APP, "https://*", "allow-origin-pattern"),
    (APP, "*.a.test", "allow-origin-pattern"),
    (APP, "**", "allow-origin-pattern"),
    (APP, "*:3000", "allow-origin-pattern"),
    (APP, "https://.*\\.a\\.test", "allow-origin-pattern"),
    (LOCAL, "http://localhost:*", "allow-origin-pattern"),
    (APP, "https?://a.test", "allow-origin-pattern"),
    (APP, "https://(www|shop).a.test", "allow-origin-pattern"),
    (APP, "~^https://a.test$", "allow-origin-pattern"),
    (APP, "/a.test$/i", "allow-origin-pattern"),
    # no URL
    (APP, "a.test", "allow-origin-without-scheme"),
    (APP, "a.test/", "allow-origin-without-scheme"),
    (LOCAL, "localhost:3000", "allow-origin-without-scheme"),
    (LOCAL, "localhost:3000/", "allow-origin-without-scheme"),
    (APP, "//a.test", "allow-origin-invalid"),
    (APP, "https//a.test", "allow-origin-invalid"),
    (APP, "", "allow-origin-empty"),
    (APP, '"https://a.test"', "allow-origin-quoted"),
    (APP, "'*'", "allow-origin-quoted"),
    (APP, '"*"', "allow-origin-quoted"),
    (APP, "$http_origin", "allow-origin-placeholder"),
    (APP, "${ALLOWED_ORIGIN}", "allow-origin-placeholder"),
    (APP, "https://${HOST}", "allow-origin-placeholder"),
    (APP, "%{ORIGIN}e", "allow-origin-placeholder"),
    (APP, "{{origin}}", "allow-origin-placeholder"),
    (APP, "{{ origin }}", "allow-origin-placeholder"),
    (APP, "<%= origin %>", "allow-origin-placeholder"),
    (APP, "$http_origin, https://b.test", "allow-origin-placeholder"),
    # what Apache writes for a variable that is not set
    (APP, "(null)", "allow-origin-placeholder"),
    (APP, "<origin>", "allow-origin-placeholder"),
    (APP, "[object", "allow-origin-placeholder"),
    (APP, "undefined", "allow-origin-placeholder"),
    (APP, "None", "allow-origin-placeholder"),
    (APP, "true", "allow-origin-placeholder"),
    (APP, "all", "allow-origin-placeholder"),
    (APP, "origin", "allow-origin-placeholder"),
    # several
    (APP, "https://a.test, https://b.test", "allow-origin-list"),
    (APP, "https://a.test, </script>", "allow-origin-list"),
    (APP, "https://a.test, <your origin>", "allow-origin-placeholder"),
    (APP, "https://a.test https://b.test", "allow-origin-list"),
    (APP, "https://a.test,https://b.test", "allow-origin-list"),
    (APP, "https://b.test, *", "allow-origin-list"),
    (APP, "https://a.test, https://a.test", "allow-origin-twice"),
    (APP, "*, *", "allow-origin-twice"),
    (APP, "*,*", "allow-origin-twice"),
    (APP, "a.test, www.a.test", "allow-origin-list"),
    (APP, "not allowed", "allow-origin-multiple"),
    (APP, "https://a.test,", "allow-origin-multiple"),
    (APP, ", https://a.test", "allow-origin-multiple"),
]


@pytest.mark.parametrize(("origin", "value", "cause"), ORIGINS)
def test_what_an_allow_origin_misses(origin: str, value: str, cause: str) -> None:
    one = exchange("GET https://api.example/x", origin=origin, response={ALLOW_ORIGIN: value})
    verdict = judged(one)
    assert ids(verdict) == [cause]


@pytest.mark.parametrize(("origin", "value", "cause"), ORIGINS)
def test_browsers_say_what_they_say_of_the_fault(origin: str, value: str, cause: str) -> None:
    """Whatever the cause is called: what Chromium prints goes with the error that it reports."""
    verdict = judged(exchange("GET https://api.example/x", origin=origin, response={ALLOW_ORIGIN: value}))
    said = console_message(verdict) or ""
    words = {
        "AllowOriginMismatch": "that is not equal to the supplied origin.",
        "InvalidAllowOriginValue": "contains the invalid value",
        "MultipleAllowOriginValues": "contains multiple values",
    }
    assert words[verdict.devtools_error or ""] in said
    fault = as_json(verdict)["findings"][0]["fault"] or cause
    assert CATALOGUE[fault].devtools_error == verdict.devtools_error
    assert CATALOGUE[fault].of is None


def test_two_lines_are_two_whatever_they_say() -> None:
    lines = [(ALLOW_ORIGIN, APP), ("access-control-allow-origin", "https://b.test")]
    assert ids(judged(exchange("GET https://api.example/x", response=lines))) == ["allow-origin-twice"]


@pytest.mark.parametrize(("origin", "cause"), [(APP, "allow-origin-missing"), ("null", "origin-null-not-allowed")])
def test_whose_origin_is_not_answered(origin: str, cause: str) -> None:
    assert ids(judged(exchange("GET https://api.example/x", origin=origin))) == [cause]


CREDENTIALS = [
    ([], "allow-credentials-missing"),
    (["True"], "allow-credentials-case"),
    (["TRUE"], "allow-credentials-case"),
    (["false"], "allow-credentials-false"),
    (["False"], "allow-credentials-false"),
    (["true", "true"], "allow-credentials-twice"),
    (["true, true"], "allow-credentials-twice"),
    (["true", "false"], "allow-credentials-twice"),
    (["1"], "allow-credentials-not-true"),
    (["yes"], "allow-credentials-not-true"),
    (['"true"'], "allow-credentials-not-true"),
    ([""], "allow-credentials-not-true"),
    (["missing"], "allow-credentials-not-true"),
]


@pytest.mark.parametrize(("values", "cause"), CREDENTIALS)
def test_what_is_wrong_with_allow_credentials(values: list[str], cause: str) -> None:
    response = [(ALLOW_ORIGIN, APP), *((ALLOW_CREDENTIALS, value) for value in values)]
    one = exchange("GET https://api.example/x", headers={"Cookie": "sid=1"}, response=response)
    assert ids(judged(one)) == [cause]


LISTS = [
    ("PATCH", "", {ALLOW_METHODS: "GET"}, "method-not-allowed"),
    ("PATCH", "", {}, "method-not-allowed"),
    ("PATCH", "", {ALLOW_METHODS: "patch"}, "method-not-allowed"),
    ("patch", "", {ALLOW_METHODS: "GET, PATCH"}, "method-case"),
    ("Patch", "", {ALLOW_METHODS: "PATCH"}, "method-case"),
    ("patch", "", {ALLOW_METHODS: "GET"}, "method-not-allowed"),
    ("PATCH", "", {ALLOW_METHODS: "*"}, "allow-methods-wildcard-with-credentials"),
    ("PATCH", "", {ALLOW_METHODS: "GET, *"}, "allow-methods-wildcard-with-credentials"),
    ("GET", "x-a", {}, "header-not-allowed"),
    ("GET", "x-a", {ALLOW_HEADERS: "x-b"}, "header-not-allowed"),
    ("GET", "x-a", {ALLOW_HEADERS: "*"}, "allow-headers-wildcard-with-credentials"),
    ("GET", "authorization", {ALLOW_HEADERS: "x-b"}, "authorization-not-allowed"),
    ("GET", "authorization", {ALLOW_HEADERS: "*"}, "allow-headers-wildcard-with-credentials"),
]


@pytest.mark.parametrize(("method", "asks", "response", "cause"), LISTS)
def test_what_a_list_misses(method: str, asks: str, response: dict[str, str], cause: str) -> None:
    answer = {ALLOW_ORIGIN: APP, ALLOW_CREDENTIALS: "true", **response}
    # Firefox says with the preflight that the request will have credentials.
    said = {"Sec-Fetch-Storage-Access": "active"}
    one = preflight("https://api.example/x", method, asks, headers=said, browser="firefox", response=answer)
    assert ids(judged(one)) == [cause]


STATUSES = {
    401: "preflight-needs-authentication",
    403: "preflight-forbidden",
    404: "options-not-routed",
    405: "options-not-routed",
    407: "preflight-needs-authentication",
    400: "preflight-status",
    500: "preflight-server-failed",
    502: "preflight-server-failed",
    504: "preflight-server-failed",
    501: "options-not-routed",
    304: "preflight-status",
    302: "preflight-status",
}


@pytest.mark.parametrize(("status", "cause"), STATUSES.items())
def test_why_a_preflight_was_refused(status: int, cause: str) -> None:
    answer = {ALLOW_ORIGIN: APP, ALLOW_CREDENTIALS: "true", ALLOW_METHODS: "PUT"}
    assert ids(judged(preflight("https://api.example/x", status=status, response=answer))) == [cause]


REDIRECTS = [
    ("https://b.test/items", "/items/", "preflight-redirected-to-slash"),
    ("https://b.test/items", "https://b.test/items/", "preflight-redirected-to-slash"),
    ("https://b.test/items?page=2", "/items/?page=2", "preflight-redirected-to-slash"),
    ("https://b.test/items/", "/items", "preflight-redirected-to-slash"),
    ("https://b.test/items", "https://c.test/items/", "preflight-redirected"),
    ("https://b.test/items", "/items", "preflight-redirected"),
    ("https://b.test/items", "/v2/items", "preflight-redirected"),
    ("http://b.test/items", "https://b.test/items", "preflight-redirected-to-https"),
    ("http://b.test/items?page=2", "https://b.test/items?page=2", "preflight-redirected-to-https"),
    ("http://b.test/items", "https://c.test/items", "preflight-redirected"),
    ("https://b.test/items", "/login?next=/items", "preflight-redirected-to-login"),
    ("http://b.test/login", "https://b.test/login", "preflight-redirected-to-login"),
    ("https://b.test/items", "https://:", "preflight-redirected"),
]


@pytest.mark.parametrize(("url", "location", "cause"), REDIRECTS)
def test_where_a_preflight_was_sent(url: str, location: str, cause: str) -> None:
    origin = url.partition(":")[0] + "://a.test"
    answer = {ALLOW_ORIGIN: origin, ALLOW_CREDENTIALS: "true", ALLOW_METHODS: "PUT", "Location": location}
    assert ids(judged(preflight(url, origin=origin, status=307, response=answer))) == [cause]


@pytest.mark.parametrize(
    "location",
    [
        "/login",
        "/login?next=%2Fitems",
        "/Account/Login?ReturnUrl=%2Fitems",
        "/users/sign_in",
        "/sign-in",
        "/signin-oidc",
        "/wp-login.php?redirect_to=https://b.test/",
        "/login;jsessionid=1",
        "https://login.microsoftonline.com/common/oauth2/v2.0/authorize?client_id=1",
        "https://accounts.google.com/o/oauth2/v2/auth?client_id=1",
        "https://id.test/realms/shop/protocol/openid-connect/auth?response_type=code",
        "https://tenant.auth0.com/authorize?client_id=1",
        "https://sso.example.com/",
        "https://idp.example.com/adfs/ls/?SAMLRequest=1",
        "https://idp.example.com/go?SAMLRequest=1",
        "https://team.cloudflareaccess.com/cdn-cgi/access/login/app.example.com",
        "/index.php?route=account/login",
        "/index.php?page=login&lang=en",
        "//sso.example.com:8443/start",
    ],
)
def test_logins_are_recognised(location: str) -> None:
    assert looks_like_login(location)


@pytest.mark.parametrize(
    "location",
    [
        "/",
        "/blog/signing-keys",
        "/catalogin",
        "/blogging/in",
        "/loginov",
        "/design-in",
        "/signings",
        "/cas/12",
        "/case/1",
        "/casino",
        "/authors",
        "/authorized-dealers",
        "/lesson/1",
        "/oauthors",
        "/items/login-history",
        "/authorize-payment",
        "/home?from=login",
        "/home?login=ok",
        "/home#login",
        "/search?q=login+form",
        "https://catalogin.example.com/items/",
        "https://cdn.test/plugin/items",
        "https://files.test/items?response-content-type=text%2Fplain",
    ],
)
def test_what_merely_looks_like_a_login_is_none(location: str) -> None:
    assert not looks_like_login(location)
