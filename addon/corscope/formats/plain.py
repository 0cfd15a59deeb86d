"""Captured text made fit for any report: one line, nothing that steers a terminal or a parser, nothing unencodable."""

import re

from corscope.formats.document import Entry

# Controls, halves of surrogate pairs, what XML 1.0 refuses, and what turns the direction of writing around.
_UNFIT = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def plain(text: str) -> str:
    """Return a text in one line; each character that has no place in a report is replaced by U+FFFD."""
    return _UNFIT.sub("\ufffd", text)


def plain_entry(entry: Entry) -> Entry:
    """Return an entry all of whose texts are plain."""
    return {key: _plain_value(value) for key, value in entry.items()}


def _plain_value(value: object) -> object:
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, dict):
        return {plain(key): _plain_value(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain_value(one) for one in value]
    return value
