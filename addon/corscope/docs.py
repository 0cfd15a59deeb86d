"""The documentation of all findings as Markdown, made from the catalogue: scripts/docs, and the test that holds it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from corscope.catalogue import CATALOGUE
from corscope.catalogue.causes import CAUSES
from corscope.catalogue.entry import Entry
from corscope.catalogue.faults import FAULTS
from corscope.catalogue.hints import HINTS
from corscope.catalogue.markdown import section

FILE = Path(__file__).parent.parent.parent / "docs" / "findings.md"

_HEAD = """# Findings

Everything that corscope says of an exchange, by its permanent id: the key in the JSON Lines report, the name for
`cors_silence`, the anchor here. `scripts/docs` makes this page from the catalogue (`addon/corscope/catalogue`).

An **error** blocks; a **warning** will hurt, or hides what is really wrong; an **info** is worth knowing. Words in
‹angle quotes› stand for what the traffic holds. What Chromium and Firefox say was measured; Safari's sentences are read
from WebKit's source.
"""


def markdown() -> str:
    """Return the whole page."""
    return "\n".join([_HEAD, *_contents(), *_sections()])


def _contents() -> Iterator[str]:
    for title, entries in _groups():
        yield f"**{title}**: " + " · ".join(f"[{entry.id}](#{entry.id})" for entry in entries) + "\n"


def _groups() -> Iterator[tuple[str, tuple[Entry, ...]]]:
    yield "What blocks", FAULTS
    yield "What blocks, by its cause", CAUSES
    yield "What the wire leaves open, what is behind it, and what will hurt", HINTS


def _sections() -> Iterator[str]:
    for title, entries in _groups():
        yield f"# {title}\n"
        for entry in entries:
            yield f"## {entry.id}\n"
            yield from section(entry)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the page, or says whether it is as it should be."""
    parser = argparse.ArgumentParser(prog="scripts/docs", description="Writes docs/findings.md from the catalogue.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the file is not up to date")
    said = parser.parse_args(arguments)
    page = markdown()
    if said.check:
        if not FILE.exists() or FILE.read_text(encoding="utf-8") != page:
            print(f"docs: {FILE} is not what the catalogue says; run scripts/docs", file=sys.stderr)
            return 1
        return 0
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(page, encoding="utf-8")
    print(f"docs: {len(CATALOGUE)} findings in {FILE.relative_to(FILE.parent.parent)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
