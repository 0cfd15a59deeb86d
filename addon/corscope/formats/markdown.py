"""Markdown for a comment on a pull request, as GitHub shows it: counts, a table, and the details folded.

Captured text stands in code only, where it makes no link, no mention and no markup, and cannot end the table, the fence
or the element that it stands in. https://github.github.com/gfm/
"""

import re
from collections.abc import Iterable, Iterator
from html import escape
from textwrap import wrap
from typing import TextIO

from corscope.advice import configuration_lines
from corscope.baselines import Fingerprint
from corscope.formats.document import Entry, Summary, Takes
from corscope.formats.problems import Problem, Problems, counted, gaps, warnings
from corscope.report import fix_lines

MARK = "<!-- corscope -->"
"""The first line, by which a workflow finds the comment again to replace it."""

LENGTH = 60_000
"""Characters at most: GitHub takes 65,536, and whoever posts it may add some."""

ROWS = 60
"""Lines of the table at most."""

WARNINGS = 20
"""Lines about what is missing of captures at most."""

_SHOWN = 100
"""Characters of a URL or a path that are shown in the table and the headings."""

_MARKS = {"error": "⛔", "warning": "⚠️"}


class Markdown:
    """Writes it all at the end."""

    takes = Takes.TROUBLE

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._problems = Problems()

    def add(self, entry: Entry) -> None:
        """Take the next entry."""
        self._problems.add(entry)

    def finish(self, summary: Summary) -> None:
        """Write the comment."""
        ordered = self._problems.ordered()
        hints = [problem for problem in ordered if problem.severity == "info"]
        problems = [problem for problem in ordered if problem.severity != "info"]
        parts = [
            f"{MARK}\n### {_headline(summary, problems)}\n",
            f"{counted(summary)}.\n",
            *_about_captures([*warnings(summary), *gaps(summary)]),
            *self._table(problems),
            *_hint_lines(hints),
        ]
        length = sum(map(len, parts))
        left_out = 0
        configurations = {""}
        for problem in _explained(problems):
            configuration = "\n".join(configuration_lines(problem.entry)[1:])
            details = _folded(problem, configuration, configuration in configurations)
            # The line about what is left out needs a place too.
            if length + len(details) > LENGTH - 200:
                left_out += 1
                continue
            parts.append(details)
            length += len(details)
            configurations.add(configuration)
        if left_out:
            parts.append(f"\nThe details of {left_out:,} more are left out here, and in the full report.\n")
        self._file.write("".join(parts))

    def _table(self, problems: list[Problem]) -> Iterator[str]:
        if not problems:
            return
        any_known = any(problem.known for problem in problems)
        yield "\n| | what is wrong | where | asked by | exchanges |\n|---|---|---|---|---:|\n"
        for problem in problems[:ROWS]:
            state = f" {'known' if problem.known else '**new**'}" if any_known else ""
            place = problem.place
            cells = (
                f"{_MARKS[problem.severity]}{state}",
                f"{_code(problem.finding['title'])} {_code(place.finding)}",
                f"{_code(_shortened(problem.where))} {place.kind}",
                _code(_shortened(problem.page)),
                f"{problem.count:,}",
            )
            yield f"| {' | '.join(cells)} |\n"
        rest = problems[ROWS:]
        further = self._problems.left_out["error"] + self._problems.left_out["warning"]
        if rest or further:
            occurrences = sum(problem.count for problem in rest) + further
            yield f"\nAnd more of the kind, {occurrences:,} times in all, in the full report.\n"


def _headline(summary: Summary, problems: list[Problem]) -> str:
    verdicts = summary.verdicts
    if summary.new:
        word = "exchange is" if summary.new == 1 else "exchanges are"
        return (
            f"{'⛔' if summary.failed else '⚠️'} CORS: {summary.new:,} {word} wrong in a way that is not in the baseline"
        )
    unreadable = sum(capture.unreadable for capture in summary.captures)
    if unreadable and not verdicts["blocked"]:
        return f"⚠️ CORS: {unreadable:,} {'capture' if unreadable == 1 else 'captures'} could not be read"
    if any(problem.known for problem in problems):
        return "✅ CORS: nothing that is not in the baseline"
    if verdicts["blocked"]:
        return f"⛔ CORS: {verdicts['blocked']:,} blocked"
    if verdicts["conditional"]:
        return f"❔ CORS: {verdicts['conditional']:,} blocked if sent with credentials"
    return "✅ CORS: nothing blocked"


def _about_captures(lines: list[str]) -> Iterator[str]:
    if not lines:
        return
    yield "\n**Not all is there:**\n\n"
    yield from (f"- {_code(_shortened(line, 300))}\n" for line in lines[:WARNINGS])
    if lines[WARNINGS:]:
        yield f"- and {len(lines) - WARNINGS:,} more\n"


def _hint_lines(hints: list[Problem]) -> Iterator[str]:
    counts: dict[str, int] = {}
    for hint in hints:
        counts[hint.place.finding] = counts.get(hint.place.finding, 0) + hint.count
    if counts:
        said = ", ".join(f"`{id_}` ({count:,})" for id_, count in sorted(counts.items(), key=lambda one: -one[1]))
        yield f"\nWorth knowing: {said}.\n"


def _explained(problems: list[Problem]) -> Iterator[Problem]:
    """Yield the problems whose exchanges are explained: all faults of one exchange are told together."""
    told: set[Fingerprint] = set()
    for problem in problems:
        if problem.place not in told:
            told.update(problem.place._replace(finding=finding["id"]) for finding in problem.entry["findings"])
            yield problem


def _folded(problem: Problem, configuration: str, told: bool) -> str:
    """Return an exchange's explanation, folded; `told` tells that the configuration was shown before."""
    heading = f"{_MARKS[problem.severity]} <code>{escape(_shortened(problem.where))}</code> {problem.place.kind}"
    text = [*_said(problem.entry), "", problem.seen]
    if configuration and told:
        text.append("The configuration that mends it is shown above.")
    parts = [f"\n<details><summary>{heading}</summary>\n\n", _fenced("\n".join(_wrapped(text)), "text")]
    if "fix" in problem.entry and (lines := fix_lines(problem.entry["fix"])):
        # The signs of a diff stand at its left edge.
        parts.append(_fenced("\n".join(line.removeprefix("  ") for line in lines[1:]), "diff"))
    if not told:
        parts.append(_fenced(configuration, "text"))
    return "".join([*parts, "</details>\n"])


def _said(entry: Entry) -> Iterator[str]:
    """Yield the browser's words, every fault with its fix, and what the credentials rest on."""
    if entry["console"]:
        yield entry["console"]
        yield ""
    for finding in entry["findings"]:
        if finding["severity"] != "info":
            yield f"{finding['severity'].capitalize()}: {finding['message']}"
            yield f"Fix: {finding['fix']}"
            yield f"See {finding['docs']}"
            yield ""
    yield f"Page {entry['origin'] or 'not named'}, credentials {entry['credentials']}"
    yield from (f"  because: {evidence}" for evidence in entry["credentials_evidence"])


def _wrapped(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines that fit a comment's width: in a fence the browser breaks none."""
    for line in lines:
        yield from wrap(line, 100, break_long_words=False, break_on_hyphens=False) or [""]


def _fenced(text: str, language: str) -> str:
    """Return a text in a fence that none of its lines can end."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}\n\n"


def _code(text: str) -> str:
    """Return a text as a code span that may stand in a table.

    What would end the span or the cell is replaced by what looks like it: GitHub and other readers differ in how far a
    backslash helps. The text as it is stands in the details.
    """
    return f"`{text.replace('`', 'ˋ').replace('|', '¦').replace('\\', '⧵').strip() or '…'}`"


def _shortened(text: str, length: int = _SHOWN) -> str:
    """Return a text in which the middle is left out where it is too long."""
    return text if len(text) <= length else f"{text[: length // 2]}…{text[-length // 2 + 1 :]}"
