"""Verdicts for people at a terminal: each kind of trouble once in full, what is like it counted."""

from collections import Counter
from typing import TextIO

from rich.console import Console
from rich.text import Text

from corscope.advice import configuration_lines
from corscope.baselines import wrong
from corscope.formats.document import CaptureSummary, Entry, Summary, Takes
from corscope.formats.plain import plain_entry
from corscope.privacy import plain
from corscope.report import explanation

_COLOURS = {"blocked": "bold red", "conditional": "bold yellow", "allowed": "bold green", "exempt": "bold"}
_LINES = (
    ("error: ", "red"),
    ("warning: ", "yellow"),
    ("  + ", "green"),
    ("  - ", "red"),
    ("  fix: ", "cyan"),
    ("  see ", "dim"),
    ("  because: ", "dim"),
)
"""How lines begin that are coloured, and how."""


class PlainText:
    """What is wrong, in sentences; then the counts. Colours by NO_COLOR, FORCE_COLOR and whether it is a terminal."""

    takes = Takes.TROUBLE

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._console = Console(file=file, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self._coloured = self._console.color_system is not None
        self._told: Counter[tuple[object, ...]] = Counter()
        self._titles: dict[tuple[object, ...], str] = {}
        self._known = 0

    def add(self, entry: Entry) -> None:
        if entry["known"]:
            self._known += 1
            return
        key: tuple[object, ...] = (entry["capture"], entry["verdict"], *wrong(entry))
        self._told[key] += 1
        if self._told[key] > 1:
            return
        # What was captured shall not steer the terminal.
        fit = plain_entry(entry)
        lines = [*explanation(fit), *configuration_lines(fit)]
        self._titles[key] = lines[0]
        self._print(f"{fit['capture']}, exchange {entry['number']}", "dim")
        self._print(lines[0], _COLOURS[entry["verdict"]])
        for line in lines[1:]:
            self._print(line, next((style for begins, style in _LINES if line.startswith(begins)), ""))
        self._print()

    def finish(self, summary: Summary) -> None:
        repeated = [(self._titles[key], count - 1) for key, count in self._told.items() if count > 1]
        if repeated:
            self._print("Again, like one above:", "bold")
            for title, count in repeated:
                self._print(f"  {count} × {title}")
            self._print()
        for capture in summary.captures:
            self._print(f"{plain(capture.name)}: {counts(capture)}")
            for line in capture.gaps:
                self._print(f"  {line}")
        if len(summary.captures) > 1:
            total = CaptureSummary("", sum(one.exchanges for one in summary.captures), summary.verdicts)
            self._print(f"Together, {len(summary.captures)} captures: {counts(total)}", "bold")
        if self._known:
            self._print(f"{self._known} known from the baseline, {summary.new} new")
        if summary.findings:
            self._print("Findings: " + ", ".join(f"{id_} {count}" for id_, count in summary.findings.items()))

    def _print(self, line: str = "", style: str = "") -> None:
        if self._coloured:
            self._console.print(Text(line, style))
        else:
            # What takes long with many lines is to have them looked through for what there is none of.
            self._file.write(f"{line}\n")


def counts(capture: CaptureSummary) -> str:
    """Return how many exchanges of a capture came out how, in words."""
    verdicts = capture.verdicts
    told = [f"{verdicts[key]:,} {key}" for key in ("blocked", "conditional", "allowed") if verdicts[key]]
    if verdicts["exempt"]:
        told.append(f"{verdicts['exempt']:,} not subject to CORS")
    word = "exchange" if capture.exchanges == 1 else "exchanges"
    return f"{capture.exchanges:,} {word}" + (": " + ", ".join(told) if told else "")
