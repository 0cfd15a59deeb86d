"""What is behind a verdict, and what will hurt: rules that no case file shows well."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from builders import (
    ALLOW_CREDENTIALS,
    ALLOW_METHODS,
    ALLOW_ORIGIN,
    ANY,
    GOOD,
    MAX_AGE,
    PAGE,
    STORAGE_ACCESS,
    Talk,
    exchange,
    ids,
    judged,
    pass_by,
    preflight,
)
from corscope import diagnosis
from corscope.diagnosis import Diagnosis
from corscope.fixes import fix_of
from corscope.model import Severity, Verdict
from corscope.public_suffixes import is_platform, is_public_suffix
from corscope.report import as_json, comment, headline
from corscope.session import Session
from test_catalogue import CASES, parse, run

EXPOSE_HEADERS = "Access-Control-Expose-Headers"
PAGE_OF_THE_WEB = "https://app.example.com"
ACTIVE = {STORAGE_ACCESS: "active"}
LOGIN = "sid=SECRET; Path=/; Secure; HttpOnly"
VARIES = {"Vary": "Origin"}


def let_in(origin: str, **more: str) -> dict[str, str]:
    """Returns a response that lets an origin in with credentials."""
    return {ALLOW_ORIGIN: origin, ALLOW_CREDENTIALS: "true", "Vary": "Origin", **more}


def sized(value: object) -> int:
    """Counts what a dictionary holds, those within it included."""
    return sum(1 + sized(one) for one in value.values()) if isinstance(value, dict) else 0


def navigate(talk: Talk, url: str, **more: Any) -> str:  # noqa: ANN401
    return talk.say(f"GET {url}", origin=None, site="none", mode="navigate", dest="document", **more)


# ---------------------------------------------------------------------- what the same exchange tells


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_an_allowed_exchange_has_no_error(path: Path) -> None:
    for verdict in run(parse(path.read_text(encoding="utf-8"))).values():
        severities = {finding.severity for finding in verdict.findings}
        assert (Severity.ERROR in severities) is (verdict.outcome == "blocked")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_to_be_judged_twice_tells_the_same(path: Path) -> None:
    """Something on the proxy looks at a response without changing it: nothing is counted twice."""
    steps = [step.exchange for step in parse(path.read_text(encoding="utf-8"))]
    once, twice = (Session(is_public_suffix=is_public_suffix, is_platform=is_platform) for _ in range(2))
    for step in steps:
        first = {verdict.flow_id: verdict for verdict in once.judge(step)}
        again = {verdict.flow_id: verdict for _ in range(2) for verdict in twice.judge(step)}
        assert said(again[step.id]) == said(first[step.id])


def said(verdict: Verdict) -> tuple[str, list[str], str]:
    return verdict.outcome, ids(verdict), comment(verdict)


@pytest.mark.parametrize("allowed", ["*", "https://other.test"])
def test_what_is_blocked_is_told_of_its_literal_stars_too(allowed: str) -> None:
    """All faults at once: the one in Expose-Headers would be met next."""
    response = {ALLOW_ORIGIN: allowed, EXPOSE_HEADERS: "*", "X-Total": "3"}
    found = ids(judged(exchange("GET https://b.test/x", headers=ACTIVE, response=response)))
    assert found[-1] == "expose-headers-wildcard-with-credentials"


@pytest.mark.parametrize(
    ("age", "told"), [("1d", ["max-age-unparsable"]), ("604800", ["max-age-above-cap"]), ("600", [])]
)
def test_a_preflight_that_fails_is_told_of_its_age_too(age: str, told: list[str]) -> None:
    verdict = judged(preflight("https://b.test/x", status=404, response={**GOOD, MAX_AGE: age}))
    assert [one for one in ids(verdict) if one.startswith("max-age")] == told


# ---------------------------------------------------------------------- clients


def test_two_clients_never_mix() -> None:
    """What one browser was told is nothing to another: neither cookies, nor answers, nor origins that were let in."""
    alone, mixed = Talk(), Talk()
    flows = []
    for client, talk in (("x", mixed), ("y", mixed), ("y", alone)):
        named = {"client": client}
        origin = f"https://{client}.test"
        if client == "x":
            navigate(talk, "https://b.test/login", response={"Set-Cookie": LOGIN}, **named)
        flow = talk.say("GET https://b.test/x", origin=origin, headers=ACTIVE, response=let_in(origin), **named)
        other = talk.say("GET https://b.test/x", origin=origin, status=401, headers=ACTIVE, **named)
        if client == "y":
            flows.append((talk, flow, other))
    (mixed, *told), (alone, *expected) = flows
    assert [ids(mixed[flow]) for flow in told] == [ids(alone[flow]) for flow in expected]
    assert ids(mixed[told[0]]) == []


def test_one_client_is_told_of_both() -> None:
    """The same exchanges by one client, so that the test above is not empty."""
    talk = Talk()
    navigate(talk, "https://b.test/login", response={"Set-Cookie": LOGIN})
    for origin in ("https://x.test", "https://y.test"):
        flow = talk.say("GET https://b.test/x", origin=origin, headers=ACTIVE, response=let_in(origin))
    assert set(ids(talk[flow])) == {"origin-reflected-with-credentials", "cookie-samesite-default"}


# ---------------------------------------------------------------------- caching


@pytest.mark.parametrize(
    ("vary", "told"),
    [
        ("Origin", False),
        ("origin", False),
        ("ORIGIN", False),
        ("Accept-Encoding, Origin", False),
        ("Accept-Encoding,origin", False),
        ("*", False),
        ("", True),
        ("Accept-Encoding", True),
        ("X-Origin-Hint", True),
        ("Original", True),
    ],
)
def test_vary_is_read_in_any_case_and_by_whole_names(vary: str, told: bool) -> None:
    talk = Talk()
    for origin in ("https://x.test", "https://y.test"):
        flow = talk.say("GET https://b.test/x", origin=origin, response={ALLOW_ORIGIN: origin, "vary": vary})
    assert ("vary-origin-missing" in ids(talk[flow])) is told


@pytest.mark.parametrize(
    ("line", "more"),
    [
        ("POST https://b.test/x", {}),
        ("GET https://b.test/x", {"Cache-Control": "private, No-Store"}),
    ],
)
def test_what_no_cache_keeps_need_not_vary(line: str, more: dict[str, str]) -> None:
    talk = Talk()
    for origin in ("https://x.test", "https://y.test"):
        flow = talk.say(line, origin=origin, response={ALLOW_ORIGIN: origin, **more})
        assert ids(talk[flow]) == []


def test_one_answer_for_all_need_not_vary() -> None:
    talk = Talk()
    for origin in ("https://x.test", "https://y.test", "https://x.test"):
        flow = talk.say("GET https://b.test/x", origin=origin, response=ANY)
        assert ids(talk[flow]) == []
    for origin in ("https://x.test", "https://y.test"):
        flow = talk.say("GET https://b.test/y", origin=origin, response={ALLOW_ORIGIN: "https://x.test"})
    assert ids(talk[flow]) == ["allow-origin-mismatch"]


def test_queries_are_one_endpoint() -> None:
    talk = Talk()
    talk.say("GET https://b.test/x?page=1", origin="https://x.example", response={ALLOW_ORIGIN: "https://x.example"})
    flow = talk.say("GET https://b.test/x?page=2", origin="https://y.example", status=200)
    assert "vary-origin-missing" in ids(talk[flow])


IMAGE = "GET https://b.test/i.png"
KEPT = {"Cache-Control": "max-age=600"}
NAMED = {ALLOW_ORIGIN: PAGE}


def show(talk: Talk, line: str = IMAGE, *, passes: bool | None = None, **more: Any) -> str:  # noqa: ANN401
    """Lets a page show an image without CORS; where `passes` is given, by the way of ordinary traffic if it may."""
    given = {"origin": None, "mode": "no-cors", "dest": "image", "response": KEPT, "at": talk.now, **more}
    if passes is None:
        return talk.say(line, **given)
    one = exchange(line, flow=f"passed at {talk.now}", **given)
    assert pass_by(talk.session, one) is passes
    if not passes:
        talk.take(talk.session.judge(one))
    talk.wait(0.1)
    return one.id


@pytest.mark.parametrize("way", ["judged", "passed by"])
@pytest.mark.parametrize(
    ("seen", "allowed", "told"),
    [
        pytest.param({}, NAMED, True, id="as it should not be"),
        pytest.param({}, {**NAMED, **VARIES}, True, id="only CORS requests are told of it"),
        pytest.param({}, ANY, True, id="a wildcard for CORS requests only"),
        pytest.param({"dest": "video", "status": 206}, NAMED, True, id="a part of a film"),
        pytest.param({"response": {"LAST-MODIFIED": "Wed, 18 Nov 2026 10:12:26 GMT"}}, NAMED, True, id="heuristics"),
        pytest.param({"response": {**KEPT, "Vary": "Accept-Encoding, Accept"}}, NAMED, True, id="the same Accept"),
        pytest.param({"response": {**KEPT, "vary": "accept-encoding, origin"}}, NAMED, False, id="it varies"),
        pytest.param({"response": {**KEPT, "Vary": "*"}}, NAMED, False, id="it varies with everything"),
        pytest.param({"response": {**KEPT, "Vary": "Sec-Fetch-Mode"}}, NAMED, False, id="it varies with the mode"),
        pytest.param({"response": {**KEPT, "Vary": "Cookie"}}, NAMED, False, id="it varies with who is logged in"),
        pytest.param({"response": {**KEPT, **ANY}}, ANY, False, id="a wildcard for everybody"),
        pytest.param({"response": {**KEPT, **NAMED}}, NAMED, False, id="one name for everybody"),
        pytest.param({}, {}, False, id="nobody is let in"),
        pytest.param({}, {ALLOW_ORIGIN: "https://x.test"}, False, id="another page is let in"),
        pytest.param({"response": {}}, NAMED, False, id="no age, no date"),
        pytest.param({"response": {"Cache-Control": "no-store, max-age=600"}}, NAMED, False, id="not stored"),
        pytest.param({"response": {"Cache-Control": "No-Cache"}}, NAMED, False, id="never without asking"),
        pytest.param({"response": {"Cache-Control": "public,max-age=0"}}, NAMED, False, id="stale at once"),
        pytest.param({"response": {"Cache-Control": "max-age=0, s-maxage=60"}}, NAMED, True, id="stale at home only"),
        pytest.param({"status": 404}, NAMED, False, id="an error page"),
        pytest.param({"site": "same-origin"}, NAMED, False, id="the page's own"),
        pytest.param({"line": "GET https://b.test/i.png?v=2"}, NAMED, False, id="another query"),
        pytest.param({"line": "GET https://b.test:8443/i.png"}, NAMED, False, id="another port"),
    ],
)
def test_what_an_image_got_without_origin(seen: dict[str, Any], allowed: dict[str, str], told: bool, way: str) -> None:
    passes = None if way == "judged" else True
    first, second = Talk(), Talk()
    for talk in (first, second):
        navigate(talk, f"{PAGE}/")
    # The image is asked for first: the page's request tells.
    show(first, passes=passes, **seen)
    assert ("vary-origin-missing" in ids(first[first.say(IMAGE, response=allowed)])) is told
    # The image is asked for later: it takes the other's place in a cache, and tells. It is looked at wherever the page
    # was let in at the same URL.
    assert "vary-origin-missing" not in ids(second[second.say(IMAGE, response=allowed)])
    looked_at = told or (
        seen.keys() <= {"response"} and ALLOW_ORIGIN in allowed and allowed[ALLOW_ORIGIN] != "https://x.test"
    )
    image = show(second, passes=None if passes is None else not looked_at, **seen)
    assert (image in second.verdicts and "vary-origin-missing" in ids(second[image])) is told


def test_what_an_image_got_is_told_once_for_each_request_of_the_page() -> None:
    talk = Talk()
    for _ in range(3):
        assert ids(talk[show(talk)]) == []
        assert ids(talk[talk.say(IMAGE, response=NAMED)]) == ["vary-origin-missing"]


def test_a_server_that_is_mended_for_images_is_not_accused() -> None:
    for mended in (
        {"response": {**KEPT, **VARIES}},
        {"response": {**KEPT, **ANY}},
        {"status": 304, "response": VARIES},
    ):
        talk = Talk()
        show(talk)
        show(talk, **mended)
        assert ids(talk[talk.say(IMAGE, response=NAMED)]) == []
    # Who was not let in before, and is now, met a server that was changed.
    talk = Talk()
    show(talk)
    talk.say(IMAGE, status=403)
    assert ids(talk[talk.say(IMAGE, response=ANY)]) == []
    # So may anybody, after a while.
    talk = Talk()
    show(talk)
    talk.wait(2 * diagnosis.RECENT)
    assert ids(talk[talk.say(IMAGE, response=ANY)]) == []
    talk.wait(2 * diagnosis.RECENT)
    assert ids(talk[show(talk)]) == []


@pytest.mark.parametrize("line", ["HEAD https://b.test/i.png", "POST https://b.test/i.png"])
def test_only_what_is_got_takes_an_images_place(line: str) -> None:
    talk = Talk()
    show(talk)
    assert ids(talk[talk.say(line, response=NAMED)]) == []
    talk = Talk()
    talk.say(IMAGE, response=NAMED)
    assert ids(talk[show(talk, line, dest="empty")]) == []


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("Age", "12", True),
        ("Age", "0", False),
        ("Age", "soon", False),
        ("Age", "9" * 400, True),
        ("X-Cache", "Hit from cloudfront", True),
        ("X-Cache", "Miss from cloudfront", False),
        ("CF-Cache-Status", "HIT", True),
        ("CF-Cache-Status", "DYNAMIC", False),
        ("X-Cache-Status", "HIT", True),
    ],
)
def test_copies_say_what_they_are(name: str, value: str, told: bool) -> None:
    talk = Talk()
    flow = talk.say("GET https://b.test/x", response={ALLOW_ORIGIN: "https://x.example", name: value})
    assert ("cached-for-another-origin" in ids(talk[flow])) is told
    varied = {ALLOW_ORIGIN: "https://x.example", name: value, **VARIES}
    flow = talk.say("GET https://b.test/y", response=varied)
    assert ids(talk[flow]) == ["allow-origin-mismatch"], "a copy that varies was not made for another origin"


# ---------------------------------------------------------------------- risks


@pytest.mark.parametrize(
    ("status", "severity"),
    [
        (200, Severity.WARNING),
        (201, Severity.WARNING),
        (204, Severity.INFO),
        (301, Severity.INFO),
        (401, Severity.INFO),
        (403, Severity.INFO),
        (404, Severity.INFO),
        (500, Severity.INFO),
    ],
)
def test_a_risk_weighs_what_was_answered(status: int, severity: Severity) -> None:
    talk = Talk()
    for origin in ("https://x.example", "https://y.test", "null", "http://z.example"):
        given = {"origin": origin, "headers": ACTIVE, "response": let_in(origin), "status": status}
        flow = talk.say("GET https://b.example.com/x", **given)
        risks = {one.id: one for one in talk[flow].findings if "Risk:" in comment(talk[flow]) and "orig" in one.id}
        assert all(one.severity is severity for one in risks.values())
        if origin == "null":
            assert list(risks) == ["null-origin-trusted"]
            weighed = "may hold nothing" in comment(talk[flow]) or "is empty" in comment(talk[flow])
            assert weighed is (severity is Severity.INFO)
    assert list(risks) == ["http-origin-trusted", "origin-reflected-with-credentials"]


@pytest.mark.parametrize(
    ("origins", "told"),
    [
        (("https://x.example", "https://y.example2"), True),
        (("https://x.com", "https://y.net", "https://x.com"), True),
        # of one company, perhaps
        (("https://shop.x.com", "https://office.x.com"), False),
        (("https://b.com", "https://x.com"), False),
        (("https://x.com", "https://www.b.com"), False),
        # a developer's own machine
        (("http://localhost:3000", "https://x.com"), False),
        (("https://x.com", "http://localhost:3000"), False),
        (("https://x.com", "http://127.0.0.1:3000"), False),
        (("https://x.com", "http://[::1]:3000"), False),
        (("https://x.com", "http://app.localhost"), False),
        (("http://localhost:3000", "http://localhost:5173"), False),
        # the same one
        (("https://x.com", "https://x.com"), False),
        # an extension's or nobody's
        (("https://x.com", "null"), False),
    ],
)
def test_unrelated_origins(origins: tuple[str, ...], told: bool) -> None:
    talk = Talk()
    for origin in origins:
        flow = talk.say("GET https://api.b.com/x", origin=origin, headers=ACTIVE, response=let_in(origin))
    assert ("origin-reflected-with-credentials" in ids(talk[flow])) is told


@pytest.mark.parametrize(
    ("known", "origins", "told"),
    [
        (is_platform, ("https://one.vercel.app", "https://two.vercel.app"), True),
        (is_platform, ("https://one.github.io", "https://two.github.io"), True),
        (is_platform, ("https://one.vercel.app", "https://two.github.io"), False),
        (is_platform, ("https://one.vercel.app", "https://one.vercel.app"), False),
        (is_platform, ("https://one.example.com", "https://two.example.com"), False),
        (is_platform, ("https://one.com", "https://two.com"), False),
        (is_platform, ("https://shop.co.uk", "https://brand.co.uk"), False),
        (is_platform, ("https://one.shibuya.tokyo.jp", "https://two.shibuya.tokyo.jp"), False),
        (None, ("https://one.vercel.app", "https://two.vercel.app"), False),
        (lambda name: name == "pages.corp.test", ("https://a.pages.corp.test", "https://b.pages.corp.test"), True),
    ],
)
def test_platforms(known: Callable[[str], bool] | None, origins: tuple[str, str], told: bool) -> None:
    talk = Talk(session=Session(is_platform=known))
    for origin in origins:
        flow = talk.say("GET https://api.b.com/x", origin=origin, headers=ACTIVE, response=let_in(origin))
    assert ("platform-origins-trusted" in ids(talk[flow])) is told


@pytest.mark.parametrize(
    ("url", "origin", "told"),
    [
        ("http://192.168.1.1/x", "https://www.example.com", True),
        ("http://10.0.0.1/x", "https://www.example.com", True),
        ("http://172.31.0.1/x", "https://www.example.com", True),
        ("http://172.32.0.1/x", "https://www.example.com", False),
        ("http://[::1]:8080/x", "https://www.example.com", True),
        ("http://[fd00::1]/x", "https://www.example.com", True),
        ("http://localhost:8080/x", "https://www.example.com", True),
        ("http://printer.local/x", "https://www.example.com", True),
        ("https://api.example.com/x", "https://www.example.com", False),
        ("http://8.8.8.8/x", "https://www.example.com", False),
        ("http://localhost:8080/x", "http://localhost:3000", False),
        ("http://192.168.1.1/x", "http://router.lan", False),
        ("http://192.168.1.1/x", "null", False),
    ],
)
@pytest.mark.parametrize("everybody", [True, False])
def test_servers_of_a_private_network(url: str, origin: str, told: bool, everybody: bool) -> None:
    talk = Talk()
    flow = talk.say(f"GET {url}", origin=origin, response=ANY if everybody else let_in(origin))
    for id_ in ("private-network-exposed", "local-network-access"):
        assert (id_ in ids(talk[flow])) is told


@pytest.mark.parametrize(("first", "told"), [("bar.co.uk", True), ("www.bar.co.uk", True), ("www.foo.co.uk", False)])
def test_what_a_registry_parts_is_unrelated(first: str, told: bool) -> None:
    talk = Talk(Session(is_public_suffix=is_public_suffix, is_platform=is_platform))
    for origin in (f"https://{first}", "https://shop.foo.co.uk"):
        flow = talk.say("GET https://b.test/x", origin=origin, headers=ACTIVE, response=let_in(origin))
    assert ("origin-reflected-with-credentials" in ids(talk[flow])) is told


@pytest.mark.parametrize("response", [{ALLOW_ORIGIN: PAGE_OF_THE_WEB}, {ALLOW_ORIGIN: "https://other.example.com"}, {}])
def test_local_network_access_is_told_whatever_the_answer_allows(response: dict[str, str]) -> None:
    verdict = judged(exchange("GET http://127.0.0.1:8080/x", origin=PAGE_OF_THE_WEB, response=response))
    assert "local-network-access" in ids(verdict)
    assert "private-network-exposed" not in ids(verdict)
    near = judged(exchange("GET http://127.0.0.1:8080/x", origin="http://localhost:3000", response=response))
    assert "local-network-access" not in ids(near)


# ---------------------------------------------------------------------- errors, and whose they are


@pytest.mark.parametrize(
    ("status", "fields", "whose"),
    [
        (403, {"CF-RAY": "1-FRA", "Content-Type": "text/html"}, "Cloudflare, by its cf-ray header"),
        (521, {"Server": "cloudflare"}, "Cloudflare, by its server header"),
        (502, {"Via": "1.1 varnish"}, "Varnish, by its via header"),
        (503, {"Server": "awselb/2.0"}, "AWS load balancer, by its server header"),
        (400, {"Server": "awselb/2.0"}, "AWS load balancer, by its server header"),
        (403, {"x-amzn-ErrorType": "ForbiddenException"}, "AWS API Gateway, by its x-amzn-errortype header"),
        (404, {"Server": "AmazonS3"}, "Amazon S3, by its server header"),
        (503, {"Server": "istio-envoy"}, "Envoy, by its server header"),
        (404, {"Server": "kong/3.4.0", "Content-Type": "application/json"}, "Kong, by its server header"),
        (502, {"Server": "Microsoft-Azure-Application-Gateway/v2"}, "Azure Application Gateway, by its server header"),
        (503, {"Server": "Heroku", "Content-Type": "text/html"}, "Heroku's router, by its server header"),
        (504, {"Server": "openresty"}, "a gateway, by its status 504 and Server: openresty"),
        # What the application says passes through those layers, too.
        (404, {"CF-RAY": "1-FRA", "Server": "cloudflare"}, ""),
        (500, {"Via": "1.1 varnish"}, ""),
        (403, {"CF-RAY": "1-FRA", "Content-Type": "application/problem+json"}, ""),
        (500, {"Server": "nginx"}, ""),
        (404, {"Server": "nginx"}, ""),
        (502, {"Server": "gunicorn"}, ""),
    ],
)
def test_whose_an_error_is(status: int, fields: dict[str, str], whose: str) -> None:
    talk = Talk()
    flow = talk.say("GET https://b.test/x", status=status, response=fields)
    assert ids(talk[flow])[:2] == ["allow-origin-missing", "error-page-without-cors"]
    assert ("answered-by-intermediary" in ids(talk[flow])) is bool(whose)
    assert whose in comment(talk[flow])


def test_an_error_that_the_page_can_read_hides_nothing() -> None:
    talk = Talk()
    for response in (GOOD, ANY):
        flow = talk.say("GET https://b.test/x", status=500, response={**response, "Server": "awselb/2.0"})
        assert not {"error-page-without-cors", "answered-by-intermediary"} & set(ids(talk[flow]))


@pytest.mark.parametrize(
    ("url", "status", "location", "told"),
    [
        ("https://b.test/me", 302, "/login", True),
        ("https://b.test/me", 303, "https://sso.test/", True),
        ("https://sso.test/me", 302, "/login", True),
        ("https://b.test/me", 302, "/me/", False),
        ("https://b.test/me", 201, "/login", False),
        ("https://b.test/me", 304, "/login", False),
        # one step of a login to the next
        ("https://b.test/login", 302, "/login?error=1", False),
        ("https://b.test/oauth/authorize", 302, "https://sso.test/", False),
    ],
)
def test_redirects_to_a_login(url: str, status: int, location: str, told: bool) -> None:
    talk = Talk()
    flow = talk.say(f"GET {url}", status=status, response={**ANY, "Location": location})
    assert ("login-redirect" in ids(talk[flow])) is told


# ---------------------------------------------------------------------- credentials and cookies


HEALTHY = [
    ("credentials", "GET", {"Cookie": "sid=SECRET", **ACTIVE}, 200, {**GOOD, **VARIES}),
    ("none", "GET", {}, 200, ANY),
    ("bearer token", "GET", {"Authorization": "Bearer SECRET"}, 200, ANY),
    ("not modified", "GET", {"If-None-Match": "1", **ACTIVE}, 304, {**GOOD, **VARIES}),
    ("created", "POST", {"Cookie": "sid=SECRET", **ACTIVE}, 201, {**GOOD, **VARIES}),
    ("not found", "GET", {}, 404, ANY),
    ("redirect", "GET", {}, 302, {**ANY, "Location": "https://c.test/y"}),
    ("login", "POST", ACTIVE, 200, {**GOOD, **VARIES, "Set-Cookie": "sid=SECRET; SameSite=None; Secure; HttpOnly"}),
    ("exposed", "GET", {}, 200, {**ANY, "X-Total": "1", "Access-Control-Expose-Headers": "X-Total"}),
    ("star exposes nothing more", "GET", ACTIVE, 200, {**GOOD, **VARIES, "Access-Control-Expose-Headers": "*"}),
    ("star exposes", "GET", {}, 200, {**ANY, "X-Total": "1", "Access-Control-Expose-Headers": "*"}),
    ("layers", "GET", {}, 200, {**ANY, "CF-RAY": "1-FRA", "Server": "cloudflare", "Age": "10", "X-Cache": "HIT"}),
]


@pytest.mark.parametrize(
    ("method", "sent", "status", "response"), [one[1:] for one in HEALTHY], ids=[one[0] for one in HEALTHY]
)
def test_of_what_is_well_nothing_is_said(
    method: str, sent: dict[str, str], status: int, response: dict[str, str]
) -> None:
    talk = Talk()
    for _ in range(3):
        flow = talk.say(f"{method} https://b.test/x", headers=sent, status=status, response=response)
    assert talk[flow].outcome == "allowed"
    assert ids(talk[flow]) == []


def test_of_preflights_that_are_well_nothing_is_said() -> None:
    talk = Talk()
    for _ in range(5):
        asked = talk.ask("https://b.test/x", response={**GOOD, ALLOW_METHODS: "PUT", MAX_AGE: "600"})
        actual = talk.say("PUT https://b.test/x", headers={"Cookie": "sid=SECRET"}, response={**GOOD, **VARIES})
        assert ids(talk[asked]) == ids(talk[actual]) == []


def test_other_cookies_of_the_site_are_nobodys_business() -> None:
    """The session's cookie travels; what else the API's site has set, for itself, stays where it belongs."""
    talk = Talk()
    lines = [
        ("Set-Cookie", "sid=SECRET; Path=/; SameSite=None; Secure"),
        ("Set-Cookie", "theme=SECRET; Path=/; SameSite=Lax"),
        ("Set-Cookie", "refresh=SECRET; Path=/auth/refresh; SameSite=None; Secure"),
        ("Set-Cookie", "gone=; Path=/; Max-Age=0"),
    ]
    navigate(talk, "https://b.test/", response=lines)
    given = {"headers": {"Cookie": "sid=SECRET", **ACTIVE}, "response": {**GOOD, **VARIES}}
    assert ids(talk[talk.say("GET https://b.test/x", **given)]) == []
    missed = talk[talk.say("GET https://b.test/x", status=401, **given)]
    assert ids(missed) == ["cookie-samesite-lax"]
    assert [one.severity for one in missed.findings] == [Severity.INFO], "the session's cookie came"
    assert "SECRET" not in comment(missed) + str(as_json(missed))


@pytest.mark.parametrize(
    ("dest", "accept", "line"),
    [
        ("empty", "*/*", 'fetch(url, { credentials: "include" })'),
        ("empty", "text/event-stream", "new EventSource(url, { withCredentials: true })"),
        ("image", "*/*", 'crossorigin="use-credentials"'),
        ("script", "*/*", 'crossorigin="use-credentials"'),
        ("font", "*/*", "there is nothing to opt in with"),
    ],
)
def test_how_a_client_opts_in(dest: str, accept: str, line: str) -> None:
    talk = Talk()
    flow = talk.say("GET https://b.test/x", dest=dest, headers={"Accept": accept}, response={**GOOD, **VARIES})
    assert ids(talk[flow]) == ["allow-credentials-unused"]
    assert line in comment(talk[flow])


def test_a_capture_without_cookies_tells_nothing_of_them() -> None:
    talk = Talk(defaults={"sanitized": True})
    navigate(talk, "https://b.test/login", response={"Set-Cookie": LOGIN})
    flow = talk.say("GET https://b.test/x", status=401, headers=ACTIVE, response={**GOOD, **VARIES})
    assert ids(talk[flow]) == []


# ---------------------------------------------------------------------- bounds


def state(talk: Talk) -> Diagnosis:
    (client,) = talk.session._clients.values()
    return client.diagnosis


def test_memory_is_bounded() -> None:
    """Whatever comes, no dictionary holds more than it may; what it may is told once."""
    talk = Talk()
    more = 40
    for number in range(diagnosis.ENDPOINTS + more):
        talk.say(f"GET https://b.test/{number}", headers=ACTIVE, response={**GOOD, **VARIES})
        talk.say(f"GET https://b{number}.test/", headers=ACTIVE, response={**GOOD, **VARIES})
    for number in range(diagnosis.PREFLIGHTS + more):
        talk.ask(f"https://b.test/{number}", response={**GOOD, ALLOW_METHODS: "PUT"})
    for number in range(diagnosis.TABS + more):
        navigate(talk, f"https://p{number}.test/", response={"Content-Security-Policy": "default-src 'self'"})
    kept = state(talk)
    assert len(kept._endpoints) == diagnosis.ENDPOINTS
    assert len(kept._echoes) == diagnosis.ENDPOINTS
    assert len(kept._vetted) == diagnosis.ENDPOINTS
    assert len(kept._preflights) == diagnosis.PREFLIGHTS
    assert len(kept._policies) == diagnosis.PAGES
    assert len(kept._tabs) == diagnosis.TABS


def test_answers_by_url_are_bounded() -> None:
    talk = Talk()
    for number in range(diagnosis.ANSWERS + 40):
        show(talk, f"GET https://b.test/{number}.png", passes=True if number else None)
        talk.say(f"GET https://b.test/{number}.jpg", response=NAMED)
    kept = state(talk)
    assert len(kept._opaque) == len(kept._passed) == diagnosis.ANSWERS
    assert "https://b.test/0.png" not in kept._opaque


def test_origins_and_repetitions_are_bounded() -> None:
    talk = Talk()
    for number in range(3 * diagnosis.ORIGINS):
        origin = f"https://x{number}.example"
        talk.say("GET https://b.test/x", origin=origin, headers=ACTIVE, response={**let_in(origin), "Vary": "Cookie"})
    for _ in range(200):
        flow = talk.ask("https://b.test/x", response={**GOOD, ALLOW_METHODS: "PUT"})
    kept = state(talk)
    (endpoint,) = kept._endpoints.values()
    assert len(endpoint.answers) == diagnosis.ORIGINS
    assert sized(kept._echoes) == 1 + diagnosis.ORIGINS
    assert len(kept._preflights) == 1
    assert ids(talk[flow]) == ["preflights-repeated"]


def test_the_oldest_go_first() -> None:
    talk = Talk()
    origins = [f"https://x{number}.example" for number in range(diagnosis.ORIGINS + 1)]
    for origin in origins:
        talk.say("GET https://b.test/x", origin=origin, response={ALLOW_ORIGIN: origin})
    (endpoint,) = state(talk)._endpoints.values()
    assert [one.decode() for one in endpoint.answers] == origins[1:]


# ---------------------------------------------------------------------- elements


@pytest.mark.parametrize(
    ("site", "policy", "told"),
    [
        ("cross-site", "same-origin", True),
        ("same-site", "same-origin", True),
        ("same-origin", "same-origin", False),
        ("cross-site", "same-site", True),
        ("same-site", "same-site", False),
        ("cross-site", "cross-origin", False),
        ("cross-site", "Same-Origin", False),
        ("none", "same-origin", False),
    ],
)
def test_cross_origin_resource_policy(site: str, policy: str, told: bool) -> None:
    talk = Talk()
    response = {"Cross-Origin-Resource-Policy": policy, "Content-Type": "image/png"}
    flow = talk.say("GET https://b.test/x", origin=None, mode="no-cors", dest="image", site=site, response=response)
    assert ("cross-origin-resource-policy" in ids(talk[flow])) is told
    flow = talk.say("GET https://b.test/x", site=site, response={**GOOD, **VARIES, **response})
    assert "cross-origin-resource-policy" not in ids(talk[flow]), "it is for requests without CORS"


@pytest.mark.parametrize(
    ("dest", "kind", "status", "told"),
    [
        ("script", "application/json", 200, True),
        ("script", "application/vnd.api+json; charset=utf-8", 200, True),
        ("image", "text/html", 200, True),
        ("script", "text/xml", 200, True),
        ("image", "image/svg+xml", 200, False),
        ("script", "text/javascript", 200, False),
        ("script", "application/json", 302, False),
        ("script", "application/json", 204, False),
        ("image", "text/html", 404, False),
        ("empty", "application/json", 200, False),
    ],
)
def test_opaque_response_blocking(dest: str, kind: str, status: int, told: bool) -> None:
    talk = Talk()
    given = {"origin": None, "mode": "no-cors", "dest": dest, "status": status}
    flow = talk.say("GET https://b.test/x", response={"Content-Type": kind, "Location": "/y"}, **given)
    assert ("opaque-response-blocking" in ids(talk[flow])) is told


def test_the_latest_policy_of_a_page_counts() -> None:
    talk = Talk()
    away = {"status": 302, "response": {**ANY, "Location": "https://c.test/y"}}
    navigate(talk, PAGE + "/", response={"Content-Security-Policy": "connect-src https://b.test"})
    assert ids(talk[talk.say("GET https://b.test/1", **away)]) == ["csp-connect-src"]
    # In the place of a page that did not come, the proxy's own stands.
    navigate(talk, PAGE + "/", status=502, proxy_made=True)
    assert "(connect-src https://b.test)" in comment(talk[talk.say("GET https://b.test/2", **away)])
    navigate(talk, PAGE + "/", response={"Content-Security-Policy": "connect-src"})
    assert "(connect-src 'none')" in comment(talk[talk.say("GET https://b.test/3", **away)])
    navigate(talk, PAGE + "/", response={"Content-Security-Policy-Report-Only": "connect-src 'self'"})
    assert ids(talk[talk.say("GET https://b.test/4", **away)]) == []
    navigate(talk, PAGE + "/", response={"Content-Security-Policy": "connect-src 'self'"})
    image = talk.say("GET https://b.test/5", dest="image", **away)
    assert ids(talk[image]) == [], "img-src is asked there"


def test_a_cookie_without_a_name_is_not_shown_by_its_value() -> None:
    one = exchange("GET https://b.test/x", response={**GOOD, "Set-Cookie": "SECRET; Path=/"})
    verdict = judged(one)
    assert "set-cookie-ignored" in ids(verdict)
    assert "SECRET" not in comment(verdict)
    assert "SECRET" not in json.dumps(as_json(verdict))


def test_a_cookie_for_other_sites_that_never_came_back() -> None:
    """Safari sends no Sec-Fetch-Storage-Access, and keeps third-party cookies back."""
    talk = Talk(defaults={"browser": "safari"})
    navigate(talk, "https://b.test/login", response={"Set-Cookie": "sid=SECRET; SameSite=None; Secure; Path=/"})
    first = talk.say("GET https://b.test/me", headers={"Cookie": "theme=1"}, status=401, response=let_in(PAGE))
    (found,) = [one for one in talk[first].findings if one.id == "cookie-third-party-blocked"]
    assert found.values["cookies"].startswith("sid (set in flow flow-1")


def test_that_third_parties_have_no_cookies_here_is_learned_before_any_is_known() -> None:
    talk = Talk()
    navigate(talk, PAGE + "/")
    talk.say("GET https://c.test/x", headers={STORAGE_ACCESS: "none"}, response=let_in(PAGE))
    line = "sid=SECRET; SameSite=None; Secure; Path=/; Max-Age=900"
    navigate(talk, "https://b.test/login", response={"Set-Cookie": line})
    refused = talk.say("GET https://b.test/me", headers={"Cookie": "theme=1"}, status=401, response=let_in(PAGE))
    assert "cookie-third-party-blocked" in ids(talk[refused])


def test_what_was_worked_out_by_other_rules_is_not_told_any_more() -> None:
    talk = Talk(Session(browser="chromium"))
    navigate(talk, PAGE + "/")
    navigate(talk, "https://b.test/", response={"Set-Cookie": "sid=SECRET; Secure; Path=/"})
    refused = {"headers": {"Cookie": "theme=1"}, "status": 401, "response": let_in(PAGE)}
    for _ in range(3):
        before = talk.say("GET https://b.test/me", **refused)
    assert "cookie-samesite-default" in ids(talk[before])
    talk.session.use_rules("firefox")
    assert "cookie-samesite-default" not in ids(talk[talk.say("GET https://b.test/me", **refused)])


# ---------------------------------------------------------------------- what is not held against a server any more


def test_a_mended_server_is_not_told_of_what_it_was() -> None:
    talk = Talk()
    url = "GET https://api.b.test/x"
    credentialed = {"headers": {"Cookie": "sid=SECRET", **ACTIVE}}
    talk.say(url, response={ALLOW_ORIGIN: "*"})
    before = talk.say(url, response=let_in(PAGE), **credentialed)
    assert "wildcard-until-login" in ids(talk[before])
    talk.say(url, response=let_in(PAGE))
    assert "wildcard-until-login" not in ids(talk[talk.say(url, response=let_in(PAGE), **credentialed)])


def test_an_answer_of_long_ago_proves_nothing_of_vary() -> None:
    for wait, told in ((10.0, True), (2 * diagnosis.STALE, False)):
        talk = Talk()
        talk.say("GET https://api.b.test/x", origin="https://x.test", response={ALLOW_ORIGIN: "https://x.test"})
        talk.wait(wait)
        flow = talk.say("GET https://api.b.test/x", origin="https://y.test", response={ALLOW_ORIGIN: "https://y.test"})
        assert ("vary-origin-missing" in ids(talk[flow])) is told


def test_preflights_that_no_age_would_have_spared_are_not_counted() -> None:
    talk = Talk()
    for _ in range(5):
        flow = talk.ask("https://b.test/x", response={**GOOD, ALLOW_METHODS: "PUT"})
        talk.wait(2 * diagnosis.APART)
    assert ids(talk[flow]) == []
    for _ in range(3):
        flow = talk.ask("https://b.test/y", response={**GOOD, ALLOW_METHODS: "PUT", "Access-Control-Max-Age": "0"})
    assert ids(talk[flow]) == ["preflights-repeated"]
    assert "Access-Control-Max-Age: 0" in comment(talk[flow])


def test_a_policy_that_the_browser_did_not_heed_was_another_pages() -> None:
    talk = Talk()
    navigate(talk, f"{PAGE}/admin", response={"Content-Security-Policy": "connect-src https://b.test"})
    hop = talk.say("GET https://b.test/x", status=302, response={**let_in(PAGE), "Location": "https://c.test/y"})
    assert "csp-connect-src" in ids(talk[hop])
    talk.say("GET https://c.test/y", origin="null", response={ALLOW_ORIGIN: "*"})
    assert "csp-connect-src" not in ids(talk[hop])


# ---------------------------------------------------------------------- what is not known


def test_a_refused_cookie_is_remembered_where_its_login_may_have_been_without_credentials() -> None:
    talk = Talk(defaults={"browser": "safari"})
    login = talk.say("POST https://b.test/login", response={**let_in(PAGE), "Set-Cookie": "sid=SECRET; SameSite=Lax"})
    assert talk[login].credentials == "unknown"
    flow = talk.say("GET https://b.test/me", status=401, response=let_in(PAGE))
    assert talk[flow].credentials == "unknown"
    assert "cookie-samesite-lax" in ids(talk[flow])
    assert "SECRET" not in comment(talk[flow])


@pytest.mark.parametrize(("status", "told"), [(401, True), (403, True), (404, False), (200, False)])
def test_a_sanitized_capture_does_not_tell_why_nobody_is_logged_in(status: int, told: bool) -> None:
    unknown: dict[str, Any] = {"browser": "safari", "sanitized": True, "connection": None, "status": status}
    verdict = judged(exchange("GET https://b.test/x", response=GOOD, **unknown))
    assert ("capture-sanitized" in ids(verdict)) is told


def test_a_capture_that_holds_a_cookie_is_not_sanitized() -> None:
    unknown = {"browser": "safari", "response": {ALLOW_ORIGIN: "*"}, "sanitized": True, "connection": None}
    talk = Talk()
    assert "capture-sanitized" in ids(talk[talk.say("GET https://b.test/x", **unknown)])
    talk.say("GET https://b.test/login", headers={"Cookie": "sid=SECRET"}, **{**unknown, "response": let_in(PAGE)})
    assert "capture-sanitized" not in ids(talk[talk.say("GET https://b.test/y", **unknown)])


@pytest.mark.parametrize("name", ["AWSALB", "__cf_bm", "BIGipServerpool"])
def test_nobody_misses_a_load_balancers_cookie(name: str) -> None:
    talk = Talk()
    response = {**let_in(PAGE), "Set-Cookie": f"{name}=SECRET; Path=/"}
    assert "set-cookie-ignored" not in ids(talk[talk.say("GET https://b.test/x", response=response)])
    flow = talk.say("GET https://b.test/x", headers={"Cookie": "sid=1", **ACTIVE}, status=401, response=response)
    assert ids(talk[talk.say("GET https://b.test/x", headers={"Cookie": "sid=1", **ACTIVE}, response=response)]) == []
    assert ids(talk[flow]) == []


def test_secrets_in_an_allow_origin_are_no_evidence() -> None:
    talk = Talk()
    talk.say("GET https://b.test/x", origin="https://x.test", response={ALLOW_ORIGIN: "https://x.test/?token=SECRET"})
    flow = talk.say("GET https://b.test/x", origin="https://y.test", response={ALLOW_ORIGIN: "https://y.test"})
    assert "vary-origin-missing" in ids(talk[flow])
    assert "SECRET" not in comment(talk[flow]) + str(as_json(talk[flow]))


# ---------------------------------------------------------------------- which of two requests did not opt in


ONCE = "client-did-not-always-opt-in"
LOCAL, SERVER = "http://localhost:5173", "http://localhost:8000"
SESSION = "sessionid=SECRET; Path=/; HttpOnly; SameSite=Lax"
HEADERS = "Access-Control-Allow-Headers"


def local(**more: Any) -> Talk:  # noqa: ANN401
    """Returns a talk of a page with a development server beside it: nothing but a cookie tells a credentials mode."""
    return Talk(defaults={"origin": LOCAL, "site": "same-site", "connection": "api", **more})


def log_in(talk: Talk, line: str = SESSION, url: str = f"{SERVER}/login", **given: Any) -> str:  # noqa: ANN401
    """Lets a script log in, and returns the flow."""
    response = {**let_in(given.get("origin", LOCAL)), "Set-Cookie": line}
    return talk.say(f"POST {url}", **{"response": response, **given})


@pytest.mark.parametrize("browser", ["chromium", "firefox", "safari"])
@pytest.mark.parametrize("status", [401, 403])
def test_a_cookie_that_came_and_went_nowhere_tells_of_a_missing_opt_in(browser: str, status: int) -> None:
    talk = local(browser=browser)
    login = log_in(talk)
    flow = talk.say(f"GET {SERVER}/me", status=status, response=let_in(LOCAL))
    assert [talk[one].credentials for one in (login, flow)] == ["unknown", "unknown"]
    assert ids(talk[login]) == []
    assert ids(talk[flow]) == [ONCE]
    (found,) = talk[flow].findings
    assert found.severity is Severity.WARNING
    assert found.values["cookies"] == f"sessionid, set in flow {login}"
    assert 'fetch(url, { credentials: "include" })' in comment(talk[flow])
    assert "SECRET" not in comment(talk[flow]) + str(as_json(talk[flow]))


@pytest.mark.parametrize(
    ("page", "login", "line"),
    [
        (PAGE, "https://api.a.test/login", "sid=SECRET; Path=/; Secure; HttpOnly; SameSite=Lax"),
        (PAGE, "https://api.a.test/login", "sid=SECRET; Path=/; Secure; HttpOnly; SameSite=Strict"),
        (PAGE, "https://sso.a.test/login", "sid=SECRET; Path=/; Secure; Domain=a.test"),
        ("http://a.test", "http://api.a.test/login", "sid=SECRET; Path=/"),
    ],
)
def test_the_same_is_told_of_other_layouts(page: str, login: str, line: str) -> None:
    talk = Talk(defaults={"origin": page, "site": "same-site"})
    log_in(talk, line, login, origin=page, headers={"X-Requested-With": "XMLHttpRequest"})
    url = f"{page.replace('://', '://api.')}/me"
    flow = talk.say(f"GET {url}", status=401, response=let_in(page))
    assert ids(talk[flow]) == [ONCE]


def test_a_redirect_to_a_login_is_told_of_it_once() -> None:
    talk = local()
    log_in(talk)
    away = talk.say(f"GET {SERVER}/me", status=302, response={**let_in(LOCAL), "Location": "/login"})
    there = talk.say(f"GET {SERVER}/login", response=let_in(LOCAL))
    assert ids(talk[away]) == ["login-redirect", ONCE]
    assert ONCE not in ids(talk[there])


@pytest.mark.parametrize(
    ("kind", "credentials", "told"),
    [
        # A preflight's connection is one for requests without credentials, a navigation's one for those with.
        ("preflight", "omit", [ONCE]),
        ("navigation", "include", [ONCE]),
    ],
)
def test_what_is_known_of_the_second_request_leaves_the_first_open(
    kind: str, credentials: str, told: list[str]
) -> None:
    talk = local()
    log_in(talk)
    if kind == "preflight":
        talk.ask(f"{SERVER}/items", connection="other", response={**let_in(LOCAL), ALLOW_METHODS: "PUT"})
    else:
        navigate(talk, f"{SERVER}/docs", connection="other")
    flow = talk.say(f"GET {SERVER}/me", status=401, connection="other", response=let_in(LOCAL))
    assert talk[flow].credentials == credentials
    assert ids(talk[flow]) == told
    fine = talk.say(f"GET {SERVER}/news", connection="other", response=let_in(LOCAL))
    assert ONCE not in ids(talk[fine])


def test_a_login_that_is_known_to_have_been_without_credentials_set_nothing() -> None:
    """Its own finding says so; nothing is open."""
    talk = local()
    talk.ask(f"{SERVER}/login", "POST", "content-type", response={**let_in(LOCAL), HEADERS: "content-type"})
    login = log_in(talk, headers={"Content-Type": "application/json"})
    flow = talk.say(f"GET {SERVER}/me", status=401, response=let_in(LOCAL))
    assert talk[login].credentials == talk[flow].credentials == "omit"
    assert ids(talk[login]) == ["set-cookie-ignored"]
    assert ids(talk[flow]) == ["allow-credentials-unused"]


@pytest.mark.parametrize("by", ["a navigation", "a request with cookies", "a later request with it"])
def test_a_cookie_that_is_known_to_be_held_is_told_as_such(by: str) -> None:
    talk = local(connection=None)
    if by == "a navigation":
        navigate(talk, f"{SERVER}/login", response={"Set-Cookie": SESSION})
    else:
        log_in(talk, headers={"Cookie": "theme=SECRET"} if by == "a request with cookies" else {})
    if by == "a later request with it":
        talk.say(f"GET {SERVER}/q", headers={"Cookie": "sessionid=SECRET"}, response=let_in(LOCAL))
    flow = talk.say(f"GET {SERVER}/me", status=401, response=let_in(LOCAL))
    assert ids(talk[flow]) == ["client-did-not-opt-in"]


@pytest.mark.parametrize(
    ("line", "given"),
    [
        pytest.param(f"{SESSION}; Domain=example.com", {}, id="another domain"),
        pytest.param(SESSION.replace("Path=/", "Path=/admin"), {}, id="another path"),
        pytest.param(f"{SESSION}; Max-Age=1", {"at": 1600.0}, id="expired"),
        pytest.param(f"{SESSION}; Max-Age=60", {"at": 1060.5}, id="about to expire"),
        pytest.param(SESSION, {"line": "GET http://127.0.0.1:8000/me", "site": "cross-site"}, id="another host"),
        pytest.param(SESSION, {"origin": "http://app.test", "site": "cross-site"}, id="another site's page"),
        pytest.param(SESSION, {"status": 200}, id="nothing is missed"),
        pytest.param(SESSION, {"status": 404}, id="nothing is there"),
        pytest.param(SESSION, {"headers": {"Cookie": "sessionid=SECRET"}}, id="it came"),
        pytest.param(SESSION, {"headers": {"Cookie": "theme=1"}}, id="another one came"),
        pytest.param(SESSION, {"headers": {"Authorization": "Bearer SECRET"}}, id="a token was sent"),
        pytest.param(SESSION, {"response": {ALLOW_ORIGIN: LOCAL}}, id="credentials are not allowed"),
        pytest.param(SESSION, {"response": {**ANY, ALLOW_CREDENTIALS: "true"}}, id="nor with a star"),
        pytest.param(SESSION, {"response": let_in("https://other.test")}, id="nor to this page"),
        pytest.param(SESSION, {"response": {}}, id="no CORS"),
        pytest.param(SESSION, {"client": "other"}, id="another client"),
        pytest.param("AWSALB=SECRET; Path=/", {}, id="a load balancer's cookie"),
    ],
)
def test_a_cookie_that_need_not_have_come_tells_of_no_opt_in(line: str, given: dict[str, Any]) -> None:
    talk = local(connection=None)
    log_in(talk, line)
    origin = given.get("origin", LOCAL)
    known = {"line": f"GET {SERVER}/me", "status": 401, "response": let_in(origin), **given}
    assert ONCE not in ids(talk[talk.say(**known)])


@pytest.mark.parametrize(
    "login",
    [
        pytest.param({"response": {ALLOW_ORIGIN: LOCAL, "Set-Cookie": SESSION}}, id="allows no credentials"),
        pytest.param({"response": {**let_in(LOCAL), "Set-Cookie": "sessionid=; Max-Age=0; Path=/"}}, id="a logout"),
        pytest.param({"origin": "http://app.test", "site": "cross-site"}, id="of another site, so refused"),
        pytest.param({"origin": "null"}, id="of a page that is not known"),
        pytest.param({"took": 5.0}, id="not answered yet"),
    ],
)
def test_an_answer_whose_cookies_may_not_have_been_meant_tells_of_no_opt_in(login: dict[str, Any]) -> None:
    talk = local(connection=None)
    log_in(talk, **login)
    flow = talk.say(f"GET {SERVER}/me", at=1001.0, status=401, response=let_in(LOCAL))
    assert ONCE not in ids(talk[flow])
    assert "client-did-not-opt-in" not in ids(talk[flow])


def test_after_a_logout_nothing_is_missed() -> None:
    talk = local()
    log_in(talk)
    log_in(talk, "sessionid=; Max-Age=0; Path=/", f"{SERVER}/logout")
    assert ONCE not in ids(talk[talk.say(f"GET {SERVER}/me", status=401, response=let_in(LOCAL))])


@pytest.mark.parametrize("opted_in", [True, False])
def test_requests_that_overlap_miss_nothing_of_each_other(opted_in: bool) -> None:
    """A first visit: several requests leave before any answer has set the session's cookie."""
    talk = local(connection=None)
    if opted_in:
        # What is known of its connection is known of the answer's cookie.
        navigate(talk, f"{SERVER}/docs", connection="1")
    first = {"at": 1010.0, "took": 0.2, "connection": "1"}
    response = {**let_in(LOCAL), "Set-Cookie": SESSION}
    talk.say(f"GET {SERVER}/me", status=401, response=response, **first)
    for number in range(3):
        flow = talk.say(f"GET {SERVER}/me", at=1010.01, took=0.3 + number, status=401, response=let_in(LOCAL))
        assert ids(talk[flow]) == []
    later = talk.say(f"GET {SERVER}/me", at=1014.0, status=401, response=let_in(LOCAL))
    assert ids(talk[later]) == ["client-did-not-opt-in" if opted_in else ONCE]
    # What is known of the later one says nothing of those that were on their way.
    late = talk.say(f"GET {SERVER}/me", at=1010.02, took=5.0, status=401, response=let_in(LOCAL))
    assert ids(talk[late]) == []


@pytest.mark.parametrize("known", [True, False])
def test_of_a_cookie_that_is_perhaps_not_held_only_as_much_is_told(known: bool) -> None:
    talk = local()
    more = {"headers": {"Cookie": "before=SECRET"}} if known else {}
    flow = log_in(talk, "sessionid=SECRET; Path=/other", **more)
    later = talk.say(f"GET {SERVER}/me", status=401, response=let_in(LOCAL))
    assert "cookie-path-mismatch" in ids(talk[later])
    assert (f"(set in flow {flow}, if that was sent with credentials)" in comment(talk[later])) is not known


def test_a_session_that_is_renewed_all_the_time_is_missed_by_what_overlaps() -> None:
    talk = local(connection=None)
    navigate(talk, f"{SERVER}/login", response={"Set-Cookie": SESSION})
    renewing = {"headers": {"Cookie": "sessionid=SECRET"}, "response": {**let_in(LOCAL), "Set-Cookie": SESSION}}
    talk.say(f"GET {SERVER}/a", at=1010.0, took=0.2, **renewing)
    flow = talk.say(f"GET {SERVER}/b", at=1010.01, took=0.3, status=401, response=let_in(LOCAL))
    assert ids(talk[flow]) == ["client-did-not-opt-in"]


@pytest.mark.parametrize(
    ("dest", "accept", "line"),
    [
        ("empty", "text/event-stream", "new EventSource(url, { withCredentials: true })"),
        ("image", "*/*", 'crossorigin="use-credentials"'),
        ("font", "*/*", None),
    ],
)
def test_the_line_to_write_is_that_of_the_client(dest: str, accept: str, line: str | None) -> None:
    talk = local()
    log_in(talk)
    flow = talk.say(f"GET {SERVER}/x", dest=dest, headers={"Accept": accept}, status=401, response=let_in(LOCAL))
    assert (ONCE in ids(talk[flow])) is (line is not None)
    assert (line or "") in comment(talk[flow])


# ---------------------------------------------------------------------- what is not to be said


def test_a_star_for_one_page_and_the_name_of_another_is_no_login() -> None:
    """What differs is the origin, or the method, and not that somebody logged in."""
    talk = Talk()
    talk.say("GET https://b.test/x", origin="https://x.test", response={**ANY, **VARIES})
    other = talk.say("GET https://b.test/x", headers={"Cookie": "a=1", **ACTIVE}, response=let_in(PAGE))
    talk.say("GET https://b.test/y", response={**ANY, **VARIES})
    post = talk.say("POST https://b.test/y", headers={"Cookie": "a=1", **ACTIVE}, response=let_in(PAGE))
    for flow in (other, post):
        assert "wildcard-until-login" not in ids(talk[flow])


@pytest.mark.parametrize("status", [200, 401])
def test_a_star_to_who_has_no_cookie_yet_is_told(status: int) -> None:
    talk = Talk()
    talk.say("GET https://b.test/me", headers=ACTIVE, response={**ANY, **VARIES}, status=status)
    flow = talk.say("GET https://b.test/me", headers={"Cookie": "a=1", **ACTIVE}, response=let_in(PAGE))
    assert "wildcard-until-login" in ids(talk[flow])


def test_other_methods_and_bare_redirects_prove_nothing_of_vary() -> None:
    talk = Talk()
    talk.say("POST https://b.test/x", origin="https://x.test", response={ALLOW_ORIGIN: "https://x.test"})
    assert ids(talk[talk.say("GET https://b.test/x", response=ANY)]) == []
    talk.say("GET https://b.test/y", origin="https://x.test", status=302, response={"Location": "/start"})
    assert ids(talk[talk.say("GET https://b.test/y", response={ALLOW_ORIGIN: PAGE})]) == []


def test_a_redirect_to_a_login_is_no_matter_of_headers() -> None:
    talk = Talk()
    away = {"Location": "https://idp.test/login"}
    bare = talk.say("GET https://b.test/x", headers=ACTIVE, status=302, response=away)
    assert headline(talk[bare]) == "redirected to a login page — CORS blocked"
    hop = talk.say("GET https://b.test/y", headers=ACTIVE, status=302, response={**let_in(PAGE), **away})
    asked = talk.say("GET https://idp.test/login", origin="null", headers=ACTIVE)
    assert talk[hop].outcome == "allowed"
    assert headline(talk[asked]) == "redirected to a login page — CORS blocked"
    assert [fix_of(talk[flow]) for flow in (bare, asked)] == [None, None]


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"CF-RAY": "1"}, True),
        ({"CF-RAY": "1", "X-Powered-By": "Express"}, False),
        ({"CF-RAY": "1", "Set-Cookie": "sid=SECRET"}, False),
        ({"CF-RAY": "1", "Set-Cookie": "__cf_bm=SECRET"}, True),
        ({"Server": "envoy", "x-envoy-upstream-service-time": "12"}, False),
        ({"Server": "awselb/2.0", "X-Powered-By": "Express"}, True),
    ],
)
def test_what_was_made_behind_a_layer_is_not_the_layers(headers: dict[str, str], told: bool) -> None:
    verdict = judged(exchange("GET https://b.test/x", status=403, response={**headers, "Content-Type": "text/html"}))
    assert ("answered-by-intermediary" in ids(verdict)) is told


def test_a_token_that_is_refused_is_no_matter_of_cookies() -> None:
    talk = Talk()
    logged_in = {**let_in(PAGE), "Set-Cookie": f"{LOGIN}; SameSite=None"}
    talk.say("POST https://b.test/login", headers=ACTIVE, response=logged_in)
    talk.ask(
        "https://b.test/me",
        "GET",
        "authorization",
        response={**let_in(PAGE), "Access-Control-Allow-Headers": "authorization"},
    )
    flow = talk.say("GET https://b.test/me", headers={"Authorization": "Bearer x"}, status=401, response=let_in(PAGE))
    told = {one.id: one.severity for one in talk[flow].findings}
    assert "authorization-by-script" in told
    assert told.get("client-did-not-opt-in", Severity.INFO) is Severity.INFO


def test_who_set_authorization_is_told_of_a_star_too() -> None:
    talk = Talk()
    talk.ask(
        "https://b.test/me", "GET", "authorization", response={**ANY, "Access-Control-Allow-Headers": "authorization"}
    )
    flow = talk.say("GET https://b.test/me", headers={"Authorization": "Bearer x"}, status=401, response=ANY)
    assert "authorization-by-script" in ids(talk[flow])


def test_a_cookie_that_was_only_seen_and_then_removed_has_expired() -> None:
    talk = Talk()
    talk.say("GET https://b.test/me", headers={"Cookie": "sid=1", **ACTIVE}, response=let_in(PAGE))
    gone = {**let_in(PAGE), "Set-Cookie": "sid=; Max-Age=0; Path=/; SameSite=None; Secure"}
    talk.say("POST https://b.test/logout", headers={"Cookie": "sid=1", **ACTIVE}, response=gone)
    flow = talk.say("GET https://b.test/me", headers=ACTIVE, status=401, response=let_in(PAGE))
    assert "cookie-expired" in ids(talk[flow])


def test_an_element_of_a_sibling_site_is_kept_from_data_as_well() -> None:
    asked = exchange("GET https://api.a.test/x", origin=None, mode="no-cors", site="same-site", dest="script",
                     response={"Content-Type": "application/json"})  # fmt: skip
    assert ids(judged(asked)) == ["opaque-response-blocking"]
