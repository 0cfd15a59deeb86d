"""Every format by the name that the command line has for it.

Each is imported when it is asked for: a run writes one or two, and some need what takes a while to load.
"""

from collections.abc import Callable
from typing import TextIO

from corscope.formats.document import Format


def _text(file: TextIO) -> Format:
    from corscope.formats.text import PlainText

    return PlainText(file)


def _jsonl(file: TextIO) -> Format:
    from corscope.formats.json_lines import JsonLines

    return JsonLines(file)


def _json(file: TextIO) -> Format:
    from corscope.formats.json_lines import Json

    return Json(file)


def _html(file: TextIO) -> Format:
    from corscope.formats.html import Html

    return Html(file)


def _sarif(file: TextIO) -> Format:
    from corscope.formats.sarif import Sarif

    return Sarif(file)


def _junit(file: TextIO) -> Format:
    from corscope.formats.junit import JUnit

    return JUnit(file)


def _github(file: TextIO) -> Format:
    from corscope.formats.github import GitHub

    return GitHub(file)


def _markdown(file: TextIO) -> Format:
    from corscope.formats.markdown import Markdown

    return Markdown(file)


FORMATS: dict[str, Callable[[TextIO], Format]] = {
    "text": _text,
    "jsonl": _jsonl,
    "json": _json,
    "html": _html,
    "sarif": _sarif,
    "junit": _junit,
    "github": _github,
    "markdown": _markdown,
}
