"""What tests ask of captures and of live traffic: what the verdicts are, and that nothing is blocked.

Importing it costs nothing.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corscope.captures.capture import Damage
    from corscope.checking import Choice
    from corscope.model import Verdict

SHOWN = 5
"""Kinds of blocked exchanges that a failure explains; the others are counted."""


class CorsBlocked(AssertionError):
    """Something was blocked; the message explains it."""


class CorsCaptureWarning(UserWarning):
    """A part of a capture could not be read, or nothing in it is subject to CORS; the message says which and why."""


def assert_no_cors_blocks(
    capture: str | os.PathLike[str] | Iterable[Verdict | dict[str, Any]],
    *,
    silence: Iterable[str] = (),
    origins: Iterable[str] = (),
) -> None:
    """Raise CorsBlocked, an AssertionError that explains what is wrong, if a browser would block anything.

    `capture` is a capture's path, or verdicts, as `corscope.check` or `cors_proxy` return them. What is blocked for a
    reason in `silence`, ids of findings, does not count; nor, if `origins` are given, do other pages' exchanges. A
    conditional verdict is no block.

    Raises SettingError for ids and origins that make no sense; UnreadableCapture or OSError for a capture that can't be
    read. Warns of what can't be read of one.
    """
    __tracebackhide__ = True
    from corscope.checking import choose

    choice = choose(silence=silence, origins=origins)
    if isinstance(capture, str | os.PathLike):
        where = f" in {os.fspath(capture)}"
        told = told_blocks(verdicts_of(capture, choice), choice, where)
    else:
        told = told_blocks(capture, choice)
    if told:
        raise CorsBlocked(told)


def verdicts_of(capture: str | os.PathLike[str], choice: Choice) -> Iterator[Verdict]:
    """Judge a capture: yield the verdicts that are to be told, in its order. Warns of what can't be read.

    Raises UnreadableCapture or OSError.
    """
    from corscope.checking import check_capture

    damages: list[Damage] = []
    for checked in check_capture(capture, choice, damages.append):
        if choice.takes(checked):
            yield checked.verdict
    if damages:
        # The others are mostly its consequences.
        first, more = damages[0], f" (and {len(damages) - 1} more like it)" if len(damages) > 1 else ""
        said = f"{os.fspath(capture)}: {first.where}: {first.what}; skipped {first.skipped}{more}"
        warnings.warn(CorsCaptureWarning(said), stacklevel=2)


def told_blocks(verdicts: Iterable[Verdict | dict[str, Any]], choice: Choice, where: str = "") -> str:
    """Return what is blocked of verdicts, explained; empty where nothing is. `where` is said of all."""
    blocked, subject = _blocked(verdicts, choice)
    if not blocked:
        return ""
    from corscope.report import explanation

    alike: dict[tuple[object, ...], list[dict[str, Any]]] = {}
    for verdict in blocked:
        ids = tuple(finding["id"] for finding in verdict["findings"])
        alike.setdefault((verdict["kind"], verdict["method"], verdict["url"], verdict["page"], ids), []).append(verdict)
    kinds = list(alike.values())
    said = f"{len(blocked)} of {subject} exchange{'' if subject == 1 else 's'} blocked by CORS{where}"
    if len(kinds) == 1:
        # The cause first: a summary shows no more than the beginning.
        return _joined([f"{_cause(blocked[0])} — {said}", "", *explanation(blocked[0])])
    lines = [said]
    for number, group in enumerate(kinds[:SHOWN], 1):
        times = f" ({len(group)} times)" if len(group) > 1 else ""
        lines += ["", f"{number}. {_cause(group[0])}{times}", *explanation(group[0])]
    if rest := Counter(_cause(verdict) for group in kinds[SHOWN:] for verdict in group):
        lines += ["", f"… and {rest.total()} more:", *(f"  {count} × {cause}" for cause, count in rest.most_common())]
    return _joined(lines)


def _joined(lines: Iterable[str]) -> str:
    """Return lines as a text in which nothing that was captured steers the terminal."""
    from corscope.privacy import plain

    return "\n".join(map(plain, lines))


def _blocked(verdicts: Iterable[Verdict | dict[str, Any]], choice: Choice) -> tuple[Sequence[dict[str, Any]], int]:
    """Return what is blocked for a reason that is to be told, and how many exchanges are subject to CORS at all."""
    from corscope.report import as_json

    blocked, subject = [], 0
    for one in verdicts:
        outcome, page = (one["verdict"], one["page"]) if isinstance(one, dict) else (one.outcome, one.page)
        if outcome == "exempt" or not choice.has(page):
            continue
        subject += 1
        if outcome == "blocked":
            verdict = one if isinstance(one, dict) else as_json(one)
            findings = [finding for finding in verdict["findings"] if finding["id"] not in choice.silence]
            if any(finding["id"] == verdict["reason"] for finding in findings):
                blocked.append({**verdict, "findings": findings})
    return blocked, subject


def _cause(verdict: dict[str, Any]) -> str:
    """Return the title of what blocks an exchange."""
    title: str = next(finding["title"] for finding in verdict["findings"] if finding["id"] == verdict["reason"])
    return title
