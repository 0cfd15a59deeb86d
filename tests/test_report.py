"""Verdicts as text and as JSON."""

from __future__ import annotations

import json
from operator import getitem
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
    ids,
    judged,
    preflight,
)
from corscope.fixes import Besides, Fix
from corscope.model import Edit, Kind, Operation, Verdict
from corscope.policy import Policy
from corscope.report import (
    as_json,
    comment,
    explanation,
    firefox_reason,
    fix_json,
    fix_lines,
    headline,
    log_line,
    texts,
    unfollowed,
)

URL = "https://b.test/x"
SAME_SITE = {"site": "same-site"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def every_form(verdict: Verdict) -> str:
    """Returns all that is ever shown of a verdict."""
    data = as_json(verdict)
    return "\n".join([json.dumps(data, ensure_ascii=False), comment(verdict), log_line(verdict), *explanation(data)])


@pytest.mark.parametrize(
    ("verdict", "line"),
    [
        pytest.param(judged(exchange(f"GET {URL}")), "no Allow-Origin — CORS blocked", id="blocked"),
        pytest.param(
            judged(preflight(URL)),
            "no Allow-Origin (preflight) — CORS blocked",
            id="a blocked preflight",
        ),
        pytest.param(
            judged(preflight(URL, status=404, response=GOOD)),
            "server knows no OPTIONS (preflight) — CORS blocked",
            id="a preflight's status",
        ),
        pytest.param(judged(exchange(f"GET {URL}", response=ANY)), "CORS allowed without credentials", id="allowed"),
        pytest.param(
            judged(exchange(f"GET {URL}", headers={STORAGE_ACCESS: "none"}, response=GOOD)),
            "CORS allowed with credentials",
            id="allowed with credentials",
        ),
        pytest.param(
            judged(exchange("GET https://api.a.test/", response=GOOD, **SAME_SITE)),
            "CORS allowed, with credentials or without",
            id="allowed anyway",
        ),
        pytest.param(
            judged(preflight(URL, response={**GOOD, ALLOW_METHODS: "PUT"})),
            "CORS allowed, with credentials or without (preflight)",
            id="an allowed preflight",
        ),
        pytest.param(
            judged(exchange(f"GET {URL}", status=302, response={**ANY, "Location": "/y"})),
            "CORS allowed without credentials (redirect)",
            id="an allowed redirect",
        ),
        pytest.param(
            judged(exchange("GET https://api.a.test/", response=ANY, **SAME_SITE)),
            "blocked if with credentials — CORS conditional",
            id="conditional",
        ),
        pytest.param(
            judged(exchange(f"GET {URL}", mode="no-cors")), "CORS exempt: the request's mode is no-cors", id="exempt"
        ),
    ],
)
def test_headline(verdict: Verdict, line: str) -> None:
    assert headline(verdict) == line
    assert comment(verdict).splitlines()[0] == line


def test_a_headline_fits_a_column() -> None:
    verdict = judged(preflight(URL, "X" * 200, response=GOOD))
    assert len(headline(verdict)) == 60
    assert headline(verdict).endswith("… — CORS blocked")


NOT_TRUE = (
    "The value of the 'Access-Control-Allow-Credentials' header in the response is '' which must be 'true' when the "
    "request's credentials mode is 'include'."
)
FETCH = "Access to fetch at 'https://b.test/x' from origin 'https://a.test' has been blocked by CORS policy: "


def test_a_blocked_exchange_says_why_and_what_to_send() -> None:
    verdict = judged(exchange(f"GET {URL}", headers={"Cookie": "sid=1"}, response={ALLOW_ORIGIN: PAGE}))
    assert comment(verdict).splitlines() == [
        "no Allow-Credentials — CORS blocked",
        "",
        FETCH + NOT_TRUE,
        "",
        (
            "Error: The request carries credentials (mode include), and the response does not say that they are "
            "welcome: Access-Control-Allow-Credentials is missing."
        ),
        (
            "Fix: Send: Access-Control-Allow-Credentials: true. Or leave credentials out in the client, if the API "
            "does not need them."
        ),
        "See docs/findings.md#allow-credentials-missing",
        "",
        "Smallest change, actual answer:",
        "  + Access-Control-Allow-Credentials: true",
        "  + Vary: Origin",
        "",
        "Origin: https://a.test · mode: cors · credentials: include",
        "  because: cookie header: sid",
    ]


def test_an_exempt_exchange_says_only_why() -> None:
    assert comment(judged(exchange(f"GET {URL}", mode="navigate"))) == (
        "CORS exempt: the request's mode is navigate\n\nNot subject to CORS: the request's mode is navigate."
    )


def test_what_looks_like_a_beacon_is_exempt_with_a_warning() -> None:
    verdict = judged(exchange("POST http://b.test/x", headers={"Content-Type": "text/plain"}))
    assert (verdict.outcome, ids(verdict)) == ("exempt", ["mode-unknown"])
    assert headline(verdict) == "blocked if in mode cors — CORS exempt"
    assert "Fix: Send: Access-Control-Allow-Origin: https://a.test" in comment(verdict)


def test_a_comment_names_the_flows_that_belong_to_it() -> None:
    talk = Talk()
    first = talk.say(f"GET {URL}", status=307, response={**GOOD, "Location": "/y"})
    asked = talk.ask("https://b.test/y", "GET", "x-t", response={**GOOD, ALLOW_HEADERS: "x-t"})
    flow = talk.say("GET https://b.test/y", headers={"X-T": "1"}, response=GOOD)
    assert comment(talk[flow]).splitlines()[-2:] == [f"Preflight flow: {asked}", f"Redirected from flow: {first}"]
    assert "Preflight: request headers that a form could not send: x-t" in comment(talk[asked])


def change(header: str, before: list[str], after: str) -> dict[str, Any]:
    return {"operation": "set", "header": header, "before": before, "after": [after], "cures": None}


def test_json_has_every_key_and_plain_values() -> None:
    verdict = judged(exchange(f"GET {URL}?q=1", headers={"Cookie": "sid=1"}, response=ANY, at=5.0, flow="f-1"))
    data = as_json(verdict)
    assert json.loads(json.dumps(data)) == data
    assert [finding.pop("id") for finding in data["findings"]] == ids(verdict)
    keys = {"severity", "title", "message", "fix", "fault", "docs"}
    assert all(finding.keys() == keys for finding in data.pop("findings"))
    assert data == {
        "flow_id": "f-1",
        "timestamp": 5.0,
        "method": "GET",
        "url": "https://b.test/x?q=1",
        "status": 200,
        "kind": "actual",
        "mode": "cors",
        "origin": "https://a.test",
        "page": "https://a.test",
        "credentials": "include",
        "credentials_evidence": ["cookie header: sid"],
        "verdict": "blocked",
        "settled": True,
        "reason": "allow-origin-wildcard-with-credentials",
        "devtools_error": "WildcardOriginNotAllowed",
        "failed_parameter": "",
        "console": "Access to fetch at 'https://b.test/x?q=1' from origin 'https://a.test' has been blocked by CORS "
        "policy: The value of the 'Access-Control-Allow-Origin' header in the response must not be the wildcard '*' "
        "when the request's credentials mode is 'include'.",
        "cookies_withheld": [],
        "story": [],
        "story_id": "f-1",
        "fix": {
            "policy": {
                "origins": ["https://a.test"],
                "credentials": True,
                "methods": ["GET", "HEAD", "POST"],
                "request_headers": [],
                "exposed_headers": [],
                "max_age": 600,
                "path": "/x",
            },
            "preflight": [],
            "actual": [
                change("Access-Control-Allow-Origin", ["*"], "https://a.test"),
                change("Access-Control-Allow-Credentials", [], "true"),
                change("Vary", [], "Origin"),
            ],
            "actual_seen": True,
            "with_credentials": {"preflight": [], "actual": []},
        },
        "note": None,
        "preflight": None,
        "preflight_reason": None,
        "redirected_from": None,
        "browser": "chromium",
    }


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        pytest.param(
            exchange(f"GET {URL}", response=GOOD, headers={"Cookie": "sid=1"}),
            {"verdict": "allowed", "devtools_error": None, "failed_parameter": None, "console": None, "findings": []},
            id="allowed",
        ),
        pytest.param(
            exchange(f"GET {URL}", response={ALLOW_ORIGIN: "https://z.test"}),
            {"verdict": "blocked", "devtools_error": "AllowOriginMismatch", "failed_parameter": "https://z.test"},
            id="the value is the parameter",
        ),
        pytest.param(
            preflight(URL, "patch", response=GOOD),
            {"kind": "preflight", "devtools_error": "MethodDisallowedByPreflightResponse", "failed_parameter": "patch"},
            id="the method is",
        ),
        pytest.param(
            preflight(URL, "GET", "x-b,x-t", response={**GOOD, ALLOW_HEADERS: "x-b"}),
            {"devtools_error": "HeaderDisallowedByPreflightResponse", "failed_parameter": "x-t"},
            id="the header is",
        ),
        pytest.param(
            exchange(f"GET {URL}", status=302, response={**GOOD, "Location": "data:,x"}),
            {
                "kind": "redirect",
                "verdict": "blocked",
                "devtools_error": None,
                "failed_parameter": None,
                "console": None,
            },
            id="no error of CORS",
        ),
        pytest.param(
            exchange(f"GET {URL}", origin=None, mode="no-cors"),
            {"verdict": "exempt", "mode": "no-cors", "origin": None, "note": "the request's mode is no-cors"},
            id="exempt",
        ),
        pytest.param(
            exchange("GET https://api.a.test/x", response=ANY, browser="firefox", http=2, **SAME_SITE),
            {"verdict": "conditional", "settled": False, "credentials": "unknown", "browser": "firefox"},
            id="conditional",
        ),
    ],
)
def test_json_of_all_kinds(one: Any, expected: dict[str, Any]) -> None:  # noqa: ANN401
    data = as_json(judged(one))
    assert {key: data[key] for key in expected} == expected


def test_a_log_line_is_one_line() -> None:
    assert log_line(judged(exchange(f"GET {URL}?token=SECRET"))) == (
        "no Allow-Origin — CORS blocked · GET https://b.test/x?token=… · from https://a.test"
    )


def test_an_explanation_goes_from_the_verdict_to_the_evidence() -> None:
    lines = explanation(
        as_json(judged(exchange(f"GET {URL}", headers={"Cookie": "sid=1"}, response={ALLOW_ORIGIN: PAGE})))
    )
    assert lines[0] == "blocked: GET https://b.test/x (200, actual)"
    assert lines[1].startswith("Access to fetch at")
    assert lines[-6:] == [
        "mode cors, origin https://a.test, credentials include",
        "  because: cookie header: sid",
        "",
        "Smallest change, actual answer:",
        "  + Access-Control-Allow-Credentials: true",
        "  + Vary: Origin",
    ]


def test_what_credentials_would_need_besides_is_told_apart() -> None:
    origin = Edit(Operation.SET, ALLOW_ORIGIN, (PAGE.encode(),))
    right = (origin._replace(before=(b"*",)), Edit(Operation.SET, "Access-Control-Allow-Credentials", (b"true",)))
    policy = Policy(origins=(PAGE,), credentials=True)
    found = Fix(policy, (), (origin,), True, Besides(right, right[1:]))
    fix = fix_json(found)
    lines = [
        "",
        "Smallest change, preflight answer:",
        "  nothing if it is sent without credentials",
        "If it is sent with credentials, besides:",
        "  - Access-Control-Allow-Origin: *",
        f"  + Access-Control-Allow-Origin: {PAGE}",
        "  + Access-Control-Allow-Credentials: true",
        "",
        "Smallest change, actual answer:",
        f"  + Access-Control-Allow-Origin: {PAGE}",
        "If it is sent with credentials, besides:",
        "  + Access-Control-Allow-Credentials: true",
    ]
    assert fix_lines(fix) == lines
    assert "\n".join(lines) in comment(judged(exchange(f"GET {URL}")), fix=fix_json(found))
    # Verdicts on saved flows may come from before there was such a part.
    del fix["with_credentials"]
    assert fix_lines(fix) == lines[7:10]


def test_a_header_that_goes_is_only_taken_away() -> None:
    one = preflight(URL, "GET", "x-t", response={**GOOD, ALLOW_METHODS: "@", ALLOW_HEADERS: "x-t"})
    assert fix_lines(as_json(judged(one))["fix"])[:3] == [
        "",
        "Smallest change, preflight answer:",
        "  - Access-Control-Allow-Methods: @",
    ]
    assert "+ Access-Control-Allow-Methods" not in comment(judged(one))


def test_what_firefox_says() -> None:
    verdict = judged(preflight(URL, "PUT", response={**GOOD, ALLOW_METHODS: "PUT, b@d"}, browser="firefox"))
    assert firefox_reason(verdict.findings[0]) == "invalid token ‘b@d’ in CORS header ‘Access-Control-Allow-Methods’"
    silent = judged(exchange(f"GET {URL}", status=302, response={**GOOD, "Location": "data:,x"}, browser="firefox"))
    assert firefox_reason(silent.findings[0]) is None


def test_a_warning_about_what_has_no_sentence_in_the_console() -> None:
    verdict = judged(
        exchange("POST http://b.test/x", headers=FORM, status=302, response={**GOOD, "Location": "data:,x"})
    )
    assert ids(verdict) == ["mode-unknown"]
    assert (
        "then it would be blocked: A fetch follows redirects to http and https only."
        in texts(verdict.findings[0]).message
    )


SECRETS: list[tuple[str, dict[str, Any]]] = [
    ("cookies", {"headers": {"Cookie": "sid=SECRET; other=SECRET"}, "response": ANY}),
    ("authorization", {"headers": {"Authorization": "Basic SECRET"}, "response": ANY, "browser": "safari"}),
    ("a cookie that is set", {"response": {"Set-Cookie": "sid=SECRET"}}),
    ("the URL", {"line": "GET https://b.test/x?access_token=SECRET"}),
    ("the Location", {"status": 302, "response": {**GOOD, "Location": "https://u:SECRET@c.test/?code=SECRET"}}),
    ("a Location that is no URL", {"status": 302, "response": {**GOOD, "Location": "https://u:SECRET@c.test:x/"}}),
    ("a relative Location", {"status": 302, "response": {**GOOD, "Location": "http://b.test/y?token=SECRET"}}),
    ("the Referer", {"headers": {"Referer": "https://a.test/?token=SECRET"}}),
]


@pytest.mark.parametrize(("given"), [pytest.param(given, id=name) for name, given in SECRETS])
def test_no_secret_is_ever_shown(given: dict[str, Any]) -> None:
    given = dict(given)
    assert "SECRET" not in every_form(judged(exchange(given.pop("line", f"GET {URL}"), **given)))


def test_nor_that_of_an_earlier_hop_or_flow() -> None:
    talk = Talk(defaults={"browser": "firefox", "http": 2})
    talk.say("GET https://b.test/1?token=SECRET", status=302, response={**GOOD, "Location": "/2?sid=SECRET"})
    hop = talk.say("GET https://b.test/2?sid=SECRET")
    talk.say(f"GET {URL}", headers={"Cookie": "sid=SECRET"}, response=GOOD)
    without = talk.say(f"GET {URL}", response=ANY)
    assert talk[hop].redirected_from
    assert "no cookie sid" in every_form(talk[without])
    for verdict in talk.verdicts.values():
        assert "SECRET" not in every_form(verdict)


def test_strange_bytes_are_shown_as_they_are() -> None:
    verdict = judged(exchange(f"GET {URL}", response={ALLOW_ORIGIN: "\xff{origin}%s\x00", ALLOW_CREDENTIALS: "\xfe"}))
    assert "\xff{origin}%s\x00" in texts(verdict.findings[0]).message
    json.dumps(as_json(verdict)).encode()


def test_only_a_preflight_that_nothing_followed_waits_for_time() -> None:
    any_method = {**ANY, "Access-Control-Allow-Methods": "*"}
    talk = Talk(defaults={"browser": "firefox", "http": 2})
    followed = talk.ask("https://b.test/followed", response=any_method)
    open_ = talk.ask("https://b.test/open", response=any_method)
    talk.say("PUT https://b.test/followed", response=ANY)
    plain = talk.say("GET https://b.test/unknown", response=ANY)
    assert {flow for flow, one in talk.verdicts.items() if not one.settled} >= {open_, plain}
    assert talk[followed].kind is talk[open_].kind is Kind.PREFLIGHT
    assert unfollowed(talk.verdicts.values()) == {open_}
    assert unfollowed(map(as_json, talk.verdicts.values()), getitem) == {open_}
    talk.wait(talk.session.grace + 0.1)
    assert unfollowed(talk.verdicts.values()) == set()
