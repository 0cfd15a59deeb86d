"""Which step of its scenario an exchange belongs to, from when it was made, what the page saw, and its body.

Pure. Times are in seconds since the epoch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from corscope.lab.scenarios import Scenario

SLACK = 0.003
"""Seconds by which the page's clock, of whole milliseconds, and the proxy's may differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a step ended for the page."""

    ok: bool | None
    """None where the page can't know: beacons, and what took too long."""
    detail: str
    start: float
    """By the page's clock."""
    end: float


def step_of(scenario: Scenario, time: float, named: int | None, outcomes: Mapping[int, Outcome]) -> int | None:
    """Which step of its scenario a request made at a time belongs to; None if that can't be told.

    `named` is the step that its body names (`step_named`), `outcomes` are those of the scenario's steps.
    """
    return 0 if len(scenario.steps) == 1 else step_at(time, named, outcomes)


def step_at(time: float, named: int | None, outcomes: Mapping[int, Outcome]) -> int | None:
    """Which step a request made at a time belongs to, where there are several; None if that can't be told."""
    if named is not None:
        return named
    fitting = [number for number, outcome in outcomes.items() if outcome.start - SLACK <= time <= outcome.end + SLACK]
    return fitting[0] if len(fitting) == 1 else None


def step_named(body: str) -> int | None:
    """The step that a request's body names, as those of requests made at once do; None for any other body."""
    match = re.fullmatch(r"step=([0-9]{1,4})", body)
    return int(match[1]) if match else None


def clock_offset(spans: Iterable[tuple[Outcome, float, float]]) -> float:
    """By how many seconds the proxy's clock is ahead of the page's, which may be another machine's.

    `spans` are steps that ended, each with the times of its first and its last request by the proxy's clock. A request
    comes after its step's start and before its end, which many of them narrow down to the shortest way to the proxy.
    One in a hundred may be odd. 0 where nothing speaks against it.
    """
    latest: list[float] = []
    earliest: list[float] = []
    for outcome, first, last in spans:
        latest.append(first - outcome.start)
        earliest.append(last - outcome.end)
    if not latest:
        return 0.0
    odd = len(latest) // 100
    highest, lowest = sorted(latest)[odd], sorted(earliest, reverse=True)[odd]
    return 0.0 if lowest - SLACK <= 0 <= highest + SLACK else (highest + lowest) / 2
