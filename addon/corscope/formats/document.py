"""What every format is made from: the entries of a report, one after the other, and at the end their summary.

An entry is a verdict in its JSON form (`corscope.report.as_json`) with these keys besides:
`capture`: the capture's name as the user gave it; `number`: which exchange of it, from 0; `wire`: what
`corscope.report.wire_json` returns; `known`: whether all that is wrong with it is in the user's baseline; `fails`:
whether it is what the user wants the run to fail on.
"""

from enum import IntEnum
from typing import Any, NamedTuple, Protocol

from corscope.advice import verdict_json
from corscope.model import Outcome, Rewrite, Severity, Verdict
from corscope.report import wire_json

type Entry = dict[str, Any]


class Takes(IntEnum):
    """Which exchanges a format shows; each includes those before it."""

    TROUBLE = 0
    """What is blocked or conditional, and of what something was found; not what is blocked for a reason that is
    silenced."""
    CORS = 1
    """What is subject to CORS."""
    EVERYTHING = 2


def kind_of(verdict: Verdict) -> Takes:
    """Tell the first of `Takes` that includes a verdict."""
    if verdict.outcome in (Outcome.BLOCKED, Outcome.CONDITIONAL) and verdict.reason in verdict.findings:
        return Takes.TROUBLE
    if any(one.severity is not Severity.INFO for one in verdict.findings):
        return Takes.TROUBLE
    if verdict.outcome is Outcome.EXEMPT:
        return Takes.CORS if verdict.findings else Takes.EVERYTHING
    return Takes.CORS


FAIL_ON = ("blocked", "conditional", "warning", "never")
"""What a run may fail on; each includes those before it."""


def entry_of(
    verdict: Verdict,
    capture: str,
    number: int,
    stack: str = "",
    fail_on: str = "blocked",
    rewrite: Rewrite | None = None,
) -> Entry:
    """Return the entry of a verdict, of which no baseline knows yet.

    `stack` is the server software that the user named, empty for a guess; `fail_on` is one of FAIL_ON; `rewrite` is
    what rewriting did, or would do, to its response.
    """
    entry = verdict_json(verdict, rewrite, stack=stack)
    if verdict.exchange is not None:
        entry["wire"] = wire_json(verdict.exchange)
    return {**entry, "capture": capture, "number": number, "known": False, "fails": _reaches(entry, fail_on)}


def accept(entry: Entry) -> None:
    """Take what is wrong with an exchange as known."""
    entry["known"], entry["fails"] = True, False


def _reaches(entry: Entry, fail_on: str) -> bool:
    """Tell whether an exchange is what the user wants to fail on; what is silenced is not."""
    if fail_on == "never":
        return False
    told = [one["id"] for one in entry["findings"] if one["severity"] != Severity.INFO]
    if entry["reason"] in told and entry["verdict"] == Outcome.BLOCKED:
        return True
    if entry["reason"] in told and entry["verdict"] == Outcome.CONDITIONAL:
        return fail_on != "blocked"
    return fail_on == "warning" and bool(told)


class CaptureSummary(NamedTuple):
    """What was read of one capture."""

    name: str
    exchanges: int
    """With a response; those without one have no verdict."""
    verdicts: dict[str, int]
    """How many exchanges came out `allowed`, `blocked`, `conditional` and `exempt`; each key is there."""
    warnings: tuple[str, ...] = ()
    """What could not be read, a line each."""
    failed_unanswered: int = 0
    """Requests that failed in the browser, by its own record, without an answer on record: nothing tells why."""
    stopped: dict[str, int] = {}  # noqa: RUF012 - never changed
    """How many requests without an answer failed, by the browser's own record, and for what that is not CORS."""

    @property
    def unreadable(self) -> bool:
        """Whether there are warnings and nothing else."""
        return bool(self.warnings) and not self.exchanges

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be known of the reading, a line each."""
        return (*self.warnings, *self.gaps)

    @property
    def gaps(self) -> tuple[str, ...]:
        """Of what there is no answer, and so no verdict, a line each."""
        failed = (unanswered(self.failed_unanswered),) if self.failed_unanswered else ()
        return (*failed, stopped(self.stopped)) if self.stopped else failed


class Summary(NamedTuple):
    """What was read of all captures."""

    captures: tuple[CaptureSummary, ...]
    findings: dict[str, int]
    """How often each finding was made, those of exempt exchanges included; the most frequent first."""
    failed: bool
    """Whether what was found reaches `--fail-on`."""
    new: int = 0
    """Exchanges with something wrong that is not in the baseline; 0 where there is none."""

    @property
    def verdicts(self) -> dict[str, int]:
        """The sums over all captures."""
        keys = ("allowed", "blocked", "conditional", "exempt")
        return {key: sum(capture.verdicts[key] for capture in self.captures) for key in keys}


def unanswered(count: int) -> str:
    """Return what is to be said of requests that failed in the browser without an answer on record."""
    what = "request" if count == 1 else "requests"
    return (
        f"{count:,} {what} failed in the browser, and the capture has no answer to them: nothing tells why. "
        "A recording made with mitmproxy has every answer that came."
    )


def stopped(reasons: dict[str, int]) -> str:
    """Return what is to be said of requests that failed for reasons that are not CORS."""
    count = sum(reasons.values())
    what = "request" if count == 1 else "requests"
    said = "; ".join(f"{reason} ({times:,})" for reason, times in sorted(reasons.items()))
    return f"{count:,} {what} failed in the browser, by its own record, and not by CORS: {said}."


class Format(Protocol):
    """Writes a report; made with the text file that it writes to. Holds no more than it needs for its end."""

    takes: Takes

    def add(self, entry: Entry) -> None:
        """Take the next entry, in the captures' order, of those that `takes` includes."""

    def finish(self, summary: Summary) -> None:
        """Write what is left; the file stays open."""
