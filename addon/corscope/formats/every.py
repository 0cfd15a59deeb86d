"""Every format by the name that the command line has for it."""

from collections.abc import Callable
from typing import TextIO

from corscope.formats.document import Format
from corscope.formats.github import GitHub
from corscope.formats.html import Html
from corscope.formats.json_lines import Json, JsonLines
from corscope.formats.junit import JUnit
from corscope.formats.markdown import Markdown
from corscope.formats.sarif import Sarif
from corscope.formats.text import PlainText

FORMATS: dict[str, Callable[[TextIO], Format]] = {
    "text": PlainText,
    "jsonl": JsonLines,
    "json": Json,
    "html": Html,
    "sarif": Sarif,
    "junit": JUnit,
    "github": GitHub,
    "markdown": Markdown,
}
