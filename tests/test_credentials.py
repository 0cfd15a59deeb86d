"""What a request alone tells of its credentials mode."""

from __future__ import annotations

from typing import Any

import pytest

from builders import ANY, GOOD, PAGE, STORAGE_ACCESS, Talk, exchange, ids, judged, preflight
from corscope.cookies import cookie_names
from corscope.credentials import Strength, recognise, request_evidence
from corscope.model import Browser, BrowserFamily, Credentials, Outcome
from corscope.modes import Request

INCLUDE, OMIT, UNKNOWN = Credentials.INCLUDE, Credentials.OMIT, Credentials.UNKNOWN


def known(**given: Any) -> Credentials:  # noqa: ANN401
    """Returns what a lone request's credentials mode is found to be."""
    line = str(given.pop("line", "GET https://b.test/x"))
    return judged(exchange(line, response=ANY, **given)).credentials


@pytest.mark.parametrize("browser", ["chromium", "firefox", "safari"])
@pytest.mark.parametrize("line", ["GET https://b.test/x", "GET http://b.test/x", "GET https://api.a.test/x"])
def test_a_cookie_is_a_credential(browser: str, line: str) -> None:
    verdict = judged(exchange(line, browser=browser, headers={"Cookie": "sid=SECRET; theme=dark"}, response=ANY))
    assert (verdict.credentials, verdict.outcome) == (INCLUDE, Outcome.BLOCKED)
    assert verdict.credentials_evidence == ("cookie header: sid, theme",)


def test_a_cookie_without_a_name_counts() -> None:
    assert known(headers={"Cookie": "x"}) is INCLUDE


@pytest.mark.parametrize("value", ["none", "inactive", "active"])
@pytest.mark.parametrize("browser", ["chromium", "firefox"])
def test_storage_access_is_said_in_mode_include_only(browser: str, value: str) -> None:
    verdict = judged(exchange("GET https://b.test/x", browser=browser, headers={STORAGE_ACCESS: value}, response=ANY))
    assert (verdict.credentials, verdict.outcome) == (INCLUDE, Outcome.BLOCKED)
    assert verdict.credentials_evidence == (f"Sec-Fetch-Storage-Access: {value}",)


def test_firefox_says_storage_access_on_the_preflight() -> None:
    asked = preflight("https://b.test/x", browser="firefox", headers={STORAGE_ACCESS: "none"}, response=GOOD)
    assert judged(asked).credentials is INCLUDE


CHROME_132 = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko) Chrome/132.0.0.0 Safari/537.36"
CHROME_133 = "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko) Chrome/133.0.0.0 Safari/537.36"
FIREFOX_146 = "Mozilla/5.0 (X11; Linux x86_64; rv:146.0) Gecko/20100101 Firefox/146.0"
FIREFOX_147 = "Mozilla/5.0 (X11; Linux x86_64; rv:147.0) Gecko/20100101 Firefox/147.0"


@pytest.mark.parametrize(
    ("given", "credentials"),
    [
        pytest.param({}, OMIT, id="Chromium, cross-site, https"),
        pytest.param({"agent": CHROME_133}, OMIT, id="the first Chromium that says it"),
        pytest.param({"agent": CHROME_132}, UNKNOWN, id="the last that does not"),
        pytest.param({"browser": "safari"}, UNKNOWN, id="Safari never says it"),
        pytest.param({"agent": "curl/8"}, UNKNOWN, id="what is no browser neither"),
        pytest.param({"line": "GET http://b.test/x"}, UNKNOWN, id="plain http has none"),
        pytest.param({"line": "GET http://localhost/x"}, OMIT, id="but localhost is trustworthy"),
        pytest.param({"line": "GET https://api.a.test/x", "site": "same-site"}, UNKNOWN, id="same-site has none"),
        pytest.param({"site": None}, UNKNOWN, id="without Sec-Fetch-Site nothing is known"),
        pytest.param({"line": "GET https://api.a.test/x"}, UNKNOWN, id="the origin's site may be the top-level one"),
        pytest.param(
            {"origin": "null", "headers": {"Referer": "https://www.b.test/"}}, UNKNOWN, id="so may the Referer's"
        ),
        pytest.param({"origin": "null"}, OMIT, id="Chromium says it for opaque origins, too"),
        pytest.param({"dest": "image"}, OMIT, id="an image"),
        pytest.param({"browser": "firefox", "dest": "image"}, UNKNOWN, id="a Firefox that may never say it"),
        pytest.param({"browser": "firefox"}, UNKNOWN, id="Firefox never says it in workers, where fetches come from"),
        pytest.param(
            {"browser": "firefox", "dest": "image", "origin": "null"}, UNKNOWN, id="nor after a tainted redirect"
        ),
    ],
)
def test_storage_access_missing(given: dict[str, Any], credentials: Credentials) -> None:
    """Its absence tells only where mode include would have sent it."""
    assert known(**given) is credentials


@pytest.mark.parametrize(
    ("given", "credentials"),
    [
        pytest.param({"browser": "firefox", "dest": "image"}, OMIT, id="from an element"),
        pytest.param({"browser": "firefox", "dest": "script"}, OMIT, id="a module"),
        pytest.param({"browser": "firefox"}, UNKNOWN, id="workers never say it"),
        pytest.param({"agent": FIREFOX_147, "dest": "image"}, OMIT, id="the first that says it"),
        pytest.param({"agent": FIREFOX_146, "dest": "image"}, UNKNOWN, id="the last that does not"),
    ],
)
@pytest.mark.parametrize("mode", ["cors", "no-cors"])
def test_storage_access_missing_in_a_firefox_that_said_it_before(
    mode: str, given: dict[str, Any], credentials: Credentials
) -> None:
    """Set to accept or to block all cookies it never does."""
    talk = Talk(defaults={"browser": "firefox", "http": 2, **given})
    talk.say("GET https://c.test/y", headers={STORAGE_ACCESS: "none"}, mode=mode, connection="1")
    flow = talk.say("GET https://b.test/x", response=ANY, connection="2")
    assert talk[flow].credentials is credentials


@pytest.mark.parametrize(
    ("top", "credentials"),
    [
        pytest.param("https://www.b.test/", UNKNOWN, id="a page of the same site is open"),
        pytest.param("https://c.test/", OMIT, id="a page of another site is open"),
        pytest.param("http://b.test/", OMIT, id="a page of another scheme is another site"),
    ],
)
def test_first_party_requests_say_no_storage_access(top: str, credentials: Credentials) -> None:
    """A frame's request to the top-level page's own site carries none, whatever its mode."""
    talk = Talk()
    talk.say(f"GET {top}", origin=None, mode="navigate", dest="document", site="none", connection="9")
    flow = talk.say("GET https://b.test/x", response=ANY, connection="1")
    assert talk[flow].credentials is credentials


def test_an_iframe_is_no_top_level_page() -> None:
    talk = Talk()
    talk.say("GET https://b.test/", origin=None, mode="navigate", dest="iframe", connection="9")
    assert talk[talk.say("GET https://b.test/x", response=ANY)].credentials is OMIT


@pytest.mark.parametrize("browser", ["chromium", "firefox", "safari"])
@pytest.mark.parametrize("line", ["GET https://api.a.test/x", "GET https://b.test/x"])
def test_fonts_are_never_credentialed(browser: str, line: str) -> None:
    site = "same-site" if "a.test" in line else "cross-site"
    assert known(line=line, browser=browser, site=site, dest="font") is OMIT


@pytest.mark.parametrize(("browser", "credentials"), [("firefox", INCLUDE), ("chromium", UNKNOWN), ("safari", UNKNOWN)])
def test_a_client_certificate(browser: str, credentials: Credentials) -> None:
    """Firefox presents none without credentials; Chromium may present it anyway."""
    line, site = "GET https://api.a.test/x", "same-site"
    assert known(line=line, site=site, browser=browser, client_certificate=True) is credentials


def test_a_client_certificate_on_a_preflight_says_nothing() -> None:
    asked = preflight("https://b.test/", browser="firefox", client_certificate=True, response=GOOD)
    assert judged(asked).credentials is UNKNOWN


HOME = {"connection": None, "browser": "safari"}
"""No connection, no Storage-Access: nothing but Authorization can tell."""


@pytest.mark.parametrize(
    ("value", "asks", "credentials"),
    [
        pytest.param("Basic eDp5", "x-t", INCLUDE, id="not listed: the browser added it from its cache"),
        pytest.param("Negotiate abc", "x-t", INCLUDE, id="so it does with Negotiate"),
        pytest.param("Basic eDp5", "authorization,x-t", UNKNOWN, id="listed: a script's header like any other"),
        pytest.param("Bearer abc", "x-t", UNKNOWN, id="no browser answers with a bearer token by itself"),
    ],
)
def test_authorization_after_a_preflight(value: str, asks: str, credentials: Credentials) -> None:
    talk = Talk(defaults=HOME)
    talk.ask(
        "https://b.test/x",
        "PUT",
        asks,
        response={**GOOD, "Access-Control-Allow-Methods": "PUT", "Access-Control-Allow-Headers": asks},
    )
    flow = talk.say("PUT https://b.test/x", headers={"Authorization": value, "X-T": "1"}, response=ANY)
    assert talk[flow].credentials is credentials


def test_authorization_without_a_preflight_in_sight_is_weak() -> None:
    """A preflight from before the capture may have listed it."""
    verdict = judged(exchange("GET https://b.test/x", headers={"Authorization": "Basic x"}, response=ANY, **HOME))
    assert (verdict.credentials, verdict.outcome) == (UNKNOWN, Outcome.CONDITIONAL)
    assert verdict.credentials_evidence == ("Authorization (Basic) that no preflight in sight listed",)


def test_no_evidence_names_a_value() -> None:
    sent = {"Cookie": "sid=SECRET1; t=SECRET2", "Authorization": "Basic SECRET3"}
    verdict = judged(exchange("GET https://b.test/x", headers=sent, response=ANY))
    assert "SECRET" not in " ".join(verdict.credentials_evidence)


def test_a_sanitized_capture_proves_nothing_by_absence() -> None:
    """Its writer left cookies and Authorization out."""
    line = "GET https://b.test/x"
    assert judged(exchange(line, response=ANY, sanitized=True, connection=None)).credentials is UNKNOWN
    said = {STORAGE_ACCESS: "active"}
    assert judged(exchange(line, response=ANY, sanitized=True, headers=said)).credentials is INCLUDE


def test_a_missing_cookie_neither_overrules_nor_spoils_a_connection() -> None:
    """A script may have removed it: the connection's class, which no script can change, knows better."""
    talk = Talk()
    talk.say("GET https://api.a.test/x", headers={"Cookie": "sid=1"}, site="same-site", response=GOOD, connection="c")
    flow = talk.say("GET https://api.a.test/x", site="same-site", response=ANY, connection="c")
    assert (talk[flow].credentials, talk[flow].outcome) == (INCLUDE, Outcome.BLOCKED)
    later = talk.say("GET https://api.a.test/y", site="same-site", response=ANY, connection="c")
    assert talk[later].credentials is INCLUDE


def test_cookie_names_over_several_lines() -> None:
    """HTTP/2 splits the header."""
    given = exchange("GET https://b.test/", headers=[("Cookie", "a=1; b=2"), ("cookie", "c=3"), ("cookie", "; ;")])
    assert cookie_names(Request(given).headers[b"cookie"]) == ("a", "b", "c")


def test_a_cookie_without_a_name_has_none_to_show() -> None:
    assert cookie_names(b"SECRET; =SECRET; a=1") == ("(without a name)", "", "a")


def test_the_strength_of_what_a_request_carries() -> None:
    asked = Request(exchange("GET https://b.test/", headers={"Cookie": "a=1", STORAGE_ACCESS: "active"}))
    found = request_evidence(
        asked.headers,
        cookies=asked.headers.cookie_names,
        preflight=False,
        client_certificate=True,
        browser=Browser(family=BrowserFamily.FIREFOX),
    )
    assert found is not None
    assert (found.credentials, found.strength) == (INCLUDE, Strength.CERTAIN)


@pytest.mark.parametrize(
    ("agent", "family", "version"),
    [
        ("Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36", "chromium", 156),
        ("Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML) HeadlessChrome/156.0.8078.79 Safari/537.36", "chromium", 156),
        ("Mozilla/5.0 (X11) AppleWebKit/537.36 Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0", "chromium", 140),
        ("Mozilla/5.0 (X11; rv:153.0) Gecko/20100101 Firefox/153.0", "firefox", 153),
        ("Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 Version/26.2 Safari/605.1.15", "other", 0),
        ("curl/8.5.0", "spec", 0),
        ("", "spec", 0),
        ("Chrome/", "chromium", 0),
        ("Chrome/9999999999", "chromium", 0),
    ],
)
def test_recognise(agent: str, family: str, version: int) -> None:
    assert recognise(agent.encode()) == Browser(family=BrowserFamily(family), version=version)


def test_credentials_unknown_makes_a_verdict_conditional_only_where_they_matter() -> None:
    line, site = "GET https://api.a.test/x", "same-site"
    assert judged(exchange(line, site=site, response=GOOD)).outcome is Outcome.ALLOWED
    assert judged(exchange(line, site=site, response=())).outcome is Outcome.BLOCKED
    verdict = judged(exchange(line, site=site, response=ANY))
    assert (verdict.outcome, ids(verdict), verdict.settled) == (Outcome.CONDITIONAL, ["credentials-unknown"], False)
    assert verdict.origin == PAGE
