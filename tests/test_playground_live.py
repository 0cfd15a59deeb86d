"""The playground in real browsers, through a real mitmdump: every preset, before and after rewriting, and links."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import corscope
from corscope.browsers import Kind
from corscope.lab.playground import RULES
from corscope.lab.presets import PRESETS, Preset, by_id
from corscope.lab.scenarios import BODIES, HTTP, HTTPS, Web
from proxies import Mitmdump, eventually
from visitors import Visitor, visitor

pytestmark = pytest.mark.timeout(600)

# -- a walk ------------------------------------------------------------------------------------------------------------

READY = "document.body?.dataset.ready === 'true'"
STATE = "document.getElementById('state').textContent"
ALERT = "document.getElementById('alert').textContent"
TITLE = "document.getElementById('title').textContent"
CHOSEN = "document.querySelector('#presets a[aria-current]')?.hash"
RESULT = """(async () => {
  const blocks = [...document.querySelectorAll(".before-after")];
  const runs = new URLSearchParams(document.getElementById("results").dataset.runs).getAll("run");
  const binary = async (path) => {
    const query = runs.map((run) => `run=${run}`).join("&");
    const bytes = new Uint8Array(await (await fetch(`${path}?${query}`)).arrayBuffer());
    return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  };
  const json = async (url) => (await fetch(url)).json();
  return {
    agreements: blocks.map((one) => [...one.querySelectorAll("[data-agreement]")].map((it) => it.dataset.agreement)),
    ok: blocks.map((one) => [...one.querySelectorAll("[data-ok]")].map((it) => it.dataset.ok)),
    read: blocks.map((one) => one.querySelector("[data-part=browser]").innerText),
    told: blocks.map((one) => one.querySelector("[data-part=corscope]").innerText),
    entries: await Promise.all(runs.map(async (run) => (await json(`/playground/run?run=${run}`)).entries)),
    mitm: await binary("/playground/run.mitm"),
    har: await binary("/playground/run.har"),
  };
})()"""


@dataclass(slots=True)
class Walk:
    """What a browser and corscope said of each preset, and of links."""

    results: dict[str, Any] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)


def open_page(visitor: Visitor, web: Web, fragment: str = "") -> None:
    # Another fragment alone would load nothing anew.
    visitor.open("about:blank")
    visitor.open(f"{web.page}/playground{fragment}")
    eventually(lambda: visitor.run(READY))


def press(visitor: Visitor, button: str) -> Any:  # noqa: ANN401
    """Presses a button that runs something, and returns what it led to; what its own policy stops is an alert."""
    visitor.run(
        f"(document.getElementById('state').textContent = '', document.getElementById('{button}').click(), true)"
    )
    eventually(lambda: visitor.run(f"({STATE} !== 'Running …' && {STATE} !== '') || {ALERT} !== ''"), 40)
    assert visitor.run(ALERT) == ""
    return visitor.run(RESULT)


def walk(visitor: Visitor, web: Web) -> Walk:
    """Goes through all presets of a web, each before and after rewriting."""
    walked = Walk()
    open_page(visitor, web)
    for preset in presets(web):
        visitor.run(f"(location.hash = '#preset={preset.id}', true)")
        eventually(lambda id_=preset.id: visitor.run(CHOSEN) == f"#preset={id_}")
        walked.results[preset.id] = press(visitor, "both")
    return walked


def go_round(visitor: Visitor) -> dict[str, Any]:
    """Lets every initiator ask in every context, for what anyone may have."""
    seen = {}
    open_page(visitor, HTTPS)
    for initiator, rule in RULES.items():
        for context in rule.contexts:
            answer = {"headers": [["Access-Control-Allow-Origin", "*"]], "body": BODIES[initiator]}
            document = {
                "request": {"initiator": initiator, "from": context, "mode": "cors", "credentials": "same-origin"},
                "server": {"at": "cross", "answers": [answer]},
            }
            visitor.run(
                f"(document.getElementById('title').textContent = '', location.hash = '{link(document)}', true)"
            )
            eventually(lambda: visitor.run(TITLE))
            seen[f"{initiator} from {context}"] = press(visitor, "run")
    return seen


def presets(web: Web) -> list[Preset]:
    return [preset for preset in PRESETS if preset.insecure or web is HTTPS]


def link(document: object) -> str:
    """The permanent link of a document."""
    encoded = base64.urlsafe_b64encode(json.dumps(document).encode()).decode().rstrip("=")
    return f"#doc={encoded}"


HOSTILE = "<img src=x onerror=alert(1)>"
HOSTILE_LINKS = {
    "markup": link(
        {
            "request": {"initiator": "fetch", "headers": [["X-Tag", HOSTILE]], "method": HOSTILE},
            "server": {"at": "sibling", "answers": [{"headers": [["X-Tag", f"</textarea>{HOSTILE}"]]}]},
        }
    ),
    "control characters": link(
        {"request": {"initiator": "fetch"}, "server": {"at": "cross", "answers": [{"headers": [["A", "1\r\nB: 2"]]}]}}
    ),
    "huge": "#doc=" + "A" * 40_000,
    "damaged": "#doc=%%%",
    "no object": link([]),
    "prototype": link({"request": {"initiator": "constructor"}, "server": {"at": "sibling", "answers": [{}]}}),
    "odd answers": link({"request": {"initiator": "fetch"}, "server": {"at": "sibling", "answers": {"length": 1}}}),
    "no preset": "#preset=<script>alert(1)</script>",
}


def follow_links(visitor: Visitor) -> dict[str, Any]:
    """Opens permanent links, good ones and bad ones."""
    seen: dict[str, Any] = {}
    open_page(visitor, HTTPS, "#preset=redirect-to-login")
    visitor.run("(document.getElementById('link').click(), true)")
    eventually(lambda: visitor.run("location.hash.startsWith('#doc=')"))
    seen["link"] = visitor.run("location.hash")
    open_page(visitor, HTTPS, seen["link"])
    seen["opened"] = visitor.run(f"[{TITLE}, {STATE}, document.getElementById('results').hidden]")
    seen["result"] = press(visitor, "run")
    seen["again"] = visitor.run("(document.getElementById('link').click(), location.hash)")
    for name, fragment in HOSTILE_LINKS.items():
        open_page(visitor, HTTPS, fragment)
        seen[name] = visitor.run(
            f"[{ALERT}, {TITLE}, document.images.length, document.querySelectorAll('script:not([src])').length,"
            " document.querySelector('#editor textarea').value]"
        )
    open_page(visitor, HTTPS, HOSTILE_LINKS["markup"])
    visitor.run("(document.getElementById('run').click(), true)")
    seen["refused"] = eventually(lambda: visitor.run(ALERT))
    return seen


@pytest.fixture(scope="module")
def walked(kind: Kind) -> dict[str, Walk]:
    """What each browser saw, by web: it walks once, and all that is tested is tested of that."""
    with Mitmdump() as mitmdump, visitor(kind, mitmdump) as browser:
        walks = {web.name: walk(browser, web) for web in (HTTPS, HTTP)}
        walks["https"].states |= follow_links(browser) | {"round": go_round(browser)}
    return walks


# -- the presets -------------------------------------------------------------------------------------------------------

BEYOND = {
    "resource-policy",  # the browser's own rule, and no CORS
}
"""Presets that rewriting does not mend."""
UNTOLD = {("http", "resource-policy"), ("http", "samesite-lax")}
"""What corscope does not find there: on plain http a browser says neither what a script is for nor, to another site,
whether the request was credentialed.
"""


def results(walked: dict[str, Walk]) -> Iterator[tuple[str, Preset, Any]]:
    for web, one in walked.items():
        for id_, result in one.results.items():
            yield web, by_id(id_), result


def test_every_preset_was_walked_through(walked: dict[str, Walk]) -> None:
    for web in (HTTPS, HTTP):
        assert list(walked[web.name].results) == [preset.id for preset in presets(web)]


def test_the_browser_agrees_with_corscope_on_every_preset(walked: dict[str, Walk]) -> None:
    for web, preset, result in results(walked):
        for marks in result["agreements"]:
            assert set(marks) <= ({"✓", "–"} if web == "https" else {"✓", "–", "?"}), (web, preset.id, result["told"])


def test_each_preset_shows_what_it_is_for(walked: dict[str, Walk]) -> None:
    for web, preset, result in results(walked):
        found = {finding["id"] for entry in result["entries"][0] for finding in entry["findings"]}
        if (web, preset.id) not in UNTOLD:
            assert preset.finding is None or preset.finding in found, (web, preset.id, found)


def test_after_rewriting_the_page_gets_every_answer(walked: dict[str, Walk]) -> None:
    for web, preset, result in results(walked):
        before, after = result["ok"]
        assert len(before) == len(after) == preset.document["request"].get("times", 1)
        if preset.id not in BEYOND:
            assert set(after) == {"true"}, (web, preset.id, result["told"][1])
        blocked = any(entry["verdict"] == "blocked" for entry in result["entries"][0])
        applied = any((entry.get("rewrite") or {}).get("applied") for entry in result["entries"][1])
        assert not blocked or applied, (web, preset.id)
        assert not any("rewrite" in entry for entry in result["entries"][0])


def test_every_initiator_can_ask_from_every_context(walked: dict[str, Walk]) -> None:
    for what, result in walked["https"].states["round"].items():
        assert result["ok"] == [["true"]], (what, result["read"])
        # Of a frame whose origin is null, Firefox says nothing that tells whether it sent credentials.
        assert result["agreements"] in ([["✓"]], [["?"]] if "sandbox" in what else []), (what, result["told"])


def test_what_a_script_could_read_is_shown(walked: dict[str, Walk]) -> None:
    seen = walked["https"].results
    assert "TypeError" in seen["no-header"]["read"][0]
    assert '{"lab": true}' in seen["anyone"]["read"][0]
    assert "opaque" in seen["no-cors"]["read"][0]
    assert "taint" in seen["image-on-canvas"]["read"][0]
    assert "readable" in seen["image-crossorigin"]["read"][1]
    assert "x-total-count" not in seen["expose-headers"]["read"][0].lower()
    assert "opaqueredirect" in seen["redirect-manual"]["read"][0]
    assert "lab" in seen["eventsource-with-credentials"]["read"][1]


def test_basic_authorization_is_sent_by_the_browser_without_a_preflight(walked: dict[str, Walk]) -> None:
    entries = walked["https"].results["authorization-by-browser"]["entries"][0]
    assert [entry["kind"] for entry in entries] == ["actual"] * 3
    assert [
        [line[1] for line in entry["wire"]["request"] if line[0].lower() == "authorization"] for entry in entries
    ] == [
        [],
        ["Basic …"],
        ["Basic …"],
    ]


def test_no_value_of_a_cookie_or_token_reaches_the_page(walked: dict[str, Walk]) -> None:
    for _, preset, result in results(walked):
        told = json.dumps([result["entries"], result["told"]])
        assert "session=1" not in told, preset.id
        assert "playground=1" not in told, preset.id
        assert "Bearer playground" not in told, preset.id


# -- what can be taken along -------------------------------------------------------------------------------------------


def test_the_recorded_flows_are_judged_the_same(walked: dict[str, Walk], tmp_path: Path) -> None:
    compared = 0
    for web, preset, result in results(walked):
        file = tmp_path / f"{web}-{preset.id}.mitm"
        file.write_bytes(base64.b64decode(result["mitm"]))
        judged = {verdict.flow_id: verdict for verdict in corscope.check(str(file))}
        for entry in (entry for entries in result["entries"] for entry in entries):
            verdict = judged[entry["flow_id"]]
            assert str(verdict.outcome) == entry["verdict"], (web, preset.id, entry["url"])
            compared += 1
    assert compared > 150


def test_the_archive_has_the_same_exchanges(walked: dict[str, Walk], tmp_path: Path) -> None:
    for web, preset, result in results(walked):
        file = tmp_path / f"{web}-{preset.id}.har"
        file.write_bytes(base64.b64decode(result["har"]))
        urls = [verdict.url for verdict in corscope.check(str(file))]
        assert {entry["url"] for entries in result["entries"] for entry in entries} <= set(urls)


def test_a_permanent_link_fills_the_form_and_runs_nothing(walked: dict[str, Walk]) -> None:
    states = walked["https"].states
    assert states["opened"] == ["A scenario from a link", "", True]
    assert states["again"] == states["link"]
    direct = walked["https"].results["redirect-to-login"]
    assert states["result"]["ok"][0] == direct["ok"][0]
    verdicts = [[entry["verdict"] for entry in one["entries"][0]] for one in (states["result"], direct)]
    assert verdicts[0] == verdicts[1]


def test_hostile_links_are_text_or_refused(walked: dict[str, Walk]) -> None:
    states = walked["https"].states
    alert, title, images, scripts, shown = states["markup"]
    assert (alert, title, images, scripts) == ("", "A scenario from a link", 0, 0)
    assert shown == f"X-Tag: {HOSTILE}"
    assert states["refused"].startswith("request.method: no script can send")
    for name in HOSTILE_LINKS.keys() - {"markup"}:
        alert, title, images, scripts, _ = states[name]
        assert "\n" not in alert
        assert alert, name
        assert (title, images, scripts) == (PRESETS[0].title, 0, 0), name
