"""The HTML report as a file: what is in it, what can't get out of it, and what never gets in."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builders import ALLOW_CREDENTIALS, ALLOW_ORIGIN, ANY, GOOD, Talk, exchange, judged
from corscope.formats import html as html_format
from corscope.formats.document import CaptureSummary, Entry, Summary
from corscope.formats.html import Html
from corscope.model import Verdict
from corscope.report import as_json, wire_json

URL = "https://b.test/x"
COUNTS = {"allowed": 3, "blocked": 2, "conditional": 1, "exempt": 40}
SUMMARY = Summary((CaptureSummary("one.mitm", 46, COUNTS),), {}, failed=True)


def entry(verdict: Verdict, number: int = 0) -> Entry:
    """An entry as a format gets it."""
    assert verdict.exchange is not None
    wire = wire_json(verdict.exchange)
    return {**as_json(verdict), "wire": wire, "capture": "one.mitm", "number": number, "known": False}


def written(entries: Sequence[Entry], summary: Summary = SUMMARY) -> str:
    """The page."""
    file = io.StringIO()
    report = Html(file)
    for one in entries:
        report.add(one)
    report.finish(summary)
    return file.getvalue()


class Page(HTMLParser):
    """A page as a browser parses it: elements with their attributes, the texts of scripts and styles, other text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {"script": [], "style": [], "": []}
        self._within = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))
        if tag in self.texts:
            self._within = tag
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        self._within = ""

    def handle_data(self, data: str) -> None:
        if self._within:
            self.texts[self._within][-1] += data
        else:
            self.texts[""].append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def data(self, what: str) -> list[Any]:
        scripts = zip(self.named("script"), self.texts["script"], strict=True)
        return [json.loads(text) for attributes, text in scripts if f"data-{what}" in attributes]

    def entries(self) -> list[dict[str, Any]]:
        """What `decode` of report.js returns."""
        found = []
        for chunk in self.data("entries"):
            shared = chunk["shared"]
            for one in chunk["entries"]:
                one["findings"] = [shared[number] for number in one["findings"]]
                one["wire"] = {side: [shared[number] for number in lines] for side, lines in one["wire"].items()}
                for key in {"fix", "configuration"} & one.keys():
                    one[key] = shared[one[key]]
                found.append(one)
        return found


BLOCKED = entry(judged(exchange(f"GET {URL}", headers={"Cookie": "sid=1"}, response={**ANY, "Server": "nginx"})))
SKELETON = [tag for tag, _ in Page(written([BLOCKED])).elements]


# -- what is in it -----------------------------------------------------------------------------------------------------


def test_each_entry_is_in_the_page_with_all_that_is_shown_of_it() -> None:
    (shown,) = Page(written([BLOCKED])).entries()
    assert shown.pop("cause") == "allow-origin-wildcard-with-credentials"
    assert shown.pop("configuration") == []
    fix = shown.pop("fix")
    assert fix == {key: value for key, value in BLOCKED["fix"].items() if key != "policy"}
    assert shown == {key: value for key, value in BLOCKED.items() if key != "fix"}


def test_the_configuration_is_made_for_the_stack() -> None:
    stack = {"id": "nginx", "title": "nginx", "evidence": "guessed from Server: nginx"}
    (shown,) = Page(written([{**BLOCKED, "fix": {**BLOCKED["fix"], "stack": stack}}])).entries()
    title, *lines = shown["configuration"]
    assert title == "Configuration for nginx (guessed from Server: nginx), in nginx.conf:"
    assert any("https://a.test" in line for line in lines)


def test_a_row_names_what_is_behind_a_missing_header() -> None:
    hidden = judged(exchange(f"GET {URL}", status=503, response={"Content-Type": "text/html"}))
    missing = judged(exchange(f"GET {URL}", response={"Content-Type": "text/html"}))
    passes = judged(exchange(f"GET {URL}", response=GOOD))
    entries = Page(written([entry(one) for one in (hidden, missing, passes)])).entries()
    assert [one["cause"] for one in entries] == ["error-page-without-cors", "allow-origin-missing", None]


def test_entries_are_written_as_they_come_and_keep_their_order() -> None:
    file = io.StringIO()
    report = Html(file)
    before = file.tell()
    for number in range(html_format.CHUNK):
        report.add({**BLOCKED, "number": number})
    assert file.tell() > before
    report.add({**BLOCKED, "number": html_format.CHUNK})
    report.finish(SUMMARY)
    page = Page(file.getvalue())
    assert [one["number"] for one in page.entries()] == list(range(html_format.CHUNK + 1))
    assert len(page.data("entries")) == 2


def test_what_entries_have_in_common_is_written_once() -> None:
    page = written([{**BLOCKED, "number": number} for number in range(100)])
    assert page.count(BLOCKED["findings"][0]["message"].split("`")[-1]) == 1


def test_the_summary_is_there_for_the_script_and_for_those_without_scripts() -> None:
    warned = CaptureSummary("<b>&two.har", 5, dict.fromkeys(COUNTS, 0), ("entry 3: no URL; 1 entry skipped",))
    page = Page(written([], Summary((*SUMMARY.captures, warned), {}, failed=False, new=2)))
    (summary,) = page.data("summary")
    assert summary["captures"][0] == {
        "name": "one.mitm",
        "exchanges": 46,
        "verdicts": COUNTS,
        "warnings": [],
        "failed_unanswered": 0,
        "stopped": {},
    }
    assert summary["captures"][1]["warnings"] == ["entry 3: no URL; 1 entry skipped"]
    assert (summary["verdicts"], summary["failed"], summary["new"]) == (COUNTS, False, 2)
    text = " ".join(" ".join(page.texts[""]).split())
    assert "one.mitm 46 3 2 1 40 <b>&two.har 5 0 0 0 0" in text
    assert "noscript" in SKELETON


def test_a_page_without_entries_is_a_whole_page() -> None:
    page = Page(written([], Summary((), {}, failed=False)))
    assert page.entries() == []
    assert len(page.data("summary")) == 1


# -- what can't get out of it ------------------------------------------------------------------------------------------

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "-->]]>&lt;&quot;\"'",
    "\u2028\u2029\x00\ufeff\x85",
    "\ud800 lone",
    "${policy}$counts<!-- entries -->",
)


def with_everywhere(value: str) -> Entry:
    """An entry with a value wherever the network, or a capture's name, can put one."""
    changed = json.loads(json.dumps(BLOCKED))
    for key in ("url", "method", "origin", "console", "failed_parameter", "capture", "flow_id", "story_id"):
        changed[key] = value
    changed["wire"]["response"].append([value, value])
    changed["findings"][0]["message"] = value
    changed["fix"]["actual"][0]["before"] = [value]
    changed["credentials_evidence"] = [value]
    return changed  # type: ignore[no-any-return]


def check_that_it_stays_data(value: str) -> None:
    hostile = with_everywhere(value)
    text = written([hostile], SUMMARY._replace(captures=(CaptureSummary(value, 1, COUNTS),)))
    page = Page(text)
    assert [tag for tag, _ in page.elements] == SKELETON
    (shown,) = page.entries()
    assert shown["url"] == shown["console"] == shown["findings"][0]["message"] == value
    assert shown["wire"] == hostile["wire"]
    for data in re.findall(r'<script type="application/json" data-[a-z]+>(.*)', text):
        assert not set(data.removesuffix("</script>")) & set("<>&")


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_text_stays_data(value: str) -> None:
    check_that_it_stays_data(value)


@settings(max_examples=50)
@given(st.text(st.characters(codec=None), max_size=30))
def test_any_text_stays_data(value: str) -> None:
    check_that_it_stays_data(value)


def test_the_page_is_ascii_whatever_was_captured() -> None:
    assert written([with_everywhere("ü→漢\ud83d\ude00")]).isascii()
    # A style has no escapes that hold everywhere in it.
    assert html_format._source("report.css").isascii()


# -- what it loads, and what may run -----------------------------------------------------------------------------------


def test_nothing_is_loaded_from_anywhere() -> None:
    page = Page(written([BLOCKED]))
    for tag, attributes in page.elements:
        for name in {"src", "href", "action", "srcset", "data", "poster", "background"} & attributes.keys():
            assert (attributes[name] or "").startswith("data:"), tag
    (style,) = page.texts["style"]
    assert "url(" not in style
    assert "@import" not in style
    assert not re.search(
        r"\b(fetch|XMLHttpRequest|import|WebSocket|EventSource|sendBeacon)\s*\(", page.texts["script"][0]
    )


def test_only_the_pages_own_script_and_style_may_run() -> None:
    page = Page(written([BLOCKED]))
    (meta,) = [one for one in page.named("meta") if one.get("http-equiv") == "Content-Security-Policy"]
    policy = dict(directive.split(" ", 1) for directive in (meta["content"] or "").split("; "))
    executed = [
        text
        for attributes, text in zip(page.named("script"), page.texts["script"], strict=True)
        if attributes.get("type") != "application/json"
    ]
    assert policy["default-src"] == "'none'"
    for directive, texts in (("script-src", executed), ("style-src", page.texts["style"])):
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        assert policy[directive] == f"'sha256-{digests[0]}'"
        assert len(digests) == 1
    assert policy["require-trusted-types-for"] == "'script'"
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert not [tag for tag, attributes in page.elements if "style" in attributes]


# -- what never gets in ------------------------------------------------------------------------------------------------


def test_no_secret_gets_into_the_page() -> None:
    talk = Talk(defaults={"browser": "firefox", "http": 2})
    location = {**GOOD, "Location": "https://u:SECRET@b.test/2?code=SECRET"}
    talk.say("GET https://b.test/1?access_token=SECRET", status=302, response=location)
    talk.say("GET https://b.test/2?sid=SECRET", headers={"Authorization": "Bearer SECRET"})
    talk.say(
        f"GET {URL}",
        headers={
            "Cookie": "sid=SECRET; other=SECRET",
            "Referer": "https://a.test/?token=SECRET",
            "X-Api-Key": "SECRET",
        },
        response={"Set-Cookie": "sid=SECRET; SameSite=Lax", ALLOW_ORIGIN: "https://u:SECRET@a.test/?token=SECRET"},
    )
    talk.say(f"GET {URL}", response={**ANY, ALLOW_CREDENTIALS: "true", "Set-Cookie": "SECRET"})
    talk.ask(f"{URL}?key=SECRET", asks="authorization", headers={"Proxy-Authorization": "Basic SECRET"})
    talk.end()
    entries = [entry(verdict, number) for number, verdict in enumerate(talk.verdicts.values())]
    page = written(entries)
    assert len(Page(page).entries()) == 5
    assert "SECRET" not in page
