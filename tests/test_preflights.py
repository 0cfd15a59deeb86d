"""What a browser keeps of a preflight, and what that explains later."""

from __future__ import annotations

import pytest

from builders import ALLOW_HEADERS, ALLOW_METHODS, GOOD, MAX_AGE, Talk, ids
from corscope.model import Outcome

URL = "https://b.test/x"
PUT = {**GOOD, ALLOW_METHODS: "PUT"}
NOT_SEEN = "not in this traffic: answered before, or in the browser's preflight cache"
CACHED = "answered before, and taken from the browser's preflight cache"


ORIGIN = {"Access-Control-Allow-Origin": "https://a.test", "Access-Control-Allow-Credentials": "true"}


def spared(
    asked: str, names: str, allowed: dict[str, str], line: str, sent: dict[str, str], *, browser: str, later: float
) -> bool:
    """Tells whether a request, `later` seconds after a preflight, is said to have gone on that preflight's answer."""
    talk = Talk(defaults={"browser": browser})
    ask = talk.ask(URL, asked, names, response={**ORIGIN, **allowed})
    first = {name: "1" for name in names.split(",") if name}
    talk.say(f"{asked} {URL}", headers=first, response=GOOD)
    talk.now = talk[ask].timestamp + 0.01 + later
    flow = talk.say(f"{line} {URL}", headers=sent, response=GOOD)
    assert talk[flow].outcome is Outcome.ALLOWED, "what is not cached is never accused"
    assert talk[flow].preflight_reason in (CACHED, NOT_SEEN)
    assert (talk[flow].preflight == ask) is (talk[flow].preflight_reason == CACHED)
    return talk[flow].preflight_reason == CACHED


@pytest.mark.parametrize(
    ("age", "browser", "seconds"),
    [
        pytest.param("600", "chromium", 600, id="as long as the server says"),
        pytest.param(None, "chromium", 5, id="five seconds by default"),
        pytest.param("", "firefox", 5, id="in Firefox, too"),
        pytest.param("99999", "chromium", 7200, id="two hours at most in Chromium"),
        pytest.param("99999", "firefox", 86400, id="a day at most in Firefox"),
        pytest.param("0", "chromium", 0, id="not at all"),
        pytest.param("-1", "firefox", 0, id="nor for less than that"),
        pytest.param("abc", "firefox", 0, id="not at all in Firefox where it is no number"),
        pytest.param("abc", "chromium", 5, id="for the default in Chromium"),
        pytest.param("+600", "chromium", 600, id="a sign does not bother Chromium"),
    ],
)
def test_how_long_a_preflight_is_kept(age: str | None, browser: str, seconds: float) -> None:
    allowed = {"Access-Control-Allow-Methods": "PUT"}
    if age is not None:
        allowed["Access-Control-Max-Age"] = age

    def after(later: float) -> bool:
        return spared("PUT", "", allowed, "PUT", {}, browser=browser, later=later)

    assert not after(seconds + 1)
    if seconds:
        assert after(seconds - 1)


METHODS, HEADERS = "Access-Control-Allow-Methods", "Access-Control-Allow-Headers"


@pytest.mark.parametrize(
    ("asked", "names", "allowed", "line", "sent", "browser", "is_spared"),
    [
        pytest.param("PUT", "", {METHODS: "PUT"}, "PUT", {}, "chromium", True, id="the same again"),
        pytest.param(
            "PUT", "", {METHODS: "PUT, DELETE"}, "DELETE", {}, "chromium", True, id="another that was allowed"
        ),
        pytest.param("PUT", "", {METHODS: "PUT"}, "PATCH", {}, "chromium", False, id="another that was not"),
        pytest.param("PUT", "", {METHODS: "PUT"}, "put", {}, "chromium", False, id="the case matters"),
        pytest.param(
            "POST", "x-t", {HEADERS: "X-T"}, "POST", {"X-T": "1"}, "chromium", True, id="a header in any case"
        ),
        pytest.param("POST", "x-t", {HEADERS: "X-T"}, "POST", {"X-U": "1"}, "chromium", False, id="another header"),
        pytest.param(
            "GET", "x-t", {HEADERS: "*"}, "GET", {"X-T": "1"}, "chromium", True, id="Chromium reuses a wildcard"
        ),
        pytest.param("GET", "x-t", {HEADERS: "*"}, "GET", {"X-T": "1"}, "firefox", False, id="Firefox does not"),
        pytest.param("PUT", "", {METHODS: "*"}, "PUT", {}, "chromium", True, id="so it is with methods"),
        pytest.param("PUT", "", {METHODS: "*"}, "PUT", {}, "firefox", False, id="in both"),
        pytest.param(
            "HEAD", "x-t", {HEADERS: "x-t"}, "HEAD", {"X-T": "1"}, "firefox", False, id="Firefox asks for HEAD"
        ),
        pytest.param("HEAD", "x-t", {HEADERS: "x-t"}, "HEAD", {"X-T": "1"}, "chromium", True, id="Chromium does not"),
    ],
)
def test_what_a_kept_preflight_spares(
    asked: str, names: str, allowed: dict[str, str], line: str, sent: dict[str, str], browser: str, is_spared: bool
) -> None:
    assert spared(asked, names, allowed, line, sent, browser=browser, later=1) is is_spared


def test_an_actual_request_names_its_preflight() -> None:
    talk = Talk()
    asked = talk.ask(URL, response=PUT)
    flow = talk.say(f"PUT {URL}", response=GOOD)
    assert (talk[flow].preflight, talk[flow].preflight_reason, talk[flow].outcome) == (asked, None, Outcome.ALLOWED)
    assert talk[asked].preflight_reason == "the method PUT is not GET, HEAD or POST"


def test_a_second_one_names_the_preflight_that_is_still_kept() -> None:
    talk = Talk()
    asked = talk.ask(URL, response={**PUT, MAX_AGE: "600"})
    talk.say(f"PUT {URL}", response=GOOD)
    talk.wait(500)
    flow = talk.say(f"PUT {URL}", response=GOOD)
    assert (talk[flow].preflight, talk[flow].preflight_reason, talk[flow].outcome) == (asked, CACHED, Outcome.ALLOWED)


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"line": "PUT https://b.test/y"}, id="another URL"),
        pytest.param({"line": "PUT https://b.test/x?q"}, id="another query"),
        pytest.param({"line": "DELETE https://b.test/x"}, id="another method"),
        pytest.param({"headers": {"X-T": "1"}}, id="another header"),
        pytest.param({"origin": "https://c.test"}, id="another page"),
        pytest.param({"client": "other"}, id="another browser"),
    ],
)
def test_a_request_that_no_kept_preflight_covers_is_never_accused(given: dict[str, str]) -> None:
    talk = Talk()
    talk.ask(URL, response={**PUT, MAX_AGE: "600"})
    talk.say(f"PUT {URL}", response=GOOD)
    line = given.pop("line", f"PUT {URL}")
    origin = given.get("origin", "https://a.test")
    response = {**GOOD, "Access-Control-Allow-Origin": origin, "Vary": "Origin"}
    flow = talk.say(line, response=response, **given)
    assert (talk[flow].preflight, talk[flow].preflight_reason) == (None, NOT_SEEN)
    assert talk[flow].outcome is Outcome.ALLOWED
    told = {"allow-credentials-unused", "origin-reflected-with-credentials"}
    assert told.issuperset(ids(talk[flow])), "nothing about a preflight"


def test_a_kept_preflight_expires() -> None:
    talk = Talk()
    talk.ask(URL, response=PUT)
    talk.say(f"PUT {URL}", response=GOOD)
    talk.wait(6)
    assert talk[talk.say(f"PUT {URL}", response=GOOD)].preflight_reason == NOT_SEEN


@pytest.mark.parametrize(
    ("line", "headers"),
    [
        ("GET https://b.test/x", {}),
        ("POST https://b.test/x", {"Content-Type": "text/plain"}),
        ("HEAD https://b.test/x", {"Cache-Control": "no-cache"}),
    ],
)
def test_a_request_that_needs_no_preflight_says_nothing_of_one(line: str, headers: dict[str, str]) -> None:
    talk = Talk()
    flow = talk.say(line, headers=headers, response=GOOD)
    assert (talk[flow].preflight, talk[flow].preflight_reason) == (None, None)


def test_lists_on_the_actual_response_mean_nothing() -> None:
    talk = Talk()
    talk.ask(URL, response=PUT)
    flow = talk.say(f"PUT {URL}", response={**GOOD, ALLOW_METHODS: "b@d", ALLOW_HEADERS: "b@d"})
    assert talk[flow].outcome is Outcome.ALLOWED
