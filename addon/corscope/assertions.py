"""What tests assert of captures and of live traffic. Importing it costs nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from corscope.model import Verdict

SHOWN = 5
"""Blocked exchanges that a failure explains; the others are counted."""


class CorsBlocked(AssertionError):
    """Something was blocked; the message explains it."""


def assert_no_cors_blocks(
    capture: str | Path | Iterable[Verdict | dict[str, Any]],
    *,
    silence: Collection[str] = (),
    origins: Iterable[str] = (),
) -> None:
    """Raise CorsBlocked, an AssertionError that explains what is wrong, if a browser would block anything.

    `capture` is a capture's path, or verdicts, as `corscope.check` or `cors_proxy` return them. What is blocked for a
    reason in `silence`, ids of findings, does not count; nor, if `origins` are given, do other pages' exchanges.
    """
    __tracebackhide__ = True
    from corscope.checking import check, choose

    choice = choose(silence=silence, origins=origins)
    told: Iterable[Verdict | dict[str, Any]] = check(capture) if isinstance(capture, str | Path) else capture
    blocked = []
    for one in told:
        seen = _seen(one)
        if seen.is_blocked and seen.reason not in choice.silence and choice.has(seen.page):
            blocked.append(seen.explanation)
    if blocked:
        what = "1 exchange is" if len(blocked) == 1 else f"{len(blocked)} exchanges are"
        more = [f"… and {len(blocked) - SHOWN} more"] if len(blocked) > SHOWN else []
        raise CorsBlocked("\n\n".join([f"{what} blocked by CORS", *blocked[:SHOWN], *more]))


class _Seen(NamedTuple):
    """What counts of a verdict, in either of its forms."""

    is_blocked: bool
    reason: str | None
    page: str
    explanation: str


def _seen(verdict: Verdict | dict[str, Any]) -> _Seen:
    from corscope.report import as_json, explanation

    if not isinstance(verdict, dict):
        if verdict.outcome != "blocked":
            return _Seen(False, None, "", "")
        page = verdict.page
        verdict = as_json(verdict)
    else:
        page = verdict["origin"] or ""
    return _Seen(verdict["verdict"] == "blocked", verdict["reason"], page, "\n".join(explanation(verdict)))
