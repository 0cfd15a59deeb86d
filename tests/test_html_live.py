"""The HTML report in real browsers: 5,000 exchanges, used as a reader does, with the keyboard too."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from builders import ALLOW_CREDENTIALS, ALLOW_ORIGIN, ANY, GOOD, PAGE, Talk
from corscope.browsers import Kind
from corscope.formats.document import CaptureSummary, Summary
from corscope.formats.html import Html
from corscope.report import as_json, wire_json
from proxies import eventually
from visitors import Visitor, choose, visitor

ROUNDS = 1000
"""Each makes five exchanges, of three stories and what is not subject to CORS."""
HOSTILE = "</script><img src=x onerror=alert(1)>"


def write_report(path: Path) -> None:
    """Writes a report of two captures, each of half the rounds."""
    captures = []
    with path.open("w", encoding="utf-8") as file:
        report = Html(file)
        for capture in ("first.mitm", "second.mitm"):
            talk = converse(ROUNDS // 2)
            for number, verdict in enumerate(talk.verdicts.values()):
                assert verdict.exchange is not None
                wire = wire_json(verdict.exchange)
                report.add({**as_json(verdict), "wire": wire, "capture": capture, "number": number, "known": False})
            outcomes = [verdict.outcome for verdict in talk.verdicts.values()]
            counts = {key: outcomes.count(key) for key in ("allowed", "blocked", "conditional", "exempt")}  # type: ignore[arg-type]
            captures.append(CaptureSummary(capture, len(outcomes), counts))
        report.finish(Summary(tuple(captures), {}, failed=True))


def converse(rounds: int) -> Talk:
    """A capture: in each round a preflight with what it permits, a preflight that fails, a wildcard, and a redirect."""
    talk = Talk()
    passes = {**GOOD, "Access-Control-Allow-Methods": "PUT"}
    for number in range(rounds):
        talk.ask(f"https://api.test/items/{number}", "PUT", response=passes)
        talk.say(f"PUT https://api.test/items/{number}", response=GOOD)
        talk.ask(f"https://api.test/old/{number}", "DELETE", response=GOOD)
        cookie = {"Cookie": "sid=1"}
        talk.say(f"GET https://other.test/feed/{number}", headers=cookie, response=ANY)
        lists = {ALLOW_ORIGIN: f"{PAGE}, {HOSTILE}", ALLOW_CREDENTIALS: "true"}
        talk.say(f"GET https://third.test/{number}", headers=cookie, response=lists)
    talk.end()
    return talk


# -- a reading ---------------------------------------------------------------------------------------------------------

SHOWN = "document.querySelector('.count')?.textContent"
ROWS = "document.querySelectorAll('.stories tbody tr').length"
STORY = "document.querySelector('.detail h2')?.textContent"
FOCUSED = "document.activeElement.textContent"
FIRST = "document.querySelector('.stories tbody a')"


@dataclass(slots=True)
class Seen:
    """What a browser showed, step by step."""

    states: dict[str, Any] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)


def read(reader: Visitor, report: str) -> Seen:
    """Reads the report as its reader does."""
    seen = Seen()

    def note(name: str, expression: str) -> None:
        seen.states[name] = reader.run(expression)

    reader.open(report)
    eventually(lambda: reader.run(f"{ROWS} > 0"))
    note("headline", "document.querySelector('.headline').textContent")
    note("tiles", "[...document.querySelectorAll('.tile')].map((one) => one.textContent)")
    note("reasons", "[...document.querySelectorAll('.reasons')].map((one) => one.textContent)")
    note("shown", f"[{ROWS}, {SHOWN}]")
    note("title", "document.title")

    reader.run("document.querySelector('[data-verdict=allowed]').click()")
    note("only allowed", f"[{SHOWN}, location.hash]")
    reader.run("document.querySelector('[data-verdict=allowed]').click()")
    reader.run("document.querySelector('[data-finding=allow-origin-list]').click()")
    note("one finding", f"[{SHOWN}, location.hash, document.getElementById('finding').value]")
    reader.run(choose("capture", "second.mitm"))
    note("of one capture", f"[{SHOWN}, location.hash]")
    reader.run("document.querySelector('form .quiet').click()")
    note("cleared", f"[{SHOWN}, location.hash]")

    reader.run(choose("q", "delete OLD/17", event="input"))
    eventually(lambda: reader.run(f"{SHOWN} !== '4,000 requests, 1 to 100 shown'"))
    note("searched", f"[{SHOWN}, location.hash]")
    reader.run("document.querySelector('form .quiet').click()")

    reader.run(f"{FIRST}.focus()")
    for key in ("ArrowDown", "ArrowDown", "ArrowUp"):
        reader.press(key)
    note("second row", f"[document.querySelectorAll('.stories tbody a')[1] === document.activeElement, {FOCUSED}]")
    reader.press("Enter")
    note("opened", f"[{STORY}, {FOCUSED}, location.hash]")
    note("steps", "[...document.querySelectorAll('.sequence li.outcome')].map((one) => one.textContent)")
    note("wrong", "[...document.querySelectorAll('.sequence .header.wrong')].map((one) => one.textContent)")
    note("changes", "[...document.querySelectorAll('.diff > *')].map((one) => one.textContent)")
    note("findings", "[...document.querySelectorAll('.finding h4')].map((one) => one.textContent)")
    reader.press("Escape")
    note("closed", f"[{STORY} ?? null, {FOCUSED}, location.hash]")

    reader.run("[...document.querySelectorAll('.pager button')].at(-1).click()")
    note("turned", f"[{SHOWN}, location.hash]")
    bookmark = "#verdict=allowed&host=api.test&story=first.mitm%3A0"
    reader.run(f"location.hash = {json.dumps(bookmark)}")
    eventually(lambda: reader.run(f"{STORY} === 'PUT https://api.test/items/0'"))
    note("bookmarked", f"[{SHOWN}, document.getElementById('host').value]")
    note("both steps", "[...document.querySelectorAll('.sequence li.outcome')].map((one) => one.textContent)")
    reader.run(f"location.hash = {json.dumps('#story=first.mitm%3A4')}")
    eventually(lambda: reader.run(f"{STORY} === 'GET https://third.test/0'"))
    note("hostile", "[document.querySelector('.header.wrong').textContent, document.images.length]")
    seen.complaints = reader.complaints(report)
    return seen


@pytest.fixture(scope="module")
def seen(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What each browser showed: it reads once, and all that is tested is tested of that."""
    report = tmp_path_factory.mktemp(kind) / "report.html"
    write_report(report)
    with visitor(kind, None) as reader:
        return read(reader, report.as_uri())


# -- what is seen ------------------------------------------------------------------------------------------------------


def test_the_counts_are_said_in_plain_words(seen: Seen) -> None:
    states = seen.states
    assert states["headline"] == "3,000 of 4,000 requests were blocked: the page could not read the answers."
    assert states["tiles"] == ["✗3,000 blocked", "?0 depends", "✓1,000 allowed", "–0 not subject to CORS"]
    assert states["reasons"][0] == (
        "Why requests were blocked1,000Allow-Origin is a list1,000* with credentials1,000DELETE not allowed"
    )
    assert states["title"] == "3,000 blocked – CORS report"


def test_five_thousand_exchanges_are_listed_a_page_at_a_time(seen: Seen) -> None:
    assert seen.states["shown"] == [100, "4,000 requests, 1 to 100 shown"]
    assert seen.states["turned"] == ["4,000 requests, 101 to 200 shown", "#page=2"]


def test_filters_and_search_narrow_the_list_and_are_in_the_address(seen: Seen) -> None:
    states = seen.states
    assert states["only allowed"] == ["1,000 requests of 4,000, 1 to 100 shown", "#verdict=allowed"]
    finding = "allow-origin-list"
    assert states["one finding"] == ["1,000 requests of 4,000, 1 to 100 shown", f"#finding={finding}", finding]
    of_one = ["500 requests of 4,000, 1 to 100 shown", "#finding=allow-origin-list&capture=second.mitm"]
    assert states["of one capture"] == of_one
    assert states["cleared"] == ["4,000 requests, 1 to 100 shown", ""]
    # 17 and 170 to 179, in either capture.
    assert states["searched"] == ["22 requests of 4,000", "#q=delete+OLD%2F17"]


def test_the_keyboard_opens_a_story_and_comes_back_to_its_row(seen: Seen) -> None:
    states, name = seen.states, "GET https://other.test/feed/0"
    assert states["second row"] == [True, name]
    assert states["opened"] == [name, name, "#story=first.mitm%3A3"]
    assert states["closed"] == [None, name, ""]


def test_a_story_shows_where_it_failed_and_what_to_change(seen: Seen) -> None:
    states = seen.states
    assert states["steps"] == [
        "✗Blocked here: * with credentials. The server did answer, but the browser keeps the answer from the page."
    ]
    assert states["wrong"] == [
        "Access-Control-Allow-Origin: * ← to change",
        "Access-Control-Allow-Credentials is missing",
    ]
    assert states["changes"] == [
        "Remove - Access-Control-Allow-Origin: *",
        "Send + Access-Control-Allow-Origin: https://a.test",
        "Send + Access-Control-Allow-Credentials: true",
        "Send + Vary: Origin",
    ]
    assert states["findings"] == ["✗error: * with credentialswhy it is blocked", "✗error: no Allow-Credentials"]


def test_a_bookmark_brings_filters_and_story_back(seen: Seen) -> None:
    assert seen.states["bookmarked"] == ["1,000 requests of 4,000, 1 to 100 shown", "api.test"]
    assert seen.states["both steps"] == [
        "✓Permitted: the browser may send the PUT.",
        "✓Allowed: the page gets the answer.",
    ]


def test_captured_text_stays_text(seen: Seen) -> None:
    assert seen.states["hostile"] == [f"Access-Control-Allow-Origin: {PAGE}, {HOSTILE} ← to change", 0]


def test_the_browser_has_nothing_to_complain_of(seen: Seen) -> None:
    assert seen.complaints == []
