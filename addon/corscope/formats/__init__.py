"""Reports on captures, a module for each format. They render and decide nothing."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from corscope.formats.every import FORMATS

__all__ = ["FORMATS", "SUFFIXES"]

SUFFIXES = {
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


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as Python has it
    # The addon needs two of the formats, and mitmproxy's own binary lacks what others are made with.
    if name == "FORMATS":
        from corscope.formats import every

        return every.FORMATS
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
