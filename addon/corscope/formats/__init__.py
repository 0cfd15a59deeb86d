"""Reports on captures, a module for each format. They render and decide nothing."""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from corscope.formats.document import Format

SUFFIXES: Final = {
    ".txt": "text",
    ".jsonl": "jsonl",
    ".json": "json",
    ".html": "html",
    ".htm": "html",
    ".sarif": "sarif",
    ".xml": "junit",
    ".md": "markdown",
}
"""What a file's suffix says of the format that is meant."""


def _make(module: str, name: str, file: TextIO) -> "Format":
    made: Format = getattr(import_module(f"corscope.formats.{module}"), name)(file)
    return made


# Each is imported when it is asked for: the addon needs two of them, mitmproxy's own binary lacks what others are made
# with, and a run writes one or two.
FORMATS: Final[Mapping[str, Callable[[TextIO], "Format"]]] = MappingProxyType(
    {
        "text": partial(_make, "text", "PlainText"),
        "jsonl": partial(_make, "json_lines", "JsonLines"),
        "json": partial(_make, "json_lines", "Json"),
        "html": partial(_make, "html", "Html"),
        "sarif": partial(_make, "sarif", "Sarif"),
        "junit": partial(_make, "junit", "JUnit"),
        "github": partial(_make, "github", "GitHub"),
        "markdown": partial(_make, "markdown", "Markdown"),
    }
)
"""Every format by the name that the command line has for it."""
