"""Verdicts as JSON: an object a line, or one document with the summary."""

import json
from typing import TextIO

from corscope import __version__
from corscope.formats.document import Entry, Summary, Takes


class JsonLines:
    """One verdict a line, exempt ones included; the keys are those of the addon's report, and more."""

    takes = Takes.EVERYTHING

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def add(self, entry: Entry) -> None:
        self._file.write(_line(entry) + "\n")

    def finish(self, summary: Summary) -> None:
        pass


class Json:
    """One document: `corscope` (the version), `verdicts` and `summary`."""

    takes = Takes.EVERYTHING

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._begin = f'{{"corscope": {json.dumps(__version__)}, "verdicts": [\n'

    def add(self, entry: Entry) -> None:
        self._file.write(self._begin + _line(entry))
        self._begin = ",\n"

    def finish(self, summary: Summary) -> None:
        told = {
            "captures": [capture._asdict() for capture in summary.captures],
            "verdicts": summary.verdicts,
            "findings": summary.findings,
            "failed": summary.failed,
            "new": summary.new,
        }
        begin = "" if self._begin == ",\n" else self._begin
        self._file.write(f'{begin}\n], "summary": {_line(told)}}}\n')


def _line(value: Entry) -> str:
    return json.dumps(value, ensure_ascii=False)
