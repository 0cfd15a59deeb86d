"""Annotations of GitHub Actions: workflow commands on standard output, which GitHub shows beside the changes.

https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands
"""

from collections import Counter
from typing import TextIO

from corscope.formats.document import Entry, Summary, Takes
from corscope.formats.files import shown_path
from corscope.formats.problems import Problem, Problems, counted, gaps, warnings

SHOWN = 10
"""Annotations of each level that GitHub shows of a step; it drops what comes after them."""


class GitHub:
    """Writes an annotation for each new error and warning, as many as GitHub shows, and sums up the rest."""

    takes = Takes.TROUBLE

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._problems = Problems()

    def add(self, entry: Entry) -> None:
        """Take the next entry."""
        self._problems.add(entry)

    def finish(self, summary: Summary) -> None:
        """Write all annotations, errors first."""
        problems = self._problems.ordered()
        unread = {"error": warnings(summary, unreadable=True), "warning": warnings(summary, unreadable=False)}
        for severity, lines in unread.items():
            new = [problem for problem in problems if problem.severity == severity and not problem.known]
            self._annotate(severity, new, lines)
        self._notice(" ".join([f"{counted(summary)}.", *gaps(summary)[:1]]))
        known = [problem for problem in problems if problem.known]
        if known:
            self._notice(f"In the baseline, and not shown: {_named(known)}.")
        hints = [problem for problem in problems if problem.severity == "info"]
        if hints:
            self._notice(f"Worth knowing, and in the full report: {_named(hints)}.")

    def _annotate(self, level: str, problems: list[Problem], lines: list[str]) -> None:
        """Write at most ten annotations: lines about captures, then problems, then one that names what is left."""
        for line in lines[:1]:
            more = f". And {len(lines) - 1:,} more, in the full report." if lines[1:] else ""
            title = "Capture not read" if level == "error" else "Capture not wholly read"
            self._write(level, {"title": title}, line + more)
        left_out = self._problems.left_out[level]
        room = SHOWN - len(lines[:1])
        if len(problems) > room or left_out:
            room -= 1
        for problem in problems[:room]:
            title = f"{problem.finding['title']}: {problem.where}"
            file = shown_path(problem.entry["capture"])
            self._write(level, {"title": title, "file": file}, _message(problem))
        rest = problems[room:]
        if rest or left_out:
            further = f", and {left_out:,} findings in further places" if left_out else ""
            said = _named(rest) if rest else "nothing else of note"
            self._write(level, {"title": f"{len(rest):,} more"}, f"In the full report: {said}{further}.")

    def _notice(self, message: str) -> None:
        self._write("notice", {"title": "corscope"}, message)

    def _write(self, level: str, properties: dict[str, str], message: str) -> None:
        said = ",".join(f"{name}={_escaped_property(value)}" for name, value in properties.items())
        self._file.write(f"::{level} {said}::{_escaped(message)}\n")


def _message(problem: Problem) -> str:
    return "\n".join(
        [
            f"{problem.finding['message']} The request came from {problem.page} ({problem.place.kind}).",
            f"Fix: {problem.finding['fix']}",
            f"{problem.seen} See {problem.finding['docs']}",
        ]
    )


def _named(problems: list[Problem]) -> str:
    """Return the ids of the findings with how often they were made, the most frequent first; at most ten."""
    counts: Counter[str] = Counter()
    for problem in problems:
        counts[problem.place.finding] += problem.count
    named = ", ".join(f"{id_} ({count:,})" for id_, count in counts.most_common(10))
    return f"{named} and {len(counts) - 10:,} other findings" if len(counts) > 10 else named


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped(text).replace(":", "%3A").replace(",", "%2C")
