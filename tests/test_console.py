"""Chromium's console, word for word: the sentences are what Chromium 156 printed, typed in."""

from __future__ import annotations

from typing import Any

import pytest

from builders import (
    ALLOW_CREDENTIALS,
    ALLOW_HEADERS,
    ALLOW_METHODS,
    ALLOW_ORIGIN,
    ANY,
    GOOD,
    PAGE,
    STORAGE_ACCESS,
    Talk,
    exchange,
    judged,
    preflight,
)
from corscope.console import console_message, initiator
from corscope.model import Outcome, Verdict
from corscope.session import Session

START = "Access to fetch at 'https://b.test/x' from origin 'https://a.test' has been blocked by CORS policy: "
PREFLIGHT = "Response to preflight request doesn't pass access control check: "
HAVE_THE_SERVER = " Have the server send the header with a valid value."
URL = "https://b.test/x"
COOKIE = {"Cookie": "a=1"}


def said(verdict: Verdict) -> str | None:
    """Returns what the console prints, and checks that it prints only where an exchange is blocked."""
    message = console_message(verdict)
    assert message is None or verdict.outcome is Outcome.BLOCKED
    return message


ORIGIN_FAULTS = [
    pytest.param(
        [],
        "No 'Access-Control-Allow-Origin' header is present on the requested resource.",
        id="missing",
    ),
    pytest.param(
        [(ALLOW_ORIGIN, "https://a.test, https://zzz.test")],
        "The 'Access-Control-Allow-Origin' header contains multiple values 'https://a.test, https://zzz.test', but "
        "only one is allowed. Have the server send the header with a valid value.",
        id="a list",
    ),
    pytest.param(
        [(ALLOW_ORIGIN, "https://a.test"), (ALLOW_ORIGIN, "https://zzz.test")],
        "The 'Access-Control-Allow-Origin' header contains multiple values 'https://a.test, https://zzz.test', but "
        "only one is allowed. Have the server send the header with a valid value.",
        id="two lines",
    ),
    pytest.param(
        [(ALLOW_ORIGIN, "")],
        "The 'Access-Control-Allow-Origin' header contains the invalid value ''. Have the server send the header with "
        "a valid value.",
        id="empty",
    ),
    pytest.param(
        [(ALLOW_ORIGIN, "a.test")],
        "The 'Access-Control-Allow-Origin' header contains the invalid value 'a.test'. Have the server send the header "
        "with a valid value.",
        id="no scheme",
    ),
    pytest.param(
        [(ALLOW_ORIGIN, "https://zzz.test")],
        "The 'Access-Control-Allow-Origin' header has a value 'https://zzz.test' that is not equal to the supplied "
        "origin. Have the server send the header with a valid value.",
        id="another origin",
    ),
    pytest.param(
        [(ALLOW_ORIGIN, "null")],
        "The 'Access-Control-Allow-Origin' header has a value 'null' that is not equal to the supplied origin. Have "
        "the server send the header with a valid value.",
        id="null",
    ),
    pytest.param(
        [(ALLOW_ORIGIN, "https://a.test/")],
        "The 'Access-Control-Allow-Origin' header has a value 'https://a.test/' that is not equal to the supplied "
        "origin. Have the server send the header with a valid value.",
        id="a slash",
    ),
]


@pytest.mark.parametrize(("lines", "sentence"), ORIGIN_FAULTS)
def test_allow_origin(lines: list[tuple[str, str]], sentence: str) -> None:
    assert said(judged(exchange(f"GET {URL}", response=lines))) == START + sentence


@pytest.mark.parametrize(("lines", "sentence"), ORIGIN_FAULTS)
def test_allow_origin_of_a_preflight(lines: list[tuple[str, str]], sentence: str) -> None:
    assert said(judged(preflight(URL, response=lines))) == START + PREFLIGHT + sentence


CREDENTIALS_FAULTS = [
    pytest.param(
        {ALLOW_ORIGIN: "*", ALLOW_CREDENTIALS: "true"},
        "The value of the 'Access-Control-Allow-Origin' header in the response must not be the wildcard '*' when the "
        "request's credentials mode is 'include'.",
        id="a wildcard",
    ),
    pytest.param(
        {ALLOW_ORIGIN: PAGE},
        "The value of the 'Access-Control-Allow-Credentials' header in the response is '' which must be 'true' when "
        "the request's credentials mode is 'include'.",
        id="missing",
    ),
    pytest.param(
        {ALLOW_ORIGIN: PAGE, ALLOW_CREDENTIALS: "false"},
        "The value of the 'Access-Control-Allow-Credentials' header in the response is 'false' which must be 'true' "
        "when the request's credentials mode is 'include'.",
        id="false",
    ),
]


@pytest.mark.parametrize(("response", "sentence"), CREDENTIALS_FAULTS)
def test_credentials(response: dict[str, str], sentence: str) -> None:
    assert said(judged(exchange(f"GET {URL}", headers=COOKIE, response=response))) == START + sentence


@pytest.mark.parametrize(("response", "sentence"), CREDENTIALS_FAULTS)
def test_credentials_of_a_preflight(response: dict[str, str], sentence: str) -> None:
    given = preflight(URL, headers={STORAGE_ACCESS: "none"}, response={**response, ALLOW_METHODS: "PUT"})
    assert said(judged(given)) == START + PREFLIGHT + sentence


@pytest.mark.parametrize(
    ("method", "asks", "given", "sentence"),
    [
        pytest.param(
            "PUT",
            "",
            {"status": 404, "response": GOOD},
            "Response to preflight request doesn't pass access control check: It does not have HTTP ok status.",
            id="status",
        ),
        pytest.param(
            "PUT",
            "",
            {"status": 302, "response": {**GOOD, "Location": "/y"}},
            "Response to preflight request doesn't pass access control check: Redirect is not allowed for a preflight "
            "request.",
            id="redirect",
        ),
        pytest.param(
            "PUT",
            "",
            {"response": {**GOOD, ALLOW_METHODS: "b@d"}},
            "Cannot parse Access-Control-Allow-Methods response header field in preflight response.",
            id="methods that can't be parsed",
        ),
        pytest.param(
            "GET",
            "x-t",
            {"response": {**GOOD, ALLOW_HEADERS: "b@d"}},
            "Cannot parse Access-Control-Allow-Headers response header field in preflight response.",
            id="headers that can't be parsed",
        ),
        pytest.param(
            "PUT",
            "",
            {"response": GOOD},
            "Method PUT is not allowed by Access-Control-Allow-Methods in preflight response.",
            id="method",
        ),
        pytest.param(
            "GET",
            "x-zed",
            {"response": GOOD},
            "Request header field x-zed is not allowed by Access-Control-Allow-Headers in preflight response.",
            id="header",
        ),
    ],
)
def test_preflights(method: str, asks: str, given: dict[str, Any], sentence: str) -> None:
    assert said(judged(preflight(URL, method, asks, **given))) == START + sentence


def test_a_redirect_with_user_info() -> None:
    """The place for the URL stays empty in Chromium, too."""
    verdict = judged(exchange(f"GET {URL}", status=302, response={**GOOD, "Location": "https://u:p@b.test/y"}))
    assert said(verdict) == (
        "Access to fetch at 'https://b.test/x' from origin 'https://a.test' has been blocked by CORS policy: Redirect "
        "location '' contains a username and password, which is disallowed for cross-origin requests."
    )


@pytest.mark.parametrize("location", ["data:text/plain,hi", "http://b.test/y", "https://b.test:port/"])
def test_what_is_no_cors_error_is_not_in_the_console(location: str) -> None:
    verdict = judged(exchange(f"GET {URL}", status=302, response={**GOOD, "Location": location}))
    assert verdict.outcome is Outcome.BLOCKED
    assert said(verdict) is None


def test_a_hop_that_fails_names_the_first_url() -> None:
    talk = Talk()
    talk.say("GET https://b.test/1", status=302, response={**GOOD, "Location": "/2"})
    flow = talk.say("GET https://b.test/2")
    assert said(talk[flow]) == (
        "Access to fetch at 'https://b.test/2' (redirected from 'https://b.test/1') from origin 'https://a.test' has "
        "been blocked by CORS policy: No 'Access-Control-Allow-Origin' header is present on the requested resource."
    )


def test_a_hop_after_one_at_home() -> None:
    talk = Talk()
    talk.say(
        "GET https://a.test/1", origin=None, site="same-origin", status=302, response={"Location": "https://b.test/2"}
    )
    flow = talk.say("GET https://b.test/2")
    assert said(talk[flow]) == (
        "Access to fetch at 'https://b.test/2' (redirected from 'https://a.test/1') from origin 'https://a.test' has "
        "been blocked by CORS policy: No 'Access-Control-Allow-Origin' header is present on the requested resource."
    )


def test_a_first_hop_that_fails_names_itself_alone() -> None:
    verdict = judged(exchange("GET https://b.test/1", status=302, response={"Location": "/2"}))
    assert said(verdict) == (
        "Access to fetch at 'https://b.test/1' from origin 'https://a.test' has been blocked by CORS policy: No "
        "'Access-Control-Allow-Origin' header is present on the requested resource."
    )


def test_a_tainted_hop_names_the_pages_origin() -> None:
    """The request says `null`; the console knows better."""
    talk = Talk()
    talk.say("GET https://b.test/1", status=302, response={**GOOD, "Location": "https://c.test/2"})
    flow = talk.say("GET https://c.test/2", origin="null", response={ALLOW_ORIGIN: PAGE})
    assert said(talk[flow]) == (
        "Access to fetch at 'https://c.test/2' (redirected from 'https://b.test/1') from origin 'https://a.test' has "
        "been blocked by CORS policy: The 'Access-Control-Allow-Origin' header has a value 'https://a.test' that is "
        "not equal to the supplied origin. Have the server send the header with a valid value."
    )
    assert talk[flow].origin == "null"


def test_so_does_a_hop_after_it() -> None:
    talk = Talk()
    talk.say(
        "GET https://a.test/0", origin=None, site="same-origin", status=302, response={"Location": "https://b.test/1"}
    )
    talk.say("GET https://b.test/1", status=302, response={**GOOD, "Location": "https://c.test/2"})
    null = {ALLOW_ORIGIN: "null", ALLOW_CREDENTIALS: "true", ALLOW_METHODS: "PUT"}
    talk.say("GET https://c.test/2", origin="null", status=302, response={**null, "Location": "/3"})
    flow = talk.say("GET https://c.test/3", origin="null")
    assert said(talk[flow]) == (
        "Access to fetch at 'https://c.test/3' (redirected from 'https://a.test/0') from origin 'https://a.test' has "
        "been blocked by CORS policy: No 'Access-Control-Allow-Origin' header is present on the requested resource."
    )


def test_an_opaque_origin_is_called_null() -> None:
    assert said(judged(exchange(f"GET {URL}", origin="null"))) == (
        "Access to fetch at 'https://b.test/x' from origin 'null' has been blocked by CORS policy: No "
        "'Access-Control-Allow-Origin' header is present on the requested resource."
    )


@pytest.mark.parametrize(
    ("dest", "accept", "kind"),
    [
        ("empty", "*/*", "fetch"),
        ("", "*/*", "fetch"),
        ("script", "*/*", "script"),
        ("image", "image/avif,*/*;q=0.8", "image"),
        ("font", "*/*", "font"),
        ("style", "text/css,*/*;q=0.1", "CSS stylesheet"),
        ("video", "*/*", "video"),
        ("audio", "*/*", "audio"),
        ("manifest", "*/*", "manifest"),
        ("empty", "text/event-stream", "resource"),
    ],
)
def test_who_asked(dest: str, accept: str, kind: str) -> None:
    assert initiator(dest.encode(), accept.encode()) == kind
    verdict = judged(exchange(f"GET {URL}", dest=dest or None, headers={"Accept": accept}))
    assert said(verdict) == (
        f"Access to {kind} at 'https://b.test/x' from origin 'https://a.test' has been blocked by CORS policy: No "
        "'Access-Control-Allow-Origin' header is present on the requested resource."
    )


def test_only_fetch_is_told_what_to_have_the_server_do() -> None:
    verdict = judged(exchange(f"GET {URL}", dest="image", response={ALLOW_ORIGIN: "https://zzz.test"}))
    assert said(verdict) == (
        "Access to image at 'https://b.test/x' from origin 'https://a.test' has been blocked by CORS policy: The "
        "'Access-Control-Allow-Origin' header has a value 'https://zzz.test' that is not equal to the supplied origin."
    )


@pytest.mark.parametrize(
    "one",
    [
        exchange(f"GET {URL}", response=GOOD),
        exchange("GET https://api.a.test/x", site="same-site", response=ANY),
        exchange(f"GET {URL}", mode="no-cors"),
    ],
    ids=["allowed", "conditional", "exempt"],
)
def test_the_console_is_silent_about_the_rest(one: Any) -> None:  # noqa: ANN401
    assert console_message(judged(one)) is None


def test_secrets_of_urls_are_not_repeated() -> None:
    talk = Talk(Session())
    talk.say("GET https://b.test/1?token=SECRET1", status=302, response={**GOOD, "Location": "/2?code=SECRET2"})
    flow = talk.say("GET https://b.test/2?code=SECRET2")
    message = said(talk[flow]) or ""
    assert "SECRET" not in message
    assert "'https://b.test/2?code=…' (redirected from 'https://b.test/1?token=…')" in message
