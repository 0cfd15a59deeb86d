"""What the browser did against what was predicted, told from made-up runs."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping

import pytest

from builders import ANY, Talk
from corscope.lab.agreement import (
    NO_CONTEXT,
    WORDS,
    Judged,
    Result,
    Row,
    Why,
    as_json,
    counts,
    incomparable,
    rows,
    words,
)
from corscope.lab.answers import Place, path_of
from corscope.lab.scenarios import HTTPS, Initiator, Scenario, scenarios
from corscope.lab.steps import Outcome, clock_offset, step_named, step_of

PAGE = HTTPS.page
GOOD = {"Access-Control-Allow-Origin": PAGE, "Access-Control-Allow-Credentials": "true"}
COOKIE = {"Cookie": "sid=secret-value"}


def first(tag: str, credentials: str | None = None) -> Scenario:
    """The first scenario with a tag that begins so, and whose first step has those credentials."""
    for scenario in scenarios("https"):
        if scenario.tag.startswith(tag) and credentials in (None, scenario.steps[0].credentials):
            return scenario
    raise AssertionError(tag)


class Run:
    """A run: what was on the wire, and what the page saw, half a second for each step."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.talk = Talk(defaults={"origin": PAGE})
        self.outcomes: dict[tuple[str, int], Outcome] = {}
        self.named: dict[str, int] = {}
        self.ahead = ahead
        """Seconds by which the proxy's clock is ahead."""

    def url(self, scenario: Scenario, hop: int = 0) -> str:
        origin = HTTPS.origins[scenario.hops[hop].role]
        return origin + path_of(Place(web="https", run="t", scenario=scenario.id, hop=hop))

    def say(
        self, scenario: Scenario, response: Mapping[str, str], *, method: str = "GET", hop: int = 0, **more: object
    ) -> str:
        """An exchange of a scenario."""
        return self.talk.say(f"{method} {self.url(scenario, hop)}", response=response, **more)

    def end(self, scenario: Scenario, ok: bool | None, step: int = 0, detail: str = "", start: float = 0.2) -> None:
        """Says how a step ended whose exchanges were the latest; `start` is for how many seconds."""
        now = self.talk.now - self.ahead
        self.outcomes[scenario.id, step] = Outcome(ok=ok, detail=detail, start=now - start, end=now + 0.01)
        self.talk.now += 0.5

    def rows(self) -> list[Row]:
        self.talk.end()
        judged = [Judged(verdict, self.named.get(flow)) for flow, verdict in self.talk.verdicts.items()]
        # The order in which verdicts were settled says nothing.
        return rows(HTTPS, self.outcomes, reversed(judged))

    def row(self) -> Row:
        (row,) = self.rows()
        return row


def told(row: Row) -> tuple[str, str | None, str]:
    """What a row comes to: the result, the prediction, and why."""
    return str(row.result), None if row.prediction is None else str(row.prediction), row.why


@pytest.mark.parametrize(
    ("response", "ok", "comes_to"),
    [
        (GOOD, True, ("agree", "allowed", "")),
        (GOOD, False, ("differ", "allowed", "")),
        (ANY, False, ("agree", "blocked", "allow-origin-wildcard-with-credentials")),
        (ANY, True, ("differ", "blocked", "allow-origin-wildcard-with-credentials")),
    ],
)
def test_a_definite_prediction_is_right_or_wrong(
    response: Mapping[str, str], ok: bool, comes_to: tuple[str, str, str]
) -> None:
    run, scenario = Run(), first("check/origin/star/true", "include")
    run.say(scenario, response, headers=COOKIE)
    run.end(scenario, ok)
    assert told(run.row()) == comes_to


@pytest.mark.parametrize("ok", [True, False])
def test_what_is_left_open_is_neither(ok: bool) -> None:
    run, scenario = Run(), first("check/origin/star/true", "include")
    run.say(scenario, ANY)
    run.end(scenario, ok)
    assert told(run.row()) == ("open", "conditional", "credentials-unknown")


def test_an_exemption_that_is_not_sure_of_the_mode_is_open() -> None:
    web, scenario = Run(), first("initiator/fetch/cors/good")
    web.talk.defaults |= {"mode": None, "site": None, "dest": None}
    web.say(scenario, {}, method="POST", headers={"Content-Type": "text/plain"})
    web.end(scenario, False)
    row = web.row()
    assert told(row) == ("open", "conditional", "mode-unknown")
    assert row.flows[0].outcome in ("exempt", "conditional")


def test_a_chain_is_blocked_where_one_of_it_is() -> None:
    run, scenario = Run(), first("redirect/cross-third/good/good", "include")
    run.say(scenario, {**GOOD, "Location": run.url(scenario, 1)}, status=302, headers=COOKIE)
    run.say(scenario, {}, hop=1, origin="null", headers=COOKIE)
    run.end(scenario, False)
    row = run.row()
    assert (told(row), len(row.flows)) == (("agree", "blocked", row.why), 2)
    assert row.why == "origin-null-not-allowed"


def test_what_no_page_is_told_is_not_comparable_in_any_browser() -> None:
    for initiator, why in ((Initiator.BEACON, Why.BEACON), (Initiator.PRELOAD, Why.PRELOAD)):
        for response, ok in itertools.product((GOOD, {}), (True, False, None)):
            run, scenario = Run(), first(f"initiator/{initiator}/cors/good", "include")
            run.say(scenario, response, headers=COOKIE)
            run.end(scenario, ok)
            assert told(run.row())[::2] == ("incomparable", str(why))


def test_what_the_table_says_of_what_can_be_compared() -> None:
    why = Counter(str(incomparable(step)) for one in scenarios("http") for step in one.steps)
    assert why == {"None": 6421, "preload": 54, "beacon": 32}


def test_what_the_page_does_not_know_is_not_comparable() -> None:
    for detail, why in (("timeout", Why.TIMED_OUT), (NO_CONTEXT, Why.NO_CONTEXT)):
        run, scenario = Run(), first("check/origin/echo/true")
        run.say(scenario, GOOD)
        run.end(scenario, None, detail=detail)
        assert told(run.row())[::2] == ("incomparable", str(why))


def test_what_was_not_on_the_wire_is_not_comparable() -> None:
    for ok, why in ((True, Why.FROM_CACHE), (False, Why.NOT_SENT)):
        run, scenario = Run(), first("stored/default/good")
        run.say(scenario, GOOD)
        run.end(scenario, True)
        run.end(scenario, ok, step=1)
        assert [told(row) for row in run.rows()] == [("agree", "allowed", ""), ("incomparable", None, str(why))]


def test_the_steps_of_a_sequence_are_told_apart_by_when_they_were_made() -> None:
    run, scenario = Run(), first("retry/actual/missing", "same-origin")
    run.say(scenario, {})
    run.end(scenario, False)
    run.say(scenario, GOOD)
    run.end(scenario, True, step=1)
    assert [told(row) for row in run.rows()] == [
        ("agree", "blocked", "allow-origin-missing"),
        ("agree", "allowed", ""),
    ]


def test_where_nothing_tells_them_apart_nothing_is_compared() -> None:
    run, scenario = Run(), first("retry/actual/missing", "same-origin")
    run.say(scenario, {})
    run.end(scenario, False)
    run.talk.now += 5
    run.say(scenario, GOOD)
    run.talk.now += 5
    run.end(scenario, True, step=1)
    assert [told(row)[::2] for row in run.rows()] == [("incomparable", "unknown-order")] * 2


def together(scenario: Scenario, preflights: int, actuals: Mapping[int, bool], run: Run) -> None:
    """Two requests made at once: their preflights, answered without allowing one, then those that came through."""
    begun = run.talk.now
    for _ in range(preflights):
        run.talk.ask(run.url(scenario), response=GOOD)
    for step in actuals:
        run.named[run.say(scenario, GOOD, method="PUT", headers=COOKIE)] = step
    for step in range(len(scenario.steps)):
        run.outcomes[scenario.id, step] = Outcome(
            ok=actuals.get(step, False), detail="", start=begun - 0.01, end=run.talk.now + 0.01
        )
    run.talk.wait(10)


def test_preflights_of_requests_made_at_once_count_for_those_that_got_no_further() -> None:
    scenario = first("parallel/include-same-origin/good/PUT")
    run = Run()
    # The method is not allowed: corscope says blocked of each preflight.
    together(scenario, 2, {}, run)
    assert [told(row)[:2] for row in run.rows()] == [("agree", "blocked")] * 2


def test_a_preflight_that_was_wrongly_said_to_block_is_a_difference() -> None:
    scenario = first("parallel/include-same-origin/good/PUT")
    run = Run()
    together(scenario, 1, {0: True, 1: True}, run)
    assert {row.result for row in run.rows()} == {Result.DIFFER}


def test_outcomes_that_are_not_of_the_table_are_passed_over() -> None:
    run, scenario = Run(), first("check/origin/echo/true")
    run.outcomes["99999", 0] = run.outcomes[scenario.id, 7] = Outcome(ok=True, detail="", start=1.0, end=2.0)
    run.outcomes["../x", 0] = run.outcomes[scenario.id, -1] = Outcome(ok=True, detail="", start=1.0, end=2.0)
    assert run.rows() == []


# -- clocks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead", [-7200.0, -0.2, 0.0, 0.2, 31.5])
def test_the_page_may_be_on_a_machine_whose_clock_is_wrong(ahead: float) -> None:
    run = Run(ahead)
    for scenario in [one for one in scenarios("https") if len(one.steps) == 1][:40]:
        run.say(scenario, GOOD)
        run.end(scenario, True, start=0.03)
    sequence = first("retry/actual/missing", "same-origin")
    run.say(sequence, {})
    run.end(sequence, False, start=0.03)
    run.say(sequence, GOOD)
    run.end(sequence, True, step=1, start=0.03)
    assert [told(row)[0] for row in run.rows() if row.scenario is sequence] == ["agree", "agree"]


def test_clocks_that_agree_as_far_as_is_known_are_left_alone() -> None:
    outcome = Outcome(ok=True, detail="", start=10.0, end=10.5)
    assert clock_offset([]) == 0
    assert clock_offset([(outcome, 10.1, 10.4)]) == 0
    assert clock_offset([(outcome, 12.1, 12.2)]) == pytest.approx(1.9)
    # One in a hundred that is odd, as after a timer that was put off, changes nothing.
    assert clock_offset([(outcome, 10.1, 10.4)] * 100 + [(outcome, 99.0, 99.0)]) == 0


def test_a_body_names_its_step() -> None:
    assert [step_named(body) for body in ("step=0", "step=13", "step=", "xstep=1", "step=1x", "lab=1", "")] == [
        *(0, 13),
        *[None] * 5,
    ]
    one, two = first("check/origin/echo/true"), first("parallel/include-same-origin/good/PUT")
    assert step_of(one, 99.0, None, {}) == 0
    assert step_of(two, 99.0, 1, {}) == 1
    assert step_of(two, 99.0, None, {}) is None


# -- as JSON -----------------------------------------------------------------------------------------------------------


def test_a_difference_brings_its_headers_and_no_secret() -> None:
    run, scenario = Run(), first("header/bearer/exact", "include")
    run.say(scenario, ANY, headers={**COOKIE, "Authorization": "Bearer lab-token"})
    run.end(scenario, True)
    shown = as_json(run.row())
    (flow,) = shown["flows"]
    assert shown["result"] == "differ"
    assert shown["asked"] == {
        "by": "fetch",
        "in": "page",
        "origin": PAGE,
        "mode": "cors",
        "credentials": "include",
        "method": "GET",
        "headers": ["authorization"],
        "cache": "default",
    }
    assert (shown["predicted"], shown["browser"]) == ("blocked", {"got": True, "said": ""})
    assert ["Access-Control-Allow-Origin", "*"] in flow["wire"]["response"]
    assert "secret-value" not in str(shown)
    assert "lab-token" not in str(shown)


def test_what_agrees_brings_no_headers() -> None:
    run, scenario = Run(), first("check/origin/echo/true")
    run.say(scenario, GOOD)
    run.end(scenario, True)
    assert "wire" not in as_json(run.row())["flows"][0]


def test_rows_are_counted_by_result_and_reason() -> None:
    run = Run()
    for tag, ok in (
        ("check/origin/echo/true", True),
        ("check/origin/echo/missing", False),
        ("initiator/beacon", None),
        ("check/origin/empty/true", True),
    ):
        scenario = first(tag)
        run.say(scenario, {} if "empty" in tag else GOOD, headers=COOKIE)
        run.end(scenario, ok)
    assert counts(run.rows()) == {
        "agree": 1,
        "differ": 2,
        "open": 0,
        "incomparable": 1,
        "reasons": {"open": {}, "incomparable": {"beacon": 1}},
    }


def test_every_reason_has_its_words() -> None:
    assert set(WORDS) == set(Why)
    assert words(["beacon", "credentials-unknown", "nonsense"]) == {
        "beacon": WORDS[Why.BEACON],
        "credentials-unknown": "blocked if with credentials",
    }
