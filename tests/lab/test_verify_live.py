"""Verify this browser: real browsers run the table through a real mitmdump, and do what corscope predicted."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from corscope.browsers import Kind
from corscope.lab.answers import AGREEMENT_PATH, web_of_page
from corscope.lab.scenarios import scenarios
from proxies import Mitmdump, eventually, read_recording
from visitors import THIRD_PARTY_COOKIES, Visitor, click, visitor

HTTP_PART = (
    *(f"initiator/{name}/" for name in ("img", "script", "module", "font", "video", "eventsource", "beacon", "form")),
    *("initiator/fetch/no-cors/", "cookie/", "retry/worse/", "check/role/scheme", "redirect-user/"),
    *("redirect-context/", "redirect-initiator/eventsource", "redirect-initiator/beacon", "redirect-initiator/video"),
    *(f"context/{name}/fetch" for name in ("sandbox", "data", "cross", "worker")),
    "stored/default/",
)
HTTPS_PART = (
    *HTTP_PART,
    *(f"initiator/{name}/" for name in ("style", "track", "preload")),
    *(f"context/{name}/fetch" for name in ("idn", "blob-worker")),
    *("stored/304/good/other", "stored/image-first/", "stored/no-cors-first/"),
    *("parallel/include-same-origin/", "warm/custom-", "sequence/include-same-origin"),
)
"""The tags of a fifth of the table, in which everything is that may go another way than a fetch does, and over plain
http of two thirds of that. The whole takes a minute or two each time: CORSCOPE_WHOLE_TABLE=1 runs that instead.
"""
DIFFERENT = "check/origin/exact-and-empty/,status/200/"
"""Tags of what Chromium and Firefox see alike, and of what they do not."""
WHOLE = os.environ.get("CORSCOPE_WHOLE_TABLE") == "1"

STATE = "document.getElementById('state').textContent"
CONCLUSION = "document.getElementById('conclusion')?.textContent"
RESULT = "document.getElementById('result').textContent"
WATCH = """document.addEventListener("securitypolicyviolation", (event) => {
    document.documentElement.dataset.violations = `${event.violatedDirective} ${event.blockedURI}`;
})"""
VIOLATIONS = "document.documentElement.dataset.violations ?? ''"

type Scheme = Literal["https", "http"]


@contextmanager
def opened(
    kind: Kind, folder: Path, *, third_party: bool = True, **options: object
) -> Iterator[tuple[Visitor, Mitmdump, Path]]:
    """A browser behind a mitmdump with the addon, which writes its flows to a file."""
    flows = folder / "flows.mitm"
    preferences = THIRD_PARTY_COOKIES if third_party and kind == "chromium" else {}
    with (
        Mitmdump("-w", str(flows), flow_detail=0, **options) as proxy,
        visitor(kind, proxy, preferences) as browser,
    ):
        yield browser, proxy, flows


def start(browser: Visitor, address: str) -> None:
    """Opens the page and presses its button."""
    browser.open(address)
    eventually(lambda: browser.run("document.readyState === 'complete' && document.getElementById('start') !== null"))
    browser.run(WATCH)
    browser.run(click("start"))


def concluded(browser: Visitor) -> str:
    """What the page says in the end."""

    def ended() -> str | None:
        state = browser.run(STATE)
        return state if state.startswith("Stopped") or (state.startswith("Done") and "Waiting" not in state) else None

    state: str = eventually(ended, seconds=570, every=0.25)
    assert state.startswith("Done"), state
    conclusion: str = browser.run(CONCLUSION)
    return conclusion


def proof_in(flows: Path) -> dict[str, Any]:
    """What corscope told the page last, which is what the page gives for download."""
    told = [
        flow.response.text for flow in read_recording(flows) if flow.request.path == AGREEMENT_PATH and flow.response
    ]
    proof: dict[str, Any] = json.loads(told[-1] or "")
    return proof


@pytest.mark.timeout(700)
@pytest.mark.parametrize("scheme", ["https", "http"])
def test_the_browser_does_what_corscope_predicted(kind: Kind, scheme: Scheme, tmp_path: Path) -> None:
    page = f"{scheme}://app.corscope.test"
    tags = ("",) if WHOLE else HTTPS_PART if scheme == "https" else HTTP_PART
    with opened(kind, tmp_path) as (browser, proxy, flows):
        start(browser, f"{page}/?only={','.join(tags)}")
        conclusion = concluded(browser)
        shown = browser.run(RESULT)
        assert browser.run(VIOLATIONS) == ""
        name = browser.run("document.getElementById('download').download")
    said = proxy.stop()
    assert "corscope could not" not in said, said
    proof = proof_in(flows)
    counts, rows = proof["counts"], proof["rows"]
    assert [row for row in rows if row["result"] == "differ"] == []
    assert (
        conclusion == f"corscope and this browser agree on {counts['agree']:,} of {counts['agree']:,} decided requests"
    )
    assert f"{counts['incomparable']:,} can’t be compared" in shown
    assert name == f"corscope-{scheme}-{proof['run']}.json"

    # All of that part of the table is there, and what was not compared could not be, in any browser.
    web = web_of_page(page)
    assert web is not None
    asked = [one for one in scenarios(web.name) if one.tag.startswith(tags)]
    assert len({row["scenario"] for row in rows}) == len(asked) - proof["left_out"]
    assert sum(counts[key] for key in ("agree", "differ", "open", "incomparable")) == len(rows)
    # Over plain http the wire tells less.
    assert counts["agree"] > (0.85 if scheme == "https" else 0.7) * len(rows)
    why = counts["reasons"]["incomparable"]
    assert why.keys() <= {"beacon", "preload", "from-cache", "not-sent", "timed-out"}
    assert why.get("timed-out", 0) < 0.01 * len(rows)
    cached = {row["tag"].split("/")[0] for row in rows if row["why"] in ("from-cache", "not-sent")}
    assert cached == {"stored"}
    assert {key: proof[key] for key in ("complete", "cookies", "dropped", "rewritten", "rules")} == {
        "complete": True,
        "cookies": True,
        "dropped": False,
        "rewritten": 0,
        "rules": "auto",
    }
    assert {"chromium": "Chrome/", "firefox": "Firefox/"}[kind] in proof["browser"]


@pytest.mark.browser("chromium")
@pytest.mark.timeout(400)
def test_a_chromium_that_blocks_third_party_cookies_is_predicted_as_well(tmp_path: Path) -> None:
    only = "cookie/,context/cross/,initiator/fetch/cors,initiator/img/cors,check/role/,sequence/"
    with opened("chromium", tmp_path, third_party=False) as (browser, _, flows):
        start(browser, f"https://app.corscope.test/?only={only}")
        assert " agree on " in concluded(browser)
    assert proof_in(flows)["counts"]["differ"] == 0


FORGED = """new Promise((done) => {
  waiting.set(-1, () => done("heard"));
  postMessage({job: -1, outcome: {ok: true}}, "*");
  setTimeout(done, 500, "not heard");
})"""
"""An outcome that none of the page's own frames tells."""


@pytest.mark.browser("chromium")
@pytest.mark.timeout(300)
def test_a_difference_is_told(tmp_path: Path) -> None:
    # Chromium is no Firefox: what would be a fault of corscope's is one of the option here.
    with opened("chromium", tmp_path, cors_browser="firefox") as (browser, _, flows):
        start(browser, f"https://app.corscope.test/?only={DIFFERENT}")
        conclusion = concluded(browser)
        shown = browser.run(RESULT)
        cells = browser.run("[...document.querySelectorAll('#differences tbody tr')].map((row) => row.innerText)")
        focused = browser.run("document.activeElement.id")
        forged = browser.run(FORGED)
    proof = proof_in(flows)
    differing = [row for row in proof["rows"] if row["result"] == "differ"]
    assert differing
    decided = len(differing) + proof["counts"]["agree"]
    assert conclusion == f"corscope and this browser differ on {len(differing)} of {decided} decided requests"
    assert "The predictions follow the rules of cors_browser=firefox." in shown
    assert len(cells) == len(differing)
    for cell, row in zip(cells, differing, strict=True):
        assert row["tag"] in cell
        assert all(flow["url"] in cell for flow in row["flows"])
    assert all("wire" in flow for row in differing for flow in row["flows"])
    assert focused == "conclusion"
    assert forged == "not heard"


@pytest.mark.timeout(300)
def test_a_run_can_be_stopped_and_begun_again(kind: Kind, tmp_path: Path) -> None:
    with opened(kind, tmp_path) as (browser, _, flows):
        start(browser, "https://app.corscope.test/?only=check/")
        eventually(lambda: browser.run("document.getElementById('progress').value > 20"))
        browser.run(click("stop"))
        first = concluded(browser)
        assert " agree on " in first
        assert "only a part of the table" in browser.run(RESULT)
        assert browser.run("document.getElementById('stop').hidden")

        # Another run is another run; what is left of the one before does not matter.
        start(browser, "https://app.corscope.test/?only=status/204/")
        concluded(browser)
        browser.run(click("start"))
        assert " agree on " in concluded(browser)

        # Nobody else gets to know.
        browser.open("https://api.corscope-other.test/agent.html")
        asking = f"fetch('https://app.corscope.test{AGREEMENT_PATH}', {{ method: 'POST', body: '{{}}' }})"
        assert browser.run(f"{asking}.then((answer) => answer.type, (error) => error.name)") == "TypeError"
    answers = [
        json.loads(flow.response.text or "")
        for flow in read_recording(flows)
        if flow.request.path == AGREEMENT_PATH and flow.response and flow.response.status_code == 200
    ]
    assert [proof["complete"] for proof in answers] == [False, True, True]
    assert [proof["counts"]["differ"] for proof in answers] == [0, 0, 0]
    assert [len(proof["rows"]) for proof in answers[1:]] == [16, 16]
    assert len({proof["run"] for proof in answers}) == 3
    refused = [flow for flow in read_recording(flows) if flow.request.path == AGREEMENT_PATH][-1]
    assert refused.response is not None
    assert refused.response.status_code == 403
