"""The smallest change: applied to what was sent, it lets the browser have it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from builders import (
    ALLOW_CREDENTIALS,
    ALLOW_HEADERS,
    ALLOW_METHODS,
    ALLOW_ORIGIN,
    ANY,
    GOOD,
    MAX_AGE,
    Talk,
    exchange,
    judged,
    preflight,
)
from corscope.fixes import Fix, fix_of
from corscope.headers import get_all
from corscope.model import Edit, Exchange, Operation, Outcome, Verdict
from test_catalogue import CASES, Step, parse, run


def edited(one: Exchange, edits: tuple[Edit, ...]) -> Exchange:
    """Returns an exchange whose response was changed."""
    for edit in edits:
        if edit.operation is Operation.STATUS:
            assert (b"%d" % (one.status or 0),) == edit.before
            one = replace(one, status=int(edit.values[0]))
            continue
        assert edit.operation is Operation.SET
        name = edit.name.lower().encode()
        assert tuple(get_all(one.response_headers, name)) == edit.before, "what was sent is told as it was sent"
        kept = tuple((key, value) for key, value in one.response_headers if key.lower() != name)
        one = replace(one, response_headers=(*kept, *((edit.name.encode(), value) for value in edit.values)))
    return one


def mended(steps: list[Step], verdict: Verdict, fix: Fix) -> list[Step]:
    """Returns a case in which what a fix says was done."""
    changes = {}
    asked = verdict.flow_id
    if fix.actual_seen:
        changes[verdict.flow_id] = fix.actual
        asked = verdict.story[-1].flow_id if verdict.story else ""
    if fix.preflight:
        changes[asked] = fix.preflight
    assert changes.keys() <= {step.exchange.id for step in steps}
    return [replace(step, exchange=edited(step.exchange, changes.get(step.exchange.id, ()))) for step in steps]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_what_is_blocked_passes_with_the_change(path: Path) -> None:
    steps = parse(path.read_text(encoding="utf-8"))
    for verdict in run(steps).values():
        fix = fix_of(verdict)
        if fix is None:
            beyond = verdict.reason is not None and (
                verdict.reason.id.startswith("redirect-") or any(one.id == "proxy-error" for one in verdict.findings)
            )
            assert verdict.outcome in (Outcome.ALLOWED, Outcome.EXEMPT) or beyond
            continue
        assert verdict.outcome in (Outcome.BLOCKED, Outcome.CONDITIONAL)
        again = run(mended(steps, verdict, fix))
        assert again[verdict.flow_id].outcome is Outcome.ALLOWED
        # Nothing is left to be changed.
        assert fix_of(again[verdict.flow_id]) is None


def headers(edits: tuple[Edit, ...]) -> dict[str, str]:
    return {edit.name or "status": b" | ".join(edit.values).decode() for edit in edits}


def fix(verdict: Verdict) -> Fix:
    found = fix_of(verdict)
    assert found is not None
    return found


def test_no_more_than_is_missing() -> None:
    one = exchange("GET https://b.test/x", headers={"Cookie": "sid=1"}, response={ALLOW_ORIGIN: "https://a.test"})
    found = fix(judged(one))
    assert headers(found.actual) == {ALLOW_CREDENTIALS: "true", "Vary": "Origin"}
    assert found.preflight == ()
    assert found.actual_seen


def test_what_is_sent_without_credentials_needs_none_allowed() -> None:
    found = fix(judged(exchange("GET https://b.test/x", response={"Vary": "Accept-Encoding"})))
    assert headers(found.actual) == {ALLOW_ORIGIN: "https://a.test", "Vary": "Accept-Encoding, Origin"}
    assert not found.policy.credentials


@pytest.mark.parametrize("vary", ["Origin", "origin", "Accept, ORIGIN", "*"])
def test_what_varies_already_stays(vary: str) -> None:
    found = fix(judged(exchange("GET https://b.test/x", response={"vary": vary})))
    assert headers(found.actual) == {ALLOW_ORIGIN: "https://a.test"}


def test_a_preflight_keeps_what_it_allowed_already() -> None:
    said = {**GOOD, ALLOW_METHODS: "GET, *", ALLOW_HEADERS: "X-Old"}
    found = fix(judged(preflight("https://b.test/x", "PUT", "x-new", status=405, response=said)))
    assert headers(found.preflight) == {
        "status": "204",
        ALLOW_METHODS: "GET, PUT",
        ALLOW_HEADERS: "x-old, x-new",
        MAX_AGE: "600",
    }
    assert not found.actual_seen
    assert headers(found.actual) == {ALLOW_ORIGIN: "https://a.test", ALLOW_CREDENTIALS: "true", "Vary": "Origin"}


def test_the_preflight_before_is_part_of_it() -> None:
    talk = Talk()
    talk.ask("https://b.test/x", "PUT", response={**GOOD, ALLOW_METHODS: "PUT", MAX_AGE: "600"})
    actual = talk.say("PUT https://b.test/x", headers={"Cookie": "sid=1"}, response=ANY)
    found = fix(talk[actual])
    assert found.preflight == (), "it was right"
    assert found.policy.methods == ("PUT",)
    assert headers(found.actual) == {ALLOW_ORIGIN: "https://a.test", ALLOW_CREDENTIALS: "true", "Vary": "Origin"}


def test_repeated_lines_become_one() -> None:
    lines = [(ALLOW_ORIGIN, "https://a.test"), (ALLOW_ORIGIN, "*")]
    found = fix(judged(exchange("GET https://b.test/x", response=lines)))
    edit = found.actual[0]
    assert (edit.values, edit.before) == ((b"https://a.test",), (b"https://a.test", b"*"))


def test_of_a_path_no_query_is_kept() -> None:
    found = fix(judged(exchange("GET https://b.test/x?token=secret")))
    assert found.policy.path == "/x"


def test_where_no_header_helps_there_is_no_change() -> None:
    away = {**ANY, "Location": "myapp://callback"}
    assert fix_of(judged(exchange("GET https://b.test/x", status=302, response=away))) is None
    assert fix_of(judged(exchange("GET https://b.test/x", status=502, proxy_made=True))) is None
    assert fix_of(judged(exchange("GET https://b.test/x", response=GOOD))) is None
    assert fix_of(judged(exchange("GET https://a.test/x", site="same-origin"))) is None
