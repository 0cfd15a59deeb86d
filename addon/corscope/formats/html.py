"""The HTML report: one file that loads nothing from anywhere, with the entries as data and a script that shows them.

What was captured comes into the page as JSON only, escaped so that it can never end the script that holds it, and the
page's own script puts it on the screen as text only: its policy forbids everything else. The file is plain ASCII, so
that it reads the same whatever encoding it is written in.
"""

import base64
import hashlib
import html
import json
from importlib.resources import files
from string import Template
from typing import Any, TextIO

from corscope.advice import configuration_lines
from corscope.formats.document import Entry, Summary, Takes
from corscope.report import root

CHUNK = 500
"""Entries that are written at once. What they have in common, findings and header lines above all, is written once."""

_END = "<!-- entries -->"
"""Where in the template the entries come."""


class Html:
    """Writes the report as a page. `corscope.formats.document.Format`."""

    takes = Takes.CORS

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._chunk = Chunk()
        style, script = _source("report.css"), _source("story.js") + _source("report.js")
        style, script = (f"\n{_ascii_source(text)}" for text in (style, script))
        beginning, _, self._ending = _source("report.html").partition(_END)
        self._write(Template(beginning).substitute(policy=_policy(style, script), style=style, script=script))

    def add(self, entry: Entry) -> None:
        """Take the next entry."""
        self._chunk.add(entry)
        if len(self._chunk.entries) == CHUNK:
            self._flush()

    def finish(self, summary: Summary) -> None:
        """Write what is left; the file stays open."""
        self._flush()
        self._write(_data("summary", _summary_json(summary)))
        self._write(Template(self._ending).substitute(counts=_counts_html(summary)))

    def _flush(self) -> None:
        if self._chunk.entries:
            self._write(_data("entries", self._chunk.json()))
            self._chunk = Chunk()

    def _write(self, text: str) -> None:
        self._file.write(text.encode("ascii", "xmlcharrefreplace").decode("ascii"))


class Chunk:
    """Some entries, with what they share: what `decode` of report.js reads."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._shared: dict[str, int] = {}
        """The number of each shared value, by its JSON."""

    def add(self, entry: Entry) -> None:
        """Take the next entry."""
        shown = dict(entry)
        shown["cause"] = cause(entry)
        shown["findings"] = [self._number(finding) for finding in entry["findings"]]
        shown["wire"] = {side: [self._number(line) for line in lines] for side, lines in entry["wire"].items()}
        fix = entry.get("fix")
        if fix is not None:
            # What the policy is for, the configuration, is made here.
            shown["fix"] = self._number({key: fix[key] for key in fix if key not in ("policy", "stack")})
            shown["configuration"] = self._number(configuration_lines(entry)[1:])
        self.entries.append(shown)

    def json(self) -> dict[str, Any]:
        """Return them as plain JSON values: `shared`, and `entries` with places in it."""
        return {"shared": [json.loads(value) for value in self._shared], "entries": self.entries}

    def _number(self, value: object) -> int:
        return self._shared.setdefault(json.dumps(value), len(self._shared))


def cause(entry: Entry) -> str | None:
    """Return the id of the finding that a row names: what decided the verdict, or is behind it."""
    faults = {"blocked": ("error",), "conditional": ("error", "warning")}.get(entry["verdict"], ())
    reason = next((finding["id"] for finding in entry["findings"] if finding["severity"] in faults), None)
    return root(reason, (finding["id"] for finding in entry["findings"])) if reason is not None else None


def _summary_json(summary: Summary) -> dict[str, Any]:
    return {
        # The page puts each capture's name before what is said of it.
        "captures": [
            {**capture._asdict(), "warnings": [line.removeprefix(f"{capture.name}: ") for line in capture.notes]}
            for capture in summary.captures
        ],
        "verdicts": summary.verdicts,
        "failed": summary.failed,
        "new": summary.new,
    }


def _counts_html(summary: Summary) -> str:
    """Return the counts as the rows of a table, for whoever lets no script run."""
    rows = []
    for capture in summary.captures:
        counts = (capture.exchanges, *(capture.verdicts[key] for key in summary.verdicts))
        cells = "".join(f"<td>{count}</td>" for count in counts)
        rows.append(f'<tr><th scope="row">{html.escape(capture.name)}</th>{cells}</tr>')
    return "\n".join(rows)


def _data(what: str, value: object) -> str:
    """Return a value as a script that is none: no browser runs it, and nothing in it can end it."""
    text = json.dumps(value, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" data-{what}>{text}</script>\n'


def _policy(style: str, script: str) -> str:
    """Return the Content-Security-Policy that lets in this style and this script and nothing else."""
    hashes = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in (style, script))
    style_hash, script_hash = (f"'sha256-{digest}'" for digest in hashes)
    return (
        f"default-src 'none'; style-src {style_hash}; script-src {script_hash}; img-src data:; base-uri 'none'; "
        "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _source(name: str) -> str:
    return files("corscope.formats").joinpath(name).read_text(encoding="utf-8")


def _ascii_source(text: str) -> str:
    """Return JavaScript or CSS with its other characters, which stand in strings and comments, as escapes."""
    return text.encode("ascii", "backslashreplace").decode("ascii")
