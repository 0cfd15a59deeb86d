"""What the live page is told, and what can be saved of it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

import corscope
from builders import ALLOW_CREDENTIALS, ALLOW_ORIGIN, ANY, GOOD, PAGE, Talk, exchange, judged
from corscope.formats.document import Summary, entry_of
from corscope.formats.har import Har
from corscope.lab.answers import Asked, Served
from corscope.model import Edit, Operation, Rewrite, Verdict
from corscope.pages import live as live_module
from corscope.pages.history import History
from corscope.pages.live import Live
from corscope.report import wire_json
from test_html import Page

URL = "https://b.test"
SECRET = "s3cr3t-Zq7"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(live_module, "GATHER_SECONDS", 0.0)


def asked(path: str, **headers: str) -> Asked:
    lines = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Asked(method="GET", origin="http://corscope.test", path=path, headers=lines)


def events(served: Served) -> list[tuple[str, str, Any]]:
    """The events in an answer as a browser reads them: name, id, data."""
    assert served.status == 200
    assert dict(served.headers)["Content-Type"].startswith("text/event-stream")
    found = []
    for block in served.content.decode("ascii").split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if line)
        if "data" in lines:
            found.append((lines["event"], lines["id"], json.loads(lines["data"])))
    return found


def ask(live: Live, after: str = "") -> list[tuple[str, str, Any]]:
    headers = {"last_event_id": after} if after else {}
    return events(asyncio.run(live.events(asked("/live/events", **headers))))


def decoded(chunk: dict[str, Any]) -> list[dict[str, Any]]:
    """What `decode` of report.js returns."""
    return Page(f"<script data-entries>{json.dumps(chunk).replace('<', chr(92) + 'u003c')}</script>").entries()


def shown(told: list[tuple[str, str, Any]]) -> list[dict[str, Any]]:
    """The entries in events."""
    return [entry for name, _, data in told if name == "entries" for entry in decoded(data)]


def blocked(flow: str, **more: Any) -> Verdict:  # noqa: ANN401
    return judged(exchange(f"GET {URL}/{flow}", headers={"Cookie": "sid=1"}, response=ANY, flow=flow, **more))


def exempt(flow: str) -> Verdict:
    return judged(exchange(f"GET {URL}/{flow}", origin=None, mode="no-cors", dest="image", flow=flow))


# -- events ------------------------------------------------------------------------------------------------------------


def test_the_first_answer_tells_all_that_is_remembered() -> None:
    history = History()
    for flow in "abc":
        history.note(blocked(flow))
    history.note(exempt("d"))
    history.passed_by = 7
    told = ask(Live(history))
    assert [name for name, *_ in told] == ["reset", "entries", "state"]
    assert [(one["flow_id"], one["capture"], one["number"]) for one in shown(told)] == [
        ("a", "live", 0), ("b", "live", 1), ("c", "live", 2),
    ]  # fmt: skip
    chunk = told[1][2]
    assert [flow for flow, _ in chunk["sequences"]] == list("abcd")
    assert chunk["unlisted"] == ["d"]
    begun = chunk["sequences"][0][1]
    assert told[2][2] == {"exchanges": 11, "passed_by": 7, "dropped": 0, "oldest": begun, "behind": 0}


def test_the_next_answer_tells_what_came_since() -> None:
    history = History()
    live = Live(history)
    history.note(blocked("a"))
    latest = ask(live)[-1][1]
    history.note(blocked("b"))
    told = ask(live, latest)
    assert [name for name, *_ in told] == ["entries", "state"]
    assert [one["flow_id"] for one in shown(told)] == ["b"]
    again = ask(live, told[-1][1])
    assert [name for name, *_ in again] == ["state"]


def test_an_address_may_say_after_what() -> None:
    history = History()
    live = Live(history)
    history.note(blocked("a"))
    latest = ask(live)[-1][1]
    told = events(asyncio.run(live.events(asked(f"/live/events?after={latest}"))))
    assert [name for name, *_ in told] == ["state"]


@pytest.mark.parametrize("after", ["", "0-0", "junk", "ffff-1", "é", "1" * 400, "-1", "0x1-5"])
def test_an_id_of_another_time_or_none_at_all_begins_anew(after: str) -> None:
    history = History()
    history.note(blocked("a"))
    assert [name for name, *_ in ask(Live(history), after)] == ["reset", "entries", "state"]


def test_after_clearing_the_page_begins_anew() -> None:
    history = History()
    live = Live(history)
    history.note(blocked("a"))
    latest = ask(live)[-1][1]
    history.clear()
    told = ask(live, latest)
    assert [name for name, *_ in told] == ["reset", "state"]
    assert told[-1][2]["exchanges"] == 0
    history.note(blocked("b"))
    assert [one["flow_id"] for one in shown(ask(live, told[-1][1]))] == ["b"]


def test_what_was_dropped_is_said_to_who_comes_late_too() -> None:
    history = History(capacity=3)
    live = Live(history)
    history.note(blocked("0"))
    latest = ask(live)[-1][1]
    for number in range(1, 9):
        history.note(blocked(str(number)))
    for told in (ask(live), ask(live, latest)):
        assert [one["flow_id"] for one in shown(told)] == ["6", "7", "8"]
        state = told[-1][2]
        assert (state["exchanges"], state["dropped"]) == (9, 6)
        assert state["oldest"] == history.oldest


def test_much_is_told_in_several_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "CHUNK", 3)
    monkeypatch.setattr(live_module, "CHUNKS", 2)
    history = History()
    live = Live(history)
    for number in range(10):
        history.note(blocked(str(number)))
    told = ask(live)
    assert [name for name, *_ in told] == ["reset", "entries", "entries", "state"]
    assert told[-1][2]["behind"] == 4
    rest = ask(live, told[-1][1])
    assert [one["flow_id"] for one in shown(told + rest)] == [str(number) for number in range(10)]
    assert rest[-1][2]["behind"] == 0
    # A connection that breaks in the middle goes on behind the last event that arrived.
    assert [one["flow_id"] for one in shown(ask(live, told[1][1]))] == [str(number) for number in range(3, 9)]


def test_what_comes_while_an_answer_is_made_is_told_in_the_next() -> None:
    history = History()
    live = Live(history)
    for number in range(live_module.SLICE + 1):
        history.note(blocked(str(number)))

    async def run() -> tuple[Served, Served]:
        asking = asyncio.create_task(live.events(asked("/live/events")))
        await asyncio.sleep(0)
        history.note(blocked("late"))
        first = await asking
        latest = events(first)[-1][1]
        return first, await live.events(asked("/live/events", last_event_id=latest))

    first, second = asyncio.run(run())
    assert [one["flow_id"] for one in shown(events(first))] == [str(one) for one in range(live_module.SLICE + 1)]
    assert [one["flow_id"] for one in shown(events(second))] == ["late"]


def test_an_answer_waits_for_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "WAIT_SECONDS", 60.0)
    history = History()
    live = Live(history)

    async def run() -> list[tuple[str, str, Any]]:
        latest = events(await live.events(asked("/live/events")))[-1][1]
        asking = asyncio.create_task(live.events(asked("/live/events", last_event_id=latest)))
        await asyncio.sleep(0.01)
        assert not asking.done()
        history.note(blocked("a"))
        return events(await asyncio.wait_for(asking, 10))

    assert [one["flow_id"] for one in shown(asyncio.run(run()))] == ["a"]


def test_a_fault_with_one_exchange_leaves_out_that_one(caplog: pytest.LogCaptureFixture) -> None:
    history = History()
    live = Live(history)
    broken = blocked("b")
    broken.url = None  # type: ignore[assignment]
    for one in (blocked("a"), broken, blocked("c")):
        history.note(one)
    for _ in range(2):
        told = ask(live)
        assert [one["flow_id"] for one in shown(told)] == ["a", "c"]
    assert caplog.text.count("could not show an exchange") == 1
    assert [name for name, *_ in ask(live, told[-1][1])] == ["state"]
    saved = save(live, "story", "jsonl", "a")
    assert [json.loads(line)["flow_id"] for line in saved.content.splitlines()] == ["a"]


def test_entries_are_those_of_a_report_on_a_capture() -> None:
    history = History()
    live = Live(history)
    live.stack = "nginx"
    one = blocked("a")
    history.note(one)
    (entry,) = shown(ask(live))
    expected = json.loads(json.dumps(entry_of(one, "live", 0, "nginx")))
    configuration = entry.pop("configuration")
    assert configuration[0] == "Configuration for nginx (chosen by name), in nginx.conf:"
    del expected["fix"]["policy"], expected["fix"]["stack"]
    assert entry == {**expected, "cause": "allow-origin-wildcard-with-credentials"}


def test_what_rewriting_did_is_told_with_what_the_server_has_to_change() -> None:
    was = blocked("a")
    edits = (Edit(Operation.SET, ALLOW_ORIGIN, (PAGE.encode(),), (b"*",), "allow-origin-wildcard-with-credentials"),)
    now = judged(exchange(f"GET {URL}/a", headers={"Cookie": "sid=1"}, response=GOOD, flow="a", edited=True))
    history = History()
    history.note(now, Rewrite(edits, True, was))
    (entry,) = shown(ask(Live(history)))
    assert (entry["verdict"], entry["rewrite"]["applied"], entry["rewrite"]["verdict_before"]) == (
        "allowed", True, "blocked",
    )  # fmt: skip
    assert {edit["header"] for edit in entry["fix"]["actual"]} >= {ALLOW_ORIGIN, ALLOW_CREDENTIALS}


# -- saving ------------------------------------------------------------------------------------------------------------


def save(live: Live, what: str, suffix: str, flow: str = "") -> Served:
    path = f"/live/{what}.{suffix}" + (f"?flow={flow}" if flow else "")
    return asyncio.run(live.save(asked(path), what, suffix))


@pytest.fixture
def told() -> tuple[Live, Talk, list[str]]:
    """A history of two stories, the first of a preflight with its request."""
    talk = Talk()
    passes = {**GOOD, "Access-Control-Allow-Methods": "PUT"}
    flows = [
        talk.ask(f"{URL}/1", "PUT", response=passes),
        talk.say(f"PUT {URL}/1", headers={"Cookie": f"sid={SECRET}"}, response=ANY),
        talk.say(f"GET {URL}/2", response=GOOD),
    ]
    talk.end()
    history = History()
    for flow in flows:
        history.note(talk[flow])
    return Live(history), talk, flows


@pytest.mark.parametrize("suffix", ["html", "jsonl", "har"])
@pytest.mark.parametrize("which", [0, 1])
def test_a_story_can_be_saved_by_any_of_its_flows(
    told: tuple[Live, Talk, list[str]], suffix: str, which: int, tmp_path: Path
) -> None:
    live, _, flows = told
    served = save(live, "story", suffix, flows[which])
    assert dict(served.headers)["Content-Disposition"] == f'attachment; filename="corscope-story-0.{suffix}"'
    text = served.content.decode()
    if suffix == "html":
        found = Page(text).entries()
        assert Page(text).data("summary")[0]["verdicts"] == {"allowed": 1, "blocked": 1, "conditional": 0, "exempt": 0}
    elif suffix == "jsonl":
        found = [json.loads(line) for line in text.splitlines()]
    else:
        (tmp_path / "story.har").write_bytes(served.content)
        found = [{"url": one.url, "verdict": str(one.outcome)} for one in corscope.check(tmp_path / "story.har")]
    assert [(one["url"], one["verdict"]) for one in found] == [(f"{URL}/1", "allowed"), (f"{URL}/1", "blocked")]
    assert SECRET not in text


@pytest.mark.parametrize("suffix", ["html", "jsonl", "har"])
def test_all_can_be_saved(told: tuple[Live, Talk, list[str]], suffix: str, tmp_path: Path) -> None:
    live, _, _ = told
    text = save(live, "report", suffix).content.decode()
    assert all(url in text for url in (f"{URL}/1", f"{URL}/2"))


def test_an_empty_history_can_be_saved() -> None:
    live = Live(History())
    assert save(live, "report", "jsonl").content == b""
    assert json.loads(save(live, "report", "har").content)["log"]["entries"] == []
    assert Page(save(live, "report", "html").content.decode()).entries() == []


@pytest.mark.parametrize("flow", ["", "none", "%22%3E%3Cscript%3E", "a%0d%0aX: y"])
def test_what_is_not_remembered_can_not_be_saved(told: tuple[Live, Talk, list[str]], flow: str) -> None:
    served = save(told[0], "story", "html", flow)
    assert served.status == 404
    assert b"script" not in served.content


# -- the archives ------------------------------------------------------------------------------------------------------


def archive(verdicts: list[Verdict], path: Path) -> dict[str, Any]:
    """Writes an archive of verdicts as the live page does, and returns what is in it."""
    with path.open("w", encoding="utf-8") as file:
        har = Har(file)
        for number, one in enumerate(verdicts):
            assert one.exchange is not None
            har.add({**entry_of(one, "live", number), "wire": wire_json(one.exchange, names=True)})
        har.finish(Summary((), {}, failed=False))
    made: dict[str, Any] = json.loads(path.read_text(encoding="ascii"))
    return made


RECORDINGS = Path(__file__).parents[1] / "recordings"


@pytest.mark.parametrize("name", ["chromium-localhost", "firefox-http"])
def test_an_archive_is_judged_as_the_traffic_was(name: str, tmp_path: Path) -> None:
    """Names tell what matters: cookies and headers, without their values."""
    verdicts = list(corscope.check(RECORDINGS / f"{name}.mitm.xz"))
    archive(verdicts, tmp_path / "all.har")
    again = list(corscope.check(tmp_path / "all.har", on_damage=lambda damage: pytest.fail(str(damage))))
    assert [said(one) for one in again] == [said(one) for one in verdicts]


def said(one: Verdict) -> tuple[object, ...]:
    reason = one.reason.id if one.reason is not None else None
    return (one.method, one.status, one.kind, one.mode, one.origin, one.outcome, reason, one.credentials, one.browser)


def test_an_archive_has_what_its_specification_demands(tmp_path: Path) -> None:
    """http://www.softwareishard.com/blog/har-12-spec/"""
    cookies = {"Cookie": f"sid={SECRET}; theme={SECRET}", "Authorization": f"Bearer {SECRET}", "X-Api-Key": SECRET}
    response = [
        *GOOD.items(),
        ("Content-Type", "application/json"),
        ("Set-Cookie", f"sid={SECRET}; Path=/; Domain=b.test; Secure; HttpOnly; SameSite=None"),
        ("X-Debug-Token", SECRET),
    ]
    url = f"{URL}/é?access_token={SECRET}&q=a b&q=2"
    one = judged(exchange(f"GET {url}", headers=cookies, response=response, at=1_795_278_746.25, http=2))
    made = archive([one], tmp_path / "one.har")
    assert SECRET not in json.dumps(made)
    log = made["log"]
    assert (log["version"], log["creator"]) == ("1.2", {"name": "corscope", "version": corscope.__version__})
    (entry,) = log["entries"]
    assert entry["startedDateTime"] == "2026-11-21T16:32:26.250000+00:00"
    assert entry["time"] == pytest.approx(10)
    assert entry["timings"].keys() == {"send", "wait", "receive"}
    assert entry["cache"] == {}
    request, answer = entry["request"], entry["response"]
    assert request.keys() == {
        "method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize", "bodySize",
    }  # fmt: skip
    assert request["url"] == f"{URL}/%C3%A9?access_token=%E2%80%A6&q=a%20b&q=2"
    assert request["queryString"] == [
        {"name": "access_token", "value": "…"}, {"name": "q", "value": "a b"}, {"name": "q", "value": "2"},
    ]  # fmt: skip
    assert request["cookies"] == [{"name": "sid", "value": "…"}, {"name": "theme", "value": "…"}]
    assert {"name": "Cookie", "value": "sid=…; theme=…"} in request["headers"]
    assert {"name": "Authorization", "value": "Bearer …"} in request["headers"]
    assert {"name": "X-Api-Key", "value": "…"} in request["headers"]
    assert answer.keys() == {
        "status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL", "headersSize",
        "bodySize",
    }  # fmt: skip
    assert answer["content"] == {"size": -1, "mimeType": "application/json"}
    assert answer["cookies"] == [
        {"name": "sid", "value": "…", "path": "/", "domain": "b.test", "secure": True, "httpOnly": True,
         "sameSite": "None"},
    ]  # fmt: skip
    assert {"name": "X-Debug-Token", "value": "…"} in answer["headers"]


def test_what_the_proxy_answered_itself_stays_so(tmp_path: Path) -> None:
    failed = exchange(
        f"GET {URL}", status=502, response={"Server": "mitmproxy"}, proxy_made=True, proxy_error="connection refused"
    )
    edited = exchange(f"GET {URL}", response=GOOD, edited=True, at=2000.0)
    archive([judged(failed), judged(edited)], tmp_path / "two.har")
    first, second = corscope.check(tmp_path / "two.har")
    assert first.exchange is not None
    assert second.exchange is not None
    assert (first.exchange.proxy_made, first.exchange.proxy_error) == (True, "connection refused")
    assert (first.exchange.edited, second.exchange.edited) == (False, True)
    assert [one.id for one in first.findings] == [one.id for one in judged(failed).findings]
