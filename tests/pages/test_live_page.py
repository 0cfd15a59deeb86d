"""The live page in real browsers, while traffic goes through a real mitmdump: it shows what the JSON report says."""

from __future__ import annotations

import contextlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from corscope.browsers import Kind
from proxies import Mitmdump, eventually, final, read_report
from traffic import ALLOWS, ANSWERING, API, COOKIE, WILDCARD, Client, converse
from visitors import Visitor, choose, visitor

CLEARING = Path(__file__).with_name("clearing.py")
LIVE = "http://corscope.test/live"

STATE = "document.getElementById('connection').textContent"
COUNTS = "document.getElementById('counts').textContent"
SHOWN = "document.querySelector('.count')?.textContent"
ROWS = """[...document.querySelectorAll('.stories tbody tr')].map((row) => {
  const text = (column) => row.querySelector(`.col-${column}`).textContent;
  return [row.className, row.querySelector('a b').textContent, row.querySelector('.url').textContent, text('status'),
    text('page')];
})"""
STORY = "document.querySelector('.detail h2')?.textContent"

HOSTILE = {
    "script": "</script><script>document.title='owned'</script>",
    "markup": "<img src=x onerror=\"document.title='owned'\">",
    "quotes": "\"'`>${alert(1)}{{7*7}}",
    "template": "javascript:document.title='owned'",
    "direction": "\u202egnp.exe\u202c\u2066\u200f",
    "controls": "a\x01\x1b[31mb\x7f",
    "separators": "\u2028\u2029\ufeff",
    "unpaired": "\udcff\udcfe",
    "long": "x" * 20_000,
}
"""Values of a header, as text; what is no UTF-8 stands in them as surrogates."""


@dataclass(slots=True)
class Seen:
    """What a browser showed, step by step, and what the report says."""

    states: dict[str, Any] = field(default_factory=dict)
    reports: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)


class Page:
    """A tab of a browser."""

    def __init__(self, visitor: Visitor) -> None:
        self.go, self.run = visitor.open, visitor.run
        self.complaints = lambda: visitor.complaints("http://corscope.test/")

    def wait(self, expression: str, seconds: float = 30) -> None:
        """Waits until JavaScript's value is true."""
        eventually(lambda: self.run(expression), seconds)


@contextlib.contextmanager
def opened(kind: Kind, proxy: Mitmdump) -> Iterator[Page]:
    with visitor(kind, proxy) as browser:
        yield Page(browser)


def watch(kind: Kind, report: Path) -> Seen:
    """Opens the page before there is anything, sends traffic, and looks."""
    seen = Seen()
    script = ("-s", str(ANSWERING), "-s", str(CLEARING))
    options: dict[str, object] = {"flow_detail": 0, "cors_report": report, "cors_grace": 0.5}
    with Mitmdump(*script, **options) as proxy, Client(proxy.port) as client, opened(kind, proxy) as browser:
        seen_in(browser, client, report, seen)
        port = proxy.port
        proxy.stop()
        browser.wait(f"{STATE}.startsWith('Lost')", 60)
        seen.states["lost"] = browser.run(f"[{STATE}, {SHOWN}]")
        report.unlink()
        with Mitmdump(
            *script, "--listen-port", str(port), flow_detail=0, cors_report=report
        ), Client(port) as other:  # fmt: skip
            other.ask(f"{API}/again", WILDCARD)
            browser.wait(f"{SHOWN} === '1 request'", 60)
            seen.states["back"] = browser.run(f"[{STATE}, {SHOWN}, {COUNTS}]")
        seen.complaints = browser.complaints()
    return seen


def seen_in(browser: Page, client: Client, report: Path, seen: Seen) -> None:
    def note(name: str, expression: str) -> None:
        seen.states[name] = browser.run(expression)

    def all_told() -> None:
        eventually(lambda: browser.run(COUNTS).startswith(f"{len(final(read_report(report)))} exchanges"))
        eventually(lambda: all(line["settled"] for line in final(read_report(report)) if line["kind"] == "preflight"))
        browser.wait(f"{STATE}.includes('waiting')")

    browser.go(LIVE)
    browser.wait(f"{STATE}.includes('waiting')")
    browser.wait(f"{SHOWN} !== ''")
    note("nothing yet", f"[{STATE}, {COUNTS}, {SHOWN}, document.getElementById('first').hidden]")

    converse(client, 5)
    all_told()
    browser.wait(f"{SHOWN} === '20 requests'")
    note("rows", ROWS)

    def tiles_agree() -> bool:
        told = seen.reports["rows"] = final(read_report(report))
        note("tiles", "[...document.querySelectorAll('.tile')].map((one) => one.textContent)")
        exempt = sum(line["verdict"] == "exempt" for line in told)
        return bool(seen.states["tiles"][3] == f"–{exempt} not subject to CORS (not listed)")

    # The browser may ask for something of its own at any time.
    eventually(tiles_agree)

    browser.run("document.querySelector('[data-verdict=allowed]').click()")
    browser.run(choose("host", "api.example"))
    note("filtered", f"[{SHOWN}, location.hash]")
    converse(client, 1, first=100)
    browser.wait(f"{SHOWN} === '12 requests of 24'")
    note("filtered later", f"[{SHOWN}, location.hash]")
    browser.run("document.querySelector('form .quiet').click()")

    # Paused, the table holds still while traffic goes on.
    browser.run("document.getElementById('pause').click()")
    converse(client, 1, first=200)
    # Seven are of this conversation.
    browser.wait(f"Number({COUNTS}.match(/(\\d+) came since/)?.[1]) >= 7")
    note("paused", f"[{SHOWN}, {COUNTS}, document.getElementById('pause').textContent]")
    browser.run("document.getElementById('pause').click()")
    browser.wait(f"{SHOWN} === '28 requests'")
    note("going on", f"[{SHOWN}, document.getElementById('pause').textContent]")

    # An open story stays open, and what can be saved of it is there.
    browser.run("document.querySelector('.stories tbody tr.blocked a').click()")
    note("opened", f"[{STORY}, document.querySelectorAll('.sequence .message').length, location.hash]")
    note("copied", COPIED)
    client.ask(f"{API}/more", ALLOWS, headers=COOKIE)
    browser.wait(f"{SHOWN} === '29 requests'")
    note("still open", f"[{STORY}, location.hash]")
    links = browser.run("[...document.querySelectorAll('.save a')].map((one) => one.href)")
    note("saved", SAVED.replace("LINKS", json.dumps(links)))
    bookmark = browser.run("location.href")
    browser.go("http://corscope.test/")
    # Chromium's debugger does not wait for the page.
    browser.wait("document.querySelector('.cards') && document.readyState === 'complete'")
    note("home", "[...document.querySelectorAll('h1, .cards .main')].map((one) => one.textContent)")
    browser.go(bookmark)
    browser.wait(STORY)
    note("bookmarked", f"[{STORY}, location.hash]")
    browser.run("document.querySelector('.detail .close').click()")

    for name, value in HOSTILE.items():
        lines = [("Access-Control-Allow-Origin", value), ("X-Hostile", value)]
        path = quote(value[:60], safe="<>\"'`${}()=;:/*[]", errors="surrogateescape")
        client.ask(f"{API}/{name}/{path}", lines)
    hostile = 29 + len(HOSTILE)
    browser.wait(f"{SHOWN} === '{hostile} requests'")
    note("hostile", HOSTILE_ROWS.replace("COUNT", str(len(HOSTILE))))
    ours = [line for line in final(read_report(report)) if line["url"].startswith(f"{API}/")]
    seen.reports["hostile"] = ours[-len(HOSTILE) :]
    note("untouched", "[document.title, document.images.length, document.querySelectorAll('script').length]")

    client.ask("http://clear.example/", WILDCARD)
    browser.wait(f"{SHOWN} === 'There are no requests to list.' || {SHOWN} === '1 request'")
    note("cleared", f"[{SHOWN}]")


COPIED = """(() => {
  const button = document.querySelector('.block .copy button');
  button.click();
  return [navigator.clipboard === undefined, getSelection().toString().includes('Access-Control-Allow-Origin')];
})()"""
"""On plain http a page has no clipboard: then the fix is selected."""

SAVED = """(async () => {
  const answers = await Promise.all(LINKS.map((link) => fetch(link)));
  return Promise.all(answers.map(async (one) => [
    one.status, one.headers.get('content-type'), one.headers.get('content-disposition'),
    (await one.text()).length > 500,
  ]));
})()"""

HOSTILE_ROWS = """(() => {
  const rows = [...document.querySelectorAll('.stories tbody a[data-story]')].slice(0, COUNT).reverse();
  return rows.map(({ dataset: { story } }) => {
    const link = document.querySelector(`.stories tbody a[data-story="${story}"]`);
    link.click();
    const value = document.querySelector('.detail .header.wrong .value');
    return [link.querySelector('.url').textContent, value.textContent, value.childElementCount];
  });
})()"""


@pytest.fixture(scope="module")
def seen(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """What each browser showed: it looks once, and all that is tested is tested of that."""
    return watch(kind, tmp_path_factory.mktemp(kind) / "report.jsonl")


# -- what is seen ------------------------------------------------------------------------------------------------------

RANKS = ["blocked", "conditional", "allowed", "exempt"]


def stories(lines: list[dict[str, Any]]) -> list[list[str]]:
    """The rows that a report's lines make, the newest first."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        if line["verdict"] != "exempt" or line["findings"]:
            found[line["story_id"] or line["flow_id"]].append(line)
    rows = []
    for story in found.values():
        first = next((one for one in story if one["kind"] != "preflight"), story[0])
        verdict = min((one["verdict"] for one in story), key=RANKS.index)
        rows.append([verdict, first["method"], first["url"], str(story[-1]["status"]), first["origin"] or "none"])
    return rows[::-1]


def test_the_page_says_how_things_stand(seen: Seen) -> None:
    state, counts, shown, hint_hidden = seen.states["nothing yet"]
    assert state.startswith("Connected, waiting for")
    assert counts.endswith(("exchanges", "exchange"))
    assert shown == "There are no requests to list."
    assert hint_hidden is False


def test_the_page_shows_what_the_report_says(seen: Seen) -> None:
    assert seen.states["rows"] == stories(seen.reports["rows"])
    verdicts = [row[0] for row in seen.states["rows"]]
    assert (verdicts.count("blocked"), verdicts.count("allowed")) == (10, 10)
    assert seen.states["tiles"][:3] == ["✗10 blocked", "?0 depends", "✓10 allowed"]


def test_filters_hold_while_traffic_comes(seen: Seen) -> None:
    assert seen.states["filtered"] == ["10 requests of 20", "#verdict=allowed&host=api.example"]
    assert seen.states["filtered later"] == ["12 requests of 24", "#verdict=allowed&host=api.example"]


def test_paused_the_table_holds_still(seen: Seen) -> None:
    shown, counts, button = seen.states["paused"]
    assert shown == "24 requests"
    assert re.search(r"paused, ([7-9]|1\d) came since", counts), counts
    assert button == "Go on"
    assert seen.states["going on"] == ["28 requests", "Pause"]


def test_a_story_stays_open_and_can_be_bookmarked(seen: Seen) -> None:
    name, messages, fragment = seen.states["opened"]
    assert name == "GET http://api.example/none/200"
    assert messages == 2
    assert seen.states["still open"] == [name, fragment]
    assert seen.states["bookmarked"] == [name, fragment]


def test_the_fix_can_be_copied_without_a_clipboard(seen: Seen) -> None:
    assert seen.states["copied"] == [True, True]


def test_a_story_can_be_saved(seen: Seen) -> None:
    assert [(status, kind) for status, kind, *_ in seen.states["saved"]] == [
        (200, "text/html; charset=utf-8"),
        (200, "application/jsonl; charset=utf-8"),
        (200, "application/json; charset=utf-8"),
    ]
    for _, _, disposition, much in seen.states["saved"]:
        assert disposition.startswith('attachment; filename="corscope-story-')
        assert much


def test_the_first_page_has_its_links(seen: Seen) -> None:
    assert seen.states["home"] == ["corscope", "Live", "Playground", "Verify this browser"]


def test_hostile_text_stays_text(seen: Seen) -> None:
    told = [[line["url"], allow_origin(line)] for line in seen.reports["hostile"]]
    assert [[url, value] for url, value, _ in seen.states["hostile"]] == told
    assert {elements for *_, elements in seen.states["hostile"]} == {0}
    title, images, scripts = seen.states["untouched"]
    assert "owned" not in title
    assert (images, scripts) == (0, 3)


def allow_origin(line: dict[str, Any]) -> str:
    """The Allow-Origin that a verdict says to change."""
    value: str = next(
        edit["before"][0] for edit in line["fix"]["actual"] if edit["header"] == "Access-Control-Allow-Origin"
    )
    return value


def test_clearing_empties_the_page(seen: Seen) -> None:
    # The request that was to clear may be judged after it did.
    assert seen.states["cleared"][0] in ("There are no requests to list.", "1 request")


def test_a_proxy_that_is_gone_is_told_and_found_again(seen: Seen) -> None:
    state, _ = seen.states["lost"]
    assert state.startswith("Lost: the proxy does not answer")
    state, shown, _ = seen.states["back"]
    assert state.startswith("Connected")
    assert shown == "1 request"


def test_the_browser_has_nothing_to_complain_of(seen: Seen) -> None:
    # That the proxy did not answer, while it was not there, is no fault of the page's.
    assert [one for one in seen.complaints if "/live/events" not in one] == []
