"""JUnit XML, as CI servers show it: a suite for each capture, a test case for each story.

There is no standard; what Jenkins, GitLab and GitHub's test reporters read is what is written. A story with an exchange
that the run is to fail on has failed. One that is blocked, or would be if it was sent with credentials, and that the
run is not to fail on is `skipped`, with the reason: that is the one state besides failure that they all show with its
message, and it does not fail the run (`system-out` they show of failed cases only, or not at all). So is one all of
whose faults are in the baseline.
"""

import tempfile
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import IO, TextIO
from xml.sax.saxutils import escape, quoteattr

from corscope import memory
from corscope.baselines import wrong
from corscope.formats.document import Entry, Summary, Takes
from corscope.privacy import plain
from corscope.report import explanation, root

OPEN = 5_000
"""Stories of a capture that may still go on; of more, the oldest are written, and what comes after is another case."""

NAMES = 50_000
"""Names of cases that are remembered, so that each has its own."""

EXPLAINED = 5
"""Exchanges of a story that are explained; they mostly repeat one another."""

_IN_MEMORY = 8 * 1024 * 1024
"""Bytes of a suite that wait for its end in memory, the rest in a temporary file: its head holds the counts."""

_PASSED, _KNOWN, _OPEN, _FAILED = range(4)


@dataclass(slots=True)
class _Story:
    page: str
    host: str
    name: str
    asked_only: bool
    """Whether only its preflight was seen so far."""
    state: int = _PASSED
    message: str = ""
    """What is wrong, of the first exchange of this state."""
    kind: str = ""
    """The id of the finding that matters."""
    explained: dict[frozenset[str], list[str]] = field(default_factory=dict)
    """By what is wrong, how the first such exchange is explained."""
    more: int = 0
    """Exchanges with something wrong besides."""


class JUnit:
    """Writes each suite when the next capture begins."""

    takes = Takes.CORS

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._capture: str | None = None
        self._seen: set[str] = set()
        self._file.write('<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="corscope">\n')
        self._begin()

    def _begin(self) -> None:
        self._stories: OrderedDict[str, _Story] = OrderedDict()
        self._names: OrderedDict[str, int] = OrderedDict()
        self._counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
        # It lives as long as its suite.
        self._cases: IO[str] = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            _IN_MEMORY, "w+", encoding="utf-8", newline="\n"
        )

    def add(self, entry: Entry) -> None:
        """Take the next entry."""
        if entry["capture"] != self._capture:
            self._end()
            self._capture = entry["capture"]
        story = memory.entry(self._stories, entry["story_id"], OPEN + 1, lambda: _story(entry))
        if len(self._stories) > OPEN:
            self._write_case(self._stories.popitem(last=False)[1])
        if story.asked_only and entry["kind"] != "preflight":
            story.name, story.asked_only = _name(entry), False
        if wrong(entry):
            _tell(story, entry)

    def finish(self, summary: Summary) -> None:
        """Write the last suite, those of captures in which nothing was judged, and what could not be read."""
        self._end()
        for capture in summary.captures:
            if capture.name not in self._seen:
                self._capture = capture.name
                self._end()
        damaged = [capture for capture in summary.captures if capture.warnings]
        for capture in damaged:
            # A reader of this file shall not take a capture of which nothing was read for one in order.
            element, count = ("error", "errors") if capture.unreadable else ("skipped", "skipped")
            said = plain("; ".join(capture.warnings))
            self._write(_case("captures", plain(capture.name), f"<{element} message={quoteattr(said)}/>"), count)
        if damaged:
            self._capture = "captures"
            self._end()
        self._file.write("</testsuites>\n")
        self._cases.close()

    def _end(self) -> None:
        """Write the suite of the present capture, if there is one, and begin the next."""
        if self._capture is not None:
            for story in self._stories.values():
                self._write_case(story)
            counts = " ".join(f'{name}="{count}"' for name, count in self._counts.items())
            self._file.write(f'<testsuite name={quoteattr(plain(self._capture))} {counts} time="0">\n')
            self._cases.seek(0)
            for line in self._cases:
                self._file.write(line)
            self._file.write("</testsuite>\n")
            self._seen.add(self._capture)
            self._capture = None
        self._cases.close()
        self._begin()

    def _write_case(self, story: _Story) -> None:
        class_name = plain(f"{story.page} → {story.host}")
        name = plain(story.name)
        # Two cases of one name would count as one.
        repeated = self._names[f"{class_name} {name}"] = self._names.get(f"{class_name} {name}", 0) + 1
        memory.bound(self._names, NAMES)
        if repeated > 1:
            name += f" ({repeated})"
        text = "\n\n".join("\n".join(lines) for lines in story.explained.values())
        if story.more:
            text += f"\n\nAnd {story.more:,} more exchanges of this story."
        if story.state == _FAILED:
            said = f"<failure message={quoteattr(story.message)} type={quoteattr(story.kind)}>{escape(text)}</failure>"
            self._write(_case(class_name, name, said), "failures")
        elif story.state in (_OPEN, _KNOWN):
            message = f"in the baseline: {story.message}" if story.state == _KNOWN else story.message
            output = f"<system-out>{escape(text)}</system-out>"
            self._write(_case(class_name, name, f"<skipped message={quoteattr(message)}/>{output}"), "skipped")
        else:
            self._write(_case(class_name, name, f"<system-out>{escape(text)}</system-out>" if text else ""))

    def _write(self, case: str, count: str | None = None) -> None:
        self._cases.write(case)
        self._counts["tests"] += 1
        if count is not None:
            self._counts[count] += 1


def _story(entry: Entry) -> _Story:
    host = entry["url"].partition("://")[2].partition("/")[0]
    return _Story(entry["origin"] or "same origin", host, _name(entry), entry["kind"] == "preflight")


def _name(entry: Entry) -> str:
    """Return what was asked for: the method, of a preflight the one that it asks for, and the path without query."""
    method = entry["method"]
    if entry["kind"] == "preflight":
        asked = (value for name, value in entry["wire"]["request"] if name.lower() == "access-control-request-method")
        method = next(asked, method)
    path = entry["url"].partition("://")[2].partition("/")[2].partition("?")[0].partition("#")[0]
    return f"{method} /{path}"


def _tell(story: _Story, entry: Entry) -> None:
    """Take what is wrong with an exchange of a story."""
    verdict, state = entry["verdict"], _PASSED
    findings = {finding["id"]: finding for finding in entry["findings"]}
    # A reason that is silenced is not among the findings: what the user does not want to hear of fails nothing.
    decided = entry["reason"] in findings and verdict in ("blocked", "conditional")
    if decided and entry["known"]:
        state = _KNOWN
    elif entry["fails"]:
        state = _FAILED
    elif decided:
        state = _OPEN
    if state > story.state:
        if decided:
            matters = findings[root(entry["reason"], findings)]
        else:
            # Of one id there may be several, and only one of them more than worth knowing.
            matters = next(one for one in entry["findings"] if one["severity"] != "info")
        story.state, story.kind = state, matters["id"]
        said = f"{matters['title']}: {entry['method']} {entry['url']} is {verdict} ({entry['kind']})"
        story.message = plain(said)
    what = frozenset((verdict, entry["kind"], *findings))
    if what not in story.explained and len(story.explained) < EXPLAINED:
        story.explained[what] = [plain(line) for line in explanation(entry)]
    else:
        story.more += 1


def _case(class_name: str, name: str, content: str) -> str:
    # A time is wanted: without one some show “NaN”.
    head = f'<testcase classname={quoteattr(class_name)} name={quoteattr(name)} time="0"'
    return f"{head}>{content}</testcase>\n" if content else f"{head}/>\n"
