"""What the lab's page is told of its run: by whom it may be asked, and what becomes of nonsense."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from collections.abc import Mapping
from typing import Any

import pytest
from mitmproxy.test import taddons, tflow, tutils

from builders import Talk
from corscope.addon import CorsAddon
from corscope.lab.answers import AGREEMENT_PATH, Asked, Place, Served, path_of
from corscope.lab.scenarios import HTTPS, Scenario, scenarios
from corscope.model import Kind
from corscope.pages.guards import POLICY
from corscope.pages.history import History
from corscope.pages.verification import REPORT_BYTES, Verification

PAGE = HTTPS.page
GOOD = {"Access-Control-Allow-Origin": PAGE, "Access-Control-Allow-Credentials": "true"}


def scenario() -> Scenario:
    return next(one for one in scenarios("https") if one.tag == "check/origin/echo/true")


def url(run: str = "t") -> str:
    one = scenario()
    return HTTPS.origins[one.hops[0].role] + path_of(Place(web="https", run=run, scenario=one.id, hop=0))


def report(**more: Any) -> dict[str, Any]:  # noqa: ANN401
    """What the page says of a run of one scenario."""
    result = {"id": scenario().id, "step": 0, "ok": True, "detail": "cors 200", "start": 999_990, "end": 1_000_020}
    said = {"run": "t", "results": [result], "cookies": True, "complete": True, "only": "", "leftOut": 39}
    return {**said, "hidden": False, "seconds": 1.5, **more}


def ask(
    verification: Verification,
    said: object,
    *,
    headers: Mapping[str, str] | None = None,
    **more: Any,  # noqa: ANN401
) -> Served:
    """The answer to the page's request."""
    given = {"Origin": PAGE, "Sec-Fetch-Site": "same-origin", "User-Agent": "Browser/1"} if headers is None else headers
    content = said if isinstance(said, bytes) else json.dumps(said).encode()
    full = {"method": "POST", "origin": PAGE, "path": AGREEMENT_PATH, "content": content, **more}
    return asyncio.run(verification.answer(Asked(headers=tuple(given.items()), **full)))


@pytest.fixture
def history() -> History:
    """One exchange of the run, and others."""
    talk, kept = Talk(defaults={"origin": PAGE}), History()
    for line in (url(), url("other"), "https://bank.example/account"):
        talk.say(f"GET {line}", response=GOOD)
    for verdict in talk.verdicts.values():
        kept.note(verdict)
    return kept


@pytest.fixture
def verification(history: History) -> Verification:
    """Where the page asks."""
    made = Verification(history, {})
    made.grace = 0.0
    return made


def test_a_run_is_compared_with_its_own_exchanges_alone(verification: Verification) -> None:
    served = ask(verification, report())
    assert served.status == 200
    proof = json.loads(served.content)
    assert proof["counts"] == {
        "agree": 1,
        "differ": 0,
        "open": 0,
        "incomparable": 0,
        "reasons": {"open": {}, "incomparable": {}},
    }
    (row,) = proof.pop("rows")
    assert [flow["url"] for flow in row["flows"]] == [url()]
    assert b"bank.example" not in served.content
    assert proof["browser"] == "Browser/1"
    assert proof["table"] == {"scenarios": 5299, "steps": 6507}
    assert {"corscope", "mitmproxy", "date", "page", "run", "rules", "exchanges", "left_out"} <= proof.keys()


def test_a_run_of_which_nothing_was_seen_agrees_on_nothing(verification: Verification) -> None:
    proof = json.loads(ask(verification, report(run="elsewhere")).content)
    assert proof["counts"]["agree"] == 0
    assert proof["counts"]["reasons"]["incomparable"] == {"from-cache": 1}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://api.corscope.test"},
        {"Origin": PAGE, "Sec-Fetch-Site": "cross-site"},
        {"Origin": PAGE, "Sec-Fetch-Site": "same-site"},
    ],
)
def test_nobody_else_may_ask(verification: Verification, headers: Mapping[str, str]) -> None:
    served = ask(verification, report(), headers=headers)
    assert served.status == 403
    assert b"counts" not in served.content


def test_it_is_asked_by_a_post_to_a_page_of_the_lab(verification: Verification) -> None:
    assert ask(verification, b"", method="GET").status == 405
    other = {"Origin": "https://api.corscope.test"}
    assert ask(verification, report(), origin="https://api.corscope.test", headers=other).status == 404


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"no json",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        {},
        report(run="../x"),
        report(run=7),
        report(results=None),
        report(results=[{"id": "0000"}]),
        report(results=[{"id": "0000", "step": 0, "ok": "yes", "detail": "", "start": 0, "end": 0}]),
        report(results=[{"id": "0000", "step": "x", "ok": True, "detail": "", "start": 0, "end": 0}]),
        report(leftOut="<b>"),
        report(seconds="1e999x"),
    ],
)
def test_nonsense_is_refused_in_a_line(verification: Verification, said: object) -> None:
    served = ask(verification, said)
    assert served.status == 400
    assert len(served.content.splitlines()) == 1


def test_a_report_has_bounds(verification: Verification) -> None:
    assert ask(verification, b" " * (REPORT_BYTES + 1)).status == 413


def test_numbers_that_json_cannot_hold_are_refused(verification: Verification) -> None:
    said = json.dumps(report()).replace("1.5", "1e999").encode()
    assert ask(verification, said).status == 400
    said = json.dumps(report()).replace("999990", "NaN").encode()
    assert ask(verification, said).status == 400


def test_what_time_settles_is_waited_for(history: History, verification: Verification) -> None:
    verification.grace = 10.0
    noted = next(one for one in history.all() if one.verdict.url == url())
    history.note(dataclasses.replace(noted.verdict, settled=False, kind=Kind.PREFLIGHT))

    async def settle() -> Served:
        asked = Asked(
            method="POST",
            origin=PAGE,
            path=AGREEMENT_PATH,
            headers=(("Origin", PAGE),),
            content=json.dumps(report()).encode(),
        )
        answering = asyncio.ensure_future(verification.answer(asked))
        await asyncio.sleep(0.3)
        assert not answering.done()
        history.note(noted.verdict)
        return await answering

    began = time.monotonic()
    proof = json.loads(asyncio.run(settle()).content)
    assert (proof["unsettled"], proof["counts"]["agree"]) == (0, 1)
    assert time.monotonic() - began < 8


def test_what_does_not_settle_is_taken_as_it_is(history: History, verification: Verification) -> None:
    noted = next(one for one in history.all() if one.verdict.url == url())
    history.note(dataclasses.replace(noted.verdict, settled=False))
    proof = json.loads(ask(verification, report()).content)
    assert (proof["unsettled"], proof["counts"]["agree"]) == (1, 1)


def test_it_is_said_when_some_may_have_been_forgotten() -> None:
    talk, history = Talk(defaults={"origin": PAGE}), History(capacity=2)
    for _ in range(3):
        talk.say(f"GET {url()}", response=GOOD)
    for verdict in talk.verdicts.values():
        history.note(verdict)
    verification = Verification(history, {})
    verification.grace = 0.0
    assert json.loads(ask(verification, report()).content)["dropped"] is True


def test_nothing_was_forgotten_of_a_run_that_began_later() -> None:
    talk, history = Talk(defaults={"origin": PAGE}), History(capacity=2)
    for line in ("https://b.test/", "https://b.test/", url()):
        talk.say(f"GET {line}", response=GOOD)
    for verdict in talk.verdicts.values():
        history.note(verdict)
    verification = Verification(history, {})
    verification.grace = 0.0
    result = {**report()["results"][0], "start": 1_000_020, "end": 1_000_040}
    assert json.loads(ask(verification, report(results=[result])).content)["dropped"] is False


# -- in the addon ------------------------------------------------------------------------------------------------------


def through(addon: CorsAddon, content: bytes, peer: str = "127.0.0.1", **headers: str) -> Any:  # noqa: ANN401
    """What the addon answers to the page's request."""
    flow = tflow.tflow(req=tutils.treq(method=b"POST", content=content))
    flow.request.url = PAGE + AGREEMENT_PATH
    flow.request.host_header = "app.corscope.test"
    flow.client_conn.peername = (peer, 50_000)
    for name, value in headers.items():
        flow.request.headers[name.replace("_", "-")] = value

    async def answered() -> None:
        waiting = addon.request(flow)
        assert waiting is not None
        await waiting

    asyncio.run(answered())
    return flow.response


def test_the_answer_is_private() -> None:
    with taddons.context(addon := CorsAddon()):
        addon.pages.verification.grace = 0.0
        response = through(addon, json.dumps(report()).encode(), Origin=PAGE)
        assert response.status_code == 200
        assert response.headers["Content-Security-Policy"] == POLICY
        assert response.headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert "no-store" in response.headers["Cache-Control"]
        assert not [name for name in response.headers if name.lower().startswith("access-control-")]


def test_it_is_for_this_machine_alone() -> None:
    with taddons.context(addon := CorsAddon()):
        response = through(addon, json.dumps(report()).encode(), peer="192.0.2.7", Origin=PAGE)
        assert response.status_code == 403
        assert through(addon, b"{}", Origin=PAGE, Host="bank.example").status_code == 421


def test_the_grace_and_the_rules_are_those_of_the_options() -> None:
    with taddons.context(addon := CorsAddon()) as context:
        context.configure(addon, cors_grace="0.25", cors_browser="spec")
        response = through(addon, json.dumps(report()).encode(), Origin=PAGE)
        assert addon.pages.verification.grace == 0.25
        assert json.loads(response.content)["rules"] == "spec"
