"""Holds what corscope predicted of a run's exchanges against what the browser did: "Verify this browser".

Pure: the page's outcomes and the verdicts go in, a row for each step comes out. What can't be compared is so by the
table, by what the page saw, or because nothing was on the wire; never by what was predicted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from corscope.catalogue import CATALOGUE
from corscope.lab.answers import place_of, scenario_of
from corscope.lab.scenarios import Initiator, Scenario, Step, Web
from corscope.lab.steps import Outcome, clock_offset, step_of
from corscope.model import Kind, Verdict
from corscope.model import Outcome as Said
from corscope.privacy import shown_url
from corscope.report import wire_json


class Result(StrEnum):
    """What a row comes to."""

    AGREE = "agree"
    DIFFER = "differ"
    """A definite prediction that the browser contradicts."""
    OPEN = "open"
    """corscope left it open, for the wire does not tell."""
    INCOMPARABLE = "incomparable"


class Why(StrEnum):
    """Why a step can't be compared: an id; `WORDS` has the sentences."""

    BEACON = "beacon"
    PRELOAD = "preload"
    TIMED_OUT = "timed-out"
    NO_CONTEXT = "no-context"
    FROM_CACHE = "from-cache"
    NOT_SENT = "not-sent"
    UNKNOWN_ORDER = "unknown-order"


WORDS: Mapping[Why, str] = {
    Why.BEACON: "No page is told what became of a beacon.",
    Why.PRELOAD: "Not every browser tells a page that the preload it asked for was blocked.",
    Why.TIMED_OUT: "It took the browser too long, so that nobody knows how it would have ended.",
    Why.NO_CONTEXT: "This browser did not start the frame or the worker that was to ask.",
    Why.FROM_CACHE: "Nothing went over the wire: the browser answered from its cache.",
    Why.NOT_SENT: "It failed in the browser, and nothing of it went over the wire.",
    Why.UNKNOWN_ORDER: "Nothing tells which of several requests to one URL an exchange on the wire belongs to.",
}

NO_CONTEXT = "no context"
"""What the page says in detail of a step whose frame or worker did not start."""

UNSURE = "mode-unknown"
"""The warning with which an exempt verdict leaves the request's mode open."""


class Judged(NamedTuple):
    """An exchange of the run, with the latest verdict on it."""

    verdict: Verdict
    step_named: int | None
    """The step that its request's body names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One step of one scenario: what was asked, what the browser did, and what was predicted."""

    scenario: Scenario
    number: int
    """The step's, from 0."""
    outcome: Outcome
    flows: tuple[Verdict, ...]
    """In the order in which the browser sent them."""
    prediction: Said | None
    """ALLOWED, BLOCKED, or CONDITIONAL where corscope left it open; None where there are no flows."""
    result: Result
    why: str
    """Of what can't be compared, `Why`; of what is blocked or left open, the deciding finding's id; else empty."""

    @property
    def step(self) -> Step:
        """What was asked."""
        return self.scenario.steps[self.number]


def rows(web: Web, outcomes: Mapping[tuple[str, int], Outcome], judged: Iterable[Judged]) -> list[Row]:
    """Return a row for each outcome, in the table's order.

    `outcomes` are how the steps ended, by their scenario's id and their number; unknown ones are passed over. `judged`
    are the run's exchanges in any order.
    """
    by_scenario: dict[str, list[Judged]] = defaultdict(list)
    for one in sorted(judged, key=lambda one: one.verdict.timestamp):
        place = place_of(_path(one.verdict.url))
        scenario = scenario_of(place) if place is not None and place.web == web.name else None
        if scenario is not None:
            by_scenario[scenario.id].append(one)
    offset = clock_offset(_spans(web, outcomes, by_scenario))
    ended: dict[str, dict[int, Outcome]] = defaultdict(dict)
    for (identifier, number), outcome in sorted(outcomes.items()):
        ended[identifier][number] = outcome
    made: list[Row] = []
    for identifier, ends in ended.items():
        found = _scenario(web, identifier)
        if found is None:
            continue
        known = {number: outcome for number, outcome in ends.items() if 0 <= number < len(found.steps)}
        made += _rows_of(found, known, by_scenario[identifier], offset)
    return made


def _rows_of(scenario: Scenario, ends: Mapping[int, Outcome], judged: Sequence[Judged], offset: float) -> Iterable[Row]:
    own: dict[int, list[Verdict]] = {number: [] for number in ends}
    lost: list[Verdict] = []
    for one in judged:
        step = step_of(scenario, one.verdict.timestamp - offset, one.step_named, ends)
        own.get(step, lost).append(one.verdict) if step is not None else lost.append(one.verdict)
    together = any(step.parallel for step in scenario.steps)
    if together:
        # Of requests made at once nothing tells the preflights apart: they count for those that got no further, or if
        # there are none such, for all.
        stopped = [number for number, flows in own.items() if not flows] or list(own)
        preflights = [verdict for verdict in lost if verdict.kind is Kind.PREFLIGHT]
        lost = [verdict for verdict in lost if verdict.kind is not Kind.PREFLIGHT]
        for number in stopped:
            own[number] = preflights + own[number]
    for number, outcome in ends.items():
        yield _row(scenario, number, outcome, tuple(own[number]), bool(lost))


def _row(scenario: Scenario, number: int, outcome: Outcome, flows: tuple[Verdict, ...], lost: bool) -> Row:
    prediction, reason = predicted(flows)
    cannot = _incomparable(scenario.steps[number], outcome, flows, lost)
    if cannot is not None:
        result, why = Result.INCOMPARABLE, str(cannot)
    elif prediction is Said.CONDITIONAL:
        result, why = Result.OPEN, reason
    else:
        agrees = (prediction is Said.ALLOWED) == outcome.ok
        result, why = (Result.AGREE if agrees else Result.DIFFER), reason
    return Row(
        scenario=scenario,
        number=number,
        outcome=outcome,
        flows=flows,
        prediction=prediction,
        result=result,
        why=why,
    )


def _incomparable(step: Step, outcome: Outcome, flows: Sequence[Verdict], lost: bool) -> Why | None:
    by_table = incomparable(step)
    if by_table is not None:
        return by_table
    if outcome.ok is None:
        return Why.NO_CONTEXT if outcome.detail == NO_CONTEXT else Why.TIMED_OUT
    if lost:
        return Why.UNKNOWN_ORDER
    if not flows:
        return Why.FROM_CACHE if outcome.ok else Why.NOT_SENT
    return None


def incomparable(step: Step) -> Why | None:
    """Return why a step of the table can't be compared in any browser; None where it can be."""
    if step.initiator is Initiator.BEACON:
        return Why.BEACON
    if step.initiator is Initiator.PRELOAD:
        return Why.PRELOAD
    return None


def predicted(flows: Sequence[Verdict]) -> tuple[Said | None, str]:
    """Return what the verdicts on a step's exchanges come to, and the id of the finding that decides it."""
    if not flows:
        return None, ""
    for verdict in flows:
        if verdict.outcome is Said.BLOCKED:
            return Said.BLOCKED, _reason(verdict)
    for verdict in flows:
        if verdict.outcome is Said.CONDITIONAL or is_unsure(verdict):
            return Said.CONDITIONAL, _reason(verdict)
    return Said.ALLOWED, ""


def is_unsure(verdict: Verdict) -> bool:
    """Tell an exemption that leaves the request's mode open: it is no definite verdict."""
    return verdict.outcome is Said.EXEMPT and any(finding.id == UNSURE for finding in verdict.findings)


def _reason(verdict: Verdict) -> str:
    if verdict.outcome is Said.EXEMPT:
        return UNSURE
    return verdict.reason.id if verdict.reason is not None else ""


def _spans(
    web: Web, outcomes: Mapping[tuple[str, int], Outcome], judged: Mapping[str, Sequence[Judged]]
) -> Iterable[tuple[Outcome, float, float]]:
    """The steps that ended and can be no others, with when the proxy got their first and last request."""
    for (identifier, number), outcome in outcomes.items():
        scenario = _scenario(web, identifier)
        if scenario is not None and number == 0 and len(scenario.steps) == 1 and outcome.ok is not None:
            times = [one.verdict.timestamp for one in judged.get(identifier, ())]
            if times:
                yield outcome, times[0], times[-1]


def _scenario(web: Web, identifier: str) -> Scenario | None:
    place = place_of(f"/x/{web.name}/-/{identifier}/0")
    return scenario_of(place) if place is not None else None


def _path(url: str) -> str:
    return "/" + url.split("/", 3)[-1]


# -- as JSON -----------------------------------------------------------------------------------------------------------


def as_json(row: Row) -> dict[str, Any]:
    """Return a row as JSON values; of a difference with the header lines that matter, secrets left out."""
    step = row.step
    return {
        "scenario": row.scenario.id,
        "tag": row.scenario.tag,
        "step": row.number,
        "result": str(row.result),
        "why": row.why,
        "asked": {
            "by": str(step.initiator),
            "in": str(row.scenario.context),
            "origin": row.scenario.origin,
            "mode": str(step.mode),
            "credentials": str(step.credentials),
            "method": step.method,
            "headers": sorted(name.lower() for name, _ in step.headers),
            "cache": step.cache,
        },
        "browser": {"got": row.outcome.ok, "said": row.outcome.detail},
        "predicted": None if row.prediction is None else str(row.prediction),
        "flows": [_flow_json(verdict, whole=row.result is Result.DIFFER) for verdict in row.flows],
    }


def _flow_json(verdict: Verdict, whole: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "flow_id": verdict.flow_id,
        "kind": str(verdict.kind),
        "method": verdict.method,
        "url": shown_url(verdict.url),
        "status": verdict.status,
        "verdict": str(verdict.outcome),
        "reason": verdict.reason.id if verdict.reason is not None else None,
    }
    if whole and verdict.exchange is not None:
        shown |= {
            "credentials": str(verdict.credentials),
            "credentials_evidence": list(verdict.credentials_evidence),
            "wire": wire_json(verdict.exchange),
        }
    return shown


def counts(made: Iterable[Row]) -> dict[str, Any]:
    """Return how many rows came to what, and of those that can't be compared and those left open, why."""
    results = dict.fromkeys(map(str, Result), 0)
    reasons: dict[str, dict[str, int]] = {str(Result.OPEN): {}, str(Result.INCOMPARABLE): {}}
    for row in made:
        results[row.result] += 1
        if row.result in reasons:
            reasons[row.result][row.why] = reasons[row.result].get(row.why, 0) + 1
    return {**results, "reasons": reasons}


def words(reasons: Iterable[str]) -> dict[str, str]:
    """Return what to call each of some reasons: sentences of `Why`, the titles of findings."""
    named = {reason: CATALOGUE[reason].title for reason in reasons if reason in CATALOGUE}
    return named | {reason: WORDS[Why(reason)] for reason in reasons if reason in set(Why)}
